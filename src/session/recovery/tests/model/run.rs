//! The settings of a walk: which events happen, how often, and which rule is left out.

/// How often something happens, at most or so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Counts {
    pub evict: u8,
    pub purge: u8,
    pub recreate: u8,
    pub rollback: u8,
    pub consumer_dies: u8,
    pub message_lost: u8,
    pub death: u8,
    pub disconnect: u8,
    pub local: u8,
    pub bystander_leaves: u8,
    pub looks: u8,
    pub read_fails: u8,
    pub faults: u8,
}

/// Which faults happen, how finely steps interleave, and which rule is left out.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub instances: usize,
    pub messages: u8,
    /// Where each message goes; `None`: both ways.
    pub pattern: Option<&'static str>,
    /// Entries of the tail.
    pub tail: u8,
    /// Sequences of its index.
    pub index: u8,
    pub prefill: u8,
    /// Whether relay, shard and driver take their steps one by one.
    pub is_fine: bool,
    pub bystander_a: bool,
    pub bystander_b: bool,
    pub polls: bool,
    /// Whether an INFO is asked, answered and received in one step.
    pub info_at_once: bool,
    pub held_cap: usize,
    pub cap: usize,
    /// Messages of a page.
    pub page: usize,
    /// Messages of a piece.
    pub piece: usize,
    pub most: Counts,
    /// Whether a loss has to be said before anything behind it is sent.
    pub is_strict: bool,
    /// Whether nothing that was rolled back may be mixed with what came instead.
    pub is_whole: bool,
    /// Replicas that expire at different times.
    pub apart: bool,
    /// Pages may come from a follower that lags.
    pub lags: bool,
    /// The stream is replicated: pages are proven.
    pub is_replicated: bool,
    pub slack: u64,
    /// What was published before a break is not promised to who connects after it.
    pub is_fair: bool,
    /// A rollback comes with no other fault.
    pub rollback_alone: bool,
    /// The rule that is left out or replaced; empty: none.
    pub wrong: &'static str,
}

pub(super) fn run() -> Run {
    Run {
        instances: 1,
        messages: 3,
        pattern: None,
        tail: 9,
        index: 0,
        prefill: 0,
        is_fine: true,
        bystander_a: false,
        bystander_b: true,
        polls: false,
        info_at_once: true,
        held_cap: 9,
        cap: 9,
        page: 9,
        piece: 9,
        most: Counts::default(),
        is_strict: true,
        is_whole: false,
        apart: false,
        lags: false,
        is_replicated: false,
        slack: 0,
        is_fair: false,
        rollback_alone: false,
        wrong: "",
    }
}
