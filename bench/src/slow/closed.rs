//! Many clients that never read, until the last is closed as a slow consumer: the server's peak memory against its
//! bounds, and what each client finds when it reads after all.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Options;
use super::stuck::deaf;
use crate::Outcome;
use crate::load::read_answers;
use crate::process::{Server, herald_binary};
use crate::request::broadcast;
use crate::session::{DESTINATION, Dialogue, connect};

/// Defaults of `limits.outbox_bytes` and `limits.outbox_total_bytes`.
const OUTBOX_BYTES: usize = 2 * MIB;
const TOTAL_BYTES: usize = 256 * MIB;
const MIB: usize = 1024 * 1024;
/// All must be closed by then.
const PATIENCE: Duration = Duration::from_secs(120);
const OVERFLOWS: &str = "outbox_overflows_total";
/// Enough that a client which reads this late reads after its connection was given up.
const LATE: Duration = Duration::from_secs(5);

/// How a client found its connection when it read at last.
#[derive(Default)]
struct Ends {
    /// ERROR and Close 1013.
    told: usize,
    /// Whole frames, then EOF.
    ended: usize,
    /// EOF within a frame.
    cut: usize,
    /// RST.
    reset: usize,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &[])?;
    let mut sockets = Vec::with_capacity(options.closed);
    for number in 0..options.closed {
        sockets.push(deaf(&herald, number, &[DESTINATION])?);
    }
    sleep(Duration::from_secs(1));
    let before_bytes = herald.peak_rss_bytes()?;
    let mut publisher = connect(herald.address, 0)?;
    let request = broadcast(
        herald.address.port(),
        DESTINATION,
        &"x".repeat(options.body_bytes),
    );
    let (began, mut sent, mut waiting_bytes) = (Instant::now(), 0, 0.0_f64);
    loop {
        publisher.write_all(&request)?;
        read_answers(&mut publisher, 1)?;
        sent += 1;
        // Seldom where bodies are small: each look costs a connection.
        if (sent * options.body_bytes).is_multiple_of(64 * 1024) {
            waiting_bytes = waiting_bytes.max(herald.metric("outbox_bytes")?);
            if herald.metric(OVERFLOWS)? as usize >= options.closed {
                break;
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{} of {} closed", herald.metric(OVERFLOWS)?, options.closed).into());
        }
    }
    let closed_after = began.elapsed();
    let first = read_ends(sockets.drain(..sockets.len().min(20)).collect())?;
    sleep(LATE);
    let peak_bytes = herald.peak_rss_bytes()?;
    let late = read_ends(sockets)?;
    let empty = herald.until_metric("outbox_bytes", |bytes| bytes == 0.0, Duration::from_secs(10))?;
    println!(
        "\n{} clients that never read, bodies of {} bytes: {sent} broadcasts in {closed_after:?} until all were closed",
        options.closed, options.body_bytes,
    );
    let mib = |bytes: f64| bytes / MIB as f64;
    println!(
        "most bytes seen waiting: {:.1} MiB of min({} × {} MiB, {} MiB); peak RSS {:.1} MiB, {:.1} MiB more than before; \
         RSS at the end {:.1} MiB; outboxes empty at the end: {empty}",
        mib(waiting_bytes),
        options.closed,
        OUTBOX_BYTES / MIB,
        TOTAL_BYTES / MIB,
        mib(peak_bytes as f64),
        mib(peak_bytes.saturating_sub(before_bytes) as f64),
        mib(herald.rss_bytes()? as f64),
    );
    for (who, ends) in [("first to read", first), ("5 s later", late)] {
        println!(
            "{who}: ERROR and 1013: {}, EOF between frames: {}, EOF within a frame: {}, reset: {}",
            ends.told, ends.ended, ends.cut, ends.reset
        );
    }
    Ok(())
}

fn read_ends(sockets: Vec<TcpStream>) -> Outcome<Ends> {
    let mut ends = Ends::default();
    for socket in sockets {
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut dialogue = Dialogue::new(socket);
        let mut is_error = false;
        loop {
            match dialogue.frame() {
                Ok((0x88, payload)) if is_error && payload.starts_with(&1013_u16.to_be_bytes()) => {
                    ends.told += 1;
                    break;
                }
                Ok((_, payload)) => is_error = payload.starts_with(b"ERROR\n"),
                Err(error) => {
                    match error.downcast_ref::<std::io::Error>() {
                        Some(_) => ends.reset += 1,
                        None if dialogue.is_between_frames() => ends.ended += 1,
                        None => ends.cut += 1,
                    }
                    break;
                }
            }
        }
    }
    Ok(ends)
}
