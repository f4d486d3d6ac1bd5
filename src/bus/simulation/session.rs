//! A session: subscribes after the last message it had, reads a real [`replay`](crate::bus::replay) in pieces, and
//! continues live; and what its client reads.

use super::answers::answer;
use super::chain::{Chain, Checked};
use super::instance::{Given, Instance};
use super::stream::{Note, Place, Stream};
use super::{Settings, Time};
use crate::bus::history::{Caps, Outcome, Position, Unrecovered};
use crate::bus::replay::tests::mutants;
use crate::bus::replay::{Reading, Replay, Request, Storage, begin};

/// Until an instance that is behind the client's position is not waited for any more.
const PATIENCE_MS: u64 = 2_000;
/// The most that a piece's reading may take; then it is `unavailable`.
const READ_MS: u64 = 5_000;

/// An epoch, and a connection.
type Life = (u64, u64);

/// Reads whatever stream there is.
const MUTANT: &str = "read-without-proof";

/// A client and its connection.
pub(super) struct Session {
    pub target: u16,
    /// What the last frame said.
    pub at: Option<Position>,
    chain: Option<Chain>,
    pub link: Option<Link>,
}

/// A connection to an instance.
pub(super) struct Link {
    pub instance: usize,
    state: State,
}

enum State {
    /// The instance has not read so far.
    Behind {
        since_ms: u64,
    },
    /// What was missed is being read.
    Held(Held),
    Live,
}

struct Held {
    request: Request<u16>,
    /// The same place as `request.until`, in truth.
    until: Place,
    /// Since when the piece is wanted.
    since_ms: Option<u64>,
    /// What is read, and in which life of the stream that began.
    reading: Option<(Box<Reading<Note>>, Life)>,
    /// What came live meanwhile.
    live: Vec<(Position, Note)>,
    /// The RECEIPT has said `recovered:true`.
    has_receipt: bool,
}

