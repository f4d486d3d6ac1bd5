//! The cost of idle sessions: resident memory, fresh and after heart-beats have used both directions, and the CPU time
//! of those heart-beats. Each session has two subscriptions, one of them to a user destination.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Outcome;
use crate::load::Audience;
use crate::process::{Server, herald_binary};
use crate::session::{DESTINATION, client_frame, open_with};

/// Long enough for the last buffers of the logins to be freed.
const SETTLE: Duration = Duration::from_secs(2);
/// Sessions whose clients beat at the same moment; the moments are spread over the interval.
const GROUP: usize = 100;

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Idle sessions.
    #[arg(long, default_value_t = 9_000)]
    sessions: usize,
    /// Seconds of heart-beats before memory is read again; CPU is measured over all of them.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds from one heart-beat to the next, each way.
    #[arg(long, default_value_t = 10)]
    beat_seconds: u64,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let sessions = options.sessions.max(1);
    let beat_ms = options.beat_seconds.max(1) * 1_000;
    let interval = Duration::from_millis(beat_ms);
    let setting = format!("{}s", options.beat_seconds.max(1));
    let heartbeat = format!("{beat_ms},{beat_ms}");
    let herald = Server::herald(
        &herald_binary(options.herald.as_ref())?,
        &[
            ("HERALD_HEARTBEAT__SEND", &setting),
            ("HERALD_HEARTBEAT__RECEIVE", &setting),
        ],
    )?;
    let user_destination = format!("/user{DESTINATION}");
    let destinations = [DESTINATION, &user_destination];
    // Each user once: code, runtime and the memory of password hashing are in place before the first session counts.
    for number in 0..10 {
        open_with(herald.address, number, &heartbeat, &destinations)?;
    }
    sleep(SETTLE);
    let base_bytes = herald.rss_bytes()?;
    let share = |bytes: u64| (bytes as f64 - base_bytes as f64) / sessions as f64;

    // Beats begin before the last session is open, or the first would be reaped as silent.
    let mut beats = Beats::new(interval);
    let mut opened = 0;
    while opened < sessions {
        let upto = (opened + GROUP).min(sessions);
        let mut sockets = Vec::with_capacity(upto - opened);
        for number in opened..upto {
            sockets.push(open_with(herald.address, number, &heartbeat, &destinations)?);
        }
        opened = upto;
        // Its trigger is never used: a clone of the first socket will do.
        let trigger = sockets.first().ok_or("a group without sockets")?.try_clone()?;
        beats
            .groups
            .push((Audience::new(sockets, trigger)?, Instant::now() + interval));
        beats.due()?;
    }
    beats.until(Instant::now() + SETTLE)?;
    let fresh_bytes = share(herald.rss_bytes()?);
    let (before, began) = (herald.cpu()?, Instant::now());
    beats.until(began + Duration::from_secs(options.seconds.max(1)))?;
    let cpu = herald.cpu()?.saturating_sub(before);
    let cpu_us = cpu.as_secs_f64() * 1e6 / sessions as f64 / began.elapsed().as_secs_f64();
    let used_bytes = share(herald.rss_bytes()?);
    let left = herald.metric("sessions")?;
    if left != sessions as f64 {
        return Err(format!("{left} of {sessions} sessions are left").into());
    }
    println!(
        "\n{sessions} idle sessions with two subscriptions each, heart-beats every {interval:?} both ways, for {} s",
        options.seconds
    );
    println!(
        "Memory of a session: {:.2} KiB fresh, {:.2} KiB after the heart-beats (RSS, above {:.1} MiB of the process)",
        fresh_bytes / 1024.0,
        used_bytes / 1024.0,
        base_bytes as f64 / 1_048_576.0,
    );
    println!("CPU of its heart-beats: {cpu_us:.2} µs a second");
    print_sizes();
    Ok(())
}

/// The parts of a session whose sizes are Herald's own doing.
pub fn print_sizes() {
    let mut sum = 0;
    let sizes = herald::session::sizes()
        .into_iter()
        .chain(herald::delivery::sizes());
    for (part, bytes) in sizes {
        sum += bytes;
        println!("  {bytes:>5} bytes: {part}");
    }
    println!("  {sum:>5} bytes in all, with one subscription");
}

/// The clients' side of the heart-beats.
struct Beats {
    groups: Vec<(Audience, Instant)>,
    interval: Duration,
    frame: Vec<u8>,
}

impl Beats {
    fn new(interval: Duration) -> Self {
        Self {
            groups: Vec::new(),
            interval,
            frame: client_frame(b"\n"),
        }
    }

    /// Beats for the groups that are due.
    fn due(&mut self) -> Outcome<()> {
        let now = Instant::now();
        for (group, due) in self.groups.iter_mut().filter(|(_, due)| *due <= now) {
            group.beat(&self.frame)?;
            *due += self.interval;
        }
        Ok(())
    }

    fn until(&mut self, end: Instant) -> Outcome<()> {
        while Instant::now() < end {
            self.due()?;
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
