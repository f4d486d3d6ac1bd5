//! History under faults that are drawn from a seed: hundreds of sessions at several instances made of the real reader,
//! tail and replay, over a stream that evicts, is purged, recreated and rolled back. The model
//! (`session/recovery/tests/model`) walks every state of a few messages; this draws many messages, targets, sessions,
//! pieces, pages, times and keys at once, in random orders.
//!
//! `HERALD_SIMULATION=<count>` runs that many further seeds (`scripts/test-all`). Add a seed that fails to [`KEPT`].

use std::time::{Duration, Instant};

use chain::Checked;
use instance::{Given, Instance};
use publisher::Publishers;
use session::Session;
use settings::Settings;
use stream::{Note, Stream, TARGETS};

mod answers;
mod chain;
mod instance;
mod publisher;
mod session;
mod settings;
mod stream;

/// Seeds that failed once: in each, a replay read a stream that was rolled back and had grown again before anybody noticed.
const KEPT: [u64; 10] = [
    1_811_523_970_989_536_968,
    2_332_349_058_622_132_669,
    4_790_213_798_269_929_673,
    6_787_163_707_428_093_038,
    6_787_163_707_428_093_329,
    6_787_163_707_428_093_593,
    6_787_163_707_428_093_801,
    6_787_163_707_428_094_099,
    6_787_163_707_428_094_343,
    7_558_688_278_693_064_460,
];
/// How many seeds each test run tries.
const SEEDS: u64 = 12;
const SESSIONS: usize = 240;
const STEPS: u32 = 6_000;
/// Rounds without faults until all has to be well.
const ROUNDS: u32 = 4_000;

/// A moment, as the reader wants it and in virtual ms.
#[derive(Debug, Clone, Copy)]
struct Time {
    now: Instant,
    ms: u64,
}

impl Time {
    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.ms += ms;
    }
}

struct World {
    settings: Settings,
    random: fastrand::Rng,
    time: Time,
    stream: Stream,
    instances: Vec<Option<Instance>>,
    sessions: Vec<Session>,
    publishers: Publishers,
}

impl World {
    fn new(seed: u64, wrong: &'static str) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let settings = Settings::draw(&mut random, wrong);
        let sessions = (0..SESSIONS).map(|_| Session::new(random.u16(..TARGETS)));
        Self {
            time: Time {
                now: Instant::now(),
                ms: 0,
            },
            stream: Stream::new(settings.is_replicated, settings.keeps),
            instances: (0..settings.instances).map(|_| None).collect(),
            sessions: sessions.collect(),
            publishers: Publishers::new(seed),
            settings,
            random,
        }
    }

    fn run(&mut self) -> Checked {
        for _ in 0..STEPS {
            self.time.pass(self.random.u64(..20));
            match self.random.u8(..100) {
                ..15 => self.publish(),
                15..18 => self.stream.replicate(&mut self.random),
                _ => {}
            }
            if self.random.u16(..10_000) < self.settings.faults {
                self.fault();
            }
            self.publishers()?;
            self.everybody(8)?;
        }
        self.settle()
    }

    /// Instances do something, and so many sessions.
    fn everybody(&mut self, sessions: usize) -> Checked {
        for number in 0..self.instances.len() {
            let Some(instance) = &mut self.instances[number] else {
                if self.may_begin() && self.random.u8(..20) == 0 {
                    let tail = self.settings.tail * 200;
                    let sizes = (tail, self.settings.index * size_of::<u32>());
                    let started = Instance::start(&self.stream, sizes, self.settings.wrong, self.time);
                    self.instances[number] = Some(started);
                }
                continue;
            };
            instance.tick(self.time);
            instance.step(&mut self.stream, &mut self.random, self.time);
            for given in std::mem::take(&mut instance.given) {
                if let Given::Message(position, note) = given {
                    self.publishers.tell(position, note.id)?;
                }
                for session in &mut self.sessions {
                    if session.link.as_ref().is_some_and(|link| link.instance == number) {
                        session.given(given, &self.stream, self.settings.wrong, self.time)?;
                    }
                }
            }
        }
        for _ in 0..sessions {
            let session = self.random.usize(..self.sessions.len());
            self.session(session)?;
        }
        Ok(())
    }

