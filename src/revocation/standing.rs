//! Whether an instance has what the others have, by what it hears. It may serve without, once it has waited long enough; and it vouches
//! for what it has only where it knows: two newcomers that have nothing say nothing to each other. Pure: no clock and no bus.

/// What an instance knows of its own set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Standing {
    is_ready: bool,
    is_whole: bool,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The bus says that no whole instance is there: nobody has more.
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
