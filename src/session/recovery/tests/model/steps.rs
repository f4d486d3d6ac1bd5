//! Everything that may happen next in a state.

use super::reading::consumer_from;
use super::world::{
    CLIENT, Checked, Command, ConsumerIs, Instance, Kindly, Looking, NOW, Record, Run, SEQUENCES, State,
    Stream, Subscribed, later,
};

/// What happens, at which instance, with which detail. Names a step for the trace.
pub(super) type Act = (&'static str, u8, u8);

/// A step: its name, whether it happens by itself (else it is a fault or the world's will), and the state after it.
pub(super) type Next = (Act, bool, Result<State, String>);

/// Collects the steps from a state.
pub(super) struct Steps<'a> {
    pub from: &'a State,
    pub run: &'a Run,
    out: &'a mut Vec<Next>,
}

impl Steps<'_> {
    pub(super) fn step(&mut self, act: Act, by_itself: bool, change: impl FnOnce(&mut State) -> Checked) {
        let mut state = self.from.clone();
        let result = change(&mut state).and_then(|()| state.settle(self.run));
        self.out.push((act, by_itself, result.map(|()| state)));
    }

    fn fault(&mut self, act: Act, change: impl FnOnce(&mut State) -> Checked) {
        if self.from.used.faults < self.run.most.faults {
            self.step(act, false, |state| {
                state.used.faults += 1;
                change(state)
            });
        }
    }
}

/// All steps from `state`.
pub(super) fn steps(state: &State, run: &Run, out: &mut Vec<Next>) {
    let mut steps = Steps {
        from: state,
        run,
        out,
    };
    steps.world();
    for x in 0..run.instances {
        steps.instance(x);
    }
    steps.client();
}

