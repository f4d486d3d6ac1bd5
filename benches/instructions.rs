//! The promise: a delivery, a head and a frame cost no more instructions than they do today. Counted by valgrind's
//! callgrind, so that a busy machine changes nothing: `cargo bench --bench instructions`. Without valgrind it says so
//! and measures nothing.
//!
//! Each scenario runs twice, as a separate process, with one amount of work and with twice as much: what both have in
//! common (the start, allocation of reused memory) cancels out in the difference.

#![allow(unreachable_pub, reason = "a benchmark has no callers")]

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::StreamExt;
use herald::bus::embedded::{EmbeddedBus, Keeping};
use herald::bus::{Bus, Config, Limits};
use herald::delivery::registry::Registry;
use herald::delivery::wire::{self, AckMode, GroupKey};
use herald::destination::{Path, Prefixes, Target};
use herald::envelope::{Envelope, HeaderLimits};
use herald::instance::InstanceId;
use herald::principal::UserName;
use herald::setting::ByteSize;
use herald::stomp::{Decoder, Version};

#[path = "instructions/registry.rs"]
mod registry;

/// What is counted, how many units of it in the shorter run, and the most instructions that a unit may cost. The bounds are a
/// tenth above the first counts of an optimized build: 70, 9,142, 2,747, 5,599; 69, 3,127, 4,593.
const SCENARIOS: &[(&str, u32, u64)] = &[
    ("a delivery of a broadcast to 1,000 sessions", 200_000, 80),
    (
        "a notification to one user, from registry to socket",
        5_000,
        10_000,
    ),
    ("encoding a MESSAGE", 5_000, 3_000),
    ("decoding a SEND", 5_000, 6_200),
    (
        "a delivery of a broadcast that is kept, to 1,000 sessions",
        200_000,
        80,
    ),
    ("a publish on the embedded bus, without history", 20_000, 3_450),
    ("a publish on the embedded bus that is kept", 20_000, 5_050),
];

/// Sessions of a broadcast.
const SESSIONS: u32 = 1_000;
/// Users who are notified one by one: more than are taken out of the mailbox together.
const USERS: u32 = 64;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    if let (Some(scenario), Some(units)) = (arguments.next(), arguments.next()) {
        let (Ok(scenario), Ok(units)) = (scenario.parse::<usize>(), units.parse()) else {
            return ExitCode::FAILURE;
        };
        match scenario {
            0 => broadcast(units, false),
            1 => to_one_user(units),
            2 => encode(units),
            3 => decode(units),
            4 => broadcast(units, true),
            5 => publish(units, false),
            _ => publish(units, true),
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: valgrind is not installed, nothing was counted");
        return ExitCode::SUCCESS;
    }
    let mut passed = true;
    for (index, (name, units, most)) in SCENARIOS.iter().enumerate() {
        match count(index, *units).and_then(|once| Some((once, count(index, 2 * units)?))) {
            Some((once, twice)) => {
                let each = twice.saturating_sub(once) / u64::from(*units);
                let verdict = if each <= *most { "" } else { "  TOO MANY" };
                println!("{each:>8} instructions (at most {most:>6}): {name}{verdict}");
                passed &= each <= *most;
            }
            None => {
                println!("{name}: callgrind gave no count");
                passed = false;
            }
        }
    }
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The instructions of one run.
fn count(scenario: usize, units: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().ok()?)
        .args([scenario.to_string(), units.to_string()])
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, after) = said.rsplit_once("Collected :")?;
    after.split_whitespace().next()?.parse().ok()
}

/// A registry with one session for each target, subscribed to it.
fn registry(targets: &[(UserName, Target)], is_kept: bool) -> Registry {
    let registry = registry::empty(is_kept).unwrap_or_else(|_| std::process::abort());
    for (user, target) in targets {
        run(registry::subscribe(&registry, user.clone(), target));
    }
    wait(|| registry.stats().subscriptions == targets.len() as u64);
    registry
}

