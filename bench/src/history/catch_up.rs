//! An instance that could not read for a while: how fast it reads what was stored meanwhile, and how much memory that
//! takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Bus, Options, Side};
use crate::Outcome;
use crate::report::spread;
use crate::table::Table;

/// An instance that has not caught up by then has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often its head is looked at.
const EVERY: Duration = Duration::from_millis(20);
/// Rounds, each with an instance of its own.
const ROUNDS: usize = 3;
/// The default of `bus.incoming_bytes`, and half of `history.tail_bytes` over NATS.
const INCOMING_MIB: f64 = 64.0;
const TAIL_MIB: f64 = 32.0;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let (mut rates, mut floors, mut memory, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let side = Side::start(options, Bus::Stream(1), &[])?;
        let herald = &side.herald;
        let subjects: Vec<String> = (0..1_000)
            .map(|number| format!("herald.user.user{number}.queue.bench"))
            .collect();
        let body = vec![b'x'; options.body_bytes];
        let mut wire = side.nats()?.wire()?;
        // Whatever is made once is made before memory is looked at.
        wire.store(&subjects, 1_000, &body)?;
        let head = "history_head{kind=\"user\"}";
        herald.until_metric(head, |head| head >= 1_000.0, PATIENCE)?;
        let base = herald.rss_bytes()?;
        herald.signal(Signal::STOP)?;
        let stored = wire.store(&subjects, options.backlog, &body);
        let before = herald.cpu_of_threads()?;
        herald.signal(Signal::CONT)?;
        stored?;
        let began = Instant::now();
        let last = (1_000 + options.backlog) as f64;
        while herald.metric(head)? < last {
            if began.elapsed() > PATIENCE {
                return Err(format!("at {} of {last} after {PATIENCE:?}", herald.metric(head)?).into());
            }
            sleep(EVERY);
        }
        rates.push(options.backlog as f64 / began.elapsed().as_secs_f64());
        let spent = herald.cpu_of_threads()?.saturating_sub(before);
        cpu.push(spent.as_secs_f64() * 1e6 / options.backlog as f64);
        memory.push(herald.peak_rss_bytes()?.saturating_sub(base) as f64 / f64::from(1 << 20));

        let mut reader = side.nats()?.wire()?;
        reader.subscribe("bench.floor")?;
        let consumer = serde_json::json!({
            "stream_name": "HERALD_USER",
            "config": {"deliver_subject": "bench.floor", "ack_policy": "none", "mem_storage": true},
        });
        let began = Instant::now();
        wire.ask("$JS.API.CONSUMER.CREATE.HERALD_USER", &consumer.to_string())?;
        reader.until_seen(last as u64)?;
        floors.push(last / began.elapsed().as_secs_f64());
    }
    let what = format!("catching up with {} notifications to users", options.backlog);
    let beside = ("a consumer that only counts", &floors[..]);
    table.pair(&what, "≥ 100,000 a second", "a second", &rates, beside);
    table.row(
        &format!("{what}: Herald's CPU"),
        "",
        &format!("{} µs each", spread(cpu)),
        "",
    );
    let goal = format!("≤ {} MiB (`bus.incoming_bytes`, tail)", INCOMING_MIB + TAIL_MIB);
    table.row(
        &format!("{what}: RSS grows by"),
        &goal,
        &format!("{} MiB at most", spread(memory)),
        "",
    );
    Ok(())
}
