//! The replay: the real [`replay`](crate::bus::replay), asking servers that may lag or have expired more than others.

use std::rc::Rc;

use super::world::{Checked, Driver, How, NOTE_BYTES, Note, Run, SEQUENCES, State};
use crate::bus::history::{Caps, Outcome, StreamInfo, Unrecovered};
use crate::bus::replay::tests::mutants;
use crate::bus::replay::{Ask, Listed, Page, Replay, Request, Storage, begin};

impl State {
    pub(super) fn replay(&mut self, x: usize, run: &Run) -> Checked {
        let after = self.session.after.unwrap_or_default();
        let until = self.session.begins;
        let info = self.stream.info();
        let tail = self.up(x).tail.clone();
        self.session.tail_first = tail.first() as u8;
        let mut request = Request {
            target: true,
            after: after.position(),
            until,
            caps: Caps {
                messages: run.cap,
                bytes: usize::MAX,
            },
            piece: run.piece * NOTE_BYTES,
            goes_on: !self.session.sent.is_empty(),
            now_ms: 0,
        };
        let is_within = request.after.sequence + 1 >= tail.first();
        match run.wrong {
            "replay-without-epoch" => {
                request.after.epoch = tail.epoch();
                request.until.epoch = tail.epoch();
                self.session.begins.epoch = tail.epoch();
            }
            "replay-without-until" if is_within => request.until.sequence = SEQUENCES as u64,
            "info-before-pages" => self.session.early = Some(info),
            _ => {}
        }
        let storage = match run.is_replicated {
            true => Storage::Replicated { slack: run.slack },
            false => Storage::Single,
        };
        let replay = match run.wrong {
            "tail-less" => mutants::begin_without_the_tails_edge(&tail, request, storage),
            "tail-off-by-one" => mutants::begin_one_too_far_back(&tail, request, storage),
            "listed-up-to-the-tail" => mutants::begin_listing_up_to_the_tail(&tail, request, storage),
            "index-off-by-one" => mutants::begin_listing_one_too_far_back(&tail, request, storage),
            _ => begin(&tail, request, storage),
        };
        match replay {
            Replay::Done(outcome) => self.replayed(outcome, run),
            // What is read has to be of the life that was read before.
            Replay::Reading(_) if run.wrong != "read-without-proof" && !self.is_proven(x) => {
                self.session.tail_first = 0;
                Ok(())
            }
            Replay::Reading(reading) => {
                self.session.asked_in = (self.up(x).epoch(), self.stream.life());
                self.session.reading = Some(Rc::new(*reading));
                self.session.driver = Driver::Reads;
                Ok(())
            }
        }
    }

