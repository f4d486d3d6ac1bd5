//! What an instance has read of a stream, and the proof that nothing is missing. Events in, what is wanted out. Knows no NATS,
//! no message's content, no clock but the `now` it is given, no runtime and no session; the shell is `bus/nats/live`.
//!
//! **How to drive it.** After each event, ask [`Reader::wants`] and do what it says, unless the same is under way already.
//! What it wants stays wanted until the answer is handed in, so a lost question is simply asked again.
//!
//! | What happened | Call |
//! |---|---|
//! | `STREAM.INFO` is about to be asked, was answered | [`Reader::ask`], [`Reader::info`] with what `ask` gave |
//! | the consumer was created, could not be | [`Reader::created`], [`Reader::create_failed`] |
//! | it delivered, it sent a heartbeat | [`Reader::message`], [`Reader::heartbeat`] |
//! | a poll (direct get of the next messages of any subject) was answered | [`Reader::poll_answered`], [`Reader::polled`] for each of its messages, [`Reader::poll_done`] |
//! | this instance's own publish was acknowledged | [`Reader::acked`] |
//! | the connection is gone | [`Reader::reset`] |
//! | time passes (100 ms) | [`Reader::tick`] |
//!
//! On [`Verdict::Wait`] keep the message, take no further one from the consumer (so flow control stays unanswered), and
//! offer the same one again once [`Reader::is_waiting`] is `false`. On [`Verdict::Take`] push the message to the tail, then to
//! the queue. On [`Said::Broken`] begin the tail anew at its position and put it into the queue in its place. When the reader
//! does not follow a consumer any more ([`Said::Reset`], or [`Reader::is_following`]), drop the consumer's subscription and
//! what is kept of it; what is kept of a poll stays.
//!
//! **No silent hole.** A consumer's messages count only while its own sequence is contiguous. What lies between the stream
//! sequences that came is lost, or was removed: no reader can tell a purge by subject from a lost block or a replica that
//! expired earlier, so all of it is said ([`Broken`]), once an INFO that was *asked after the hole was seen* tells where the
//! stream begins. If the stream begins behind `next` and nothing comes, that is a loss too; it is said once a heartbeat or a
//! poll shows that nothing is under way.
//!
//! **No other life.** What a consumer or a poll brings counts only once an INFO asked after its CREATE, or after its answer,
//! names the known epoch; what was asked for in another epoch never does. Consumers and polls begin at `next − 1`: if the message there is not the one that was read, by its
//! time stamp, the stream was rolled back (lost fsyncs, a restored backup). It was as well if its last sequence is smaller
//! than what was read *when the INFO was asked*, twice, a second apart; or if a publish of this instance was stored anew where
//! something had been read before it was sent ([`Reader::contradicted`]). The shell then raises the stream's generation, and with it the epoch, for every
//! instance.
//!
//! **What others may rely on.** [`Reader::is_proven`]: since the connection was made, the message that was read last was met
//! again, or there was none to meet. Only then the stream that is there now is the one that was read, and an acknowledgement or a
//! read that began and ended in this state, on one connection, is of the epoch that the reader names. [`Reader::is_in_doubt`]:
//! there is reason to believe that it is not; nothing may be said of its epoch before it is decided.

use std::time::{Duration, Instant};

use super::history::{Position, StreamInfo};

pub(crate) use event::{Asked, Broken, Cause, Create, Mark, Poll, Said, Verdict, Wants};

mod event;
mod life;
mod taking;

/// A consumer that sends neither messages nor heartbeats (each 500 ms) for this long is dead.
const SILENCE: Duration = Duration::from_millis(1_200);
/// How long this instance's own message may take from its acknowledgement to the reader before the reader polls.
const ACKED: Duration = Duration::from_millis(150);
/// The time between two polls, and between two attempts to create a consumer.
const RETRY: Duration = Duration::from_millis(100);
/// The time between two INFOs that both have to say that the stream is shorter than what was read.
const TWICE: Duration = Duration::from_secs(1);
/// The time between two INFOs that nothing in particular asks for.
const LOOK: Duration = Duration::from_secs(10);

/// The consumer that is followed.
#[derive(Debug, Clone, Hash)]
struct Consumer {
    /// The next number of its own sequence.
    expects: u64,
    /// What its first message has to be, if it is where the consumer begins.
    overlap: Option<Mark>,
    vetting: Vetting,
    heard: Instant,
    /// How often it said that there is nothing to send.
    idle: u8,
}