    fn session(&mut self, number: usize) -> Checked {
        let session = &mut self.sessions[number];
        match &session.link {
            None => {
                let to = self.random.usize(..self.instances.len());
                if let Some(instance) = &self.instances[to]
                    && instance.reader.is_caught_up()
                {
                    session.connect(to, instance, &self.settings, self.time);
                }
                Ok(())
            }
            Some(link) => match &self.instances[link.instance] {
                Some(instance) => session.step(
                    instance,
                    &self.stream,
                    &self.settings,
                    &mut self.random,
                    self.time,
                ),
                None => Ok(()),
            },
        }
    }

    fn publish(&mut self) {
        let random = &mut self.random;
        let (target, is_fleeting) = (random.u16(..TARGETS), self.settings.is_fleeting);
        let key = (is_fleeting && random.u8(..4) == 0).then(|| random.u8(..2));
        let ttl = (is_fleeting && random.u8(..4) == 0).then(|| random.u64(1..3_000));
        let (bytes, ms) = (random.usize(20..200), self.time.ms);
        self.stream.publish(|id, place| Note {
            id,
            target,
            key,
            stale_at: ttl.map(|ttl| ms + ttl),
            bytes,
            place,
        });
    }

    fn publishers(&mut self) -> Checked {
        let is_fleeting = self.settings.is_fleeting;
        let note = |random: &mut fastrand::Rng, id, place| Note {
            id,
            target: random.u16(..TARGETS),
            key: (is_fleeting && random.u8(..4) == 0).then(|| random.u8(..2)),
            stale_at: None,
            bytes: random.usize(20..200),
            place,
        };
        self.publishers.step(&self.instances, &mut self.stream, note)
    }

    /// Whether instances may start and end. While a rollback is unnoticed they may not: whoever has read further must be
    /// there to notice it (docs/reliability.md).
    fn may_begin(&self) -> bool {
        !self.stream.is_rolled_back
    }

    fn fault(&mut self) {
        let number = self.random.usize(..self.instances.len());
        let has_read_all = |instance: &Option<Instance>, stream: &Stream| {
            let position = instance.as_ref().map(|instance| instance.reader.position());
            position.is_none_or(|at| (at.epoch, at.sequence) == (stream.epoch(), stream.last()))
                && instance
                    .as_ref()
                    .is_none_or(|instance| instance.reader.knows_its_last())
        };
        let all_have = self
            .instances
            .iter()
            .all(|instance| has_read_all(instance, &self.stream));
        let is_anybody = self.instances.iter().any(Option::is_some);
        let is_known = self.may_begin();
        match (self.random.u8(..100), &mut self.instances[number]) {
            (..30, _) => {
                let percent = self.random.u8(..100);
                for session in &mut self.sessions {
                    if self.random.u8(..100) < percent {
                        session.link = None;
                    }
                }
            }
            (30..42, Some(instance)) => instance.consumer_dies(),
            (42..54, Some(instance)) => instance.lose_one(),
            (54..66, Some(instance)) => instance.disconnect(self.time),
            (66..76, Some(instance)) => {
                instance.is_cut_off = !instance.is_cut_off;
                instance.disconnect(self.time);
            }
            (76..86, Some(_)) if is_known => {
                self.instances[number] = None;
                for session in &mut self.sessions {
                    if session.link.as_ref().is_some_and(|link| link.instance == number) {
                        session.link = None;
                    }
                }
            }
            (86..90, _) if is_known => {
                let last = self.stream.last();
                let first = self.stream.first();
                self.stream.expire(self.random.u64(first..=last + 1));
            }
            (90..92, _) if is_known => {
                let last = self.stream.last();
                self.stream.remove(self.random.u64(1..=last.max(1)));
            }
            (92..96, _) if is_known => {
                self.stream.recreate();
                self.cut_all_consumers();
            }
            (96.., _) if all_have && !self.stream.is_rolled_back && is_anybody => {
                let (first, last) = (self.stream.first(), self.stream.last());
                if first < last {
                    let to = self.random.u64(first.max(last.saturating_sub(20))..last);
                    self.stream.roll_back(to);
                    self.cut_all_consumers();
                }
            }
            _ => {}
        }
    }

