//! Whether an instance has the revocations of the others, based on the messages that it receives. It may serve without
//! them once it has waited long enough; but it vouches for its own set only if it knows that it is complete: two
//! newcomers without any prove nothing to each other. Pure: no clock and no bus.

use crate::bus::Listening;

/// How many questions in a row nobody answers if no whole instance is there. Each is asked a moment after the one before.
pub(super) const SILENCE: u8 = 2;

/// What an instance knows of its own set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Standing {
    is_ready: bool,
    is_whole: bool,
    /// How many questions no whole instance has answered, in a row.
    unanswered: u8,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// No whole instance is there: nobody has more.
    Nobody,
    /// Everything that another instance has is here, and that one said whether it is whole.
    All {
        /// Of the other one.
        is_whole: bool,
    },
    /// It has tried for long enough.
    Late,
}

impl Standing {
    /// The next thing.
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Nobody | Heard::All { is_whole: true } => (self.is_ready, self.is_whole) = (true, true),
            Heard::All { is_whole: false } => {}
            Heard::Late => self.is_ready = true,
        }
    }

    /// The bus says who is there. Whether there is nobody to wait for; else everybody is to be asked next.
    ///
    /// An instance may be paused, so its silence says nothing. A monitor that listens to everything hides whether there is an instance:
    /// only an answer shows that one is there.
    pub(super) fn finds(&mut self, found: Option<Listening>) -> bool {
        match found {
            Some(Listening::Nobody) => return true,
            Some(Listening::Listener) if self.unanswered >= SILENCE => return true,
            Some(Listening::Listener) => self.unanswered += 1,
            Some(Listening::Instance) | None => self.unanswered = 0,
        }
        false
    }

    /// The bus did not take the question.
    pub(super) fn not_asked(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// A whole instance has said something.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// Whether it may serve.
    pub(super) fn is_ready(self) -> bool {
        self.is_ready
    }

    /// Whether it has all that any other one had when it began, or more.
    pub(super) fn is_whole(self) -> bool {
        self.is_whole
    }
}

#[cfg(test)]
mod tests;
