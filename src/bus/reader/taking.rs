//! Decides about each message of a consumer or a poll: whether it is the next one, was read before, or has to wait.

use std::time::Instant;

use super::{Cause, Mark, Poll, Reader, Said, Seen, Verdict, Vetting};

/// So many heartbeats say that the consumer has nothing to send.
const IDLE: u8 = 3;

impl Reader {
    /// The consumer delivered a message: the `consumer_sequence`-th of its own.
    pub(crate) fn message(&mut self, consumer_sequence: u64, mark: Mark, now: Instant) -> Verdict {
        let is_waiting = self.is_waiting();
        let Some(consumer) = &mut self.consumer else {
            return Verdict::Known;
        };
        consumer.heard = now;
        if consumer_sequence != consumer.expects {
            self.reset(Cause::Gap);
            return Verdict::Reset;
        }
        if is_waiting {
            return Verdict::Wait;
        }
        let overlap = consumer.overlap;
        let verdict = self.judge(mark, overlap);
        if verdict != Verdict::Wait
            && let Some(consumer) = &mut self.consumer
        {
            consumer.expects += 1;
            consumer.overlap = None;
        }
        verdict
    }

    /// The consumer sent a heartbeat, which names the last number of its own sequence.
    pub(crate) fn heartbeat(&mut self, last: u64, now: Instant) -> Said {
        let is_waiting = self.is_waiting();
        let Some(consumer) = &mut self.consumer else {
            return Said::Nothing;
        };
        consumer.heard = now;
        if is_waiting {
            return Said::Nothing;
        }
        if last.saturating_add(1) != consumer.expects {
            return self.reset(Cause::Gap);
        }
        // One may have waited since before the INFO that says that the stream ends no sooner, and another been on its way. The next one
        // is from behind it: what was read last was removed by itself, and cannot be compared.
        consumer.idle = consumer.idle.saturating_add(1);
        self.is_met |= consumer.idle >= IDLE;
        match self.lost {
            Some(lost) => self.lose(lost.sequence, now),
            None => Said::Nothing,
        }
    }

    /// A poll was answered. If it counts its messages follow, by [`Reader::polled`], and then [`Reader::poll_done`]. It does not
    /// if the epoch is another by now: then it was perhaps answered by the stream before.
    #[must_use]
    pub(crate) fn poll_answered(&mut self, poll: Poll) -> bool {
        if poll.epoch != self.epoch {
            return false;
        }
        self.serial += 1;
        self.poll = Some(Vetting::Since(self.serial));
        true
    }

    /// A message of the poll in hand.
    pub(crate) fn polled(&mut self, mark: Mark) -> Verdict {
        match self.poll {
            None => Verdict::Known,
            Some(_) if self.is_poll_waiting() => Verdict::Wait,
            Some(_) => self.judge(mark, None),
        }
    }

    /// All messages of the poll in hand have been taken, or it failed.
    pub(crate) fn poll_done(&mut self, poll: Poll, is_answered: bool, now: Instant) -> Said {
        self.poll = None;
        self.retry_poll = now;
        if let Some((sequence, at)) = &mut self.acked {
            match *sequence >= self.next {
                true => *at = now,
                false => self.acked = None,
            }
        }
        match self.lost {
            Some(lost) if is_answered && poll.serial >= lost.serial => self.lose(lost.sequence, now),
            _ => Said::Nothing,
        }
    }

    fn judge(&mut self, mark: Mark, overlap: Option<Mark>) -> Verdict {
        if mark.sequence < self.next {
            let is_other = |known: Mark| known.sequence == mark.sequence && known.stamp != mark.stamp;
            if self.read.is_some_and(is_other) || overlap.is_some_and(is_other) {
                self.is_met = false;
                self.is_rolled_back = true;
                return Verdict::Wait;
            }
            self.is_met |= self.read == Some(mark) || overlap == Some(mark);
            return Verdict::Known;
        }
        if mark.sequence > self.next {
            self.serial += 1;
            self.hole = Some(Seen {
                sequence: mark.sequence,
                serial: self.serial,
            });
            return Verdict::Wait;
        }
        self.next += 1;
        // It comes behind what was read: that was met, or is not there any more.
        self.is_met = true;
        self.read = Some(mark);
        self.lost = self.lost.filter(|lost| lost.sequence >= self.next);
        Verdict::Take
    }
}
