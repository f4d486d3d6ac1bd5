//! The progress of passing notifications to the shards, for each kind. A new subscription needs it to know where it starts.
//! Knows no bus, no shard and no waiting.
//!
//! **Rule.** The task that passes on a notification stored at n calls [`Heads::begin`] before it checks the interest, and
//! [`Heads::finish`] when the last mailbox has it, even if nobody wants it. There is one such task for each kind, and it passes
//! on one notification after the other. A subscriber first announces its interest, then reads `begun` once, waits until that is
//! finished ([`Head::has_finished`]), and sends it with the command. So everything begun earlier is before the command
//! in the mailbox, and everything begun later finds the interest announced. Waiting for `begun == done` would starve under load.

use parking_lot::Mutex;

use crate::envelope::{Kind, Position};

/// How far one kind has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    /// The last that was begun.
    pub begun: Position,
    /// The last that every mailbox has.
    pub done: Position,
}

impl Head {
    /// Whether anything is known of the kind: before that nobody can be told where a subscription begins.
    pub(crate) fn has_begun(self) -> bool {
        self.done.epoch != 0
    }

    /// Whether every mailbox has `begun`, which was read as [`Head::begun`] earlier. Compares sequences within an epoch
    /// only: one handing over ends before the next begins, so another epoch begun means that all before it is finished.
    pub(crate) fn has_finished(self, begun: Position) -> bool {
        self.begun.epoch != begun.epoch || self.done.has_reached(begun)
    }
}

/// The heads of both kinds. Each is written and read as one.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    broadcast: Mutex<Head>,
    user: Mutex<Head>,
}

impl Heads {
    /// How far `kind` has come.
    pub(crate) fn get(&self, kind: Kind) -> Head {
        *self.of(kind).lock()
    }

    /// The handing over of what is stored at `position` begins.
    pub(crate) fn begin(&self, kind: Kind, position: Position) {
        self.of(kind).lock().begun = position;
    }

    /// Every mailbox that should has it.
    pub(crate) fn finish(&self, kind: Kind, position: Position) {
        self.of(kind).lock().done = position;
    }

    fn of(&self, kind: Kind) -> &Mutex<Head> {
        match kind {
            Kind::Broadcast => &self.broadcast,
            Kind::User => &self.user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch, sequence }
    }

    #[test]
    fn what_was_begun_is_finished_once_every_mailbox_has_it() {
        let heads = Heads::default();
        heads.begin(Kind::User, at(1, 4));
        heads.begin(Kind::Broadcast, at(9, 9));
        let begun = heads.get(Kind::User).begun;
        assert_eq!(begun, at(1, 4));
        assert!(!heads.get(Kind::User).has_finished(begun));
        heads.finish(Kind::User, at(1, 4));
        assert!(heads.get(Kind::User).has_finished(begun));
        // What begins later does not delay who waits.
        heads.begin(Kind::User, at(1, 5));
        assert!(heads.get(Kind::User).has_finished(begun));
        assert!(!heads.get(Kind::Broadcast).has_finished(at(9, 9)));
    }

    #[test]
    fn a_new_epoch_finishes_all_of_the_old_one_even_if_its_number_is_lower() {
        for epoch in [1, 3] {
            let heads = Heads::default();
            heads.finish(Kind::User, at(2, 4));
            heads.begin(Kind::User, at(epoch, 1));
            let head = heads.get(Kind::User);
            assert!(head.has_finished(at(2, 4)));
            assert!(!head.has_finished(at(epoch, 1)));
            heads.finish(Kind::User, at(epoch, 1));
            assert!(heads.get(Kind::User).has_finished(at(epoch, 1)));
        }
    }
}
