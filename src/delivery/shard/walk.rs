//! How a shard writes: notifications to all who want them, and single messages to one session.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::acknowledge::{Windowed, send_windowed};
use super::send::{Sent, Write, send_one};
use super::{BATCH_MAX, Delivery, Session, Setting, Shard, To};
use crate::close_reason::CloseReason;
use crate::delivery::command::SessionKey;
use crate::delivery::fanout::{Encoded, Frames};
use crate::delivery::members::HOLE;
use crate::delivery::outbox::{CHUNKS_PER_CALL, Outgoing};
use crate::delivery::trail::Counts;
use crate::delivery::wire::{AckMode, GroupKey};
use crate::destination::{Path, Target};
use crate::envelope::{Envelope, MessageId};
use crate::principal::UserName;

/// Counts of one walk, added to the shared counters once.
#[derive(Default)]
struct Tally {
    /// In ack mode auto every notification of a walk fares alike.
    auto: Counts,
    windowed: Counts,
}

impl Shard {
    /// Delivers neighbours of the mailbox. Those with one target go out together, in their order; different targets
    /// have no order between them (docs/stomp.md, "Order").
    pub fn deliver(&mut self, batch: &[Arc<Delivery>]) {
        let now = Instant::now();
        for envelope in batch.iter().map(|delivery| &delivery.envelope) {
            if let Some(at) = envelope.arrival.at() {
                let after = now.saturating_duration_since(at);
                self.setting.trail.reached_shard(after, &envelope.trace);
            }
        }
        let mut together: Vec<Encoded<'_>> = Vec::with_capacity(batch.len());
        // Many notifications to as many users come together: their targets are told apart by one word each.
        let mut marks = [0; BATCH_MAX];
        if batch.len() > 1 {
            for (mark, delivery) in marks.iter_mut().zip(batch) {
                *mark = mark_of(&delivery.envelope.target);
            }
        }
        let mut done = [false; BATCH_MAX];
        for (at, first) in batch.iter().enumerate().take(BATCH_MAX) {
            if done[at] {
                continue;
            }
            let (target, own) = (&first.envelope.target, marks[at]);
            together.clear();
            for ((delivery, done), mark) in batch.iter().zip(&mut done).zip(&marks).skip(at) {
                if *mark == own && !*done && delivery.envelope.target == *target {
                    *done = true;
                    together.push(Encoded::of(delivery));
                }
            }
            match target {
                Target::Broadcast(path) => self.broadcast(path, &mut together),
                Target::User { user, path } => self.reach_user(user, path, &mut together),
            }
        }
    }

