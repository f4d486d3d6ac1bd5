//! The actions of the client and its session: connecting, disconnecting, and the driver with the real [`Recovery`].

use super::steps::Steps;
use super::world::{Checked, Command, Driver, How, Kindly, Run, Session, State, Subscribed};
use crate::bus::history::{Position, Unrecovered};
use crate::delivery::heads::Head;
use crate::session::recovery::{Recovery, Step};

impl Steps<'_> {
    pub(super) fn client(&mut self) {
        let (state, run) = (self.from, self.run);
        let session = &state.session;
        let Some(x) = session.on else {
            for x in 0..run.instances {
                if state.instances[x].is_some() {
                    self.step(("client connects", x as u8, 0), true, |state| {
                        state.session = Session {
                            on: Some(x),
                            driver: Driver::Looks,
                            after: state.client.position,
                            published: if state.is_broken && run.is_fair {
                                state.published
                            } else {
                                0
                            },
                            ..Session::default()
                        };
                        Ok(())
                    });
                }
            }
            return;
        };
        let (used, most, at) = (state.used, run.most, x as u8);
        if used.disconnect < most.disconnect {
            for count in 0..=session.sent.len() {
                self.step(
                    ("client disconnects, having read", at, count as u8),
                    false,
                    |state| {
                        state.used.disconnect += 1;
                        state.client = state.client_reads(count, run)?;
                        state.end_session();
                        Ok(())
                    },
                );
            }
        }
        if session.is_doomed {
            for count in 0..=session.sent.len() {
                self.step(("1013, the client having read", at, count as u8), true, |state| {
                    state.client = state.client_reads(count, run)?;
                    state.end_session();
                    Ok(())
                });
            }
        }
        let is_waiting = matches!(
            session.driver,
            Driver::AwaitsHold | Driver::Replays | Driver::Reads | Driver::SendsPiece | Driver::AwaitsPiece
        );
        if used.local < most.local && (session.subscribed != Subscribed::No || is_waiting) {
            self.step(("a local answer comes into the mailbox", at, 0), false, |state| {
                state.used.local += 1;
                let done = state.up(x).head.done;
                state.up(x).mailbox.push(Command {
                    what: Kindly::Local,
                    e: done.epoch as u8,
                    s: done.sequence as u8,
                    ..Command::default()
                });
                Ok(())
            });
        }
        self.driver(x);
    }

    fn driver(&mut self, x: usize) {
        let (state, run) = (self.from, self.run);
        let session = &state.session;
        let (at, stream) = (x as u8, state.stream);
        let Some(instance) = &state.instances[x] else {
            return;
        };
        let head = instance.head;
        let announces_late = run.wrong == "announce-behind-wait";
        match session.driver {
            Driver::Looks => self.driver_looks(x),
            Driver::Announces | Driver::Waits => {
                let next = match session.driver {
                    Driver::Announces => Driver::Waits,
                    _ => Driver::Sends,
                };
                if (session.driver == Driver::Announces) != announces_late {
                    self.step(("driver announces", at, 0), true, |state| {
                        state.up(x).coming = true;
                        state.session.driver = next;
                        Ok(())
                    });
                } else if run.wrong == "waits-for-equality" {
                    if head.begun == head.done {
                        self.step(("driver finds the heads equal", at, 0), true, |state| {
                            state.session.begun = Some(head.done);
                            state.session.driver = next;
                            Ok(())
                        });
                    }
                } else if let Some(begun) = session.begun {
                    if head.has_finished(begun) {
                        self.step(("driver has waited", at, 0), true, |state| {
                            state.session.driver = next;
                            Ok(())
                        });
                    }
                } else {
                    self.step(("driver reads begun", at, 0), true, |state| {
                        state.session.begun = Some(head.begun);
                        Ok(())
                    });
                }
            }
            Driver::Sends => self.step(("driver sends the command", at, 0), true, |state| {
                let begun = state.session.begun.take().unwrap_or_default();
                state.send(x, begun);
                Ok(())
            }),
            Driver::Replays => {
                self.step(("replay begins", at, 0), true, |state| state.replay(x, run));
                if state.used.read_fails < run.most.read_fails {
                    self.step(("replay fails", at, 0), false, |state| {
                        state.used.read_fails += 1;
                        state.replayed(Err(Unrecovered::Unavailable), run)
                    });
                }
            }
            Driver::Reads => {
                let firsts = match run.apart && stream.first != stream.first_follower {
                    true => vec![stream.first, stream.first_follower],
                    false => vec![stream.first],
                };
                let after = session.after.map_or(0, |after| after.s);
                let lasts = match run.lags {
                    true => after.min(stream.last)..=stream.last,
                    false => stream.last..=stream.last,
                };
                for first in firsts {
                    for last in lasts.clone() {
                        self.step(("replay reads", at, first << 4 | last), true, |state| {
                            state.read(x, first, last, run)
                        });
                    }
                }
            }
            Driver::SendsPiece => self.step(("driver sends a piece", at, 0), true, |state| {
                state.send_piece(x);
                Ok(())
            }),
            Driver::AwaitsHold | Driver::AwaitsPiece | Driver::Done => {}
        }
    }

    fn driver_looks(&mut self, x: usize) {
        let (state, run) = (self.from, self.run);
        let (at, info) = (x as u8, state.stream.info());
        let Some(after) = state.session.after else {
            return self.step(("driver: SUBSCRIBE", at, 0), true, |state| {
                state.session.driver = Driver::Announces;
                Ok(())
            });
        };
        let Some(instance) = &state.instances[x] else {
            return;
        };
        let head = instance.head;
        let mut recovery = Recovery::behind(after.position(), head);
        recovery.head_moved(head);
        if run.wrong == "epochs-not-compared"
            && head.begun.epoch == u64::from(after.e)
            && u64::from(after.s) <= head.done.sequence
        {
            recovery = Recovery::behind(
                head.done,
                Head {
                    begun: head.done,
                    done: head.done,
                },
            );
        }
        if recovery.step() == Step::AwaitHead {
            return self.step(
                ("driver: gives up waiting for the position", at, 0),
                true,
                |state| {
                    recovery.gave_up();
                    recovery.info(Some(info));
                    state.looked(recovery)
                },
            );
        }
        self.step(("driver: SUBSCRIBE with a position", at, 0), true, |state| {
            recovery.room(true);
            state.looked(recovery)
        });
    }
}

