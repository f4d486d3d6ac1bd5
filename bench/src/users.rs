//! Notifications to single users: arrays of many a POST, or one a POST, from REST to the socket; over the embedded bus
//! or over NATS. Beside it the floor: one `write(2)` each, and for single POSTs a bare axum handler's POST on top.

use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Outcome;
use crate::load::{Audience, read_answers};
use crate::people::{CHEAP_KIB, People, name};
use crate::process::{Server, herald_binary};
use crate::report::{line, spread};
use crate::request::{Trigger, notifications};
use crate::run::{SETTLE, floor_of, round};
use crate::session::{connect, open_of};

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Users, each with one session.
    #[arg(long, default_value_t = 5_000)]
    users: usize,
    /// Notifications in one POST.
    #[arg(long, default_value_t = 100)]
    array: usize,
    /// Turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each user is notified in a turn.
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Over a nats-server of HERALD_TOOLS or PATH, which is started.
    #[arg(long)]
    nats: bool,
    /// Size of a notification's body.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let users = options.users.max(1);
    let array = options.array.clamp(1, users);
    let nats = match options.nats {
        true => Some(Server::nats()?),
        false => None,
    };
    let people = People::write(users, CHEAP_KIB)?;
    let file = people.file.to_string_lossy();
    let mut settings = vec![("HERALD_AUTH__USERS_FILE", &*file)];
    let url = nats.as_ref().map(|nats| format!("nats://{}", nats.address));
    settings.extend(url.as_deref().map(|url| ("HERALD_BUS__URL", url)));
    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &settings)?;
    let names: Vec<String> = (0..users).map(name).collect();
    let mut sockets = Vec::with_capacity(users);
    for (number, name) in names.iter().enumerate() {
        sockets.push(open_of(herald.address, number, name)?);
    }
    let mut audience = Audience::new(sockets, connect(herald.address, 0)?)?;
    let port = herald.address.port();
    let triggers: Vec<Trigger> = names
        .chunks(array)
        .map(|names| Trigger::burst(&notifications(port, names, options.body_bytes), 1))
        .collect();
    let frame = audience.learn(&triggers)?;
    let (floor, mut floor_audience) = floor_of(users, &frame)?;
    let of_floor = [Trigger::of_floor(&frame, 1)?];
    let bare = match array {
        1 => Some((Server::bare()?, &names)),
        _ => None,
    };

    let mut lines = [(); 5].map(|()| Vec::new());
    for _ in 0..options.rounds.max(1) {
        sleep(SETTLE);
        let nats_before = nats.as_ref().map(Server::cpu).transpose()?;
        let of_herald = round(
            &herald,
            &mut audience,
            &triggers,
            1,
            options.times,
            Duration::ZERO,
        )?;
        let nats_after = nats.as_ref().map(Server::cpu).transpose()?;
        sleep(SETTLE);
        let mut floor_us = round(
            &floor,
            &mut floor_audience,
            &of_floor,
            1,
            options.times,
            Duration::ZERO,
        )?
        .cpu_us;
        lines[2].push(floor_us);
        if let Some((bare, names)) = &bare {
            let bare_us = posts(bare, names, options)?;
            lines[3].push(bare_us);
            floor_us += bare_us;
        }
        if let (Some(before), Some(after)) = (nats_before, nats_after) {
            let deliveries = (users * options.times).max(1) as f64;
            lines[4].push(after.saturating_sub(before).as_secs_f64() * 1e6 / deliveries);
        }
        lines[0].push(of_herald.cpu_us);
        lines[1].push(of_herald.cpu_us / floor_us);
    }
    println!(
        "\nTo {users} users with one session each, {array} a POST, {}; bodies of {} bytes; {} rounds of {} deliveries",
        if nats.is_some() {
            "over NATS"
        } else {
            "embedded bus"
        },
        options.body_bytes,
        lines[0].len(),
        users * options.times,
    );
    let [herald_us, ratio, floor_us, bare_us, nats_us] = lines;
    line("Herald's CPU µs per delivery", herald_us);
    line("one write(2), µs", floor_us);
    if !bare_us.is_empty() {
        line("one POST to bare axum, µs", bare_us);
    }
    if !nats_us.is_empty() {
        line("nats-server's own, µs", nats_us);
    }
    println!("{:<34}{:>24}", "Herald / floor", spread(ratio));
    Ok(())
}

/// What one POST costs the bare handler.
fn posts(bare: &Server, names: &[String], options: &Options) -> Outcome<f64> {
    sleep(SETTLE);
    let mut publisher: TcpStream = connect(bare.address, 0)?;
    let before = bare.cpu()?;
    let began = Instant::now();
    for _ in 0..options.times {
        for name in names {
            let request = notifications(
                bare.address.port(),
                std::slice::from_ref(name),
                options.body_bytes,
            );
            std::io::Write::write_all(&mut publisher, &request)?;
            read_answers(&mut publisher, 1)?;
        }
        if began.elapsed() > Duration::from_secs(60) {
            return Err("the bare handler is too slow to be measured".into());
        }
    }
    let spent = bare.cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / (names.len() * options.times).max(1) as f64)
}
