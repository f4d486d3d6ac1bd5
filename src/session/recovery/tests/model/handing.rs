//! From the queue to the client: the relay with the real [`Head`](crate::delivery::heads::Head), and the shard with the
//! real [`Holding`].

use std::rc::Rc;

use super::world::{
    CLIENT, Checked, Command, Driver, Frame, FrameKind, Held, How, Item, Kindly, NOTE_BYTES, Pos, Roomy, Run,
    State, Subscribed, at,
};
use crate::bus::history::{Position, Unrecovered};
use crate::delivery::held::{Answered, Bound, Next, Piece, Waiting, Written};
use crate::envelope::Kind;

const KIND: Kind = Kind::User;

impl From<Unrecovered> for How {
    fn from(reason: Unrecovered) -> Self {
        match reason {
            Unrecovered::EpochChanged => Self::EpochChanged,
            Unrecovered::PositionExpired => Self::Expired,
            Unrecovered::TooMany => Self::TooMany,
            Unrecovered::HistoryOff | Unrecovered::Unavailable => Self::Unavailable,
        }
    }
}

fn reason(how: How) -> Unrecovered {
    match how {
        How::EpochChanged => Unrecovered::EpochChanged,
        How::Expired => Unrecovered::PositionExpired,
        How::TooMany => Unrecovered::TooMany,
        _ => Unrecovered::Unavailable,
    }
}

/// The later one by sequence alone, in the epoch of `one`.
fn by_sequence(one: Position, other: Position) -> Position {
    Position {
        epoch: one.epoch,
        sequence: one.sequence.max(other.sequence),
    }
}

impl State {
    /// The relay's next step for one item; all of them where steps are coarse.
    pub(super) fn relay(&mut self, x: usize, run: &Run) {
        loop {
            let records = self.records;
            let session_is_there = self.session.subscribed != Subscribed::No
                || matches!(
                    self.session.driver,
                    Driver::AwaitsHold
                        | Driver::Replays
                        | Driver::Reads
                        | Driver::SendsPiece
                        | Driver::AwaitsPiece
                );
            let instance = self.up(x);
            let late = run.wrong == "begun-behind-interest";
            let is_wanted = |instance: &super::world::Instance, item: Item| match item.is_broken {
                true => true,
                false if records[item.id as usize].to_a => instance.interest || instance.coming,
                false => run.bystander_b,
            };
            match instance.relay {
                0 => {
                    let Some(item) = instance.queue.pop() else { return };
                    (instance.item, instance.relay) = (item, 1);
                    match late {
                        true => instance.is_wanted = is_wanted(instance, item),
                        false => instance.head.begun = at(item.e, item.s),
                    }
                }
                1 => {
                    let item = instance.item;
                    instance.relay = 2;
                    match late {
                        true => instance.head.begun = at(item.e, item.s),
                        false => instance.is_wanted = is_wanted(instance, item),
                    }
                    if run.wrong == "done-before-put" {
                        instance.head.done = at(item.e, item.s);
                    }
                }
                _ => {
                    let Item { is_broken, e, s, id } = instance.item;
                    let what = match is_broken {
                        true => Kindly::Cut,
                        false => Kindly::Deliver,
                    };
                    let mut dooms = false;
                    if is_broken && run.wrong == "waves-without-cut" {
                        dooms = session_is_there;
                        Rc::make_mut(&mut instance.holding).saw(KIND, at(e, s));
                    } else if instance.is_wanted {
                        instance.mailbox.push(Command {
                            what,
                            e,
                            s,
                            id,
                            ..Command::default()
                        });
                    }
                    instance.head.done = at(e, s);
                    instance.relay = 0;
                    instance.item = Item::default();
                    instance.is_wanted = false;
                    self.session.is_doomed |= dooms;
                    return;
                }
            }
            if run.is_fine {
                return;
            }
        }
    }