/// Whether an INFO that was asked late enough has named the known epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Vetting {
    /// Not yet; an INFO with this serial or a later one would.
    Since(u32),
    /// It has.
    Done,
}

/// A sequence behind which the stream goes on, seen at the moment that the serial names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Seen {
    sequence: u64,
    serial: u32,
}

/// The reader of one stream.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Reader {
    epoch: u64,
    /// The next sequence.
    next: u64,
    /// The message at `next − 1`, if it is known.
    read: Option<Mark>,
    /// The stream's last sequence when the reader began: up to here messages fill the tail, and nobody waits for them.
    fill: u64,
    consumer: Option<Consumer>,
    /// Whether a poll's answer is in hand, and may count.
    poll: Option<Vetting>,
    /// A message in hand that is not the next one.
    hole: Option<Seen>,
    /// The stream begins behind this sequence, which was not read.
    lost: Option<Seen>,
    /// When an INFO first said that the stream is shorter than what was read.
    short: Option<Instant>,
    is_rolled_back: bool,
    /// Whether the stream was shown to be the one that was read, since the consumer was given up last.
    is_met: bool,
    /// The last of this instance's own messages that were acknowledged, and when.
    acked: Option<(u64, Instant)>,
    /// The highest sequence of those that were acknowledged, and what it was when the consumer was given up last: before that is
    /// read again, the stream is not known to be the same.
    stored: u64,
    owed: u64,
    /// Counts what an INFO has to be asked after.
    serial: u32,
    looked: Instant,
    retry_create: Instant,
    retry_poll: Instant,
}

impl Reader {
    /// A reader that begins at the sequence `from`, between `info.first` and `info.last + 1`. Up to `info.last`, what comes
    /// only fills the tail.
    pub(crate) fn start(info: StreamInfo, from: u64, now: Instant) -> Self {
        let from = from.clamp(info.first.max(1), info.last.saturating_add(1).max(1));
        let read = match info.last_stamp {
            Some(stamp) if from == info.last + 1 && info.first <= info.last => Some(Mark {
                sequence: info.last,
                stamp,
            }),
            _ => None,
        };
        Self {
            epoch: info.epoch,
            next: from,
            read,
            fill: info.last,
            consumer: None,
            poll: None,
            hole: None,
            lost: None,
            short: None,
            is_rolled_back: false,
            // Nothing was read before: there is no other life to be told from this one.
            is_met: true,
            acked: None,
            stored: 0,
            owed: 0,
            serial: 0,
            looked: now,
            retry_create: now,
            retry_poll: now,
        }
    }

