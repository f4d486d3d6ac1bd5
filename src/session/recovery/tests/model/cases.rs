//! The cases: which faults happen in a walk, which rule is left out, and what is expected.

use super::world::{Client, Counts, Record, Run, Session, State, Stream};
use runs::*;

mod runs;

/// One walk.
pub(super) struct Case {
    pub name: &'static str,
    pub expect: Expect,
    pub size: Size,
    pub run: Run,
}

/// What a walk has to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Holds,
    /// A fault whose words begin like this.
    Fails(&'static str),
}

/// Where a case runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// In every run of the tests.
    Small,
    /// In `scripts/test-all`, all states.
    Large,
    /// In `scripts/test-all`, as many states as fit.
    Vast,
}

impl Size {
    pub(super) fn states(self) -> usize {
        match self {
            Self::Small | Self::Large => 20_000_000,
            Self::Vast => 4_000_000,
        }
    }
}

pub(super) fn initial(run: &Run) -> State {
    let mut state = State {
        stream: Stream {
            first: 1,
            first_follower: 1,
            ..Stream::default()
        },
        records: [Record::default(); _],
        published: 0,
        instances: [None, None],
        session: Session::default(),
        client: Client::default(),
        used: Counts::default(),
        is_broken: false,
    };
    for x in 0..run.instances {
        state.start(x, run);
        state.create(x, true, run);
    }
    state
}