    /// The shard takes its next command.
    pub(super) fn shard(&mut self, x: usize, run: &Run) -> Checked {
        let instance = self.up(x);
        let Some(command) = instance.mailbox.pop() else {
            return Ok(());
        };
        let position = at(command.e, command.s);
        match command.what {
            Kindly::Deliver => self.shard_delivers(x, command, run),
            Kindly::Subscribe | Kindly::Hold => {
                let holding = Rc::make_mut(&mut instance.holding);
                let seen = holding.seen(KIND);
                match run.wrong {
                    "j0-without-seen" => holding.pretend_seen(KIND, position),
                    "epochs-not-compared" => holding.pretend_seen(KIND, by_sequence(position, seen)),
                    _ => {}
                }
                let begun = match run.wrong {
                    "epochs-not-compared" => by_sequence(position, seen),
                    _ => position,
                };
                instance.interest = true;
                let bound = Bound {
                    messages: run.held_cap,
                    bytes: usize::MAX,
                };
                let begins = match command.what {
                    Kindly::Subscribe => holding.begins(KIND, begun),
                    _ => holding.hold(CLIENT, KIND, true, begun, bound),
                };
                if matches!(
                    run.wrong,
                    "local-seen-not-raised" | "local-carries-done-not-raised"
                ) {
                    holding.pretend_seen(KIND, seen);
                }
                if command.what == Kindly::Hold {
                    if run.wrong == "held-interest" {
                        instance.coming = false;
                    }
                    self.session.subscribed = Subscribed::Held;
                    self.session.begins = begins;
                    self.session.driver = Driver::Replays;
                    return Ok(());
                }
                instance.coming = false;
                let pos = instance.pos(begins);
                self.session.subscribed = Subscribed::Live;
                self.say_receipt(pos, command.how, run)
            }
            Kindly::Piece => self.shard_writes(x, command, run),
            Kindly::Local => self.shard_answers(x, position, run),
            Kindly::Cut => {
                let _waited = Rc::make_mut(&mut instance.holding).cut(KIND, position, &mut Roomy);
                if self.session.subscribed != Subscribed::No {
                    instance_forgets(self, x);
                    self.session.subscribed = Subscribed::Cut;
                    self.session.is_doomed = true;
                }
                Ok(())
            }
            Kindly::BystanderLeaves => {
                let is_live = self.session.subscribed == Subscribed::Live;
                let instance = self.up(x);
                instance.bystander = false;
                instance.interest &= is_live;
                Ok(())
            }
        }
    }

    fn shard_delivers(&mut self, x: usize, command: Command, run: &Run) -> Checked {
        let position = at(command.e, command.s);
        let is_live = match self.session.subscribed {
            Subscribed::Live => true,
            Subscribed::Held => run.wrong == "live-before-the-last-piece" && !self.session.sent.is_empty(),
            _ => false,
        };
        let to_a = self.records[command.id as usize].to_a;
        let pos = self.pos_of(command.id, command.e);
        let instance = self.up(x);
        let holding = Rc::make_mut(&mut instance.holding);
        match run.wrong {
            "epochs-not-compared" => {
                let seen = by_sequence(position, holding.seen(KIND));
                holding.pretend_seen(KIND, seen);
            }
            _ => holding.saw(KIND, position),
        }
        if !holding.is_empty() {
            holding.offer(&to_a, NOTE_BYTES, &mut Roomy, || Held {
                id: command.id,
                e: command.e,
                s: command.s,
            });
        }
        if to_a && is_live {
            return self.say_message(pos, command.id, run);
        }
        Ok(())
    }

    fn shard_answers(&mut self, x: usize, carried: Position, run: &Run) -> Checked {
        let subscribed = self.session.subscribed;
        let sent_nothing = self.session.sent.is_empty();
        let instance = self.up(x);
        let seen = instance.holding.seen(KIND);
        let position = match run.wrong {
            "local-takes-done" => instance.head.done.max(seen),
            "local-carries-done" | "local-carries-done-not-raised" => carried.max(seen),
            _ => seen,
        };
        let pos = instance.pos(position);
        let is_written = match subscribed {
            Subscribed::No | Subscribed::Cut => false,
            Subscribed::Live => true,
            Subscribed::Held if run.wrong == "local-overtakes-hold" => true,
            Subscribed::Held if run.wrong == "local-overtakes-pieces" && !sent_nothing => true,
            Subscribed::Held => {
                let holding = Rc::make_mut(&mut instance.holding);
                let answered = holding.answer(CLIENT, NOTE_BYTES, false, &mut Roomy, Held::default());
                if run.wrong.starts_with("local-") {
                    holding.pretend_answered_at(CLIENT, position);
                }
                self.session.is_doomed |= answered == Answered::TooMuch;
                answered == Answered::AtOnce
            }
        };
        match is_written {
            true => self.say_local(pos, run),
            false => Ok(()),
        }
    }

