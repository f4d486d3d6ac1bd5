//! Faulty versions of single steps of a replay, which the model (`session/recovery/tests/model`) must detect.

use super::*;

/// Begins a replay, but reads the stream although the tail reaches back exactly to `after`: `<` for `<=`.
pub(crate) fn begin_without_the_tails_edge<M: Stored>(
    tail: &Tail<M>,
    request: Request<M::Target>,
    storage: Storage,
) -> Replay<M> {
    match request.after.sequence + 1 == tail.first() && request.after.epoch == tail.epoch() {
        true => Replay::Reading(Box::new(Reading::new(tail, request, storage))),
        false => begin(tail, request, storage),
    }
}

/// Begins a replay, but trusts the tail one sequence further back than it reaches.
pub(crate) fn begin_one_too_far_back<M: Stored>(
    tail: &Tail<M>,
    mut request: Request<M::Target>,
    storage: Storage,
) -> Replay<M> {
    if request.after.sequence + 2 == tail.first() {
        request.after.sequence += 1;
    }
    begin(tail, request, storage)
}

/// Begins a replay, but lists up to the tail what only has to be read up to the live part.
pub(crate) fn begin_listing_up_to_the_tail<M: Stored>(
    tail: &Tail<M>,
    request: Request<M::Target>,
    storage: Storage,
) -> Replay<M> {
    let until = request.until.sequence;
    let mut beyond = request.clone();
    beyond.until.sequence = until.max(tail.first() - 1);
    match begin(tail, beyond, storage) {
        Replay::Reading(mut reading) if reading.is_listed() => {
            reading.request = request;
            Replay::Reading(reading)
        }
        _ => begin(tail, request, storage),
    }
}

/// Begins a replay, but trusts the index one sequence further back than it reaches.
pub(crate) fn begin_listing_one_too_far_back<M: Stored>(
    tail: &Tail<M>,
    request: Request<M::Target>,
    storage: Storage,
) -> Replay<M> {
    let mut nearer = request.clone();
    if request.after.sequence + 2 == tail.known_from() && request.until.sequence > request.after.sequence {
        nearer.after.sequence += 1;
    }
    begin(tail, nearer, storage)
}

impl<M: Stored> Reading<M> {
    /// Takes whatever is listed for the target's.
    pub(crate) fn listed_without_a_look(&mut self, listed: Listed<M>) -> Option<Outcome<M>> {
        let (mine, request) = (listed.messages.first().cloned(), self.request.target.clone());
        if let Some((_, Some(message))) = mine {
            self.request.target = message.target().clone();
        }
        let outcome = self.listed(listed);
        self.request.target = request;
        outcome
    }

    /// Keeps what came where the rest did not, and reads the stream for the rest.
    pub(crate) fn listed_and_kept(&mut self, listed: Listed<M>) -> Option<Outcome<M>> {
        let came = self.found.clone();
        let outcome = self.listed(listed);
        if !self.is_listed() {
            self.found = came;
        }
        outcome
    }

    /// Takes what the tail has now for what it had when the replay began.
    pub(crate) fn take_tail_late(&mut self, tail: &Tail<M>) {
        let mut request = self.request.clone();
        request.after.sequence = request.after.sequence.max(self.to);
        self.tail = from_tail(tail, &request);
    }

    /// Takes the word of a replica that proved nothing.
    pub(crate) fn back_unproven(&mut self, target: Option<u64>) {
        let witness = self.witness.as_ref().map(|(sequence, _)| *sequence);
        self.back(target, witness);
    }

    /// Takes the end of what a server has for the end of the stream, although that server has proven nothing.
    pub(crate) fn page_of_a_server_that_has_all(&mut self, page: Page<M>) -> Option<Outcome<M>> {
        let was_unproven = self.stage == Stage::Piece;
        let outcome = self.page(page);
        if was_unproven && matches!(self.stage, Stage::Back | Stage::Unproven) {
            self.stage = Stage::Info;
        }
        outcome
    }

    /// Takes a piece that is full for one that is complete.
    pub(crate) fn trust_the_front_of_a_part(&mut self) {
        self.is_met |= self.is_part;
    }

    /// Takes what came back once for something that stays.
    pub(crate) fn back_for_good(&mut self, target: Option<u64>, witness: Option<u64>) {
        let was_met = self.is_met;
        self.back(target, witness);
        self.is_met = was_met;
    }
}
