//! What an idle session over TLS takes, beside a plain one, and one by token, beside one by password: resident memory. Each has
//! two subscriptions, as in `idle`.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::Options;
use super::certificate::Certificate;
use super::issuer::{Algorithm, Issuer, in_an_hour};
use crate::Outcome;
use crate::people::{CHEAP_KIB, People, name};
use crate::process::Server;
use crate::report::spread;
use crate::session::{DESTINATION, connect_frame_by, open_both, open_by, open_with};
use crate::table::Table;

/// Long enough for the last buffers of the logins to be freed.
const SETTLE: Duration = Duration::from_secs(2);
/// Sessions before memory is read first: code and buffers that all share are there.
const FIRST: usize = 100;
/// Turns of token and password, each with a Herald of its own: their difference is small.
const ROUNDS: usize = 3;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let certificate = Certificate::new()?;
    let user_destination = format!("/user{DESTINATION}");
    let destinations = [DESTINATION, &*user_destination];
    let plain = options.start(&[])?;
    let of_plain = share(options, &plain, |number| {
        open_with(plain.address, number, "0,0", &destinations)
    })?;
    drop(plain);
    let tls = options.start(&certificate.settings())?;
    let of_tls = share(options, &tls, |number| {
        certificate.open(&tls, number, &destinations)
    })?;
    drop(tls);
    table.row(
        &format!("an idle session over TLS 1.3, {} of them", options.sessions),
        "≤ 11 KiB",
        &format!("{of_tls:.2} KiB"),
        &format!("plain {of_plain:.2} KiB"),
    );
    by_token(options, table, &destinations)
}

/// Sessions of distinct users, by token and by password: a session's own memory, its user's, and what is remembered of its
/// credential.
fn by_token(options: &Options, table: &mut Table, destinations: &[&str]) -> Outcome<()> {
    let count = FIRST + options.sessions.max(1);
    let people = People::write(count, CHEAP_KIB)?;
    let file = people.file.to_string_lossy();
    let issuer = Issuer::new(Algorithm::EdDsa)?;
    let tokens = issuer.tokens(count, 0, in_an_hour()?)?;
    let (mut of_password, mut of_token) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let herald = options.start(&[("HERALD_AUTH__USERS_FILE", &file)])?;
        of_password.push(share(options, &herald, |number| {
            open_both(herald.address, number, &name(number))
        })?);
        drop(herald);
        let herald = options.start(&[("HERALD_CONFIG", &issuer.config())])?;
        of_token.push(share(options, &herald, |number| {
            let token = tokens.get(number).ok_or("no such token")?;
            open_by(herald.address, number, &connect_frame_by(token), destinations)
        })?);
    }
    let more = of_token.iter().zip(&of_password);
    let more = more.map(|(own, other)| (own - other) * 1024.0).collect();
    table.row(
        &format!(
            "an idle session by token, {} of them, distinct users: more than one by password",
            options.sessions
        ),
        "≤ 416 B",
        &format!("{} B", spread(more)),
        &format!(
            "by token {} KiB, by password {} KiB",
            spread(of_token),
            spread(of_password)
        ),
    );
    Ok(())
}

/// The memory of each further session, in KiB. No number is opened twice.
fn share(options: &Options, herald: &Server, open: impl Fn(usize) -> Outcome<TcpStream>) -> Outcome<f64> {
    let mut sockets = Vec::new();
    let mut sizes = Vec::new();
    for count in [FIRST, FIRST + options.sessions.max(1)] {
        for number in sockets.len()..count {
            sockets.push(open(number)?);
        }
        sleep(SETTLE);
        sizes.push(herald.rss_bytes()? as f64);
    }
    let [first, last] = sizes.as_slice() else {
        return Err("two sizes were to be read".into());
    };
    Ok((last - first) / options.sessions.max(1) as f64 / 1024.0)
}
