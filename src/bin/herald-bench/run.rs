//! One run: memory first, then Herald and the floor in turns, then the table.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::load::Audience;
use crate::process::{Server, cpu_of, herald_binary};
use crate::report::{Round, print};
use crate::session::{DESTINATION, connect, open};
use crate::{Options, Outcome, memory};

/// Deliveries in a round: enough that a clock tick of `/proc` is about two percent.
pub const DELIVERIES: usize = 200_000;
/// Pause between rounds.
pub const SETTLE: Duration = Duration::from_millis(300);

/// Runs everything and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let sessions = options.sessions.max(1);
    let notifications = options.notifications.unwrap_or(DELIVERIES / sessions).max(1);
    let interval = options.interval_ms.map_or_else(
        || Duration::from_micros(20 * sessions as u64),
        Duration::from_millis,
    );
    let memory = memory::measure(options)?;

    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &[])?;
    let mut sockets = Vec::with_capacity(sessions);
    for number in 0..sessions {
        let (socket, unread) = open(herald.address, number, "0,0")?;
        if !unread.is_empty() {
            return Err("a session got more than the RECEIPT of its SUBSCRIBE".into());
        }
        sockets.push(socket);
    }
    let mut herald_audience = Audience::new(sockets, connect(herald.address, 0)?, true)?;
    let request = publish(
        herald.address.port(),
        DESTINATION,
        &"x".repeat(options.body_bytes),
    );
    let frame = herald_audience.learn(&request)?;

    let floor = Server::floor(sessions)?;
    let mut sockets = Vec::with_capacity(sessions);
    for number in 0..sessions {
        sockets.push(connect(floor.address, number)?);
    }
    let mut floor_audience = Audience::new(sockets, connect(floor.address, 0)?, false)?;
    let length = u32::try_from(frame.len())?;
    let trigger = [&length.to_be_bytes(), frame.as_slice()].concat();
    if floor_audience.learn(&trigger)? != frame {
        return Err("the floor wrote other bytes than Herald".into());
    }

    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let measure = |server: &Server, audience: &mut Audience, request: &[u8]| {
            sleep(SETTLE);
            round(server, audience, request, notifications, interval)
        };
        rounds.push((
            measure(&herald, &mut herald_audience, &request)?,
            measure(&floor, &mut floor_audience, &trigger)?,
        ));
    }
    println!(
        "\n{sessions} sessions; bodies of {} bytes, frames of {} bytes; {} rounds of {notifications} notifications, \
         one every {interval:?}",
        options.body_bytes,
        frame.len(),
        rounds.len(),
    );
    print(&rounds, &memory);
    Ok(())
}

/// A publish by REST, on a connection that stays.
pub fn publish(port: u16, destination: &str, body: &str) -> Vec<u8> {
    let body_bytes = body.len();
    format!(
        "POST /api/v1/broadcast{destination} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: text/plain\r\n\
         Content-Length: {body_bytes}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends `notifications`, each after the one before has reached everyone and not before its time.
pub fn round(
    server: &Server,
    audience: &mut Audience,
    request: &[u8],
    notifications: usize,
    interval: Duration,
) -> Outcome<Round> {
    let mut latencies = Vec::with_capacity(DELIVERIES);
    let (cpu, own) = (server.cpu()?, cpu_of("self")?);
    let mut due = Instant::now();
    for _ in 0..notifications {
        sleep(due.saturating_duration_since(Instant::now()));
        audience.notify(request, &mut latencies)?;
        due += interval;
    }
    let per_delivery = |spent: Duration| spent.as_secs_f64() * 1e6 / latencies.len().max(1) as f64;
    let (cpu_us, load_cpu_us) = (
        per_delivery(server.cpu()?.saturating_sub(cpu)),
        per_delivery(cpu_of("self")?.saturating_sub(own)),
    );
    Ok(Round::new(cpu_us, load_cpu_us, latencies))
}
