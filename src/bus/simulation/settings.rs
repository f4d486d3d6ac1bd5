//! The random settings of a whole run, drawn from its seed.

/// What a seed draws for its whole run.
pub(super) struct Settings {
    pub is_replicated: bool,
    pub instances: usize,
    /// Messages of the stream, of a tail, of a replay, of a page.
    pub keeps: u64,
    pub tail: usize,
    /// Sequences of a tail's index.
    pub index: usize,
    pub cap: usize,
    pub page: usize,
    /// The bytes of a piece.
    pub piece: usize,
    /// How often faults come, in 10,000 steps.
    pub faults: u16,
    /// Whether messages go stale or replace each other.
    pub is_fleeting: bool,
    /// The rule that is left out; empty: none.
    pub wrong: &'static str,
}

impl Settings {
    pub(super) fn draw(random: &mut fastrand::Rng, wrong: &'static str) -> Self {
        // Apart, so that seeds that were kept before there were pieces draw what they drew.
        let mut pieces = random.clone();
        let mut settings = Self {
            is_replicated: random.bool(),
            instances: random.usize(1..=3),
            keeps: random.u64(50..600),
            tail: random.usize(5..200),
            index: 0,
            cap: if random.u8(..4) == 0 {
                random.usize(1..10)
            } else {
                1_000
            },
            page: random.usize(1..8),
            piece: match pieces.bool() {
                true => pieces.usize(1..400),
                false => usize::MAX,
            },
            faults: random.u16(20..400),
            is_fleeting: random.bool(),
            wrong,
        };
        settings.index = match pieces.u8(..4) {
            0 => 0,
            1 => pieces.usize(1..50),
            _ => 600,
        };
        settings
    }
}
