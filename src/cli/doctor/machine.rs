//! What the machine provides: ports, descriptors, a clock, time zones.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Line;
use crate::config::Config;
use crate::http::listener::descriptors::OpenFiles;

/// A clock that is further off makes timestamps and expiries wrong.
const CLOCK_OFF_MS: i64 = 500;

/// The lines about the machine, except the clock.
pub(super) fn look(config: &Config) -> Vec<Line> {
    let mut lines = vec![port("http.listen", config.http.listen)];
    if let Some(address) = config.http.admin_listen {
        lines.push(port("http.admin_listen", address));
    }
    let separate_admin = config.http.admin_listen.is_some();
    lines.push(descriptors(
        OpenFiles::now(),
        config.http.max_connections,
        separate_admin,
    ));
    lines.push(Line::ok("time zone", config.application.time_zone.to_string()));
    lines
}

fn port(key: &'static str, address: SocketAddr) -> Line {
    match TcpListener::bind(address) {
        Ok(_) => Line::ok("port", format!("{address} is free ({key})")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Line::fail(
            "port",
            format!("{address} is in use ({key})"),
            format!(
                "end what listens there (ss -ltnp), or set {key}; it may be a Herald that is already running"
            ),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Line::fail(
            "port",
            format!("{address} is not for this user ({key})"),
            "take a port from 1024 on, or give the program CAP_NET_BIND_SERVICE",
        ),
        Err(error) => Line::fail(
            "port",
            format!("{address} cannot be listened on ({key}): {error}"),
            format!("set {key} to an address of this machine"),
        ),
    }
}

/// `herald serve` raises its limit as far as it may, so the hard limit counts.
fn descriptors(files: OpenFiles, wanted: usize, separate_admin: bool) -> Line {
    const NAME: &str = "open files";
    let raised = OpenFiles {
        soft: files.hard,
        ..files
    };
    let Some(limit) = files.hard else {
        return Line::ok(NAME, "no limit");
    };
    let places = raised.shares(wanted, separate_admin).main;
    if places >= wanted {
        return Line::ok(NAME, format!("{limit}, enough for {wanted} connections"));
    }
    // What is kept for other things is at most this much.
    let enough = wanted.saturating_add(512);
    Line::warn(
        NAME,
        format!(
            "{limit}, which leaves room for {places} connections, while http.max_connections is {wanted}"
        ),
        format!(
            "raise the hard limit: ulimit -Hn {enough} (LimitNOFILE={enough} in a systemd unit), or lower \
             http.max_connections"
        ),
    )
}

/// The line about the clock, from how far somebody else's is ahead.
pub(super) fn clock(ahead_ms: Option<i64>) -> Line {
    match ahead_ms {
        None => Line::unseen(
            "clock",
            "not seen: neither NATS nor a collector says what time it is there",
        ),
        Some(ms) if ms.abs() <= CLOCK_OFF_MS => Line::ok("clock", format!("{ms} ms off the others'")),
        Some(ms) => Line::warn(
            "clock",
            format!("{ms} ms off the others'"),
            "run an NTP client here and there: timestamps and expiries are Unix time",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_port_in_use_fails_and_a_free_one_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let line = port("http.listen", address);
        assert_eq!(line.status, Status::Fail);
        assert!(line.detail.contains(&address.to_string()) && line.advice.unwrap().contains("http.listen"));
        drop(taken);
        assert_eq!(port("http.listen", address).status, Status::Ok);
        assert_eq!(
            port("http.listen", "192.0.2.1:80".parse().unwrap()).status,
            Status::Fail
        );
    }

    #[test]
    fn descriptors_and_clock_warn() {
        let files = |hard| OpenFiles { soft: Some(64), hard };
        assert_eq!(descriptors(files(None), usize::MAX, true).status, Status::Ok);
        assert_eq!(descriptors(files(Some(1_024)), 768, false).status, Status::Ok);
        let line = descriptors(files(Some(1_024)), 769, false);
        assert_eq!(line.status, Status::Warn);
        assert!(line.detail.contains("768 connections"), "{}", line.detail);
        assert_eq!(descriptors(files(Some(1_024)), 768, true).status, Status::Warn);
        assert_eq!(clock(Some(-501)).status, Status::Warn);
        assert_eq!(clock(Some(500)).status, Status::Ok);
        assert_eq!(clock(None).status, Status::Unseen);
    }
}
