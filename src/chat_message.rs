//! The body that both `POST /api/v1/message` and the built-in `broadcast` route produce (docs/configuration.md,
//! "[application]"). Knows no destination and no clock: the time is a parameter.

use bytes::Bytes;
use jiff::Zoned;
use serde::Serialize;

/// The chat message's content type.
pub(crate) const CONTENT_TYPE: &str = "application/json";

#[derive(Serialize)]
struct ChatMessage<'a> {
    message: &'a str,
    user: &'a str,
    time: String,
}

/// `{"message":…,"user":…,"time":…}`. The time is `now`'s local date-time without a zone and with nine fractional
/// digits, so that texts sort as times do: `2026-11-23T20:25:50.736287101`.
pub(crate) fn chat_message(message: &str, user: &str, now: &Zoned) -> Bytes {
    let time = format!("{:.9}", now.datetime());
    // The signature is fallible; serializing two texts and a time into memory cannot fail.
    serde_json::to_vec(&ChatMessage { message, user, time })
        .unwrap_or_default()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: &str, zone: &str, expected: &str) {
        let now = now.parse::<jiff::Timestamp>().unwrap().in_tz(zone).unwrap();
        assert_eq!(
            chat_message("say \"hi\"", "ä", &now),
            format!(r#"{{"message":"say \"hi\"","user":"ä","time":"{expected}"}}"#)
        );
    }

    #[test]
    fn the_time_is_local_and_without_zone() {
        check(
            "2026-11-23T20:25:50.736287101Z",
            "UTC",
            "2026-11-23T20:25:50.736287101",
        );
        check(
            "2026-11-23T20:25:50Z",
            "Europe/Berlin",
            "2026-11-23T21:25:50.000000000",
        );
    }
}
