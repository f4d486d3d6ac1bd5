//! A revocation over a cluster: one session of a user on each of ten instances, and the time from the POST to one of them until
//! the last session has its Close.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Options;
use super::issuer::{API_KEY, Algorithm, Issuer, USER_PREFIX, in_an_hour};
use crate::Outcome;
use crate::load::read_answers;
use crate::people::name;
use crate::process::Server;
use crate::report::spread;
use crate::run::SETTLE;
use crate::session::{DESTINATION, Dialogue, connect, connect_frame_by};
use crate::table::Table;

const INSTANCES: usize = 10;
/// Each revokes the tokens of another user.
const ROUNDS: usize = 20;
/// The instances know each other by then.
const MEETING: Duration = Duration::from_secs(20);
/// The first byte of a Close frame, and the code of a session whose token is revoked.
const CLOSE: u8 = 0x88;
const REVOKED: u16 = 4401;

/// Measures and adds its row.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let issuer = Issuer::new(Algorithm::Rs256)?;
    let config = issuer.config();
    let nats = Server::nats()?;
    let url = format!("nats://{}", nats.address);
    let mut instances = Vec::with_capacity(INSTANCES);
    // Each writes down each revocation, which nobody wants to read here.
    for number in 0..INSTANCES {
        let name = format!("bench-{number}");
        instances.push(options.start(&[
            ("HERALD_CONFIG", &config),
            ("HERALD_BUS__URL", &url),
            ("HERALD_INSTANCE__NAME", &name),
            ("HERALD_AUDIT__FILE", "/dev/null"),
        ])?);
    }
    for herald in &instances {
        if !herald.until_metric("instances", |known| known == INSTANCES as f64, MEETING)? {
            return Err(format!("the instances did not know each other within {MEETING:?}").into());
        }
    }
    let (mut first, mut last) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let took = turn(&instances, &issuer, round)?;
        first.push(took.first.as_secs_f64() * 1e3);
        last.push(took.last.as_secs_f64() * 1e3);
    }
    table.row(
        &format!("a revocation until the last of {INSTANCES} sessions, one on each instance, is closed; {ROUNDS} rounds"),
        "≤ 250 ms",
        &format!("{} ms", spread(last)),
        &format!("the session on the instance that was asked {} ms", spread(first)),
    );
    Ok(())
}

/// Times from just before the POST is sent.
struct Took {
    /// To the Close on the instance that it is sent to.
    first: Duration,
    /// To the last Close.
    last: Duration,
}

fn turn(instances: &[Server], issuer: &Issuer, round: usize) -> Outcome<Took> {
    let asked = instances.first().ok_or("no instance")?.address;
    let token = issuer.token(round, 0, in_an_hour()?)?;
    let mut sessions = Vec::with_capacity(instances.len());
    for (number, herald) in instances.iter().enumerate() {
        let mut dialogue = Dialogue::new(connect(herald.address, number)?);
        dialogue.upgrade(herald.address)?;
        dialogue.say(&connect_frame_by(&token))?;
        dialogue.expect("CONNECTED\n")?;
        dialogue.subscribe("0", &format!("/user{DESTINATION}"))?;
        sessions.push(dialogue);
    }
    let mut operator = connect(asked, 0)?;
    sleep(SETTLE);
    let began = Instant::now();
    operator.write_all(&post(asked, round))?;
    // The last Close is the last one read, whatever the order of reading.
    let mut first = None;
    for session in &mut sessions {
        revoked(session)?;
        first.get_or_insert_with(|| began.elapsed());
    }
    let last = began.elapsed();
    read_answers(&mut operator, 1)?;
    Ok(Took {
        first: first.unwrap_or(last),
        last,
    })
}

/// Reads up to the Close, which must be that of a revoked token.
fn revoked(session: &mut Dialogue<TcpStream>) -> Outcome<()> {
    let mut error = Vec::new();
    loop {
        let (head, payload) = session.frame()?;
        if head != CLOSE {
            error = payload;
            continue;
        }
        let code = match payload.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        let is_named = memchr::memmem::find(&error, b"\nherald-reason:revoked\n").is_some();
        return match code == REVOKED && is_named {
            true => Ok(()),
            false => Err(format!("closed by {code}: {}", String::from_utf8_lossy(&error)).into()),
        };
    }
}

/// The revocation of the tokens of the `number`th user.
fn post(to: SocketAddr, number: usize) -> Vec<u8> {
    let body = format!(r#"{{"user":"{USER_PREFIX}{}"}}"#, name(number));
    format!(
        "POST /api/v1/revocations HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