    fn cut_all_consumers(&mut self) {
        for instance in self.instances.iter_mut().flatten() {
            instance.disconnect(self.time);
        }
    }

    /// Without faults everybody has to get everything.
    fn settle(&mut self) -> Checked {
        for instance in self.instances.iter_mut().flatten() {
            instance.is_cut_off = false;
        }
        self.until("live", |session, _| session.is_live())?;
        let mut ends = Vec::new();
        for target in 0..TARGETS {
            let sequence = self.stream.publish(|id, place| Note {
                id,
                target,
                key: None,
                stale_at: None,
                bytes: 20,
                place,
            });
            ends.push(sequence);
        }
        let epoch = self.stream.epoch();
        self.until("there", |session, _| {
            let end = ends[usize::from(session.target)];
            session.is_live()
                && session
                    .at
                    .is_some_and(|at| at.epoch == epoch && at.sequence >= end)
        })?;
        self.sessions.iter().try_for_each(Session::at_rest)
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Session, &Stream) -> bool) -> Checked {
        for _ in 0..ROUNDS {
            let are_all_so = self.sessions.iter().all(|session| is_so(session, &self.stream));
            if are_all_so && !self.stream.is_rolled_back {
                return Ok(());
            }
            self.time.pass(50);
            self.stream.heal();
            self.everybody(SESSIONS / 4)?;
        }
        if self.stream.is_rolled_back {
            return Err("UNTOLD: the stream was rolled back, and no instance notices".into());
        }
        let stuck = self
            .sessions
            .iter()
            .filter(|session| !is_so(session, &self.stream))
            .count();
        let instances = self.instances.iter().flatten();
        let at: Vec<String> = instances
            .map(|instance| format!("{}", instance.reader.position()))
            .collect();
        Err(format!(
            "STUCK: {stuck} of {SESSIONS} sessions never were {what}; the stream is at {}-{}, the instances at {at:?}",
            self.stream.epoch(),
            self.stream.last()
        ))
    }
}

fn simulate(seed: u64, wrong: &'static str) -> Checked {
    World::new(seed, wrong).run()
}

#[test]
fn whatever_a_seed_draws_nothing_is_lost_doubled_or_turned_round_without_a_word() {
    let further =
        std::env::var("HERALD_SIMULATION").map_or(0, |count| count.parse().expect("a count of seeds"));
    let other = fastrand::u64(SEEDS..u64::MAX / 2);
    let seeds = KEPT.into_iter().chain(0..SEEDS).chain(other..other + further);
    let failed: Vec<String> = seeds
        .filter_map(|seed| Some(format!("seed {seed}: {}", simulate(seed, "").err()?)))
        .collect();
    assert!(failed.is_empty(), "keep these in KEPT: {failed:#?}");
}

#[test]
fn each_wrong_rule_is_found_by_some_seed() {
    // With the seed that found it last.
    for (wrong, breach, seed) in [
        ("tail-off-by-one", "HOLE", 57),
        ("pages-then-tail", "HOLE", 1_811_523_970_989_536_968),
        ("back-unproven", "HOLE", 6_787_163_707_428_093_801),
        ("no-vetting", "TWICE", 115),
        ("listed-but-gone-is-nothing", "HOLE", 0),
        ("listed-is-the-targets", "ANOTHER'S", 0),
        ("listed-up-to-the-tail", "TWICE", 1_811_523_970_989_536_968),
        ("index-off-by-one", "HOLE", 7_558_688_278_693_064_460),
        ("index-goes-on-over-a-gap", "HOLE", 6_787_163_707_428_093_329),
        ("no-overlap", "LIE", 150),
        ("not-cut", "TWICE", 6_787_163_707_428_093_329),
        ("read-without-proof", "", 2_332_349_058_622_132_669),
        ("acknowledged-without-proof", "LIE", 1_811_523_970_989_536_968),
    ] {
        let finds = |seed: &u64| simulate(*seed, wrong).is_err_and(|fault| fault.starts_with(breach));
        let found = std::iter::once(seed).chain(KEPT).chain(0..300).find(finds);
        println!("{wrong}: seed {found:?}");
        assert!(found.is_some(), "{wrong}");
    }
}