impl Steps<'_> {
    fn world(&mut self) {
        let (state, run) = (self.from, self.run);
        let (stream, used, most) = (&state.stream, state.used, run.most);
        if state.published < run.messages && usize::from(stream.last) < SEQUENCES {
            for to_a in [true, false] {
                let wanted = run
                    .pattern
                    .map(|pattern| pattern.as_bytes()[state.published as usize] == b'A');
                if wanted.is_none_or(|wanted| wanted == to_a) {
                    self.step(("publish (0: to A)", 0, u8::from(!to_a)), false, |state| {
                        state.publish(to_a);
                        Ok(())
                    });
                }
            }
        }
        let may_go = !(run.rollback_alone && used.rollback > 0);
        if may_go && used.evict < most.evict && stream.first_follower <= stream.last {
            self.fault(("evict", 0, 0), |state| {
                state.used.evict += 1;
                let stream = &mut state.stream;
                stream.first_follower += 1;
                if !run.apart {
                    stream.log[stream.first as usize] = 0;
                    stream.first = stream.first_follower;
                }
                Ok(())
            });
        }
        if run.apart && stream.first < stream.first_follower {
            self.step(("the leader evicts too", 0, 0), true, |state| {
                let stream = &mut state.stream;
                stream.log[stream.first as usize] = 0;
                stream.first += 1;
                Ok(())
            });
        }
        if may_go && used.purge < most.purge && stream.first <= stream.last {
            self.fault(("purge", 0, 0), |state| {
                state.used.purge += 1;
                let stream = &mut state.stream;
                (stream.first..=stream.last).for_each(|s| stream.log[s as usize] = 0);
                stream.first = stream.last + 1;
                stream.first_follower = stream.first;
                Ok(())
            });
        }
        if used.recreate < most.recreate {
            self.fault(("recreate", 0, 0), |state| {
                state.used.recreate += 1;
                state.stream = Stream {
                    incarnation: state.stream.incarnation + 1,
                    first: 1,
                    first_follower: 1,
                    ..Stream::default()
                };
                state.consumers_die();
                Ok(())
            });
        }
        let is_alone = !(run.rollback_alone && used.death + used.evict + used.purge > 0);
        if used.rollback < most.rollback && is_alone {
            for by in 1..=2 {
                if stream.last >= by && stream.last > stream.first.max(stream.first_follower) + by - 2 {
                    self.fault(("rollback by", 0, by), |state| {
                        state.used.rollback += 1;
                        state.roll_back(by);
                        Ok(())
                    });
                }
            }
        }
    }

    fn instance(&mut self, x: usize) {
        let (state, run) = (self.from, self.run);
        let (stream, used, most, at) = (state.stream, state.used, run.most, x as u8);
        let Some(instance) = &state.instances[x] else {
            return self.step(("instance starts", at, 0), true, |state| {
                state.start(x, run);
                Ok(())
            });
        };
        let is_here = state.session.on == Some(x);
        let is_alive = instance.consumer == ConsumerIs::Alive;
        if used.consumer_dies < most.consumer_dies && is_alive {
            self.fault(("consumer dies", at, 0), |state| {
                state.used.consumer_dies += 1;
                state.up(x).consumer = ConsumerIs::Dead;
                Ok(())
            });
        }
        let next = stream.next_from(instance.consumer_at);
        if used.message_lost < most.message_lost
            && is_alive
            && !instance.has_lost
            && let Some(s) = next
        {
            self.fault(("a consumer's message is lost", at, 0), |state| {
                state.used.message_lost += 1;
                let instance = state.up(x);
                instance.has_lost = true;
                instance.consumer_at = s + 1;
                Ok(())
            });
        }
        if used.death < most.death && !(run.rollback_alone && used.rollback > 0) {
            let sent = if is_here { state.session.sent.len() } else { 0 };
            for count in 0..=sent {
                self.fault(
                    ("instance dies, the client having read", at, count as u8),
                    |state| {
                        state.used.death += 1;
                        if is_here {
                            state.client = state.client_reads(count, run)?;
                            state.end_session();
                        }
                        state.instances[x] = None;
                        Ok(())
                    },
                );
            }
        }
        if used.bystander_leaves < most.bystander_leaves && instance.bystander && is_here {
            self.step(("bystander unsubscribes from A", at, 0), false, |state| {
                state.used.bystander_leaves += 1;
                state.up(x).mailbox.push(Command {
                    what: Kindly::BystanderLeaves,
                    ..Command::default()
                });
                Ok(())
            });
        }
        self.reader(x);
        // Only the meeting of relay and shard with the session matters: they rest while none is here.
        if is_here {
            if instance.relay != 0 || !instance.queue.is_empty() {
                self.step(
                    ("relay (begun, interest, put)", at, instance.relay),
                    true,
                    |state| {
                        state.relay(x, run);
                        Ok(())
                    },
                );
            }
            if !instance.mailbox.is_empty() {
                self.step(("shard takes its next command", at, 0), true, |state| {
                    state.shard(x, run)
                });
            }
        }
    }

    fn reader(&mut self, x: usize) {
        let (state, run) = (self.from, self.run);
        let (stream, used, at) = (state.stream, state.used, x as u8);
        let Some(instance) = &state.instances[x] else {
            return;
        };
        let reader = &instance.reader;
        let is_alive = instance.consumer == ConsumerIs::Alive;
        let wants = reader.wants(later());
        if instance.connects != stream.life() {
            self.step(("the lost connection is noticed", at, 0), true, |state| {
                state.reconnect(x, run)
            });
        }
        // A dead consumer, or one whose message was lost, is noticed by its silence or its next heartbeat.
        if instance.consumer == ConsumerIs::Dead && !reader.is_waiting() {
            self.step(("consumer is silent", at, 0), true, |state| {
                let said = state.up(x).reader.tick(later());
                state.heard(x, said, 0, run)
            });
        }
        let heartbeats = instance.has_lost || reader.is_suspicious();
        if is_alive && heartbeats && !reader.is_waiting() {
            self.step(("heartbeat", at, 0), true, |state| {
                let instance = state.up(x);
                let last = instance.reader.expects().unwrap_or_default() - u64::from(!instance.has_lost);
                let said = instance.reader.heartbeat(last, *NOW);
                state.heard(x, said, stream.life(), run)
            });
        }
        if wants.create.is_some() {
            self.step(("consumer is created", at, 0), true, |state| {
                state.create(x, false, run);
                Ok(())
            });
        }
        let has_next =
            instance.hand.is_some() || stream.next_from(consumer_from(instance, &stream, run)).is_some();
        if is_alive && !instance.has_lost && !reader.is_waiting() && has_next {
            self.step(("consumer delivers", at, 0), true, |state| state.deliver(x, run));
        }
        let is_followed = instance.consumer == ConsumerIs::Alive;
        let finds = stream.next_from(instance.next().saturating_sub(1)).is_some() || reader.is_suspicious();
        if run.polls && !is_followed && !reader.is_waiting() && finds {
            self.step(("poll", at, 0), true, |state| state.poll(x, run));
        }
        let is_short = u64::from(stream.last) + 1 < reader.next();
        let is_quiet =
            run.wrong != "quiet-hole" && !reader.is_suspicious() && u64::from(stream.first) > reader.next();
        let is_needed = wants.info
            || instance.late_hole != 0
            || stream.epoch() != instance.epoch()
            || is_short
            || is_quiet;
        let (now, life) = (stream.info(), stream.life());
        match instance.looking {
            None if run.info_at_once && !is_needed => {}
            None if run.info_at_once => self.step(("INFO", at, 0), true, |state| {
                let asked = state.up(x).reader.ask();
                state.informed(x, asked, now, life, run)
            }),
            None if is_needed => self.step(("INFO is asked", at, 0), true, |state| {
                state.look(x);
                Ok(())
            }),
            None if used.looks < run.most.looks => {
                self.step(("INFO is asked (unneeded)", at, 0), false, |state| {
                    state.used.looks += 1;
                    state.look(x);
                    Ok(())
                })
            }
            None => {}
            Some(Looking { asked, answer: None }) => self.step(("INFO is answered", at, 0), true, |state| {
                state.up(x).looking = Some(Looking {
                    asked,
                    answer: Some((now, life)),
                });
                Ok(())
            }),
            Some(Looking {
                asked,
                answer: Some((info, life)),
            }) => self.step(("INFO is received", at, 0), true, |state| {
                state.up(x).looking = None;
                state.informed(x, asked, info, life, run)
            }),
        }
    }
}

