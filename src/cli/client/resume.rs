//! How far a subscriber has read, and how it continued after a lost connection: docs/history.md from a client's point
//! of view. Knows no connection.

use std::fmt;

use serde::Serialize;

use super::ClientError;
use crate::stomp::client::ReceivedFrame;

/// Where each destination has been read up to. A subscription's id is the place of its destination.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug, Clone, Default)]
struct Place {
    /// What the last frame said, or whoever began.
    position: Option<String>,
    /// Whether history keeps the destination: only then is a `message-id` a position.
    is_kept: bool,
}

/// How a subscription that came with a position was resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resumed {
    /// All of it comes: so many messages.
    Recovered(String),
    /// Nothing of the gap comes, for this reason.
    Gap(String),
    /// The server does not know positions.
    Unknown,
}

/// The same as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ResumedJson<'a> {
    destination: &'a str,
    recovered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// From where on it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<&'a str>,
}

/// A position as an option.
pub(super) fn position(text: &str) -> Result<String, String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A local answer's id has a number of its own behind the position.
    let (place, own) = text.split_once('.').unwrap_or((text, "0"));
    let numbers = place
        .split_once('-')
        .map(|(epoch, sequence)| [epoch, sequence, own]);
    match numbers.is_some_and(|numbers| numbers.into_iter().all(is_number)) {
        true => Ok(text.to_owned()),
        false => Err("expected <epoch>-<sequence>, such as the message-id of a MESSAGE".into()),
    }
}

impl Places {
    /// Those of so many destinations, which begin behind `from`: none, one for all, or one for each.
    pub(super) fn new(destinations: usize, from: &[String]) -> Result<Self, ClientError> {
        let begin = |from: Option<&String>| Place {
            position: from.cloned(),
            is_kept: false,
        };
        let places = match from {
            [] => vec![Place::default(); destinations],
            [one] => vec![begin(Some(one)); destinations],
            each if each.len() == destinations => each.iter().map(|from| begin(Some(from))).collect(),
            _ => {
                return Err(ClientError::Usage(format!(
                    "--from: expected one position, or one for each of the {destinations} destinations"
                )));
            }
        };
        Ok(Self(places))
    }

    /// Where the subscription `id` goes on.
    pub(super) fn after(&self, id: &str) -> Option<&str> {
        let place = self.0.get(id.parse::<usize>().ok()?)?;
        place.position.as_deref()
    }

    /// What history says of this destination: the position up to which it has been read, if it is kept.
    pub(super) fn position(&self, number: usize) -> Option<&str> {
        let place = self.0.get(number).filter(|place| place.is_kept)?;
        place.position.as_deref()
    }

    /// A SUBSCRIBE was answered: which, and how it was resumed if it came with a position.
    pub(super) fn answered(&mut self, receipt: &ReceivedFrame) -> Option<(usize, Option<Resumed>)> {
        let number = receipt.headers.get("receipt-id")?.parse::<usize>().ok()?;
        let place = self.0.get_mut(number)?;
        let position = receipt.headers.get("position").map(str::to_owned);
        place.is_kept = position.is_some();
        let before = std::mem::replace(&mut place.position, position);
        let header = |name| receipt.headers.get(name).unwrap_or_default().to_owned();
        let resumed = before.map(|_| match receipt.headers.get("recovered") {
            Some("true") => Resumed::Recovered(header("replayed")),
            Some(_) => Resumed::Gap(header("reason")),
            None => Resumed::Unknown,
        });
        Some((number, resumed))
    }

    /// A MESSAGE has been printed.
    pub(super) fn has_come(&mut self, message: &ReceivedFrame) {
        let number = message
            .headers
            .get("subscription")
            .and_then(|id| id.parse::<usize>().ok());
        if let (Some(number), Some(id)) = (number, message.headers.get("message-id"))
            && let Some(place) = self.0.get_mut(number).filter(|place| place.is_kept)
        {
            place.position = Some(id.to_owned());
        }
    }
}

impl Resumed {
    /// Whether nothing was missed.
    pub(super) fn is_recovered(&self) -> bool {
        matches!(self, Self::Recovered(_))
    }

