//! Handles the received messages one by one: the reader judges each, then it goes into the tail and the feed. Stops if
//! the reader waits for an answer or the feed has no room.

use std::collections::VecDeque;
use std::time::Instant;

use async_nats::message::OutboundMessage;

use super::consumer::Kept;
use super::{Over, Work};
use crate::bus::feed::{Fed, Room};
use crate::bus::nats::decode::Raw;
use crate::bus::nats::direct::Page;
use crate::bus::reader::{Mark, Poll, Verdict};
use crate::envelope::unix_ms;
use std::sync::atomic::Ordering;

/// The number of steps before other events are handled.
const STEPS: usize = 1_024;

/// A poll's answer.
pub(super) struct InHand {
    poll: Poll,
    messages: VecDeque<(Mark, Raw)>,
}

impl InHand {
    /// What was requested.
    pub(super) fn poll(&self) -> Poll {
        self.poll
    }

    pub(super) fn new(poll: Poll, page: Page) -> Self {
        Self {
            poll,
            messages: page.messages.into(),
        }
    }
}

/// The result of a step.
enum Step {
    Done,
    /// Nothing can be done now.
    Stuck,
}

impl Work {
    /// Does everything that can be done now, within limits.
    pub(super) async fn steps(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        for _ in 0..STEPS {
            if self.blocked.is_some() {
                return Ok(());
            }
            if self.poll.is_some() {
                match self.step_of_poll(now).await? {
                    Step::Done => continue,
                    // The consumer's messages wait until the poll is done.
                    Step::Stuck => return Ok(()),
                }
            }
            match self.step_of_consumer(now).await? {
                Step::Done => {}
                Step::Stuck => return Ok(()),
            }
        }
        // There is more: the next round follows at once.
        self.live.state.more.notify_one();
        Ok(())
    }

    async fn step_of_poll(&mut self, now: Instant) -> Result<Step, Over> {
        let Some(hand) = &self.poll else {
            return Ok(Step::Stuck);
        };
        if self.reader.is_poll_waiting() {
            return Ok(Step::Stuck);
        }
        let Some((mark, raw)) = hand.messages.front() else {
            let poll = hand.poll;
            self.poll = None;
            let said = self.reader.poll_done(poll, true, now);
            self.said(said).await?;
            return Ok(Step::Done);
        };
        let (mark, weight) = (*mark, raw.weight());
        if self
            .live
            .state
            .is_another(self.reader.position().epoch, mark.sequence, raw.id())
        {
            self.reader.contradicted(self.reader.position().epoch);
            return Ok(Step::Done);
        }
        let Some(room) = self.room(weight) else {
            return Ok(Step::Stuck);
        };
        let verdict = self.reader.polled(mark);
        if verdict == Verdict::Wait {
            self.count_hole();
            return Ok(Step::Stuck);
        }
        let raw = self.poll.as_mut().and_then(|hand| hand.messages.pop_front());
        if let (Verdict::Take, Some((_, raw))) = (verdict, raw) {
            self.give_on(mark, raw, room).await?;
        }
        Ok(Step::Done)
    }

    async fn step_of_consumer(&mut self, now: Instant) -> Result<Step, Over> {
        if self.reader.is_waiting() {
            return Ok(Step::Stuck);
        }
        let Some(consumer) = &mut self.consumer else {
            return Ok(Step::Stuck);
        };
        match consumer.front() {
            None => Ok(Step::Stuck),
            Some(Kept::Message {
                number,
                mark,
                pending,
                raw,
            }) => {
                let (number, mark, pending, weight) = (*number, *mark, *pending, raw.weight());
                if self
                    .live
                    .state
                    .is_another(self.reader.position().epoch, mark.sequence, raw.id())
                {
                    self.reader.contradicted(self.reader.position().epoch);
                    return Ok(Step::Done);
                }
                let Some(room) = self.room(weight) else {
                    return Ok(Step::Stuck);
                };
                self.live.state.pending.store(pending, Ordering::Relaxed);
                match self.reader.message(number, mark, now) {
                    Verdict::Wait => {
                        self.count_hole();
                        return Ok(Step::Stuck);
                    }
                    Verdict::Reset => {
                        self.live.state.reset(crate::bus::reader::Cause::Gap);
                        self.consumer = None;
                    }
                    verdict => {
                        let kept = self.consumer.as_mut().and_then(super::Consumer::take);
                        if let (Verdict::Take, Some(Kept::Message { raw, .. })) = (verdict, kept) {
                            self.give_on(mark, raw, room).await?;
                        }
                    }
                }
                Ok(Step::Done)
            }
            Some(Kept::Heartbeat(last)) => {
                let said = self.reader.heartbeat(*last, now);
                consumer.take();
                self.live.state.pending.store(0, Ordering::Relaxed);
                self.said(said).await?;
                Ok(Step::Done)
            }
            Some(Kept::Flow(_)) if !self.live.feed.is_under_half() => {
                self.blocked = Some(self.live.feed.half());
                Ok(Step::Stuck)
            }
            Some(Kept::Flow(_)) => {
                if let Some(Kept::Flow(subject)) = consumer.take() {
                    self.answer_flow_control(subject).await;
                }
                Ok(Step::Done)
            }
        }
    }

    /// Room in the feed; before this instance has caught up, messages only fill the tail.
    fn room(&mut self, weight: usize) -> Option<Option<Room>> {
        if !self.is_caught_up {
            return Some(None);
        }
        let room = self.live.feed.room(weight);
        if room.is_none() {
            self.blocked = Some(weight);
        }
        room.map(Some)
    }

    /// A message that is the next one.
    async fn give_on(&mut self, mark: Mark, raw: Raw, room: Option<Room>) -> Result<(), Over> {
        self.is_hole_counted = false;
        let position = self.position(mark.sequence);
        self.live.state.head.store(mark.sequence, Ordering::Relaxed);
        let envelope = self.live.decoder.decode(raw, position);
        let fed = match envelope {
            Some(envelope) if !envelope.is_expired(unix_ms()) => {
                self.live.tail.lock().push(mark.sequence, envelope.clone());
                Fed::Notification(envelope)
            }
            stale => {
                if stale.is_some() {
                    self.live.state.expired.fetch_add(1, Ordering::Relaxed);
                }
                self.live.tail.lock().pass(mark.sequence);
                Fed::Passed(position)
            }
        };
        match self.is_caught_up {
            true => self.push(fed, room).await,
            // Before the message after it is.
            false => self.announce().await,
        }
    }

    fn count_hole(&mut self) {
        if !std::mem::replace(&mut self.is_hole_counted, true) {
            self.live.state.holes.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn answer_flow_control(&mut self, subject: String) {
        let answer = OutboundMessage {
            subject: subject.into(),
            reply: None,
            payload: bytes::Bytes::new(),
            headers: None,
        };
        // If it is not sent, the connection is about to be lost; a heartbeat would ask again.
        if let Err(error) = self.live.api.connection.send(answer).await {
            tracing::debug!(%error, "flow control was not answered");
        }
    }
}
