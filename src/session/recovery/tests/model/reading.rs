//! An instance reads the stream: the real [`Reader`] and [`Tail`], driven as a shell would drive them.

use std::rc::Rc;

use super::world::{Checked, ConsumerIs, Instance, Item, Looking, NOW, Run, State, at, later, tail_bytes};
use crate::bus::history::StreamInfo;
use crate::bus::reader::{Asked, Cause, Mark, Reader, Said, Verdict};
use crate::bus::tail::Tail;

fn mark(s: u8, id: u8) -> Mark {
    Mark {
        sequence: s.into(),
        stamp: id.into(),
    }
}

impl State {
    /// Instance `x` starts, and has filled its tail.
    pub(super) fn start(&mut self, x: usize, run: &Run) {
        let stream = self.stream;
        let info = stream.info();
        let from = stream.first.max((stream.last + 1).saturating_sub(run.prefill));
        let mut reader = Reader::start(info, from.into(), *NOW);
        let mut tail = Tail::with_index(
            at(stream.epoch(), reader.next() as u8 - 1),
            tail_bytes(run),
            usize::from(run.index) * size_of::<u32>(),
        );
        if !reader.is_caught_up() {
            let poll = reader
                .wants(later())
                .poll
                .expect("a reader without a consumer polls");
            assert!(reader.poll_answered(poll));
            reader.info(reader.ask(), info, *NOW);
            for s in (poll.from as u8).max(stream.first)..=stream.last {
                let id = stream.log[s as usize];
                if reader.polled(mark(s, id)) == Verdict::Take {
                    tail.push(s.into(), self.note(id));
                }
            }
            reader.poll_done(poll, true, *NOW);
        }
        assert!(reader.is_caught_up());
        let mut instance = Instance {
            head: Default::default(),
            reader,
            connects: stream.life(),
            looking: None,
            consumer: ConsumerIs::None,
            consumer_at: 0,
            has_lost: false,
            hand: None,
            tail: Rc::new(tail),
            late_hole: 0,
            queue: Default::default(),
            relay: 0,
            item: Item::default(),
            is_wanted: false,
            mailbox: Default::default(),
            holding: Rc::default(),
            bystander: run.bystander_a,
            interest: run.bystander_a,
            coming: false,
            lives: Default::default(),
        };
        instance.head.begun = instance.reader.position();
        instance.head.done = instance.head.begun;
        instance.note_life(stream.epoch(), stream.last, stream.life());
        instance.normalize();
        self.instances[x] = Some(instance);
    }

    /// The consumer is created, and vetted at once where `is_vetted`.
    pub(super) fn create(&mut self, x: usize, is_vetted: bool, run: &Run) {
        let stream = self.stream;
        let instance = self.up(x);
        let create = instance
            .reader
            .wants(later())
            .create
            .expect("a consumer is wanted");
        let mut from = create.from as u8;
        instance.reader.created(create, *NOW);
        if run.wrong == "no-overlap" {
            from = instance.next();
            instance.reader.forget_read();
        }
        if run.wrong == "no-vetting" {
            instance.reader.trust();
        }
        if is_vetted {
            let asked = instance.reader.ask();
            instance.reader.info(asked, stream.info(), *NOW);
        }
        instance.consumer = ConsumerIs::Alive;
        instance.consumer_at = from.max(stream.first);
        instance.hand = None;
        instance.normalize();
    }

    /// What the reader says of an event, done as a shell would do it. `life`: that of the INFO, if it was one.
    pub(super) fn heard(&mut self, x: usize, said: Said, life: u8, run: &Run) -> Checked {
        let is_broken = self.is_broken;
        let instance = self.up(x);
        if let Said::Broken(broken) = said {
            let (e, s) = (broken.base.epoch as u8, broken.base.sequence as u8);
            if broken.lost.is_none() && !is_broken {
                return Err("FALSE ALARM: another epoch, but nothing happened to the stream".into());
            }
            let tail = Rc::make_mut(&mut instance.tail);
            match (run.wrong, broken.lost) {
                ("index-goes-on-over-a-gap", Some(_)) => tail.begin_with_its_index(broken.base),
                _ => tail.begin(broken.base),
            }
            instance.note_life(e, s, life);
            instance.queue.push(Item {
                is_broken: true,
                e,
                s,
                id: 0,
            });
            instance.late_hole = 0;
        }
        if !instance.reader.is_following() {
            instance.consumer = ConsumerIs::None;
            instance.has_lost = false;
            instance.hand = None;
        }
        if instance.reader.is_rolled_back() {
            return self.raise_generation(x, run);
        }
        self.up(x).normalize();
        Ok(())
    }

    fn raise_generation(&mut self, x: usize, run: &Run) -> Checked {
        if !self.is_broken {
            return Err("FALSE ALARM: a rollback is believed that was none".into());
        }
        if self.stream.epoch() == self.up(x).epoch() {
            self.stream.generation += 1;
        }
        let (info, life) = (self.stream.info(), self.stream.life());
        let instance = self.up(x);
        let said = instance.reader.info(instance.reader.ask(), info, later());
        self.heard(x, said, life, run)
    }

