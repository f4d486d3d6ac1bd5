//! Compares time-outs with the usual ones around an instance: balancers in front, process managers, firewalls on the
//! way to NATS. Their real values cannot be seen from here, so nothing fails.

use std::path::Path;
use std::time::Duration;

use super::Line;
use crate::config::Config;
use crate::setting::HumanDuration;

/// How long nginx (`keepalive_timeout` of an upstream, `proxy_read_timeout`) and AWS's ALB keep a connection on which
/// nothing passes.
const BALANCER: Duration = Duration::from_secs(60);
/// A head that takes longer is no slow phone, and one that has less time may be.
const HEAD: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=BALANCER;
/// How many pings NATS may leave unanswered before the client gives up.
const PINGS: u32 = 3;
/// The longest that an instance should deliver nothing before it knows.
const DEAF: Duration = Duration::from_secs(60);
/// The same for coming back when NATS is back.
const BACK: Duration = Duration::from_secs(10);

/// Who ends the process, and how long that waits between SIGTERM and SIGKILL unless it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ender {
    Kubernetes,
    Container,
    Unknown,
}

impl Ender {
    fn here() -> Self {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Self::Kubernetes
        } else if ["/.dockerenv", "/run/.containerenv"]
            .iter()
            .any(|file| Path::new(file).exists())
        {
            Self::Container
        } else {
            Self::Unknown
        }
    }

    fn grace(self) -> HumanDuration {
        match self {
            Self::Container => HumanDuration::secs(10),
            Self::Kubernetes | Self::Unknown => HumanDuration::secs(30),
        }
    }
}

/// The lines about time-outs.
pub(super) fn look(config: &Config) -> Vec<Line> {
    let mut lines = vec![idle(config), head(config), heartbeats(config)];
    lines.push(drain(config, Ender::here()));
    if config.bus.url.is_some() {
        lines.push(bus(config));
    }
    lines
}

/// A balancer that keeps connections must be the one to close them, or a request crosses the close.
fn idle(config: &Config) -> Line {
    const NAME: &str = "idle";
    let idle = config.http.idle_timeout;
    let detail = format!("an HTTP connection may rest for {idle} (http.idle_timeout)");
    if idle.0 > BALANCER {
        return Line::ok(NAME, detail);
    }
    Line::warn(
        NAME,
        format!("{detail}, and balancers keep theirs for 60s: some requests are answered by 502"),
        "set http.idle_timeout above the balancer's own (nginx and ALB 60s, Google's 10m), or the balancer's below it",
    )
}

fn head(config: &Config) -> Line {
    const NAME: &str = "request head";
    let head = config.http.header_timeout;
    let detail = format!("it has {head} to arrive (http.header_timeout)");
    if HEAD.contains(&head.0) {
        return Line::ok(NAME, detail);
    }
    let (why, what) = match head.0 > BALANCER {
        true => (
            "a stranger who says nothing holds a connection for so long",
            "at most 60s",
        ),
        false => ("phones on a slow network need longer", "at least 2s"),
    };
    Line::warn(
        NAME,
        format!("{detail}: {why}"),
        format!("set http.header_timeout to {what}"),
    )
}

/// What keeps a WebSocket open in front of Herald, and what tells that its client is gone.
fn heartbeats(config: &Config) -> Line {
    const NAME: &str = "heart-beats";
    let (send, receive) = (config.heartbeat.send, config.heartbeat.receive);
    let sent = match send.0.is_zero() {
        true => "none sent".to_owned(),
        false => format!("one every {send}"),
    };
    let wanted = match receive.0.is_zero() {
        true => "none wanted".to_owned(),
        false => format!("one wanted every {receive}"),
    };
    let detail = format!("{sent} (heartbeat.send), {wanted} (heartbeat.receive)");
    if send.0.is_zero() || send.0 >= BALANCER {
        return Line::warn(
            NAME,
            format!("{detail}: proxies close a WebSocket on which nothing comes for 60s"),
            "set heartbeat.send to half of the proxy's read time-out (proxy_read_timeout, ALB's idle time-out) or less",
        );
    }
    if receive.0.is_zero() {
        return Line::warn(
            NAME,
            format!("{detail}: a client that is gone without a word stays online until TCP gives up"),
            "set heartbeat.receive, 10s for instance",
        );
    }
    Line::ok(NAME, detail)
}