    /// The position of the last message that was read, or behind which the reader began.
    pub(crate) fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            sequence: self.next - 1,
        }
    }

    /// Whether everything that the stream had when the reader began has been read: from now on subscriptions may be
    /// answered, and the queue has to say so in its place.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.next > self.fill
    }

    /// Whether there is a consumer.
    pub(crate) fn is_following(&self) -> bool {
        self.consumer.is_some()
    }

    /// Whether the consumer's messages have to be kept for now.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_vetted = self
            .consumer
            .as_ref()
            .is_none_or(|consumer| consumer.vetting == Vetting::Done);
        self.is_held_up() || self.poll.is_some() || !is_vetted
    }

    /// Whether the messages of the poll in hand have to be kept for now.
    pub(crate) fn is_poll_waiting(&self) -> bool {
        self.is_held_up() || matches!(self.poll, Some(Vetting::Since(_)))
    }

    fn is_held_up(&self) -> bool {
        self.is_rolled_back || self.hole.is_some()
    }

    /// What is to be done at `now`.
    pub(crate) fn wants(&self, now: Instant) -> Wants {
        let since = |then: Instant| now.saturating_duration_since(then);
        let is_overdue = self
            .acked
            .is_some_and(|(sequence, at)| sequence >= self.next && since(at) >= ACKED);
        let polls = match &self.consumer {
            None => since(self.retry_poll) >= RETRY,
            Some(_) => is_overdue && !self.is_waiting() && since(self.retry_poll) >= RETRY,
        };
        let creates = self.consumer.is_none() && since(self.retry_create) >= RETRY;
        let from = self.next.saturating_sub(1).max(1);
        Wants {
            // Another instance may be faster with the next generation.
            info: self.is_rolled_back
                || self.hole.is_some()
                || self.is_vetting()
                || self.short.is_some_and(|at| since(at) >= TWICE)
                || since(self.looked) >= LOOK,
            create: (creates && !self.is_rolled_back).then_some(Create {
                from,
                epoch: self.epoch,
                overlap: self.read,
            }),
            poll: (polls && !self.is_held_up() && self.poll.is_none()).then_some(Poll {
                from,
                epoch: self.epoch,
                serial: self.serial,
            }),
            raise_generation: self.is_rolled_back,
        }
    }

    fn is_vetting(&self) -> bool {
        let consumers = self.consumer.as_ref().map(|consumer| consumer.vetting);
        [consumers, self.poll]
            .iter()
            .any(|vetting| matches!(vetting, Some(Vetting::Since(_))))
    }

    /// An INFO is about to be asked.
    pub(crate) fn ask(&self) -> Asked {
        Asked {
            epoch: self.epoch,
            next: self.next.max(self.owed + 1),
            serial: self.serial,
        }
    }

    /// An INFO was answered. `asked` was taken before it was sent. An answer that is not the leader's says nothing.
    pub(crate) fn info(&mut self, asked: Asked, info: StreamInfo, now: Instant) -> Said {
        if asked.epoch != self.epoch || !info.is_leaders {
            return Said::Nothing;
        }
        self.looked = now;
        if info.epoch != self.epoch {
            return self.begin_epoch(info, now);
        }
        if info.last.saturating_add(1) < asked.next {
            self.is_met = false;
            match self.short {
                None => self.short = Some(now),
                Some(at) if now.saturating_duration_since(at) >= TWICE => self.is_rolled_back = true,
                Some(_) => {}
            }
            return Said::Nothing;
        }
        self.short = None;
        if let Some(consumer) = &mut self.consumer
            && consumer.vetting.is_answered_by(asked)
        {
            consumer.vetting = Vetting::Done;
            consumer.heard = now;
            // What is not there any more cannot be met.
            let is_there = |mark: &Mark| info.first <= mark.sequence;
            consumer.overlap = consumer.overlap.filter(is_there);
            let is_last = |mark: Mark| info.last == mark.sequence && info.last_stamp == Some(mark.stamp);
            self.is_met |= consumer.overlap.is_none_or(is_last);
        }
        if let Some(vetting) = &mut self.poll
            && vetting.is_answered_by(asked)
        {
            *vetting = Vetting::Done;
        }
        match self.hole {
            Some(hole) if asked.serial >= hole.serial => self.lose(hole.sequence.max(info.first) - 1, now),
            None if info.first > self.next => {
                self.serial += 1;
                self.lost = Some(Seen {
                    sequence: info.first - 1,
                    serial: self.serial,
                });
                Said::Nothing
            }
            _ => Said::Nothing,
        }
    }

    /// The consumer that was wanted exists. It does not count, and is not followed, if the epoch is another by now: it begins
    /// where the stream before was read.
    pub(crate) fn created(&mut self, create: Create, now: Instant) {
        if create.epoch != self.epoch {
            return;
        }
        self.serial += 1;
        self.consumer = Some(Consumer {
            expects: 1,
            overlap: create.overlap,
            vetting: Vetting::Since(self.serial),
            heard: now,
            idle: 0,
        });
    }

    /// The consumer could not be created: once more later.
    pub(crate) fn create_failed(&mut self, now: Instant) {
        self.retry_create = now;
    }

    /// This instance's own publish was stored at `sequence`. If it does not come by the consumer soon, the reader polls.
    pub(crate) fn acked(&mut self, sequence: u64, now: Instant) {
        self.stored = self.stored.max(sequence);
        let is_first = self.acked.is_none_or(|(earlier, _)| earlier < self.next);
        if sequence >= self.next && is_first {
            self.acked = Some((sequence, now));
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Said {
        let is_silent = self
            .consumer
            .as_ref()
            .is_some_and(|consumer| now.saturating_duration_since(consumer.heard) >= SILENCE);
        // While its messages are kept, its heartbeats stand behind them.
        match is_silent && !self.is_waiting() {
            true => self.reset(Cause::Silent),
            false => Said::Nothing,
        }
    }

    /// The consumer is given up. What is kept of it is dropped; a new one brings it again.
    pub(crate) fn reset(&mut self, cause: Cause) -> Said {
        // A hole in a poll in hand is seen again.
        self.hole = None;
        (self.is_met, self.owed) = (false, self.stored);
        match self.consumer.take() {
            Some(_) => Said::Reset(cause),
            None => Said::Nothing,
        }
    }
}

impl Vetting {
    fn is_answered_by(self, asked: Asked) -> bool {
        matches!(self, Self::Since(serial) if asked.serial >= serial)
    }
}

#[cfg(test)]
pub(crate) mod tests;