/// Each broadcast alone: several in the mailbox would be written together.
fn broadcast(units: u32, is_kept: bool) {
    let target = Target::Broadcast(path());
    let registry = registry(&vec![(user(0), target.clone()); SESSIONS as usize], is_kept);
    let mut written = 0;
    for number in 0..units / SESSIONS {
        let sequence = is_kept.then_some(u64::from(number) + 1);
        run(registry.deliver(registry::notification(&target, sequence)));
        written += u64::from(SESSIONS);
        wait(|| registry.stats().written == written);
    }
}

/// As fast as the shard takes them, to one user after the other.
fn to_one_user(units: u32) {
    let of_user = |number: u32| {
        let (user, path) = (user(number), path());
        (user.clone(), Target::User { user, path })
    };
    let targets: Vec<_> = (0..USERS).map(of_user).collect();
    let registry = registry(&targets, false);
    for (_, target) in targets.iter().cycle().take(units as usize) {
        run(registry.deliver(Envelope::new(target.clone(), vec![b'x'; 128])));
    }
    wait(|| registry.stats().written == u64::from(units));
}

/// From the publisher to the relay, each taken out before the next.
fn publish(units: u32, is_kept: bool) {
    let (config, instance) = (Config::default(), InstanceId::random());
    let limits = Limits {
        body_bytes: ByteSize::mib(1),
        headers: HeaderLimits {
            count: 32,
            bytes: 4096,
        },
    };
    let keeping = Keeping::of(&Default::default(), &Prefixes::default(), ByteSize::mib(1));
    let bus = match keeping.filter(|_| is_kept) {
        Some(keeping) => EmbeddedBus::with_history(&config, limits, instance, keeping),
        None => EmbeddedBus::new(&config, limits, instance),
    };
    let Some(mut incoming) = bus.incoming() else {
        return;
    };
    let targets: Vec<_> = (0..USERS)
        .map(|number| Target::User {
            user: user(number),
            path: path(),
        })
        .collect();
    let all: Vec<_> = targets
        .iter()
        .map(|target| registry::notification(target, None))
        .collect();
    for envelope in all.iter().cycle().take(units as usize) {
        let published = run(bus.publish(envelope));
        black_box((published.is_ok(), run(incoming.next())));
    }
}

fn encode(units: u32) {
    let envelope = Envelope::new(Target::Broadcast(path()), vec![b'x'; 128]);
    let key = GroupKey {
        subscription: Some("0".into()),
        version: Version::V1_2,
        ack: AckMode::Auto,
    };
    let prefix = path();
    let mut out = Vec::new();
    for _ in 0..units {
        out.clear();
        let rest = wire::rest(black_box(&envelope), key.version, &prefix, false);
        wire::head_into(&mut out, &envelope, &key, &rest, None);
        black_box(&out);
    }
}

fn decode(units: u32) {
    let mut decoder = Decoder::new(herald::stomp::Limits {
        frame_bytes: 64 << 10,
        headers: 64,
        header_bytes: 8 << 10,
        body_bytes: 64 << 10,
    });
    decoder.set_version(Version::V1_2);
    let body = "x".repeat(128);
    let frame = format!("SEND\ndestination:/app/orders\ncontent-type:text/plain\nreceipt:r-1\n\n{body}\0");
    for _ in 0..units {
        let mut input = black_box(frame.as_bytes());
        let _frame = black_box(decoder.decode(&mut input));
    }
}

fn path() -> Path {
    Path::parse("/queue/bench").unwrap_or_else(|_| std::process::abort())
}

fn user(number: u32) -> UserName {
    UserName::parse(&format!("user{number}")).unwrap_or_else(|_| std::process::abort())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap_or_else(|_| std::process::abort())
    });
    RUNTIME.block_on(future)
}

/// Sleeps meanwhile: waiting must not count.
fn wait(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_micros(200));
    }
}