    fn broadcast(&mut self, path: &Path, together: &mut [Encoded<'_>]) {
        let mut tally = Tally::default();
        let (now, begun) = (self.wheel.now(), Instant::now());
        let Some((topic_index, topic)) = self.topics.get(path) else {
            return;
        };
        for (group_index, group) in topic.groups.iter() {
            encode(&mut self.frames, together, &group.key, &self.setting, None);
            let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
            let count = self.frames.slices(&mut slices);
            let write = Write::new(&self.frames, &slices[..count], now);
            if group.key.ack != AckMode::Auto {
                let ids: Vec<MessageId> = together
                    .iter()
                    .map(|encoded| encoded.envelope.message_id())
                    .collect();
                let at = Instant::now();
                for &slot in group.members.iter().filter(|slot| **slot != HOLE) {
                    let Some(session) = &mut self.sessions[slot as usize] else {
                        continue;
                    };
                    let number = number_in_group(session, topic_index, group_index as u32);
                    let hot = &mut self.hot[slot as usize];
                    let sent = send_windowed(hot, session, number, &self.frames, &ids, now, at);
                    tally.count_windowed(sent, together, slot, &mut self.doomed);
                }
                continue;
            }
            let mut shared = None;
            for &slot in group.members.iter().filter(|slot| **slot != HOLE) {
                // The subscription's number is the session's own; it is only needed where the session is blocked.
                let number = |session: &Session| number_in_group(session, topic_index, group_index as u32);
                let sent = write.send(
                    &mut self.hot[slot as usize],
                    &self.sessions[slot as usize],
                    &mut shared,
                    number,
                );
                tally.count(sent, together.len(), slot, &mut self.doomed);
            }
        }
        tally.share(together);
        self.add(&tally);
        if let Some(first) = together.first() {
            self.setting.trail.walked(begun.elapsed(), &first.envelope.trace);
        }
    }

    fn reach_user(&mut self, user: &UserName, path: &Path, together: &mut [Encoded<'_>]) {
        match self.users.get(user).map(Vec::as_slice) {
            // Mostly one: nothing to copy.
            Some(&[slot]) => self.reach_session(slot, path, together),
            Some(slots) => {
                let slots = slots.to_vec();
                for slot in slots {
                    self.reach_session(slot, path, together);
                }
            }
            None => {}
        }
    }

    /// An answer for one session alone, on its user's destination.
    pub(super) fn deliver_to(&mut self, key: SessionKey, envelope: &Envelope) {
        let Some(&slot) = self.by_key.get(&key) else {
            return;
        };
        let Target::User { path, .. } = &envelope.target else {
            return;
        };
        self.reach_session(slot, path, &mut [Encoded::new(envelope)]);
    }

    fn reach_session(&mut self, slot: u32, path: &Path, together: &mut [Encoded<'_>]) {
        let mut tally = Tally::default();
        let now = self.wheel.now();
        for encoded in together.iter_mut() {
            encoded.traced = self.setting.records && encoded.envelope.trace.is_sampled();
        }
        let hot = &mut self.hot[slot as usize];
        let entry = &mut self.sessions[slot as usize];
        let subscriptions = entry.as_ref().map_or(0, |session| session.subscriptions.len());
        for index in 0..subscriptions {
            let Some(session) = entry else { return };
            let held = &session.subscriptions[index];
            let (number, windowed) = (held.number, held.window.is_some());
            let key = match &held.to {
                To::User {
                    path: wanted,
                    id,
                    ack,
                } if wanted == path => GroupKey {
                    subscription: id.clone(),
                    version: session.version,
                    ack: *ack,
                },
                _ => continue,
            };
            encode(&mut self.frames, together, &key, &self.setting, Some(&session.id));
            if windowed {
                let ids: Vec<MessageId> = together
                    .iter()
                    .map(|encoded| encoded.envelope.message_id())
                    .collect();
                let sent = send_windowed(hot, session, number, &self.frames, &ids, now, Instant::now());
                self.frames.release_trails();
                tally.count_windowed(sent, together, slot, &mut self.doomed);
                continue;
            }
            let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
            let count = self.frames.slices(&mut slices);
            let write = Write::new(&self.frames, &slices[..count], now);
            let sent = write.send(hot, entry, &mut None, |_| number);
            if let Sent::Written = sent {
                self.frames.written();
            }
            self.frames.release_trails();
            tally.count(sent, together.len(), slot, &mut self.doomed);
        }
        tally.share(together);
        self.add(&tally);
    }

    /// Writes one message that is no notification.
    pub(super) fn say(&mut self, slot: u32, bytes: Bytes) {
        let Some(session) = &self.sessions[slot as usize] else {
            return;
        };
        let hot = &mut self.hot[slot as usize];
        if let Sent::Failed(reason) = send_one(hot, &session.outbox, Outgoing::plain(bytes), self.wheel.now())
        {
            self.doomed.push((slot, reason));
        }
    }

    fn add(&self, tally: &Tally) {
        let counters = &self.setting.counters;
        for counts in [&tally.auto, &tally.windowed] {
            counters.written.fetch_add(counts.written, Ordering::Relaxed);
            counters.queued.fetch_add(counts.queued, Ordering::Relaxed);
            counters.dropped.fetch_add(counts.dropped, Ordering::Relaxed);
        }
    }
}

/// Equal for equal targets, and for others seldom.
fn mark_of(target: &Target) -> u64 {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    hasher.finish()
}

/// Fills `frames` with the notifications as the group `key` sees them. A batch never holds more than fit.
/// `session`: whose alone they are, on a user destination.
fn encode(
    frames: &mut Frames,
    together: &mut [Encoded<'_>],
    key: &GroupKey,
    setting: &Setting,
    session: Option<&str>,
) {
    frames.clear();
    for encoded in together {
        let envelope = encoded.envelope;
        let trail = match session {
            Some(session) if encoded.traced => setting.trail.message(envelope, session),
            Some(_) => None,
            None => encoded.trail.and_then(|_| setting.trail.broadcast(envelope)),
        };
        frames.add(
            envelope,
            key,
            encoded.rest(key.version, &setting.user_prefix),
            trail,
        );
    }
}

/// The session's own number of its subscription in a group; only asked where a write needs more than the dense vectors.
fn number_in_group(session: &Session, topic: u32, group: u32) -> u32 {
    let held = session.subscriptions.iter().find(|held| match held.to {
        To::Broadcast(at) => (at.topic, at.group) == (topic, group),
        To::User { .. } => false,
    });
    held.map_or(0, |held| held.number)
}

impl Tally {
    fn count_windowed(
        &mut self,
        sent: Windowed,
        together: &[Encoded<'_>],
        slot: u32,
        doomed: &mut Vec<(u32, CloseReason)>,
    ) {
        self.windowed.written += sent.written;
        self.windowed.queued += sent.queued;
        // In their order: so many were written, then so many had to wait, the rest was dropped.
        for (at, encoded) in (0..).zip(together) {
            if let Some(trail) = encoded.trail {
                let (written, waits) = (at < sent.written, at < sent.written + sent.queued);
                let dropped = !waits && sent.failed.is_some();
                trail.add(Counts {
                    written: u64::from(written),
                    queued: u64::from(!written && waits),
                    dropped: u64::from(dropped),
                });
            }
        }
        if let Some(reason) = sent.failed {
            self.windowed.dropped += together.len() as u64 - sent.written - sent.queued;
            doomed.push((slot, reason));
        }
    }

    /// Tells the deliveries, which all went to the same sessions, what became of them.
    fn share(&self, together: &[Encoded<'_>]) {
        let frames = together.len().max(1) as u64;
        for trail in together.iter().filter_map(|encoded| encoded.trail) {
            trail.add(Counts {
                written: self.auto.written / frames,
                queued: self.auto.queued / frames,
                dropped: self.auto.dropped / frames,
            });
        }
    }

    #[inline]
    fn count(&mut self, sent: Sent, frames: usize, slot: u32, doomed: &mut Vec<(u32, CloseReason)>) {
        match sent {
            Sent::Written => self.auto.written += frames as u64,
            Sent::Queued => self.auto.queued += frames as u64,
            Sent::Failed(reason) => {
                self.auto.dropped += frames as u64;
                doomed.push((slot, reason));
            }
        }
    }
}