fn drain(config: &Config, ender: Ender) -> Line {
    const NAME: &str = "drain";
    let (timeout, grace) = (config.drain.timeout, ender.grace());
    let detail = format!("at most {timeout} from SIGTERM to the end (drain.timeout)");
    if timeout < grace {
        return Line::ok(NAME, detail);
    }
    let (who, how) = match ender {
        Ender::Container => (
            "docker stop kills after",
            "give it longer: docker stop -t, stop_grace_period of Compose",
        ),
        Ender::Kubernetes | Ender::Unknown => (
            "Kubernetes kills after",
            "make terminationGracePeriodSeconds longer than drain.timeout and the preStop pause together (charts/herald does)",
        ),
    };
    Line::warn(
        NAME,
        format!("{detail}: unless it is told otherwise {who} {grace}, and sessions are cut off"),
        format!("{how}, or lower drain.timeout"),
    )
}

fn bus(config: &Config) -> Line {
    const NAME: &str = "bus pings";
    let (ping, delay) = (config.bus.ping_interval, config.bus.reconnect_delay);
    let silent = HumanDuration(ping.0.saturating_mul(PINGS));
    let detail = format!(
        "a NATS server that is silently gone is noticed after some {silent} (bus.ping_interval {ping}), one that is back \
         after {delay} at most (bus.reconnect_delay)"
    );
    if silent.0 > DEAF {
        return Line::warn(
            NAME,
            format!("{detail}: until then this instance delivers nothing and says that it is ready"),
            "set bus.ping_interval to 20s or less",
        );
    }
    if delay.0 > BACK {
        return Line::warn(
            NAME,
            format!("{detail}: publishing answers 503 for so much longer"),
            "set bus.reconnect_delay to 10s or less",
        );
    }
    Line::ok(NAME, detail)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[track_caller]
    fn check(look: fn(&Config) -> Line, text: &str, warns_of: Option<&str>) {
        let line = look(&config(text));
        match warns_of {
            None => assert_eq!(line.status, Status::Ok, "{text}: {line:?}"),
            Some(words) => {
                assert_eq!(line.status, Status::Warn, "{text}: {line:?}");
                let advice = line.advice.unwrap();
                assert!(advice.contains(words), "{text}: {advice}");
            }
        }
    }

    #[test]
    fn the_defaults_fit_what_usually_stands_around() {
        for line in look(&config("bus.url = 'nats://127.0.0.1'")) {
            // What ends the process here is not the test's to say.
            if line.check != "drain" {
                assert_eq!(line.status, Status::Ok, "{line:?}");
            }
        }
        assert_eq!(drain(&Config::default(), Ender::Kubernetes).status, Status::Ok);
        assert_eq!(look(&Config::default()).len(), 4, "no bus, no line about it");
    }

    #[test]
    fn a_time_out_that_a_neighbours_cuts_short_is_named() {
        check(idle, "http.idle_timeout = '61s'", None);
        check(idle, "http.idle_timeout = '60s'", Some("http.idle_timeout"));
        check(head, "http.header_timeout = '2s'", None);
        check(head, "http.header_timeout = '60s'", None);
        check(head, "http.header_timeout = '61s'", Some("at most 60s"));
        check(head, "http.header_timeout = '1s'", Some("at least 2s"));
        check(heartbeats, "heartbeat.send = '59s'", None);
        check(heartbeats, "heartbeat.send = '60s'", Some("heartbeat.send"));
        check(heartbeats, "heartbeat.send = '0s'", Some("heartbeat.send"));
        check(heartbeats, "heartbeat.receive = '0s'", Some("heartbeat.receive"));
        check(bus, "bus.ping_interval = '20s'", None);
        check(bus, "bus.ping_interval = '21s'", Some("bus.ping_interval"));
        check(bus, "bus.reconnect_delay = '11s'", Some("bus.reconnect_delay"));
    }

    #[test]
    fn a_drain_must_end_before_it_is_killed() {
        let check = |timeout: &str, ender, expected: Status, words: &str| {
            let line = drain(&config(&format!("drain.timeout = '{timeout}'")), ender);
            assert_eq!(line.status, expected, "{line:?}");
            assert!(line.advice.unwrap_or_default().contains(words), "{words}");
        };
        check("29s", Ender::Kubernetes, Status::Ok, "");
        check(
            "30s",
            Ender::Kubernetes,
            Status::Warn,
            "terminationGracePeriodSeconds",
        );
        check(
            "30s",
            Ender::Unknown,
            Status::Warn,
            "terminationGracePeriodSeconds",
        );
        check("9s", Ender::Container, Status::Ok, "");
        check("25s", Ender::Container, Status::Warn, "stop_grace_period");
    }
}
