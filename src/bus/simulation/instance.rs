//! An instance: the real [`Reader`] and [`Tail`], driven as `bus/nats/live` drives them, with requests that are answered late, by
//! a lagging server or never, and a consumer that dies or loses messages.

use super::Time;
use super::stream::{Note, Place, Stream, stamp};
use crate::bus::history::{Position, Stored, StreamInfo};
use crate::bus::reader::{Asked, Broken, Cause, Create, Mark, Poll, Reader, Said, Verdict};
use crate::bus::tail::Tail;
use std::collections::VecDeque;
use std::time::Instant;

/// Messages that a consumer may have on its way.
const WINDOW: usize = 16;
/// Messages of a poll's answer.
const PAGE: usize = 12;

/// Messages by their sequences.
type Found = Vec<(u64, usize)>;

/// What a consumer sends.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Message { number: u64, sequence: u64, id: usize },
    Heartbeat { last: u64 },
}

/// A consumer, at the server and on its way.
#[derive(Debug)]
struct Consumer {
    next: u64,
    number: u64,
    is_alive: bool,
    sent: VecDeque<Sent>,
}

/// What an instance gives on to its sessions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given {
    Message(Position, Note),
    Broken,
}

/// One instance.
pub(super) struct Instance {
    pub reader: Reader,
    pub tail: Tail<Note>,
    /// Where it is in truth.
    pub place: Place,
    consumer: Option<Consumer>,
    poll: Option<(Poll, VecDeque<(u64, usize)>)>,
    /// A poll under way, and its answer.
    polling: Option<(Poll, Option<Found>)>,
    /// An INFO under way, and its answer with the life that it is of.
    info: Option<(Asked, Option<(StreamInfo, usize)>)>,
    create: Option<Create>,
    /// The life that the last INFO was of.
    told: usize,
    /// How many connections it has had.
    pub connects: u64,
    /// Nothing passes between it and NATS.
    pub is_cut_off: bool,
    pub given: Vec<Given>,
    /// The rule that is left out.
    wrong: &'static str,
}

impl Instance {
    pub(super) fn start(
        stream: &Stream,
        (tail, index): (usize, usize),
        wrong: &'static str,
        time: Time,
    ) -> Self {
        let info = stream.info();
        let from = info.first.max((info.last + 1).saturating_sub(20));
        let reader = Reader::start(info, from, time.now);
        let base = reader.position();
        Self {
            tail: Tail::with_index(base, tail, index),
            place: Place {
                life: stream.life(),
                sequence: base.sequence,
            },
            told: stream.life(),
            reader,
            consumer: None,
            poll: None,
            polling: None,
            info: None,
            create: None,
            connects: 1,
            is_cut_off: false,
            given: Vec::new(),
            wrong,
        }
    }

    /// The life of the stream in which it asks now: the epoch and the connection. `None`: it is not known to be the one that
    /// was read. `mutant` does not care.
    pub(super) fn life(&self, mutant: &str) -> Option<(u64, u64)> {
        let is_known = self.wrong == mutant || self.reader.is_proven();
        is_known.then(|| (self.reader.position().epoch, self.connects))
    }

    /// Whether what was asked in this life, and is answered, is of it.
    pub(super) fn is_still(&self, life: (u64, u64), mutant: &str) -> bool {
        self.wrong == mutant || self.life(mutant) == Some(life)
    }

    /// A consumer ends and nobody is told.
    pub(super) fn consumer_dies(&mut self) {
        if let Some(consumer) = &mut self.consumer {
            consumer.is_alive = false;
        }
    }

    /// Something that the consumer sent does not arrive.
    pub(super) fn lose_one(&mut self) {
        if let Some(consumer) = &mut self.consumer {
            consumer.sent.pop_back();
        }
    }

    /// The connection is lost, with all that is on its way.
    pub(super) fn disconnect(&mut self, Time { now, .. }: Time) {
        self.connects += 1;
        let said = self.reader.reset(Cause::Disconnected);
        self.consumer = None;
        self.create = None;
        self.info = None;
        if let Some((poll, _)) = self.polling.take() {
            let said = self.reader.poll_done(poll, false, now);
            self.said(said);
        }
        self.said(said);
    }

    /// One thing that happens to it.
    pub(super) fn step(&mut self, stream: &mut Stream, random: &mut fastrand::Rng, time: Time) {
        let now = time.now;
        self.ask(now);
        if !self.is_cut_off {
            self.answer(stream, random, now);
        }
        self.take(stream, random.usize(1..20), time);
        if self.reader.wants(now).raise_generation && !self.is_cut_off && random.u8(..3) == 0 {
            let asked = self.reader.ask();
            stream.raise(self.reader.position().epoch);
            self.info = None;
            self.informed(asked, stream.info(), stream.life(), now);
        }
    }

    pub(super) fn tick(&mut self, Time { now, .. }: Time) {
        let is_empty = self
            .consumer
            .as_ref()
            .is_none_or(|consumer| consumer.sent.is_empty());
        if is_empty {
            let said = self.reader.tick(now);
            self.said(said);
        }
    }

    /// Begins what the reader wants.
    fn ask(&mut self, now: Instant) {
        if self.is_cut_off {
            return;
        }
        let wants = self.reader.wants(now);
        if wants.info && self.info.is_none() {
            self.info = Some((self.reader.ask(), None));
        }
        if self.create.is_none() {
            self.create = wants.create;
        }
        if self.polling.is_none() {
            self.polling = wants.poll.map(|poll| (poll, None));
        }
    }

