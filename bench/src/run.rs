//! Broadcasts: Herald and the floor in turns, then the table. With several notifications at once, the floor still
//! writes each of them separately, and Herald may combine what waits for one session.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::load::Audience;
use crate::process::{Server, cpu_of, herald_binary};
use crate::report::{Round, print};
use crate::request::{Trigger, broadcast};
use crate::session::{DESTINATION, connect, open};
use crate::{Options, Outcome};

/// Deliveries in a round: enough that a clock tick of `/proc` is about two percent.
pub const DELIVERIES: usize = 200_000;
/// Pause between rounds.
pub const SETTLE: Duration = Duration::from_millis(300);

/// Runs everything and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let (sessions, burst) = (options.sessions.max(1), options.burst.max(1));
    let notifications = options
        .notifications
        .unwrap_or(DELIVERIES / sessions / burst)
        .max(1);
    let interval = options.interval_ms.map_or_else(
        || Duration::from_micros((20 * sessions * burst) as u64),
        Duration::from_millis,
    );

    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &[])?;
    let mut sockets = Vec::with_capacity(sessions);
    for number in 0..sessions {
        let (socket, unread) = open(herald.address, number, "0,0")?;
        if !unread.is_empty() {
            return Err("a session got more than the RECEIPT of its SUBSCRIBE".into());
        }
        sockets.push(socket);
    }
    let mut herald_audience = Audience::new(sockets, connect(herald.address, 0)?)?;
    let request = broadcast(
        herald.address.port(),
        DESTINATION,
        &"x".repeat(options.body_bytes),
    );
    let frame = herald_audience.learn(&[Trigger::burst(&request, 1)])?;
    let (floor, mut floor_audience) = floor_of(sessions, &frame)?;

    let of_herald = [Trigger::burst(&request, burst)];
    let of_floor = [Trigger::of_floor(&frame, burst)?];
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let measure = |server: &Server, audience: &mut Audience, triggers: &[Trigger]| {
            sleep(SETTLE);
            round(server, audience, triggers, burst, notifications, interval)
        };
        rounds.push((
            measure(&herald, &mut herald_audience, &of_herald)?,
            measure(&floor, &mut floor_audience, &of_floor)?,
        ));
    }
    println!(
        "\nBroadcast to {sessions} sessions, {burst} at once; bodies of {} bytes, frames of {} bytes; {} rounds of \
         {notifications}, one every {interval:?}",
        options.body_bytes,
        frame.len(),
        rounds.len(),
    );
    print(&rounds);
    Ok(())
}

/// The floor with `sessions` connections, all of which have read one `frame`.
pub fn floor_of(sessions: usize, frame: &[u8]) -> Outcome<(Server, Audience)> {
    let floor = Server::floor(sessions)?;
    let mut sockets = Vec::with_capacity(sessions);
    for number in 0..sessions {
        sockets.push(connect(floor.address, number)?);
    }
    let mut audience = Audience::new(sockets, connect(floor.address, 0)?)?;
    if audience.learn(&[Trigger::of_floor(frame, 1)?])? != frame {
        return Err("the floor wrote other bytes than Herald".into());
    }
    Ok((floor, audience))
}

/// Pulls the triggers, which make `frames` for every reader, `times` times: each after the previous has reached
/// everyone, and not before its time.
pub fn round(
    server: &Server,
    audience: &mut Audience,
    triggers: &[Trigger],
    frames: usize,
    times: usize,
    interval: Duration,
) -> Outcome<Round> {
    let mut latencies = Vec::with_capacity(DELIVERIES);
    if triggers.iter().any(|trigger| trigger.answers > 0) {
        audience.renew_trigger()?;
    }
    let (cpu, own) = (server.cpu()?, cpu_of("self")?);
    let mut due = Instant::now();
    for _ in 0..times {
        sleep(due.saturating_duration_since(Instant::now()));
        audience.notify(triggers, frames, &mut latencies)?;
        due += interval;
    }
    let deliveries = (latencies.len() * frames).max(1) as f64;
    let per_delivery = |spent: Duration| spent.as_secs_f64() * 1e6 / deliveries;
    let (cpu_us, load_cpu_us) = (
        per_delivery(server.cpu()?.saturating_sub(cpu)),
        per_delivery(cpu_of("self")?.saturating_sub(own)),
    );
    Ok(Round::new(cpu_us, load_cpu_us, latencies))
}