    /// Answers the reading's next question by a server whose stream is from `first` to `last`.
    pub(super) fn read(&mut self, x: usize, first: u8, last: u8, run: &Run) -> Checked {
        let stream = self.stream;
        let mut reading = self.session.reading.take().ok_or("STUCK: nothing is read")?;
        let to_target = |state: &Self, target: bool, from: u8| -> Vec<u8> {
            let stored = (from.max(first)..=last).filter(|s| stream.log[*s as usize] != 0);
            stored
                .filter(|s| state.records[stream.log[*s as usize] as usize].to_a == target)
                .collect()
        };
        let asked = match reading.ask() {
            // One by one: in between anything may happen, and each may come of another server.
            Ask::Listed { sequences } => {
                let s = sequences[0] as u8;
                let is_there = (first..=last).contains(&s) && stream.log[s as usize] != 0;
                let note = is_there.then(|| self.note(stream.log[s as usize]));
                let is_taken = is_there || run.wrong == "listed-but-gone-is-nothing";
                Asked::Listed(Listed {
                    messages: is_taken.then_some((s.into(), note)).into_iter().collect(),
                    is_missing: !is_taken,
                })
            }
            Ask::Back { target, witness } => Asked::Back(
                to_target(self, *target, 0).last().map(|s| u64::from(*s)),
                to_target(self, *witness, 0).last().map(|s| u64::from(*s)),
            ),
            Ask::Page { target, from } => {
                let mut found = to_target(self, *target, from as u8);
                let is_last = found.len() <= run.page;
                found.truncate(run.page);
                if run.wrong == "pages-without-overlap" {
                    let after = self.session.after.unwrap_or_default();
                    found.retain(|s| *s != after.s);
                }
                let messages = found
                    .iter()
                    .map(|s| (u64::from(*s), Some(self.note(stream.log[*s as usize]))));
                Asked::Page(Page {
                    messages: messages.collect(),
                    is_last,
                })
            }
            Ask::Info => Asked::Info(self.read_info(run)),
        };
        let own = Rc::make_mut(&mut reading);
        let outcome = match asked {
            Asked::Listed(listed) => match run.wrong {
                "listed-is-the-targets" => own.listed_without_a_look(listed),
                "aside-with-what-came" => own.listed_and_kept(listed),
                _ => own.listed(listed),
            },
            Asked::Back(target, witness) => {
                match run.wrong {
                    "back-unproven" => own.back_unproven(target),
                    "back-for-good" => own.back_for_good(target, witness),
                    _ => own.back(target, witness),
                }
                None
            }
            Asked::Page(page) => match run.wrong {
                "part-ends-with-its-server" => own.page_of_a_server_that_has_all(page),
                _ => own.page(page),
            },
            Asked::Info(info) => {
                match run.wrong {
                    "pages-then-tail" => own.take_tail_late(&self.up(x).tail),
                    "part-without-its-front" => own.trust_the_front_of_a_part(),
                    _ => {}
                }
                own.info(info)
            }
        };
        match outcome {
            Some(_) if run.wrong != "read-without-proof" && !self.is_still(x) => {
                // Perhaps of another life: all of it again.
                self.session.tail_first = 0;
                self.session.early = None;
                self.session.driver = Driver::Replays;
                Ok(())
            }
            Some(outcome) => self.replayed(outcome, run),
            None => {
                self.session.reading = Some(reading);
                Ok(())
            }
        }
    }

    /// Whether what was read is of the life in which the reading began.
    fn is_still(&mut self, x: usize) -> bool {
        let asked_in = std::mem::take(&mut self.session.asked_in);
        self.is_proven(x) && asked_in == (self.up(x).epoch(), self.stream.life())
    }

    fn read_info(&self, run: &Run) -> StreamInfo {
        let mut info = self.stream.info();
        match run.wrong {
            "info-before-pages" => info.first = self.session.early.map_or(info.first, |early| early.first),
            "info-less" => info.first += 1,
            "info-off-by-one" => info.first -= 1,
            "replay-without-epoch" => {
                info.epoch = self.session.begins.epoch;
                info.last = u64::MAX;
            }
            _ => {}
        }
        info
    }

    pub(super) fn replayed(&mut self, outcome: Outcome<Note>, run: &Run) -> Checked {
        let after = self.session.after.unwrap_or_default();
        let was_expired = outcome == Err(Unrecovered::PositionExpired) && !self.is_broken;
        if outcome == Err(Unrecovered::EpochChanged) && !self.is_broken {
            return Err("FALSE ALARM: epoch-changed, but nothing happened to the stream".into());
        }
        if was_expired && self.session.tail_first <= after.s + 1 {
            return Err("FALSE ALARM: position-expired, but the tail had it".into());
        }
        if was_expired && !run.is_replicated && self.stream.first <= after.s + 1 {
            return Err("FALSE ALARM: position-expired, but nothing is lost".into());
        }
        let session = &mut self.session;
        session.reading = None;
        session.early = None;
        session.tail_first = 0;
        session.driver = Driver::SendsPiece;
        session.list = Default::default();
        session.how = match outcome {
            Ok(missed) => {
                let notes = missed.messages.iter();
                notes.for_each(|note| session.list.push(note.id));
                session.behind = match run.wrong {
                    "part-is-the-last" if !session.sent.is_empty() => 0,
                    _ => missed.behind as u8,
                };
                How::Recovered
            }
            Err(reason) => reason.into(),
        };
        Ok(())
    }
}

/// An answer to a reading.
enum Asked {
    Listed(Listed<Note>),
    Back(Option<u64>, Option<u64>),
    Page(Page<Note>),
    Info(StreamInfo),
}