    /// NATS does something for it.
    fn answer(&mut self, stream: &Stream, random: &mut fastrand::Rng, now: Instant) {
        match &mut self.info {
            Some((_, answer @ None)) if random.bool() => *answer = Some((stream.info(), stream.life())),
            Some((asked, Some((info, life)))) if random.bool() => {
                let (asked, info, life) = (*asked, *info, *life);
                self.info = None;
                self.informed(asked, info, life, now);
            }
            _ => {}
        }
        match &mut self.polling {
            Some((poll, answer @ None)) if random.bool() => *answer = Some(stream.from(poll.from, PAGE)),
            Some((_, Some(_))) if random.bool() => {
                if let Some((poll, Some(found))) = self.polling.take()
                    && self.reader.poll_answered(poll)
                {
                    if self.wrong == "no-vetting" {
                        self.reader.trust();
                    }
                    self.poll = Some((poll, found.into()));
                }
            }
            _ => {}
        }
        if self.create.is_some() && random.bool() {
            let create = self.create.take();
            match create.filter(|_| random.u8(..10) > 0) {
                Some(create) => {
                    self.reader.created(create, now);
                    if self.wrong == "no-vetting" {
                        self.reader.trust();
                    }
                    let consumer = Consumer {
                        next: create.from,
                        number: 0,
                        is_alive: true,
                        sent: VecDeque::new(),
                    };
                    self.consumer = self.reader.is_following().then_some(consumer);
                }
                None => self.reader.create_failed(now),
            }
        }
        if let Some(consumer) = self.consumer.as_mut().filter(|consumer| consumer.is_alive) {
            let window = WINDOW.saturating_sub(consumer.sent.len());
            for (sequence, id) in stream.from(consumer.next, random.usize(..=window)) {
                consumer.number += 1;
                consumer.next = sequence + 1;
                let number = consumer.number;
                consumer.sent.push_back(Sent::Message { number, sequence, id });
            }
            let is_idle = stream.from(consumer.next, 1).is_empty();
            // One that waits already says it all.
            let is_said = matches!(consumer.sent.back(), Some(Sent::Heartbeat { .. }));
            if (consumer.sent.is_empty() || random.u8(..8) == 0) && is_idle && !is_said {
                let last = consumer.number;
                consumer.sent.push_back(Sent::Heartbeat { last });
            }
        }
    }

    fn informed(&mut self, asked: Asked, info: StreamInfo, life: usize, now: Instant) {
        self.told = life;
        if info.first > info.last && self.tail.epoch() == info.epoch {
            self.tail.cut(info.first);
        }
        let said = self.reader.info(asked, info, now);
        self.said(said);
    }

    /// Takes what has come, as far as the reader lets it.
    fn take(&mut self, stream: &Stream, most: usize, time: Time) {
        let now = time.now;
        for _ in 0..most {
            if self.wrong == "no-overlap" {
                self.reader.forget_read();
            }
            if let Some((poll, found)) = &mut self.poll {
                if self.reader.is_poll_waiting() {
                    return;
                }
                let poll = *poll;
                let Some(&(sequence, id)) = found.front() else {
                    self.poll = None;
                    let said = self.reader.poll_done(poll, true, now);
                    self.said(said);
                    continue;
                };
                let verdict = self.reader.polled(mark(sequence, id));
                if verdict == Verdict::Wait {
                    return;
                }
                found.pop_front();
                if verdict == Verdict::Take {
                    self.taken(stream.notes[id], sequence, time);
                }
                continue;
            }
            if self.reader.is_waiting() {
                return;
            }
            let Some(consumer) = &mut self.consumer else {
                return;
            };
            match consumer.sent.front().copied() {
                None => return,
                Some(Sent::Heartbeat { last }) => {
                    consumer.sent.pop_front();
                    let said = self.reader.heartbeat(last, now);
                    self.said(said);
                }
                Some(Sent::Message { number, sequence, id }) => {
                    match self.reader.message(number, mark(sequence, id), now) {
                        Verdict::Wait => return,
                        Verdict::Reset => self.consumer = None,
                        verdict => {
                            consumer.sent.pop_front();
                            if verdict == Verdict::Take {
                                self.taken(stream.notes[id], sequence, time);
                            }
                        }
                    }
                }
            }
        }
    }

    fn taken(&mut self, note: Note, sequence: u64, time: Time) {
        self.place = note.place;
        match note.is_stale(time.ms) {
            true => self.tail.pass(sequence),
            false => {
                self.tail.push(sequence, note);
                self.given.push(Given::Message(self.reader.position(), note));
            }
        }
    }

    fn said(&mut self, said: Said) {
        if let Said::Broken(Broken { base, lost }) = said {
            if lost.is_none() {
                self.poll = None;
            }
            match (self.wrong, lost) {
                ("index-goes-on-over-a-gap", Some(_)) => self.tail.begin_with_its_index(base),
                _ => self.tail.begin(base),
            }
            self.place = Place {
                life: self.told,
                sequence: base.sequence,
            };
            self.given.push(Given::Broken);
        }
        if !self.reader.is_following() {
            self.consumer = None;
        }
    }
}

fn mark(sequence: u64, id: usize) -> Mark {
    Mark {
        sequence,
        stamp: stamp(id),
    }
}