impl State {
    /// What a recovery says after its first steps.
    fn looked(&mut self, recovery: Recovery) -> Checked {
        self.session.driver = Driver::Announces;
        match recovery.step() {
            Step::Hold => {
                self.session.how = How::Recovered;
                Ok(())
            }
            Step::Subscribe(reason) => {
                self.session.after = None;
                self.session.how = reason.into();
                match reason == Unrecovered::EpochChanged && !self.is_broken {
                    true => Err("FALSE ALARM: epoch-changed".into()),
                    false => Ok(()),
                }
            }
            step => Err(format!("STUCK: at {step:?}")),
        }
    }

    fn send(&mut self, x: usize, begun: Position) {
        let how = std::mem::take(&mut self.session.how);
        let is_held = self.session.after.is_some();
        self.session.driver = if is_held { Driver::AwaitsHold } else { Driver::Done };
        self.up(x).mailbox.push(Command {
            what: if is_held { Kindly::Hold } else { Kindly::Subscribe },
            e: begun.epoch as u8,
            s: begun.sequence as u8,
            how,
            ..Command::default()
        });
    }

    fn send_piece(&mut self, x: usize) {
        let (how, list) = (
            std::mem::take(&mut self.session.how),
            std::mem::take(&mut self.session.list),
        );
        let behind = std::mem::take(&mut self.session.behind);
        self.session.driver = Driver::AwaitsPiece;
        self.up(x).mailbox.push(Command {
            what: Kindly::Piece,
            how,
            list,
            behind,
            ..Command::default()
        });
    }

    /// Where steps are coarse, what the session's instance can do by itself at once is one step.
    pub(super) fn settle(&mut self, run: &Run) -> Checked {
        let Some(x) = self.session.on.filter(|_| !run.is_fine) else {
            return Ok(());
        };
        loop {
            if !self.up(x).mailbox.is_empty() {
                self.shard(x, run)?;
            } else if matches!(
                self.session.driver,
                Driver::Announces | Driver::Waits | Driver::Sends
            ) {
                let instance = self.up(x);
                instance.coming = true;
                let begun = instance.head.begun;
                self.send(x, begun);
            } else if self.session.driver == Driver::SendsPiece {
                self.send_piece(x);
            } else {
                return Ok(());
            }
        }
    }
}
