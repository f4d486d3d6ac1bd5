//! The cost of tracing: four Heralds that differ only in `tracing` take turns at the same work, broadcasts and arrays
//! of notifications to single users. Two of them have it off: their difference is the run's own error.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use crate::Outcome;
use crate::load::Audience;
use crate::people::{CHEAP_KIB, People, name};
use crate::process::{Server, herald_binary};
use crate::report::spread;
use crate::request::{Trigger, broadcast, notifications};
use crate::session::{DESTINATION, connect, open_both};
use crate::sink::Sink;

/// Pause before a turn.
const PAUSE: Duration = Duration::from_millis(100);
/// How much longer MESSAGE is if its trace is recorded: `traceparent:`, its value, an end of line.
const TRACEPARENT_BYTES: f64 = 68.0;
/// The kinds, and `tracing.ratio` of those that trace.
const KINDS: [(&str, Option<&str>); 4] = [
    ("off", None),
    ("off, a second time", None),
    ("ratio 0.01", Some("0.01")),
    ("ratio 1", Some("1")),
];

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Sessions on each of the four Heralds, each of a user of its own.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Turns of each kind.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Broadcasts in a turn.
    #[arg(long, default_value_t = 60)]
    broadcasts: usize,
    /// How often each user is notified in a turn.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Notifications to single users in one POST.
    #[arg(long, default_value_t = 100)]
    array: usize,
    /// Size of a notification's body.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// No collector listens: spans are made, wait and are lost.
    #[arg(long)]
    down: bool,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// One Herald with its readers.
struct Measured {
    server: Server,
    audience: Audience,
    broadcast: Vec<Trigger>,
    arrays: Vec<Trigger>,
}

/// The result of one turn.
#[derive(Clone, Copy)]
struct Turn {
    cpu_us: f64,
    bytes: f64,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let sessions = options.sessions.max(1);
    let people = People::write(sessions, CHEAP_KIB)?;
    let sink = Sink::start()?;
    let collector = match options.down {
        // Nobody listens on the port of discard.
        true => "http://127.0.0.1:9".to_owned(),
        false => format!("http://{}", sink.address),
    };
    let mut all = Vec::new();
    for (_, ratio) in KINDS {
        all.push(start(options, &people, &collector, ratio)?);
    }
    let mut broadcasts = KINDS.map(|_| Vec::new());
    let mut arrays = KINDS.map(|_| Vec::new());
    for round in 0..options.rounds.max(1) {
        // Each is first, second, third and last equally often.
        for place in 0..KINDS.len() {
            let at = (round + place) % KINDS.len();
            let Some(one) = all.get_mut(at) else { continue };
            broadcasts[at].push(one.turn(false, options.broadcasts)?);
            arrays[at].push(one.turn(true, options.times)?);
        }
    }
    let turns = broadcasts[0].len();
    println!(
        "\nTracing, to {sessions} sessions, {}; bodies of {} bytes; {turns} turns of each. CPU µs per delivery: median (least-most), and \
         of all turns together",
        if options.down {
            "no collector there".to_owned()
        } else {
            format!("a collector that took {} KiB", sink.taken_bytes() / 1_024)
        },
        options.body_bytes,
    );
    print(&format!("broadcast, {} a turn", options.broadcasts), &broadcasts);
    print(
        &format!("arrays of {}, {} to each a turn", options.array, options.times),
        &arrays,
    );
    Ok(())
}

fn start(options: &Options, people: &People, collector: &str, ratio: Option<&str>) -> Outcome<Measured> {
    let file = people.file.to_string_lossy();
    let mut settings = vec![("HERALD_AUTH__USERS_FILE", &*file)];
    if let Some(ratio) = ratio {
        settings.extend([
            ("HERALD_TRACING__ENDPOINT", collector),
            ("HERALD_TRACING__PROTOCOL", "http/protobuf"),
            ("HERALD_TRACING__RATIO", ratio),
        ]);
    }
    let server = Server::herald(&herald_binary(options.herald.as_ref())?, &settings)?;
    let names: Vec<String> = (0..options.sessions.max(1)).map(name).collect();
    let mut sockets = Vec::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        sockets.push(open_both(server.address, number, name)?);
    }
    let mut audience = Audience::new(sockets, connect(server.address, 0)?)?;
    let port = server.address.port();
    let request = broadcast(port, DESTINATION, &"x".repeat(options.body_bytes));
    let broadcast = vec![Trigger::burst(&request, 1)];
    let arrays = names
        .chunks(options.array.max(1))
        .map(|names| Trigger::burst(&notifications(port, names, options.body_bytes), 1))
        .collect();
    audience.learn(&broadcast)?;
    Ok(Measured {
        server,
        audience,
        broadcast,
        arrays,
    })
}

impl Measured {
    /// Notifies everyone `times` times, by broadcasts or by arrays, each time after all have received the previous
    /// one.
    fn turn(&mut self, by_arrays: bool, times: usize) -> Outcome<Turn> {
        sleep(PAUSE);
        self.audience.renew_trigger()?;
        let (cpu, bytes) = (self.server.cpu_of_threads()?, self.audience.received_bytes());
        let mut latencies = Vec::new();
        let triggers = if by_arrays { &self.arrays } else { &self.broadcast };
        for _ in 0..times.max(1) {
            self.audience.notify(triggers, 1, &mut latencies)?;
        }
        let deliveries = latencies.len().max(1) as f64;
        let spent = self.server.cpu_of_threads()?.saturating_sub(cpu);
        Ok(Turn {
            cpu_us: spent.as_secs_f64() * 1e6 / deliveries,
            bytes: (self.audience.received_bytes() - bytes) as f64 / deliveries,
        })
    }
}

fn print(what: &str, turns: &[Vec<Turn>; KINDS.len()]) {
    println!(
        "{what:<36}{:>22}{:>10}{:>24}{:>12}{:>12}",
        "µs", "all", "to off, same round", "all to off", "recorded"
    );
    let [off, ..] = turns;
    let mean =
        |of: &[Turn], figure: fn(&Turn) -> f64| of.iter().map(figure).sum::<f64>() / of.len().max(1) as f64;
    for ((kind, _), own) in KINDS.iter().zip(turns) {
        let ratios = own.iter().zip(off).map(|(own, off)| own.cpu_us / off.cpu_us);
        let longer = mean(own, |turn| turn.bytes) - mean(off, |turn| turn.bytes);
        println!(
            "  {kind:<34}{:>22}{:>10.2}{:>24}{:>12.3}{:>11.1}%",
            spread(own.iter().map(|turn| turn.cpu_us).collect()),
            mean(own, |turn| turn.cpu_us),
            spread(ratios.collect()),
            mean(own, |turn| turn.cpu_us) / mean(off, |turn| turn.cpu_us),
            longer / TRACEPARENT_BYTES * 100.0,
        );
    }
}