    /// An INFO that was asked when `asked` was taken has come.
    pub(super) fn informed(
        &mut self,
        x: usize,
        asked: Asked,
        info: StreamInfo,
        life: u8,
        run: &Run,
    ) -> Checked {
        let instance = self.up(x);
        let asked = match run.wrong {
            "inner-hole-goes-on" => asked.late(&instance.reader),
            "judged-at-receipt" => asked.read_late(&instance.reader),
            _ => asked,
        };
        if run.wrong == "inner-hole-goes-on" && info.first <= instance.reader.next() {
            // The stream begins in front of the hole: its inside is taken for removed.
            let to = instance.reader.hole();
            if let (Some(from), Some(to)) = (instance.reader.step_over(), to) {
                for s in from..to {
                    Rc::make_mut(&mut instance.tail).pass(s);
                }
            }
        }
        let mut said = instance.reader.info(asked, info, later());
        if run.wrong == "quiet-hole" {
            instance.reader.forget_lost();
        }
        if instance.late_hole != 0 && said == Said::Nothing {
            if info.first > instance.late_hole.into() {
                said = instance.reader.lose_late(*NOW);
            }
            instance.late_hole = 0;
        }
        self.heard(x, said, life, run)
    }

    /// A message was taken: it is the next one.
    fn accept(&mut self, x: usize, s: u8, id: u8) {
        let (note, life) = (self.note(id), self.records[id as usize].life);
        let instance = self.up(x);
        let e = instance.epoch();
        instance.note_life(e, s, life);
        Rc::make_mut(&mut instance.tail).push(s.into(), note);
        instance.queue.push(Item {
            is_broken: false,
            e,
            s,
            id,
        });
    }

    /// Goes on behind a hole without waiting for an INFO.
    fn step_over_early(&mut self, x: usize, s: u8) {
        let instance = self.up(x);
        if let Some(from) = instance.reader.step_over() {
            if instance.late_hole == 0 {
                instance.late_hole = from as u8;
            }
            let base = at(instance.epoch(), s - 1);
            Rc::make_mut(&mut instance.tail).begin(base);
        }
    }

    /// The consumer delivers its next message. What was read before is passed over in the same step.
    pub(super) fn deliver(&mut self, x: usize, run: &Run) -> Checked {
        loop {
            let stream = self.stream;
            let instance = self.up(x);
            let next = stream.next_from(consumer_from(instance, &stream, run));
            let Some((s, id)) = instance.hand.take().or(next.map(|s| (s, stream.log[s as usize]))) else {
                instance.normalize();
                return Ok(());
            };
            if run.wrong == "no-overlap" {
                instance.reader.forget_read();
            }
            let number = instance.reader.expects().unwrap_or_default();
            instance.consumer_at = instance.consumer_at.max(s + 1);
            match instance.reader.message(number, mark(s, id), *NOW) {
                Verdict::Take => {
                    self.accept(x, s, id);
                    self.up(x).normalize();
                    return Ok(());
                }
                Verdict::Known => {}
                Verdict::Wait => {
                    instance.hand = Some((s, id));
                    if run.wrong == "hole-does-not-wait" && instance.reader.hole().is_some() {
                        self.step_over_early(x, s);
                        continue;
                    }
                    return self.heard(x, Said::Nothing, 0, run);
                }
                Verdict::Reset => return Err("RESET: no message was lost".into()),
            }
        }
    }

    /// A poll is asked and answered, an INFO is asked and answered, and the first new message is given on.
    pub(super) fn poll(&mut self, x: usize, run: &Run) -> Checked {
        let stream = self.stream;
        let instance = self.up(x);
        instance.reader.acked(stream.last.into(), *NOW);
        let Some(poll) = instance.reader.wants(later()).poll else {
            return Ok(());
        };
        assert!(instance.reader.poll_answered(poll));
        if run.wrong == "no-vetting" {
            instance.reader.trust();
        }
        let begin = if run.apart { stream.first_follower } else { 0 };
        let from = begin.max(poll.from as u8);
        let messages = (from..=stream.last).filter(|s| *s >= stream.first);
        let mut messages: Vec<_> = messages.map(|s| (s, stream.log[s as usize])).collect();
        messages.reverse();
        loop {
            let instance = self.up(x);
            if instance.reader.is_poll_waiting() {
                let asked = instance.reader.ask();
                self.informed(x, asked, stream.info(), stream.life(), run)?;
                continue;
            }
            let next = messages.pop();
            if run.wrong == "no-overlap" {
                instance.reader.forget_read();
            }
            let Some((s, id)) = next else { break };
            match instance.reader.polled(mark(s, id)) {
                Verdict::Take => {
                    self.accept(x, s, id);
                    break;
                }
                Verdict::Known => {}
                Verdict::Wait => {
                    messages.push((s, id));
                    if run.wrong == "hole-does-not-wait" && instance.reader.hole().is_some() {
                        self.step_over_early(x, s);
                    }
                    // Another epoch takes the poll out of the reader's hand.
                    self.heard(x, Said::Nothing, 0, run)?;
                }
                Verdict::Reset => return Err("RESET: a poll has no consumer".into()),
            }
        }
        let instance = self.up(x);
        let said = instance.reader.poll_done(poll, true, *NOW);
        self.heard(x, said, stream.life(), run)
    }

    /// The connection was lost with its server, and is there again.
    pub(super) fn reconnect(&mut self, x: usize, run: &Run) -> Checked {
        let life = self.stream.life();
        let instance = self.up(x);
        instance.connects = life;
        instance.looking = None;
        let said = instance.reader.reset(Cause::Disconnected);
        self.heard(x, said, life, run)
    }

    /// Asks for an INFO.
    pub(super) fn look(&mut self, x: usize) {
        let instance = self.up(x);
        instance.looking = Some(Looking {
            asked: instance.reader.ask(),
            answer: None,
        });
        instance.normalize();
    }
}

impl Instance {
    pub(super) fn normalize(&mut self) {
        let asked = self.looking.as_mut().map(|looking| &mut looking.asked);
        self.reader.normalize(*NOW, asked);
    }
}

pub(super) fn consumer_from(instance: &Instance, stream: &super::world::Stream, run: &Run) -> u8 {
    match run.apart {
        true => instance.consumer_at.max(stream.first_follower),
        false => instance.consumer_at,
    }
}
