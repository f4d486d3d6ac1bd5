//! Requests to JetStream: JSON to a subject, JSON back, bounded in time. Knows no stream by name and no field except
//! `error`. The other parts of `bus/nats` say what is requested; nothing outside of them does.

use std::fmt;
use std::time::Duration;

use async_nats::message::OutboundMessage;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::link::Connection;
use crate::bus::history::config::Domain;
use crate::bus::{PublishError, RequestError};

/// The time for one request. A cluster without a leader does not answer.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// The time for a request on which a cluster has to agree.
pub(super) const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// JetStream through one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) connection: Connection,
    /// `$JS.API.` or `$JS.<domain>.API.`
    prefix: std::sync::Arc<str>,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiFailure {
    /// Not connected, or the connection was lost; the request may have arrived.
    Unavailable,
    /// No answer in time: no leader, or this user may not ask.
    Silent,
    /// Nobody listens: JetStream is off, or the stream has no leader.
    NoResponders,
    /// JetStream refuses.
    Refused(Refusal),
    /// The answer is not what was expected.
    Unreadable,
}

/// JetStream's own words for a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    /// A code like those of HTTP.
    pub(super) code: u16,
    /// The exact reason.
    #[serde(default)]
    pub(super) err_code: u32,
    #[serde(default)]
    pub(super) description: String,
}

/// The prefix of each request's subject.
pub(super) fn prefix(domain: Option<&Domain>) -> String {
    match domain {
        Some(domain) => format!("$JS.{domain}.API."),
        None => "$JS.API.".to_owned(),
    }
}

impl fmt::Display for ApiFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("NATS is not connected"),
            Self::Silent => f.write_str(
                "JetStream does not answer: it has no leader now, or this user is not permitted to ask (docs/nats.md)",
            ),
            Self::NoResponders => f.write_str("JetStream does not answer: it is off, or it has no leader now"),
            Self::Refused(refusal) => {
                // The server's text, which may repeat parts of the request.
                let words: String = refusal.description.escape_debug().take(200).collect();
                write!(f, "JetStream refuses: {words} ({})", refusal.err_code)
            }
            Self::Unreadable => f.write_str("JetStream's answer cannot be read"),
        }
    }
}

impl Api {
    /// JetStream of `domain`, or of the server's own account.
    pub(super) fn new(connection: Connection, domain: Option<&Domain>) -> Self {
        Self {
            connection,
            prefix: prefix(domain).into(),
        }
    }

    /// The subject of the request `verb` (`STREAM.INFO`) about `stream`.
    pub(super) fn subject(&self, verb: &str, stream: &str) -> String {
        format!("{}{verb}.{stream}", self.prefix)
    }

    /// Sends a request, and reads the answer as a `T`.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        verb: &str,
        stream: &str,
        body: &Value,
        timeout: Duration,
    ) -> Result<T, ApiFailure> {
        let requests = &self.connection.link.requests;
        let waiting = requests.open().ok_or(ApiFailure::Unavailable)?;
        let question = OutboundMessage {
            subject: self.subject(verb, stream).into(),
            reply: Some(waiting.subject().into()),
            payload: match body {
                Value::Null => Bytes::new(),
                body => body.to_string().into(),
            },
            headers: None,
        };
        let sent = self.connection.send(question).await;
        sent.map_err(|_: PublishError| ApiFailure::Unavailable)?;
        let answer = waiting.wait(timeout).await?.payload;
        read(&answer)
    }
}

impl From<RequestError> for ApiFailure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NoResponders => Self::NoResponders,
            RequestError::Timeout => Self::Silent,
            RequestError::Unavailable => Self::Unavailable,
        }
    }
}

/// Reads an answer, which contains either `error` or the data.
pub(super) fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ApiFailure> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<Refusal>,
    }
    let failed: Failed = serde_json::from_slice(answer).map_err(|_| ApiFailure::Unreadable)?;
    match failed.error {
        Some(refusal) => Err(ApiFailure::Refused(refusal)),
        None => serde_json::from_slice(answer).map_err(|_| ApiFailure::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Seq {
        seq: u64,
    }

    #[test]
    fn an_answer_is_an_error_or_the_rest() {
        assert_eq!(read(br#"{"stream":"X","seq":7}"#), Ok(Seq { seq: 7 }));
        let refused =
            read::<Seq>(br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "JetStream refuses: stream not found (10059)"
        );
        for bad in [&b""[..], b"[]", b"7", b"{\"seq\":-1}", b"{}", b"\xff"] {
            assert_eq!(read::<Seq>(bad), Err(ApiFailure::Unreadable), "{bad:?}");
        }
        let long = format!(
            "{{\"error\":{{\"code\":1,\"description\":\"{}\"}}}}",
            "\\u0007x".repeat(9_999)
        );
        let words = read::<Seq>(long.as_bytes()).unwrap_err().to_string();
        assert!(words.len() < 300 && !words.contains('\u{7}'), "{words}");
    }
}
