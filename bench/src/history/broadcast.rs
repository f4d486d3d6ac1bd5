//! What a broadcast's delivery costs with history and without, on the embedded bus and over NATS.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Bus, Options, Side, in_turn};
use crate::Outcome;
use crate::load::Audience;
use crate::request::{Trigger, broadcast};
use crate::run::SETTLE;
use crate::session::{DESTINATION, connect, open};
use crate::table::Table;

/// Notifications in a turn.
const TIMES: usize = 100;
/// Turns for one of the other rows: a difference of three percent wants many.
const MORE: usize = 2;

struct Measured {
    side: Side,
    audience: Audience,
    triggers: [Trigger; 1],
}

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let pairs = [
        ("embedded bus", [Bus::Embedded(false), Bus::Embedded(true)]),
        ("NATS, one server", [Bus::Core, Bus::Stream(1)]),
    ];
    for (name, pair) in pairs {
        let mut sides = Vec::new();
        for bus in pair {
            sides.push(Measured::start(options, bus)?);
        }
        let mut cpu = [Vec::new(), Vec::new()];
        for round in 0..options.rounds * MORE {
            for at in in_turn(round, 2) {
                if let (Some(side), Some(cpu)) = (sides.get_mut(at), cpu.get_mut(at)) {
                    cpu.push(side.turn(options)?);
                }
            }
        }
        let [off, on] = cpu;
        let what = format!(
            "CPU of a broadcast's delivery, {} sessions, {name}",
            options.sessions
        );
        table.pair(&what, "≤ 1.03 × history off", "µs", &on, ("off", &off));
    }
    Ok(())
}

impl Measured {
    fn start(options: &Options, bus: Bus) -> Outcome<Self> {
        let side = Side::start(options, bus, &[])?;
        let to = side.herald.address;
        let sockets = (0..options.sessions.max(1)).map(|number| Ok(open(to, number, "0,0")?.0));
        let mut audience = Audience::new(sockets.collect::<Outcome<_>>()?, connect(to, 0)?)?;
        let request = broadcast(to.port(), DESTINATION, &"x".repeat(options.body_bytes));
        let triggers = [Trigger::burst(&request, 1)];
        audience.learn(&triggers)?;
        Ok(Self {
            side,
            audience,
            triggers,
        })
    }

    /// CPU µs of a delivery.
    fn turn(&mut self, options: &Options) -> Outcome<f64> {
        sleep(SETTLE);
        self.audience.renew_trigger()?;
        let every = Duration::from_micros(15 * options.sessions as u64);
        let (mut latencies, mut due) = (Vec::new(), Instant::now());
        let before = self.side.herald.cpu_of_threads()?;
        for _ in 0..TIMES {
            sleep(due.saturating_duration_since(Instant::now()));
            self.audience.notify(&self.triggers, 1, &mut latencies)?;
            due += every;
        }
        let spent = self.side.herald.cpu_of_threads()?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / latencies.len().max(1) as f64)
    }
}
