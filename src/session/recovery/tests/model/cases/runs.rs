//! The runs of the cases: which events happen in each walk, and how often.

use crate::session::recovery::tests::model::world::{Counts, Run, run};

pub(super) fn shard() -> Run {
    Run {
        most: Counts {
            disconnect: 2,
            local: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn tail() -> Run {
    Run {
        is_fine: false,
        messages: 4,
        tail: 1,
        most: Counts {
            disconnect: 2,
            evict: 2,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn tail_fine() -> Run {
    Run {
        tail: 1,
        most: Counts {
            disconnect: 2,
            evict: 1,
            local: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn reader() -> Run {
    Run {
        is_fine: false,
        messages: 4,
        tail: 1,
        polls: true,
        most: Counts {
            disconnect: 1,
            evict: 2,
            consumer_dies: 1,
            message_lost: 1,
            faults: 3,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn reader_fine() -> Run {
    Run {
        tail: 1,
        most: Counts {
            disconnect: 1,
            evict: 1,
            consumer_dies: 1,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn epoch() -> Run {
    Run {
        is_fine: false,
        messages: 4,
        tail: 2,
        most: Counts {
            disconnect: 1,
            recreate: 1,
            consumer_dies: 1,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn epoch_fine() -> Run {
    Run {
        tail: 2,
        most: Counts {
            disconnect: 1,
            recreate: 1,
            local: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn roll() -> Run {
    Run {
        is_fine: false,
        messages: 4,
        tail: 2,
        is_strict: false,
        most: Counts {
            disconnect: 2,
            rollback: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn two() -> Run {
    Run {
        is_fine: false,
        instances: 2,
        tail: 1,
        most: Counts {
            disconnect: 2,
            evict: 1,
            consumer_dies: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn two_epochs() -> Run {
    Run {
        is_fine: false,
        instances: 2,
        tail: 2,
        most: Counts {
            disconnect: 1,
            recreate: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

/// A rollback under a replay that reads the stream.
pub(super) fn roll_whole() -> Run {
    Run {
        is_fine: false,
        messages: 5,
        pattern: Some("AAAAA"),
        tail: 1,
        is_strict: false,
        is_whole: true,
        most: Counts {
            disconnect: 1,
            rollback: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn two_roll() -> Run {
    Run {
        is_fine: false,
        instances: 2,
        messages: 4,
        pattern: Some("AAAA"),
        tail: 2,
        is_strict: false,
        most: Counts {
            disconnect: 1,
            rollback: 1,
            faults: 1,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn two_deaths() -> Run {
    Run {
        is_fine: false,
        instances: 2,
        tail: 2,
        prefill: 2,
        most: Counts {
            disconnect: 1,
            death: 2,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn info() -> Run {
    Run {
        is_fine: false,
        info_at_once: false,
        pattern: Some("AAA"),
        tail: 2,
        most: Counts {
            disconnect: 1,
            looks: 1,
            consumer_dies: 1,
            evict: 1,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn without_epochs() -> Run {
    Run {
        is_fine: false,
        instances: 2,
        pattern: Some("ABA"),
        tail: 1,
        prefill: 1,
        polls: true,
        most: Counts {
            disconnect: 1,
            evict: 1,
            purge: 1,
            consumer_dies: 1,
            message_lost: 1,
            death: 1,
            faults: 2,
            ..Counts::default()
        },
        ..run()
    }
}

pub(super) fn all_faults(instances: usize, faults: u8) -> Run {
    Run {
        is_fine: false,
        instances,
        messages: if instances == 1 { 4 } else { 3 },
        pattern: Some("AAAA"),
        tail: 1,
        prefill: 1,
        is_strict: false,
        rollback_alone: true,
        most: Counts {
            disconnect: 1,
            local: if instances == 1 { 1 } else { 0 },
            evict: 1,
            purge: 1,
            recreate: 1,
            rollback: 1,
            consumer_dies: 1,
            death: 1,
            faults,
            ..Counts::default()
        },
        ..run()
    }
}

/// Replicas that expire at different times.
pub(super) fn apart(slack: u64, from: Run) -> Run {
    Run {
        apart: true,
        is_replicated: true,
        slack,
        ..from
    }
}

/// Followers that lag.
pub(super) fn lagging(from: Run) -> Run {
    Run {
        lags: true,
        is_replicated: true,
        prefill: 1,
        ..from
    }
}

pub(super) fn without(wrong: &'static str, from: Run) -> Run {
    Run { wrong, ..from }
}

/// The same with the messages that `pattern` names: enough for a short way to a fault.
pub(super) fn brief(pattern: &'static str, from: Run) -> Run {
    Run {
        messages: pattern.len() as u8,
        pattern: Some(pattern),
        ..from
    }
}

/// With an index of so many sequences.
pub(super) fn indexed(index: u8, from: Run) -> Run {
    Run { index, ..from }
}

/// Pieces of one message, and room for one that comes meanwhile.
pub(super) fn piecewise(pattern: &'static str) -> Run {
    Run {
        piece: 1,
        held_cap: 1,
        ..brief(pattern, shard())
    }
}

/// Pieces of one message that are read one by one.
pub(super) fn parts(pattern: &'static str, from: Run) -> Run {
    Run {
        page: 1,
        piece: 1,
        held_cap: 1,
        ..brief(pattern, from)
    }
}

/// Pages of two: with replicas the first is what the page before had last.
pub(super) fn overlapping(from: Run) -> Run {
    Run { page: 2, ..from }
}

pub(super) fn few() -> Counts {
    Counts {
        disconnect: 1,
        evict: 1,
        faults: 1,
        ..Counts::default()
    }
}

/// The same with these faults alone.
pub(super) fn only(most: Counts, from: Run) -> Run {
    Run { most, ..from }
}