    fn shard_writes(&mut self, x: usize, command: Command, run: &Run) -> Checked {
        let after = self.session.after.unwrap_or_default();
        let begins = self.session.begins;
        let reaches = match (command.behind, command.list.iter().last()) {
            (1.., Some(last)) => self.pos_of(*last, begins.epoch as u8),
            _ => self.up(x).pos(begins),
        };
        let outcome = match command.how {
            How::Recovered => Ok(Piece {
                messages: (command.list.iter())
                    .map(|id| Held {
                        id: *id,
                        ..Held::default()
                    })
                    .collect(),
                behind: command.behind.into(),
                reaches: reaches.position(),
                from_stream: 0,
            }),
            how => Err(reason(how)),
        };
        let instance = self.up(x);
        let holding = Rc::make_mut(&mut instance.holding);
        let mut after_position = after.position();
        if run.wrong == "replay-without-epoch"
            && let Some(begins) = holding.begins_at(CLIENT)
        {
            after_position.epoch = begins.epoch;
        }
        let had_overflowed = holding.has_overflowed(CLIENT);
        if run.wrong == "overflow-forgotten" {
            holding.pretend_not_overflowed(CLIENT);
        }
        let answered = holding.answered_at(CLIENT);
        let Some(mut written) = holding.piece(CLIENT, after_position, outcome) else {
            return Ok(());
        };
        if run.wrong == "overflow-answer-leads-back"
            && had_overflowed
            && let Some(answered) = answered
        {
            holding.pretend_answered_at(CLIENT, answered);
        }
        match written.next {
            Next::Live => {
                instance.coming = false;
                instance.interest = true;
                self.session.driver = Driver::Done;
                self.session.subscribed = Subscribed::Live;
                self.session.after = None;
                self.session.begins = Position::default();
            }
            Next::Read { after: next, until } => {
                let next = match run.wrong {
                    "piece-again" => after,
                    "piece-skips" => instance.pos(until),
                    _ if next == reaches.position() => reaches,
                    _ => instance.pos(next),
                };
                self.session.driver = Driver::Replays;
                self.session.after = Some(next);
                if run.wrong != "begin-not-moved" {
                    self.session.begins = until;
                }
            }
            Next::Lost(_) => {
                self.session.driver = Driver::Done;
                self.session.subscribed = Subscribed::Cut;
                self.session.is_doomed = true;
                return Ok(());
            }
        }
        if let Some(receipt) = &mut written.receipt {
            let is_wrong = match run.wrong {
                "receipt-position-j" => receipt.outcome.is_ok(),
                "overflow-position-j" => receipt.outcome.is_err() && had_overflowed,
                _ => false,
            };
            if is_wrong {
                receipt.position = begins;
            }
        }
        self.write(x, written, begins, after, run)
    }

    fn write(
        &mut self,
        x: usize,
        written: Written<Held>,
        begins: Position,
        after: Pos,
        run: &Run,
    ) -> Checked {
        let Written {
            receipt,
            replay,
            held,
            ..
        } = written;
        let says = |state: &mut Self| -> Checked {
            let Some(receipt) = receipt else { return Ok(()) };
            let how = match receipt.outcome {
                Ok(_) => How::Recovered,
                Err(reason) => reason.into(),
            };
            let pos = match receipt.position == after.position() && !replay.is_empty() {
                true => after,
                false => state.up(x).pos(receipt.position),
            };
            state.say_receipt(pos, how, run)
        };
        let e = begins.epoch as u8;
        let replays = |state: &mut Self| -> Checked {
            for message in &replay {
                let pos = state.pos_of(message.id, e);
                state.say_message(pos, message.id, run)?;
            }
            Ok(())
        };
        let helds = |state: &mut Self| -> Checked {
            for waiting in &held {
                match waiting {
                    Waiting::Notification(message) => {
                        let pos = state.pos_of(message.id, message.e);
                        state.say_message(pos, message.id, run)?;
                    }
                    Waiting::Local(position, _) => {
                        let pos = state.up(x).pos(*position);
                        state.say_local(pos, run)?;
                    }
                }
            }
            Ok(())
        };
        match run.wrong {
            "replay-before-receipt" => {
                replays(self)?;
                says(self)?;
                helds(self)
            }
            "held-before-replay" => {
                says(self)?;
                helds(self)?;
                replays(self)
            }
            "held-dropped" => {
                says(self)?;
                replays(self)
            }
            _ => {
                says(self)?;
                replays(self)?;
                helds(self)
            }
        }
    }

    fn say_receipt(&mut self, pos: Pos, how: How, run: &Run) -> Checked {
        let frame = Frame {
            kind: FrameKind::Receipt,
            pos,
            how,
            id: 0,
        };
        self.say(frame, run)
    }

    fn say_message(&mut self, pos: Pos, id: u8, run: &Run) -> Checked {
        let frame = Frame {
            kind: FrameKind::Message,
            pos,
            id,
            how: How::Fresh,
        };
        self.say(frame, run)
    }

    fn say_local(&mut self, pos: Pos, run: &Run) -> Checked {
        let frame = Frame {
            kind: FrameKind::Local,
            pos,
            id: 0,
            how: How::Fresh,
        };
        self.say(frame, run)
    }
}

/// The client's subscription is in no index any more.
fn instance_forgets(state: &mut State, x: usize) {
    let instance = state.up(x);
    instance.interest = instance.bystander;
    instance.coming = false;
}
