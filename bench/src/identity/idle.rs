//! What an idle session over TLS takes, beside a plain one: resident memory. Each has two subscriptions, as in `idle`.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::Options;
use super::certificate::Certificate;
use crate::Outcome;
use crate::process::Server;
use crate::session::{DESTINATION, open_with};
use crate::table::Table;

/// Long enough for the last buffers of the logins to be freed.
const SETTLE: Duration = Duration::from_secs(2);
/// Sessions before memory is read first: code and buffers that all share are there.
const FIRST: usize = 100;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let certificate = Certificate::new()?;
    let user_destination = format!("/user{DESTINATION}");
    let destinations = [DESTINATION, &*user_destination];
    let plain = options.start(&[])?;
    let of_plain = share(options, &plain, |number| {
        open_with(plain.address, number, "0,0", &destinations)
    })?;
    let tls = options.start(&certificate.settings())?;
    let of_tls = share(options, &tls, |number| {
        certificate.open(&tls, number, &destinations)
    })?;
    table.row(
        &format!("an idle session over TLS 1.3, {} of them", options.sessions),
        "≤ 11 KiB",
        &format!("{of_tls:.2} KiB"),
        &format!("plain {of_plain:.2} KiB"),
    );
    Ok(())
}

/// The memory of each further session, in KiB.
fn share(options: &Options, herald: &Server, open: impl Fn(usize) -> Outcome<TcpStream>) -> Outcome<f64> {
    let mut sockets = Vec::new();
    let mut sizes = Vec::new();
    for count in [FIRST, options.sessions.max(1)] {
        for number in 0..count {
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
