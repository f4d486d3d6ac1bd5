//! Shows a MESSAGE on the terminal or as JSON. Knows no session.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::cli::paint::{DIM, NAME, one_line, printable};
use crate::stomp::client::ReceivedFrame;

/// The headers that Herald itself writes on a MESSAGE; the others are the publisher's.
const OWN: [&str; 9] = [
    "subscription",
    "destination",
    "message-id",
    "herald-id",
    "content-type",
    "content-length",
    "timestamp",
    "ack",
    "traceparent",
];

/// A MESSAGE as JSON. All values are texts, as on the wire.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    destination: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    /// The body, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// The bytes, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'a> Shown<'a> {
    /// What is shown of `frame`.
    pub(super) fn of(frame: &'a ReceivedFrame) -> Self {
        let body = std::str::from_utf8(&frame.body).ok();
        Self {
            destination: frame.headers.get("destination").unwrap_or_default(),
            headers: frame
                .headers
                .iter()
                .filter(|(name, _)| *name != "destination")
                .collect(),
            body,
            body_base64: body.is_none().then(|| STANDARD.encode(&frame.body)),
        }
    }
}

/// For people: a line about the MESSAGE, its publisher's headers, its body.
pub(super) fn write(out: &mut impl Write, frame: &ReceivedFrame) -> std::io::Result<()> {
    let header = |name| one_line(frame.headers.get(name).unwrap_or_default());
    let time = time(frame.headers.get("timestamp"));
    writeln!(
        out,
        "{DIM}{time}{DIM:#} {NAME}{}{NAME:#} {DIM}{}  {}{DIM:#}",
        header("destination"),
        header("content-type"),
        header("message-id")
    )?;
    for (name, value) in frame.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
        writeln!(out, "{DIM}{}: {}{DIM:#}", one_line(name), one_line(value))?;
    }
    write_body(out, frame)
}

/// For people: the body alone.
pub(super) fn write_body(out: &mut impl Write, frame: &ReceivedFrame) -> std::io::Result<()> {
    match std::str::from_utf8(&frame.body) {
        Ok("") => writeln!(out, "{DIM}(empty){DIM:#}"),
        Ok(text) => writeln!(out, "{}", printable(text.trim_end_matches('\n'))),
        Err(_) => writeln!(
            out,
            "{DIM}({} bytes that are no UTF-8; --json has them){DIM:#}",
            frame.body.len()
        ),
    }
}

/// When Herald accepted it, as local wall-clock time.
fn time(unix_ms: Option<&str>) -> String {
    let ms = unix_ms.and_then(|text| text.parse().ok());
    let timestamp = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(
        || "--:--:--".to_owned(),
        |timestamp| {
            let local = timestamp.to_zoned(jiff::tz::TimeZone::system());
            local.strftime("%H:%M:%S%.3f").to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stomp::client::ServerCommand;

    fn frame(body: &'static [u8]) -> ReceivedFrame {
        let headers = [
            ("destination", "/queue/a"),
            ("message-id", "7"),
            ("content-type", "text/plain"),
            ("kind", "x\u{1b}[2Jy"),
        ];
        ReceivedFrame {
            command: ServerCommand::Message,
            headers: headers.into_iter().collect(),
            body: Bytes::from_static(body),
        }
    }

    fn text(body: &'static [u8]) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, &frame(body)).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn people_see_headers_and_body_and_no_control_characters() {
        assert_eq!(
            text(b"hi\x1b[31m\n"),
            "--:--:-- /queue/a text/plain  7\nkind: x\\u{1b}[2Jy\nhi\\u{1b}[31m\n"
        );
        assert!(text(b"").ends_with("(empty)\n"));
        assert!(text(b"\xff\xfe").contains("2 bytes"));
    }

    #[test]
    fn json_has_every_byte() {
        let line = serde_json::to_string(&Shown::of(&frame(b"a\xff"))).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["body_base64"], value.get("body")), (&"Yf8=".into(), None));
        assert_eq!(value["headers"]["message-id"], "7");
    }
}