/// All cases.
#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    use Expect::{Fails, Holds};
    use Size::{Large, Small, Vast};
    let case = |name, size, expect, run| Case { name, expect, size, run };
    let two_messages = || Run { messages: 2, ..shard() };
    let late = Run { is_strict: false, ..reader() };
    vec![
        // The rules as they are.
        case("ok/shard", Large, Holds, shard()),
        case("ok/shard-2", Small, Holds, Run { messages: 2, ..shard() }),
        case("ok/shard-by-a", Large, Holds, Run { bystander_a: true, most: Counts { bystander_leaves: 1, ..shard().most }, ..shard() }),
        case("ok/shard-alone", Large, Holds, Run { bystander_b: false, ..shard() }),
        case("ok/shard-4", Large, Holds, Run { messages: 4, ..shard() }),
        case("ok/shard-equality-wait", Large, Holds, without("waits-for-equality", shard())),
        case("ok/shard-two-locals", Large, Holds, Run { most: Counts { local: 2, ..shard().most }, ..shard() }),
        case("ok/shard-local-carries-done", Large, Holds, without("local-carries-done", shard())),
        case("ok/shard-local-carries-done-not-raised", Large, Holds, without("local-carries-done-not-raised", shard())),
        case("ok/shard-held-cap", Large, Holds, Run { held_cap: 1, ..shard() }),
        case("ok/shard-held-cap-2", Small, Holds, Run { held_cap: 1, ..two_messages() }),
        case("ok/shard-pieces", Large, Holds, Run { piece: 1, held_cap: 1, ..shard() }),
        case("ok/shard-pieces-2", Small, Holds, Run { piece: 1, held_cap: 1, ..two_messages() }),
        case("ok/shard-pieces-aaa", Small, Holds, piecewise("AAA")),
        case("ok/shard-pieces-aaaa", Large, Holds, piecewise("AAAA")),
        case("ok/shard-pieces-fail", Large, Holds, Run { most: Counts { read_fails: 1, ..shard().most }, ..piecewise("AAA") }),
        case("ok/shard-replay-cap", Large, Holds, Run { cap: 1, most: Counts { read_fails: 1, ..shard().most }, ..shard() }),
        case("ok/tail", Large, Holds, tail()),
        case("ok/tail-3", Small, Holds, Run { page: 1, ..brief("ABA", tail()) }),
        case("ok/tail-pages", Large, Holds, Run { page: 1, messages: 5, pattern: Some("AABAA"), ..tail() }),
        case("ok/tail-pieces-3", Small, Holds, Run { page: 1, piece: 1, held_cap: 1, ..brief("AAA", tail()) }),
        case("ok/tail-pieces-4", Small, Holds, Run { page: 2, ..parts("AAAA", tail()) }),
        case("ok/tail-pieces-5", Large, Holds, Run { page: 2, ..parts("AABAA", tail()) }),
        case("ok/replicas-apart-pieces", Large, Holds, apart(2, overlapping(parts("AAAA", tail())))),
        case("ok/replicas-lag-pieces-4", Small, Holds, only(few(), lagging(overlapping(parts("AAAA", tail()))))),
        case("ok/replicas-lag-pieces", Large, Holds, lagging(overlapping(parts("AAAA", tail())))),
        case("ok/replicas-lag-apart-pieces", Large, Holds, apart(2, lagging(overlapping(parts("AAAA", tail()))))),
        case("ok/tail-pieces", Large, Holds, Run { page: 1, piece: 1, held_cap: 1, ..tail() }),
        case("ok/tail-purge", Large, Holds, Run { most: Counts { purge: 1, ..tail().most }, ..tail() }),
        case("ok/tail-2", Large, Holds, Run { tail: 2, ..tail() }),
        case("ok/tail-fine", Large, Holds, tail_fine()),
        case("ok/reader", Large, Holds, reader()),
        case("ok/reader-3", Small, Holds, brief("AAA", only(Counts { faults: 2, ..reader().most }, reader()))),
        case("ok/reader-fine", Large, Holds, reader_fine()),
        case("ok/reader-info3", Large, Holds, info()),
        case("ok/epoch", Large, Holds, epoch()),
        case("ok/epoch-2", Small, Holds, Run { messages: 2, most: Counts { faults: 1, ..epoch().most }, ..epoch() }),
        case("ok/epoch-pieces", Large, Holds, Run { piece: 1, held_cap: 1, ..epoch() }),
        case("ok/epoch-fine", Large, Holds, epoch_fine()),
        case("ok/roll", Large, Holds, roll()),
        case("ok/roll-3", Small, Holds, Run { messages: 3, pattern: Some("AAA"), most: Counts { disconnect: 1, ..roll().most }, ..roll() }),
        case("ok/roll-whole", Large, Holds, roll_whole()),
        case("ok/roll-whole-4", Small, Holds, brief("AAAA", roll_whole())),
        case("ok/roll-whole-pieces", Large, Holds, Run { piece: 1, held_cap: 1, page: 1, ..roll_whole() }),
        case("ok/two", Large, Holds, two()),
        case("ok/two-2", Small, Holds, brief("AA", only(Counts { disconnect: 1, ..two().most }, two()))),
        case("ok/two-pieces", Large, Holds, Run { piece: 1, held_cap: 1, ..two() }),
        case("ok/two-epoch", Vast, Holds, two_epochs()),
        case("ok/two-roll", Vast, Holds, two_roll()),
        case("ok/two-death", Large, Holds, two_deaths()),
        case("ok/replicas-apart", Large, Holds, apart(2, tail())),
        case("ok/replicas-apart-reader", Large, Holds, apart(2, reader())),
        case("ok/replicas-lag", Large, Holds, lagging(tail())),
        case("ok/replicas-lag-pages", Large, Holds, Run { page: 1, ..lagging(tail()) }),
        case("ok/replicas-lag-3", Small, Holds, Run { page: 1, ..lagging(brief("AAA", tail())) }),
        case("ok/replicas-lag-apart", Large, Holds, apart(2, Run { page: 1, ..lagging(tail()) })),
        case("ok/index-3", Small, Holds, indexed(9, Run { page: 1, ..brief("ABA", tail()) })),
        case("ok/index", Large, Holds, indexed(9, tail())),
        case("ok/index-cut-off", Large, Holds, indexed(1, Run { messages: 5, pattern: Some("AABAA"), ..tail() })),
        case("ok/index-cut-off-4", Small, Holds, indexed(1, brief("AAAA", tail()))),
        case("ok/index-purge", Large, Holds, indexed(9, Run { most: Counts { purge: 1, ..tail().most }, ..tail() })),
        case("ok/index-pieces-4", Small, Holds, indexed(9, Run { page: 2, ..parts("AAAA", tail()) })),
        case("ok/index-pieces", Large, Holds, indexed(9, Run { page: 2, ..parts("AABAA", tail()) })),
        case("ok/index-reader", Large, Holds, indexed(9, reader())),
        case("ok/index-reader-3", Small, Holds, indexed(9, brief("AAA", only(Counts { faults: 2, ..reader().most }, reader())))),
        case("ok/index-epoch", Large, Holds, indexed(9, Run { tail: 1, ..epoch() })),
        case("ok/index-roll-whole", Large, Holds, indexed(9, roll_whole())),
        case("ok/index-roll-whole-4", Large, Holds, indexed(9, brief("AAAA", roll_whole()))),
        case("ok/index-lag-3", Small, Holds, indexed(9, lagging(brief("AAA", tail())))),
        case("ok/index-lag-apart", Large, Holds, indexed(9, apart(2, Run { page: 1, ..lagging(tail()) }))),
        case("ok/index-lag-apart-pieces", Large, Holds, indexed(9, apart(2, lagging(overlapping(parts("AAAA", tail())))))),
        case("ok/index-two", Large, Holds, indexed(9, two())),
        case("all/without-epochs", Large, Holds, without_epochs()),
        case("all/one-fault-two-instances", Large, Holds, all_faults(2, 1)),
        case("all/two-faults-one-instance", Large, Holds, all_faults(1, 2)),
        // Wrong versions.
        case("mutant/info-before-pages", Small, Fails("HOLE"), without("info-before-pages", brief("AAA", tail()))),
        case("mutant/j0-without-seen", Small, Fails("SILENT HOLE"), without("j0-without-seen", two_messages())),
        case("mutant/receipt-position-j", Small, Fails("HOLE"), without("receipt-position-j", two_messages())),
        case("mutant/announce-behind-wait", Small, Fails("SILENT HOLE"), without("announce-behind-wait", Run { bystander_b: false, most: Counts { disconnect: 1, ..Counts::default() }, ..two_messages() })),
        case("mutant/tail-less", Small, Fails("FALSE ALARM"), without("tail-less", brief("AAA", tail()))),
        case("mutant/tail-off-by-one", Small, Fails("HOLE"), without("tail-off-by-one", brief("AAA", tail()))),
        case("mutant/info-less", Small, Fails("FALSE ALARM"), without("info-less", brief("AAA", tail()))),
        case("mutant/info-off-by-one", Small, Fails("HOLE"), without("info-off-by-one", brief("AAA", tail()))),
        case("mutant/replay-without-until", Small, Fails("TWICE"), without("replay-without-until", two_messages())),
        case("mutant/replay-before-receipt", Small, Fails("ORDER"), without("replay-before-receipt", two_messages())),
        case("mutant/held-before-replay", Small, Fails("HOLE"), without("held-before-replay", two_messages())),
        case("mutant/held-dropped", Small, Fails("SILENT HOLE"), without("held-dropped", two_messages())),
        case("mutant/done-before-put", Small, Fails("TWICE"), without("done-before-put", two_messages())),
        case("mutant/begun-behind-interest", Small, Fails("SILENT HOLE"), without("begun-behind-interest", Run { bystander_b: false, ..two_messages() })),
        case("mutant/stale-follower", Small, Fails("HOLE"), Run { lags: true, ..brief("AAA", tail()) }),
        case("mutant/overflow-position-j", Small, Fails("SILENT HOLE"), without("overflow-position-j", Run { held_cap: 0, most: Counts { read_fails: 1, disconnect: 1, ..Counts::default() }, ..two_messages() })),
        case("mutant/local-overtakes-hold", Small, Fails("ORDER"), without("local-overtakes-hold", two_messages())),
        case("mutant/overflow-answer-leads-back", Small, Fails("TWICE"), without("overflow-answer-leads-back", Run { held_cap: 1, ..two_messages() })),
        case("mutant/overflow-forgotten", Small, Fails("SILENT HOLE"), without("overflow-forgotten", Run { held_cap: 0, ..two_messages() })),
        case("mutant/begin-not-moved", Small, Fails("SILENT HOLE"), without("begin-not-moved", Run { held_cap: 0, ..two_messages() })),
        case("mutant/piece-again", Small, Fails("TWICE"), without("piece-again", piecewise("AAA"))),
        case("mutant/piece-skips", Small, Fails("HOLE"), without("piece-skips", piecewise("AAA"))),
        case("mutant/live-before-the-last-piece", Small, Fails("HOLE"), without("live-before-the-last-piece", piecewise("AAA"))),
        case("mutant/local-overtakes-pieces", Small, Fails("HOLE"), without("local-overtakes-pieces", piecewise("AAA"))),
        case("mutant/part-is-the-last", Small, Fails("SILENT HOLE"), without("part-is-the-last", parts("AAAA", tail()))),
        case("mutant/part-without-its-front", Small, Fails("HOLE"), without("part-without-its-front", parts("AAAA", tail()))),
        case("mutant/part-ends-with-its-server", Small, Fails("HOLE"), without("part-ends-with-its-server", lagging(overlapping(parts("AAAA", tail()))))),
        case("mutant/part-begins-behind-its-after", Small, Fails("HOLE"), without("pages-without-overlap", apart(0, overlapping(parts("AAAA", tail()))))),
        case("mutant/back-unproven", Small, Fails("HOLE"), without("back-unproven", lagging(brief("AAA", tail())))),
        case("mutant/back-for-good", Small, Fails("HOLE"), without("back-for-good", lagging(brief("AAB", tail())))),
        case("mutant/listed-but-gone-is-nothing", Small, Fails("HOLE"), without("listed-but-gone-is-nothing", indexed(9, brief("AAA", tail())))),
        case("mutant/listed-is-the-targets", Small, Fails("ANOTHER'S"), without("listed-is-the-targets", indexed(9, brief("ABA", tail())))),
        case("mutant/listed-up-to-the-tail", Small, Fails("TWICE"), without("listed-up-to-the-tail", indexed(9, brief("AAA", tail())))),
        case("mutant/index-off-by-one", Small, Fails("HOLE"), without("index-off-by-one", indexed(1, brief("AAAA", tail())))),
        case("mutant/index-goes-on-over-a-gap", Small, Fails("HOLE"), without("index-goes-on-over-a-gap", indexed(9, brief("AAAA", reader())))),
        case("mutant/aside-with-what-came", Small, Fails(""), without("aside-with-what-came", indexed(9, lagging(brief("AAA", tail()))))),
        case("mutant/index-read-without-proof", Small, Fails("MIXED"), without("read-without-proof", indexed(9, brief("AAAA", roll_whole())))),
        case("mutant/read-without-proof", Small, Fails("MIXED"), without("read-without-proof", brief("AAAA", roll_whole()))),
        // Earlier wordings of the rules.
        case("literal/local-max(done,seen)", Small, Fails("HOLE"), without("local-takes-done", shard())),
        case("literal/local-seen-not-raised", Small, Fails("FALSE ALARM"), without("local-seen-not-raised", shard())),
        case("literal/held-interest", Large, Fails("SILENT HOLE"), without("held-interest", Run { bystander_a: true, most: Counts { bystander_leaves: 1, ..shard().most }, ..shard() })),
        case("literal/held-interest-2", Small, Fails("SILENT HOLE"), without("held-interest", Run { bystander_a: true, bystander_b: false, pattern: Some("AA"), messages: 2, most: Counts { bystander_leaves: 1, disconnect: 1, ..Counts::default() }, ..shard() })),
        case("literal/pages-then-tail", Small, Fails("HOLE"), without("pages-then-tail", brief("AAA", tail()))),
        case("literal/hole-delivers-before-info", Large, Fails("SILENT HOLE"), without("hole-does-not-wait", late.clone())),
        case("literal/broken-closes-in-waves", Large, Fails("SILENT HOLE"), without("waves-without-cut", late)),
        case("literal/quiet-hole", Small, Fails("SILENT HOLE"), without("quiet-hole", reader())),
        case("literal/epoch-without-pairs", Large, Fails(""), without("epochs-not-compared", Run { is_strict: false, ..epoch_fine() })),
        case("literal/replay-without-epoch", Large, Fails(""), without("replay-without-epoch", Run { is_strict: false, ..epoch() })),
        case("literal/no-info-after-create", Small, Fails("HOLE"), without("no-vetting", epoch())),
        case("literal/no-info-after-create-said-late", Large, Holds, without("no-vetting", Run { is_strict: false, ..epoch() })),
        case("literal/rollback-passed-head", Large, Fails("SILENT HOLE"), without("no-overlap", Run { is_fair: true, ..roll() })),
        case("literal/rollback-passed-head-two", Large, Fails("SILENT HOLE"), without("no-overlap", Run { is_fair: true, ..two_roll() })),
        case("literal/old-info-judges-a-hole", Small, Fails("SILENT HOLE"), without("inner-hole-goes-on", Run { is_strict: false, ..info() })),
        case("literal/rollback-at-receipt", Small, Fails("FALSE ALARM"), without("judged-at-receipt", info())),
        case("literal/replicas-apart-inner-hole-goes-on", Small, Fails("HOLE"), without("inner-hole-goes-on", apart(0, brief("AAA", tail())))),
        case("literal/replicas-apart-replay", Small, Fails("HOLE"), without("pages-without-overlap", apart(0, brief("AAA", tail())))),
        case("literal/replicas-apart-overlap-alone", Small, Fails("HOLE"), apart(0, brief("AAA", tail()))),
        case("literal/rollback-and-death-4", Large, Fails("SILENT HOLE"), Run { instances: 1, is_fair: true, most: Counts { death: 1, faults: 2, ..two_roll().most }, ..two_roll() }),
        case("literal/hole-delivers-before-info-3", Small, Fails("SILENT HOLE"), without("hole-does-not-wait", brief("AAAA", only(Counts { disconnect: 1, evict: 2, consumer_dies: 1, faults: 3, ..Counts::default() }, Run { is_strict: false, polls: false, ..reader() })))),
        case("literal/broken-closes-in-waves-3", Small, Fails("SILENT HOLE"), without("waves-without-cut", brief("AAA", only(Counts { disconnect: 1, evict: 2, faults: 2, ..Counts::default() }, Run { is_strict: false, polls: false, ..reader() })))),
        case("literal/epoch-without-pairs-2", Small, Fails(""), without("epochs-not-compared", brief("AAA", only(Counts { local: 0, ..epoch_fine().most }, Run { is_strict: false, ..epoch_fine() })))),
        case("literal/replay-without-epoch-3", Small, Fails(""), without("replay-without-epoch", brief("AAA", Run { is_strict: false, ..epoch() }))),
        case("literal/rollback-passed-head-4", Small, Fails("SILENT HOLE"), without("no-overlap", brief("AAAA", Run { is_fair: true, ..roll() }))),
        // What nobody outside of NATS can know: an instance had read less than was rolled back (docs/reliability.md).
        case("literal/rollback-behind-two", Large, Fails("MIXED"), brief("AAA", Run { is_whole: true, ..two_roll() })),
        case("literal/rollback-and-death", Small, Fails("SILENT HOLE"), brief("AAA", Run { instances: 1, is_fair: true, most: Counts { death: 1, faults: 2, disconnect: 0, ..two_roll().most }, ..two_roll() })),
    ]
}