impl Session {
    pub(super) fn new(target: u16) -> Self {
        Self {
            target,
            at: None,
            chain: None,
            link: None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        let state = self.link.as_ref().map(|link| &link.state);
        matches!(state, Some(State::Live))
    }

    /// Whether everything has come when nothing more will.
    pub(super) fn at_rest(&self) -> Checked {
        match &self.chain {
            None => Err("STUCK: it never began".into()),
            Some(chain) if !chain.replaced.is_empty() => {
                Err("HOLE: what was left out for a newer one, which never came".into())
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn connect(&mut self, number: usize, instance: &Instance, settings: &Settings, time: Time) {
        let state = match self.at {
            None => {
                self.begin(instance.reader.position(), instance.place);
                State::Live
            }
            Some(after) => self.resume(
                after,
                instance,
                settings,
                State::Behind { since_ms: time.ms },
                time,
            ),
        };
        self.link = Some(Link {
            instance: number,
            state,
        });
    }

    /// The subscription begins anew.
    fn begin(&mut self, at: Position, place: Place) {
        self.at = Some(at);
        self.chain = Some(Chain {
            place,
            replaced: Vec::new(),
        });
    }

    fn resume(
        &mut self,
        after: Position,
        instance: &Instance,
        settings: &Settings,
        behind: State,
        time: Time,
    ) -> State {
        let until = instance.reader.position();
        if until.epoch != after.epoch {
            self.begin(until, instance.place);
            return State::Live;
        }
        if until.sequence < after.sequence {
            return behind;
        }
        State::Held(Held {
            request: Request {
                target: self.target,
                after,
                until,
                caps: Caps {
                    messages: settings.cap,
                    bytes: usize::MAX,
                },
                piece: settings.piece,
                goes_on: false,
                now_ms: time.ms,
            },
            until: instance.place,
            since_ms: None,
            reading: None,
            live: Vec::new(),
            has_receipt: false,
        })
    }

    /// The instance gives something on.
    pub(super) fn given(&mut self, given: Given, stream: &Stream, wrong: &str, time: Time) -> Checked {
        let Some(link) = &mut self.link else { return Ok(()) };
        match (given, &mut link.state) {
            (Given::Broken, _) if wrong == "not-cut" => Ok(()),
            (Given::Broken, _) => {
                self.link = None;
                Ok(())
            }
            (Given::Message(_, note), _) if note.target != self.target => Ok(()),
            (Given::Message(position, note), State::Live) => self.receive(position, note, stream, time),
            (Given::Message(position, note), State::Held(held)) => {
                held.live.push((position, note));
                Ok(())
            }
            (Given::Message(..), State::Behind { .. }) => Ok(()),
        }
    }

    /// The client reads a MESSAGE.
    fn receive(&mut self, position: Position, note: Note, stream: &Stream, time: Time) -> Checked {
        if note.target != self.target {
            return Err(format!("ANOTHER'S: {:?} is for {}", note.place, note.target));
        }
        let chain = self.chain.as_mut().ok_or("a MESSAGE before the RECEIPT")?;
        self.at = Some(position);
        chain.follow(note, stream, time)
    }

    /// One thing that the session does.
    pub(super) fn step(
        &mut self,
        instance: &Instance,
        stream: &Stream,
        settings: &Settings,
        random: &mut fastrand::Rng,
        time: Time,
    ) -> Checked {
        let Some(mut link) = self.link.take() else {
            return Ok(());
        };
        let state = match link.state {
            State::Live => State::Live,
            State::Behind { since_ms } => match self.at {
                Some(after) if time.ms < since_ms + PATIENCE_MS => {
                    self.resume(after, instance, settings, State::Behind { since_ms }, time)
                }
                // `epoch-changed` or `unavailable`: live without a replay.
                _ => {
                    self.begin(instance.reader.position(), instance.place);
                    State::Live
                }
            },
            State::Held(held) => match self.read(held, instance, stream, settings, random, time)? {
                Some(state) => state,
                // Closed, `history gap`.
                None => return Ok(()),
            },
        };
        link.state = state;
        self.link = Some(link);
        Ok(())
    }

    /// Reads on. `None`: the session is closed.
    fn read(
        &mut self,
        mut held: Held,
        instance: &Instance,
        stream: &Stream,
        settings: &Settings,
        random: &mut fastrand::Rng,
        time: Time,
    ) -> Result<Option<State>, String> {
        let since_ms = *held.since_ms.get_or_insert(time.ms);
        let outcome = match held.reading.take() {
            // As where what the tail's oldest message would prove was purged.
            _ if time.ms > since_ms + READ_MS => Some(Err(Unrecovered::Unavailable)),
            None => {
                let storage = match settings.is_replicated {
                    true => Storage::Replicated {
                        slack: stream.slack(),
                    },
                    false => Storage::Single,
                };
                held.request.now_ms = time.ms;
                let request = held.request.clone();
                let replay = match settings.wrong {
                    "tail-off-by-one" => mutants::begin_one_too_far_back(&instance.tail, request, storage),
                    "listed-up-to-the-tail" => {
                        mutants::begin_listing_up_to_the_tail(&instance.tail, request, storage)
                    }
                    "index-off-by-one" => {
                        mutants::begin_listing_one_too_far_back(&instance.tail, request, storage)
                    }
                    _ => begin(&instance.tail, request, storage),
                };
                match replay {
                    Replay::Done(outcome) => Some(outcome),
                    Replay::Reading(reading) => {
                        held.reading = instance.life(MUTANT).map(|life| (reading, life));
                        None
                    }
                }
            }
            Some((mut reading, life)) => {
                // NATS cannot be asked: the same question again later.
                let outcome = match instance.is_cut_off {
                    true => None,
                    false => answer(&mut reading, instance, stream, settings, random),
                };
                // What may be of another life is asked again.
                let is_still = instance.is_still(life, MUTANT);
                held.reading = Some((reading, life)).filter(|_| is_still);
                outcome.filter(|_| is_still)
            }
        };
        match outcome {
            None => Ok(Some(State::Held(held))),
            Some(outcome) => {
                (held.reading, held.since_ms) = (None, None);
                self.ended(held, outcome, stream, settings, time)
            }
        }
    }

    /// A piece has been read, or cannot be had.
    fn ended(
        &mut self,
        mut held: Held,
        outcome: Outcome<Note>,
        stream: &Stream,
        settings: &Settings,
        time: Time,
    ) -> Result<Option<State>, String> {
        let after = held.request.after.sequence;
        match outcome {
            Ok(missed) => {
                held.has_receipt = true;
                let mut last = None;
                for note in missed.messages {
                    let position = Position {
                        epoch: held.request.until.epoch,
                        sequence: note.place.sequence,
                    };
                    self.receive(position, note, stream, time)?;
                    last = Some(position);
                }
                match last.filter(|_| missed.behind > 0) {
                    Some(last) => {
                        held.request.after = last;
                        held.request.goes_on = true;
                        Ok(Some(State::Held(held)))
                    }
                    None => {
                        for (position, note) in held.live {
                            self.receive(position, note, stream, time)?;
                        }
                        Ok(Some(State::Live))
                    }
                }
            }
            Err(_) if held.has_receipt => Ok(None),
            Err(reason) => {
                match reason {
                    Unrecovered::EpochChanged if stream.breaks == 0 => {
                        return Err("FALSE ALARM: epoch-changed, and nothing happened to the stream".into());
                    }
                    Unrecovered::PositionExpired
                        if stream.breaks == 0 && !settings.is_replicated && stream.first() <= after + 1 =>
                    {
                        return Err("FALSE ALARM: position-expired, and nothing expired".into());
                    }
                    _ => {}
                }
                self.begin(held.request.until, held.until);
                for (position, note) in held.live {
                    self.receive(position, note, stream, time)?;
                }
                Ok(Some(State::Live))
            }
        }
    }
}
