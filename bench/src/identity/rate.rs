//! The cost of a token, over REST: the CPU time of a POST with a new or a remembered token, minus that of the same POST
//! with an API key. It includes everything that a token needs: its digest, the queue of logins, JSON, claims, the
//! signature.

use std::io::Write;
use std::net::SocketAddr;
use std::thread::{scope, sleep};
use std::time::Instant;

use super::Options;
use super::issuer::{API_KEY, Algorithm, Issuer, in_an_hour};
use crate::Outcome;
use crate::load::read_answers;
use crate::process::Server;
use crate::report::spread;
use crate::run::SETTLE;
use crate::session::connect;
use crate::table::Table;

/// Connections that ask one after the other, each.
const CONNECTIONS: usize = 8;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    for (algorithm, goal) in [
        (Algorithm::Rs256, 25_000),
        (Algorithm::EdDsa, 15_000),
        (Algorithm::Es256, 14_000),
        (Algorithm::Hs256, 100_000),
    ] {
        let issuer = Issuer::new(algorithm)?;
        let herald = options.start_guarded(&[
            ("HERALD_CONFIG", &issuer.config()),
            ("HERALD_AUTH__TOKEN__CACHE_ENTRIES", "100000"),
        ])?;
        let ends = in_an_hour()?;
        let key = vec![API_KEY.to_owned(); CONNECTIONS];
        let old = issuer.tokens(CONNECTIONS, 0, ends)?;
        ask(&herald, &old, options.requests)?;
        let (mut proven, mut recalled, mut base, mut wall) = (vec![], vec![], vec![], vec![]);
        for round in 0..options.rounds.max(1) {
            let new = issuer.tokens(options.requests, 1 + round as u64, ends)?;
            sleep(SETTLE);
            base.push(ask(&herald, &key, options.requests)?.0);
            recalled.push(ask(&herald, &old, options.requests)?.0);
            let (cpu_us, seconds) = ask(&herald, &new, options.requests)?;
            proven.push(cpu_us);
            wall.push(options.requests as f64 / seconds);
        }
        let more = |figures: &[f64]| -> Vec<f64> {
            figures.iter().zip(&base).map(|(own, base)| own - base).collect()
        };
        let mut costs = more(&proven);
        costs.sort_by(f64::total_cmp);
        let middle = costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN);
        table.row(
            &format!("{}: proving a token, whole way", algorithm.name()),
            &format!("≥ {goal} a second and core"),
            &format!("{:.0} a second and core: {} µs each", 1e6 / middle, spread(costs)),
            &format!(
                "the POST itself {} µs; {} POSTs a second with new tokens",
                spread(base.clone()),
                spread(wall)
            ),
        );
        table.row(
            &format!("{}: a token that is remembered", algorithm.name()),
            "≥ 250,000 a second and core: 4 µs",
            &format!("{} µs each", spread(more(&recalled))),
            "",
        );
    }
    Ok(())
}

/// Sends `count` POSTs with `credentials` in turn. Herald's CPU of each, in µs, and how long it took, in seconds.
fn ask(herald: &Server, credentials: &[String], count: usize) -> Outcome<(f64, f64)> {
    let (cpu, began) = (herald.cpu_of_threads()?, Instant::now());
    let address = herald.address;
    scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|at| {
                let own = credentials.iter().skip(at).step_by(CONNECTIONS).cycle();
                let own = own.take(count / CONNECTIONS);
                scope.spawn(move || one(address, at, own).map_err(|error| error.to_string()))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a client panicked")??;
        }
        Outcome::Ok(())
    })?;
    let spent = herald.cpu_of_threads()?.saturating_sub(cpu);
    Ok((
        spent.as_secs_f64() * 1e6 / count as f64,
        began.elapsed().as_secs_f64(),
    ))
}

fn one<'c>(to: SocketAddr, number: usize, credentials: impl Iterator<Item = &'c String>) -> Outcome<()> {
    let mut connection = connect(to, number)?;
    for credential in credentials {
        connection.write_all(&post(to, NOBODY, credential))?;
        read_answers(&mut connection, 1)?;
    }
    Ok(())
}

/// Where nobody listens.
pub const NOBODY: &str = "/topic/nobody";

/// A broadcast by the bearer of `credential`.
pub fn post(to: SocketAddr, destination: &str, credential: &str) -> Vec<u8> {
    format!(
        "POST /api/v1/broadcast{destination} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {credential}\r\n\
         Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
    )
    .into_bytes()
}