    pub(super) fn as_json<'a>(&'a self, destination: &'a str, position: Option<&'a str>) -> ResumedJson<'a> {
        let (replayed, reason) = match self {
            Self::Recovered(replayed) => (Some(replayed.as_str()), None),
            Self::Gap(reason) => (None, Some(reason.as_str())),
            Self::Unknown => (None, None),
        };
        ResumedJson {
            destination,
            recovered: self.is_recovered(),
            replayed,
            reason,
            position,
        }
    }
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovered(replayed) => write!(f, "recovered, {replayed} missed while away"),
            Self::Gap(reason) => write!(f, "not recovered ({reason}): what came meanwhile is missing"),
            Self::Unknown => f.write_str("not recovered: this server knows no positions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stomp::client::ServerCommand;

    fn frame<const N: usize>(command: ServerCommand, headers: [(&str, &str); N]) -> ReceivedFrame {
        ReceivedFrame {
            command,
            headers: headers.into_iter().collect(),
            body: Bytes::new(),
        }
    }

    fn message(subscription: &str, id: &str) -> ReceivedFrame {
        frame(
            ServerCommand::Message,
            [("subscription", subscription), ("message-id", id)],
        )
    }

    #[test]
    fn the_position_is_what_the_last_frame_said() {
        let mut places = Places::new(2, &[]).unwrap();
        assert_eq!((places.after("0"), places.after("2")), (None, None));
        let receipt = |id, position| {
            let headers = [("receipt-id", id), ("position", position)];
            frame(ServerCommand::Receipt, headers)
        };
        assert_eq!(places.answered(&receipt("0", "7-1")), Some((0, None)));
        assert_eq!(places.after("0"), Some("7-1"));
        assert_eq!((places.position(0), places.position(1)), (Some("7-1"), None));
        places.has_come(&message("0", "7-5.2"));
        assert_eq!(places.after("0"), Some("7-5.2"));
        // Of what is not kept an id is no position.
        let plain = frame(ServerCommand::Receipt, [("receipt-id", "1")]);
        assert_eq!(places.answered(&plain), Some((1, None)));
        assert_eq!(places.position(1), None);
        places.has_come(&message("1", "01JDE"));
        assert_eq!(places.after("1"), None);
    }

    #[test]
    fn the_answer_to_a_position_is_told() {
        let mut places = Places::new(2, &["7-1".into(), "8-1".into()]).unwrap();
        let recovered = [
            ("receipt-id", "0"),
            ("position", "7-1"),
            ("recovered", "true"),
            ("replayed", "3"),
        ];
        let (place, resumed) = places
            .answered(&frame(ServerCommand::Receipt, recovered))
            .unwrap();
        let resumed = resumed.unwrap();
        assert_eq!((place, resumed.is_recovered()), (0, true));
        assert_eq!(resumed.to_string(), "recovered, 3 missed while away");
        let gap = [
            ("receipt-id", "1"),
            ("recovered", "false"),
            ("reason", "history-off"),
        ];
        let (place, resumed) = places.answered(&frame(ServerCommand::Receipt, gap)).unwrap();
        assert_eq!((place, resumed), (1, Some(Resumed::Gap("history-off".into()))));
        assert_eq!(places.after("1"), None);
    }

    #[test]
    fn one_position_is_for_all_or_each_has_one() {
        let from = |count: usize| -> Vec<String> { (0..count).map(|n| format!("7-{n}")).collect() };
        let after =
            |places: &Places| [places.after("0"), places.after("2")].map(|text| text.map(str::to_owned));
        assert_eq!(
            after(&Places::new(3, &from(1)).unwrap()),
            [Some("7-0".into()), Some("7-0".into())]
        );
        assert_eq!(
            after(&Places::new(3, &from(3)).unwrap()),
            [Some("7-0".into()), Some("7-2".into())]
        );
        for count in [2, 4] {
            assert!(Places::new(3, &from(count)).is_err());
        }
        assert!(position("7-1").is_ok() && position("7-1.2").is_ok());
        for bad in ["", "7", "7-", "-1", "7-1.", "01JDE", "7-1\n"] {
            assert!(position(bad).is_err(), "{bad:?}");
        }
    }
}
