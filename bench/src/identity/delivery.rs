//! A broadcast over TLS, in turns with the same over plain connections. For TLS, the heads of the records are counted:
//! each delivery is one record.

use std::thread::sleep;
use std::time::Duration;

use super::Options;
use super::certificate::Certificate;
use crate::Outcome;
use crate::load::{Audience, Counted};
use crate::process::Server;
use crate::report::Round;
use crate::request::{Trigger, broadcast};
use crate::run::{DELIVERIES, SETTLE, round};
use crate::session::{DESTINATION, connect, open};
use crate::table::Table;

/// Sessions on each of the two servers.
const SESSIONS: usize = 1_000;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let certificate = Certificate::new()?;
    for body_bytes in [128, 1_024] {
        let plain = options.start(&[])?;
        let tls = options.start(&certificate.settings())?;
        let mut sockets = [Vec::new(), Vec::new()];
        for number in 0..SESSIONS {
            sockets[0].push(open(plain.address, number, "0,0")?.0);
            sockets[1].push(certificate.open_one(&tls, number)?);
        }
        let [of_plain, of_tls] = sockets;
        let trigger = Trigger::burst(
            &broadcast(plain.address.port(), DESTINATION, &"x".repeat(body_bytes)),
            1,
        );
        let mut plain_audience = Audience::new(of_plain, connect(plain.address, 0)?)?;
        let mut tls_audience = Audience::counting(of_tls, certificate.publisher(&tls)?, Counted::Records)?;
        plain_audience.learn(std::slice::from_ref(&trigger))?;
        tls_audience.learn(std::slice::from_ref(&trigger))?;
        let mut rounds: [Vec<Round>; 2] = Default::default();
        let times = DELIVERIES / SESSIONS;
        for _ in 0..options.rounds.max(1) {
            let measure = |server: &Server, audience: &mut Audience| {
                sleep(SETTLE);
                let every = Duration::from_micros(20 * SESSIONS as u64);
                round(server, audience, std::slice::from_ref(&trigger), 1, times, every)
            };
            rounds[0].push(measure(&plain, &mut plain_audience)?);
            rounds[1].push(measure(&tls, &mut tls_audience)?);
        }
        let [of_plain, of_tls] = &rounds;
        let figures = |of: &[Round], figure: fn(&Round) -> f64| of.iter().map(figure).collect::<Vec<_>>();
        for (name, unit, goal, figure) in [
            (
                "CPU of a delivery over TLS",
                "µs",
                "≤ 1.25 × plain",
                (|round| round.cpu_us) as fn(&Round) -> f64,
            ),
            ("its p99", "ms", "", |round| round.latency.p99_ms),
        ] {
            table.pair(
                &format!("{name}, {SESSIONS} sessions, body of {body_bytes} bytes"),
                goal,
                unit,
                &figures(of_tls, figure),
                ("plain", &figures(of_plain, figure)),
            );
        }
    }
    Ok(())
}
