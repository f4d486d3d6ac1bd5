//! Renewals: each of thousands of sessions gets a new token within a second, again and again, while others' notifications are
//! timed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Options;
use super::herd::{Herd, Told};
use super::issuer::{Algorithm, Issuer, in_an_hour};
use crate::Outcome;
use crate::session::client_frame;
use crate::storm::Stayed;
use crate::table::Table;

/// Sessions whose notifications are timed.
const OTHERS: usize = 100;
/// How often each session is renewed in a turn, once a second.
const TIMES: usize = 3;
const ROUNDS: u64 = 3;
/// Renewals sent at once.
const AT_ONCE: usize = 25;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let issuer = Issuer::new(Algorithm::Rs256)?;
    let herald = options.start(&[
        ("HERALD_CONFIG", &issuer.config()),
        ("HERALD_LIMITS__RENEWALS_PER_SESSION", "1000/m burst 1000"),
    ])?;
    let count = options.sessions;
    let mut herd = Herd::open(&herald, &issuer.tokens(count, 0, in_an_hour()?)?)?;
    let others = Stayed::start(&herald, OTHERS)?;
    let (mut quiet, mut busy, mut ratio, mut rate, mut cpu) = (vec![], vec![], vec![], vec![], vec![]);
    let turn = Duration::from_secs(TIMES as u64);
    for round in 0..ROUNDS {
        let mut tokens = Vec::new();
        for time in 0..TIMES as u64 {
            tokens.extend(issuer.tokens(count, 1 + TIMES as u64 * round + time, in_an_hour()?)?);
        }
        others.turn()?;
        let began = Instant::now();
        while began.elapsed() < turn {
            herd.read(Duration::from_millis(50), |_| {})?;
        }
        let before = others.turn()?;
        let spent = herald.cpu_of_threads()?;
        let (mut renewed, mut wrong) = (0_usize, None);
        let mut take = |told: Told<'_>| match told {
            Told::Frame(frame) if frame.starts_with(b"RECEIPT\n") => renewed += 1,
            Told::Frame(frame) => wrong = Some(String::from_utf8_lossy(frame).into_owned()),
            Told::End => wrong = Some("a session ended".to_owned()),
        };
        let began = Instant::now();
        for (sent, token) in tokens.iter().enumerate() {
            if sent % AT_ONCE == 0 {
                let due = Duration::from_secs(1).mul_f64(sent as f64 / count as f64);
                herd.read(Duration::ZERO, &mut take)?;
                sleep(due.saturating_sub(began.elapsed()));
            }
            let frame =
                format!("SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {token}\nreceipt:r\n\n\0");
            herd.say(sent % count, &client_frame(frame.as_bytes()))?;
        }
        let took = began.elapsed();
        let during = others.turn()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && herd.open_count() > 0 {
            herd.read(Duration::from_millis(50), &mut take)?;
        }
        if let Some(wrong) = wrong {
            return Err(wrong.into());
        }
        if renewed != tokens.len() {
            return Err(format!("{renewed} of {} renewals came to an end", tokens.len()).into());
        }
        cpu.push(herald.cpu_of_threads()?.saturating_sub(spent).as_secs_f64() * 1e6 / tokens.len() as f64);
        quiet.push(before.p99_ms);
        busy.push(during.p99_ms);
        ratio.push(during.p99_ms / before.p99_ms);
        rate.push(tokens.len() as f64 / took.as_secs_f64());
    }
    others.end()?;
    table.pair(
        &format!("p99 of deliveries while {count} sessions are renewed each second"),
        "≤ 1.3 ×",
        "ms",
        &busy,
        ("quiet", &quiet),
    );
    table.row(
        "those renewals",
        "5,000 a second",
        &format!("{} a second", crate::report::spread(rate)),
        &format!("Herald's CPU {} µs each", crate::report::spread(cpu)),
    );
    Ok(())
}
