//! The trace collector: whether it can be reached, and its clock if it speaks HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Line;
use crate::config::Config;
use crate::telemetry::plan;

const TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer is read: its head.
const HEAD_MAX_BYTES: u64 = 4_096;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `None`: no collector is configured.
    pub line: Option<Line>,
    /// How far its clock is ahead, to the second.
    pub clock_ms: Option<i64>,
}

/// The collector's address, as the program itself would take it.
pub(super) fn address(config: &Config) -> Option<String> {
    let traces = plan::from_process(&config.tracing, &config.metrics).traces;
    traces.map(|traces| traces.endpoint)
}

/// Connects to `endpoint` and asks its time.
pub(super) async fn look(endpoint: &Option<String>) -> Found {
    let Some(endpoint) = endpoint else {
        return Found::default();
    };
    let check = "collector";
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let target = uri.as_ref().and_then(|uri| {
        let port = if uri.scheme_str() == Some("https") {
            443
        } else {
            4317
        };
        let host = uri.host()?;
        Some((
            host.trim_matches(['[', ']']).to_owned(),
            uri.port_u16().unwrap_or(port),
        ))
    });
    let Some((host, port)) = target else {
        let advice = "set it to an URL such as http://127.0.0.1:4317";
        return Found {
            line: Some(Line::fail(check, "its address is no URL with a host", advice)),
            ..Found::default()
        };
    };
    let place = format!("{host}:{port}");
    match tokio::time::timeout(TIMEOUT, ask(&host, port)).await {
        Ok(Ok(clock_ms)) => Found {
            line: Some(Line::ok(check, format!("{place} accepts connections"))),
            clock_ms,
        },
        failed => {
            let why = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no connection within {} s", TIMEOUT.as_secs()),
            };
            let advice = "traces are lost until it is up; notifications are not touched by it";
            Found {
                line: Some(Line::warn(check, format!("{place}: {why}"), advice)),
                ..Found::default()
            }
        }
    }
}

async fn ask(host: &str, port: u16) -> std::io::Result<Option<i64>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let request = format!("HEAD / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    let mut head = Vec::new();
    let asking = async {
        stream.write_all(request.as_bytes()).await?;
        stream.take(HEAD_MAX_BYTES).read_to_end(&mut head).await
    };
    // A collector that speaks only gRPC answers nothing useful, or nothing at all.
    let _ = tokio::time::timeout(TIMEOUT / 3, asking).await;
    Ok(ahead_ms(&head, jiff::Timestamp::now()))
}

/// How far the `Date` of an answer is ahead of `now`. Within its own second it is not off.
fn ahead_ms(head: &[u8], now: jiff::Timestamp) -> Option<i64> {
    let head = String::from_utf8_lossy(head);
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim())
    })?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let seconds = theirs.as_second() - now.as_second();
    Some(if seconds.abs() <= 1 { 0 } else { seconds * 1_000 })
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_date_tells_the_clock() {
        let now: jiff::Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let check = |date: &str, expected| {
            let head = format!("HTTP/1.1 404 Not Found\r\ndate: {date}\r\n\r\n");
            assert_eq!(ahead_ms(head.as_bytes(), now), expected, "{date}");
        };
        check("Tue, 24 Nov 2026 10:00:01 GMT", Some(0));
        check("Tue, 24 Nov 2026 10:00:05 GMT", Some(5_000));
        check("Tue, 24 Nov 2026 09:59:00 GMT", Some(-60_000));
        check("now", None);
        assert_eq!(ahead_ms(b"\0\0\x12\x04", now), None);
    }

    #[tokio::test]
    async fn a_collector_that_is_away_warns() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let status = async |url: &str| {
            let found = look(&Some(url.to_owned())).await;
            found.line.map(|line| line.status)
        };
        assert_eq!(
            status(&format!("http://127.0.0.1:{port}")).await,
            Some(Status::Ok)
        );
        drop(free);
        assert_eq!(
            status(&format!("http://127.0.0.1:{port}")).await,
            Some(Status::Warn)
        );
        assert_eq!(status("nonsense url").await, Some(Status::Fail));
        assert!(look(&None).await.line.is_none());
    }
}