impl State {
    fn publish(&mut self, to_a: bool) {
        let life = self.stream.life();
        self.published += 1;
        self.stream.last += 1;
        self.stream.log[self.stream.last as usize] = self.published;
        self.records[self.published as usize] = Record {
            to_a,
            life,
            s: self.stream.last,
            is_rolled_back: false,
        };
    }

    fn roll_back(&mut self, by: u8) {
        let stream = &mut self.stream;
        for s in stream.last - by + 1..=stream.last {
            let id = std::mem::take(&mut stream.log[s as usize]);
            self.records[id as usize].is_rolled_back = true;
        }
        stream.last -= by;
        stream.rollbacks += 1;
        self.consumers_die();
    }

    fn consumers_die(&mut self) {
        self.is_broken = true;
        for instance in self.instances.iter_mut().flatten() {
            if instance.consumer == ConsumerIs::Alive {
                instance.consumer = ConsumerIs::Dead;
            }
        }
    }
}

/// Nothing of the client is held where its session is gone.
pub(super) fn is_tidy(state: &State) -> bool {
    let held = |instance: &Instance| instance.holding.holds(CLIENT);
    let is_held = state.session.subscribed == Subscribed::Held;
    state
        .instances
        .iter()
        .enumerate()
        .all(|(x, instance)| !instance.as_ref().is_some_and(held) || (is_held && state.session.on == Some(x)))
}
