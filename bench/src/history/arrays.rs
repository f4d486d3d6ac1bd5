//! Arrays of 100 notifications to users, as fast as they are accepted, by several publishers: to users who are offline,
//! and to users with one session each, until all have received everything.

use std::io::Write;
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::Instant;

use super::{Bus, Options, Side, in_turn};
use crate::Outcome;
use crate::load::{Audience, read_answers};
use crate::people::{CHEAP_KIB, People, name};
use crate::request::{Trigger, notifications};
use crate::run::SETTLE;
use crate::session::{connect, open_of};
use crate::table::Table;

/// Notifications in an array.
const ARRAY: usize = 100;
/// Publishers.
const PUBLISHERS: usize = 4;
/// How often each publisher notifies each user in a turn.
const TIMES: usize = 8;

struct Measured {
    side: Side,
    audience: Audience,
    /// Requests to those who are there, and to those who are not.
    requests: [Vec<Vec<u8>>; 2],
    users: usize,
}

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let people = People::write(options.sessions, CHEAP_KIB)?;
    let mut sides = Vec::new();
    for bus in [Bus::Core, Bus::Stream(1)] {
        sides.push(Measured::start(options, bus, &people)?);
    }
    let mut figures = [(); 2].map(|()| [(); 6].map(|()| Vec::new()));
    for round in 0..options.rounds {
        for at in in_turn(round, sides.len()) {
            if let (Some(side), Some(lines)) = (sides.get_mut(at), figures.get_mut(at)) {
                let [nobody, sessions] = [side.turn(true)?, side.turn(false)?];
                let turn = nobody.into_iter().chain(sessions);
                for (line, figure) in lines.iter_mut().zip(turn) {
                    line.push(figure);
                }
            }
        }
    }
    let [core, kept] = &figures;
    let names = [
        ("notifications a second", "a second", "≥ 40,000"),
        ("Herald's CPU of one", "µs", ""),
        ("nats-server's CPU of one", "µs", ""),
    ];
    for (at, (figures, beside)) in kept.iter().zip(core).enumerate() {
        let whom = ["to users who are not there", "to users with a session"];
        let (Some((what, unit, goal)), Some(whom)) = (names.get(at % 3), whom.get(at / 3)) else {
            continue;
        };
        let what = format!("arrays of {ARRAY} {whom}, {PUBLISHERS} publishers, R1: {what}");
        table.pair(&what, goal, unit, figures, ("core", beside));
    }
    Ok(())
}

impl Measured {
    fn start(options: &Options, bus: Bus, people: &People) -> Outcome<Self> {
        let file = people.file.to_string_lossy();
        let side = Side::start(options, bus, &[("HERALD_AUTH__USERS_FILE", &file)])?;
        let to = side.herald.address;
        let names: Vec<String> = (0..options.sessions).map(name).collect();
        let sockets = names.iter().enumerate();
        let sockets = sockets.map(|(number, name)| open_of(to, number, name));
        let mut audience = Audience::new(sockets.collect::<Outcome<_>>()?, connect(to, 0)?)?;
        let absent: Vec<String> = names.iter().map(|name| format!("not-{name}")).collect();
        let requests = [&names, &absent].map(|names| {
            let arrays = names.chunks(ARRAY);
            arrays
                .map(|names| notifications(to.port(), names, options.body_bytes))
                .collect()
        });
        let [first, _]: &[Vec<Vec<u8>>; 2] = &requests;
        let triggers: Vec<Trigger> = first.iter().map(|bytes| Trigger::burst(bytes, 1)).collect();
        audience.learn(&triggers)?;
        Ok(Self {
            side,
            audience,
            requests,
            users: names.len(),
        })
    }

    /// Notifications a second, and CPU µs of one: Herald's, and of nats-server.
    fn turn(&mut self, to_nobody: bool) -> Outcome<[f64; 3]> {
        sleep(SETTLE);
        let [present, absent] = &self.requests;
        let requests = if to_nobody { absent } else { present };
        let to = self.side.herald.address;
        let nats = self.side.nats.as_ref().ok_or("no NATS")?;
        let (cpu, of_nats) = (self.side.herald.cpu_of_threads()?, nats.cpu()?);
        let began = Instant::now();
        let audience = &mut self.audience;
        thread::scope(|scope| -> Outcome<()> {
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|number| {
                    scope.spawn(move || publish(to, number, requests).map_err(|error| error.to_string()))
                })
                .collect();
            if !to_nobody {
                let nothing = Trigger {
                    bytes: Vec::new(),
                    answers: 0,
                };
                audience.notify(&[nothing], PUBLISHERS * TIMES, &mut Vec::new())?;
            }
            for publisher in publishers {
                publisher.join().map_err(|_| "a publisher panicked")??;
            }
            Ok(())
        })?;
        let took = began.elapsed();
        let count = (self.users * PUBLISHERS * TIMES) as f64;
        let spent = self.side.herald.cpu_of_threads()?.saturating_sub(cpu);
        Ok([
            count / took.as_secs_f64(),
            spent.as_secs_f64() * 1e6 / count,
            nats.cpu()?.saturating_sub(of_nats).as_secs_f64() * 1e6 / count,
        ])
    }
}

fn publish(to: SocketAddr, number: usize, requests: &[Vec<u8>]) -> Outcome<()> {
    let mut stream = connect(to, number)?;
    for _ in 0..TIMES {
        for request in requests {
            stream.write_all(request)?;
            read_answers(&mut stream, 1)?;
        }
    }
    Ok(())
}
