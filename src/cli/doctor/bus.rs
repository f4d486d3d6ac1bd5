//! The bus: each server of `bus.url`, as an instance would meet it.

use super::{Line, Status, certificates, history};
use crate::bus::CONTROL_MAX_BYTES;
use crate::bus::nats::{Keep, Probed, probe};
use crate::config::Config;

/// What a message needs in addition to its body.
const HEADER_RESERVE_BYTES: usize = 16 << 10;
/// The release that the permissions and headers used by Herald need.
const LEAST: (u32, u32) = (2, 10);
/// The release that history needs.
const LEAST_OF_HISTORY: (u32, u32) = (2, 11);

/// The lines about the bus, and how far the first server's clock is ahead.
pub(super) async fn look(config: &Config) -> (Vec<Line>, Option<i64>) {
    if config.bus.url.is_none() {
        let detail = "embedded: this instance alone, and no backends on NATS (bus.url is not set)";
        return (vec![Line::ok("bus", detail)], None);
    }
    let keep = Keep::of(&config.history, &config.destinations, config.limits.outbox_bytes);
    let found = match probe(&config.bus, keep.as_ref()).await {
        Ok(found) => found,
        Err(error) => return (vec![Line::fail("bus", error.to_string(), "mend [bus]")], None),
    };
    let clock_ms = found
        .iter()
        .find_map(|(_, outcome)| outcome.as_ref().ok()?.clock_ms);
    let mut lines = Vec::new();
    for (address, outcome) in &found {
        match outcome {
            Ok(server) => lines.extend(judge(address, server, config)),
            Err(words) => lines.push(Line::warn(
                "bus",
                format!("{address} cannot be used: {words}"),
                "is it up, does a firewall stand in between, are credentials and bus.ca_file right?",
            )),
        }
    }
    if found.iter().all(|(_, outcome)| outcome.is_err()) {
        for line in &mut lines {
            line.status = Status::Fail;
        }
    }
    (lines, clock_ms)
}

fn judge(address: &str, server: &Probed, config: &Config) -> Vec<Line> {
    let body_bytes = config.limits.body_bytes.0;
    let replies = format!(
        "permit this user to publish and subscribe {}.reply.>: docs/nats.md, Permissions",
        config.bus.prefix
    );
    let (name, version) = (&server.name, &server.version);
    let is_history = config.history.is_enabled(true);
    let mut lines = Vec::new();
    lines.push(match server.round_trip {
        Some(took) => {
            // A server without a name is named by its key.
            let name = if name.len() > 40 {
                "a server without a name"
            } else {
                name
            };
            let ms = took.as_secs_f64() * 1_000.0;
            let detail = format!("{address} is {name}, nats-server {version}, {ms:.1} ms there and back");
            let release = release(version);
            match release >= Some(LEAST) {
                _ if is_history && release < Some(LEAST_OF_HISTORY) => Line::fail(
                    "bus",
                    format!("{detail}; history needs 2.11"),
                    "take nats-server 2.11 or newer, or set history.enabled = false",
                ),
                true => Line::ok("bus", detail),
                false => Line::warn(
                    "bus",
                    detail,
                    format!("take nats-server {}.{} or newer", LEAST.0, LEAST.1),
                ),
            }
        }
        None => Line::fail(
            "bus",
            format!(
                "{address} ({name}, nats-server {version}) lets nothing through to this user's own inbox"
            ),
            &replies,
        ),
    });
    if server.common_inbox {
        lines.push(Line::warn(
            "rights",
            "replies come by _INBOX, where other clients of NATS may read them",
            &replies,
        ));
    }
    lines.push(match server.refused.is_empty() {
        true => Line::ok("rights", "this user may subscribe to what an instance needs"),
        false => Line::fail(
            "rights",
            server.refused.join("; "),
            "grant it, or an instance never gets ready: docs/nats.md, Permissions",
        ),
    });
    if server.open {
        lines.push(Line::warn(
            "credentials",
            format!("{address} asks for none: whoever reaches it can forge notifications and end sessions"),
            "give it users and permissions: docs/nats.md, Permissions",
        ));
    }
    if let Some(der) = &server.certificate {
        lines.push(certificates::shown(address, der));
    }
    let room = server.max_payload.saturating_sub(HEADER_RESERVE_BYTES);
    lines.push(match room >= body_bytes {
        true if room < CONTROL_MAX_BYTES => Line::warn(
            "payload",
            format!(
                "max_payload is {} bytes: answers of instances to each other may be lost",
                server.max_payload
            ),
            "raise max_payload in the server's configuration to 1MB or more",
        ),
        true => Line::ok("payload", format!("max_payload is {} bytes", server.max_payload)),
        false => Line::warn(
            "payload",
            format!(
                "max_payload is {} bytes, which leaves {room} for a body; limits.body_bytes is {body_bytes}",
                server.max_payload
            ),
            "raise max_payload in the server's configuration, or lower limits.body_bytes",
        ),
    });
    match &server.history {
        Some(history) => lines.extend(history::judge(history, config)),
        // Another server has said it.
        None if is_history => {}
        None => lines.push(unneeded(server.jetstream)),
    }
    lines
}

/// JetStream without history.
fn unneeded(jetstream: Option<bool>) -> Line {
    match jetstream {
        Some(true) => Line::ok("JetStream", "on; Herald does not need it"),
        Some(false) => Line::ok("JetStream", "off; Herald does not need it"),
        None => Line::unseen(
            "JetStream",
            "not seen: this user may not ask; Herald does not need it",
        ),
    }
}

/// `2.12.8` → (2, 12).
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_is_judged_by_what_an_instance_needs() {
        #[track_caller]
        fn check(server: Probed, expected: [Status; 4]) {
            let lines = judge("127.0.0.1:4222", &server, &Config::default());
            let found: Vec<_> = lines.iter().map(|line| line.status).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
        let good = Probed {
            name: "n1".into(),
            version: "2.12.8".into(),
            max_payload: 1 << 20,
            refused: Vec::new(),
            common_inbox: false,
            open: false,
            jetstream: None,
            round_trip: Some(Duration::from_millis(1)),
            certificate: None,
            clock_ms: None,
            history: None,
        };
        use Status::{Fail, Ok, Unseen, Warn};
        check(good.clone(), [Ok, Ok, Ok, Unseen]);
        let old = "2.9.1".into();
        check(
            Probed {
                version: old,
                ..good.clone()
            },
            [Warn, Ok, Ok, Unseen],
        );
        let small = 64 << 10;
        check(
            Probed {
                max_payload: small,
                ..good.clone()
            },
            [Ok, Ok, Warn, Unseen],
        );
        check(
            Probed {
                refused: vec!["herald.user.>".into()],
                ..good.clone()
            },
            [Ok, Fail, Ok, Unseen],
        );
        check(
            Probed {
                round_trip: None,
                ..good
            },
            [Fail, Ok, Ok, Unseen],
        );
        assert_eq!(release("2.12.8-beta"), Some((2, 12)));
        assert_eq!(release("x"), None);
    }
}
