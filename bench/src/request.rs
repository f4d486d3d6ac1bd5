//! Requests to publish, on connections that stay, as bytes.

use crate::session::DESTINATION;

/// What makes a server send: bytes, and how many answers they have.
pub struct Trigger {
    /// Whole requests.
    pub bytes: Vec<u8>,
    /// Answers to read afterwards; the floor gives none.
    pub answers: usize,
}

impl Trigger {
    /// `count` times the same request, written at once.
    pub fn burst(request: &[u8], count: usize) -> Self {
        Self {
            bytes: request.repeat(count),
            answers: count,
        }
    }

    /// Unanswered: for the floor, a length and a frame, `count` times.
    pub fn of_floor(frame: &[u8], count: usize) -> crate::Outcome<Self> {
        let length = u32::try_from(frame.len())?;
        Ok(Self {
            bytes: [&length.to_be_bytes(), frame].concat().repeat(count),
            answers: 0,
        })
    }
}

/// A broadcast by REST of a plain body.
pub fn broadcast(port: u16, destination: &str, body: &str) -> Vec<u8> {
    post(
        port,
        &format!("/api/v1/broadcast{destination}"),
        "text/plain",
        body,
    )
}

/// One notification as JSON, or an array of them where there are several users; without any, to everyone who listens
/// to `/topic/nobody`. The payload is JSON of `payload_bytes`.
pub fn notifications(port: u16, users: &[String], payload_bytes: usize) -> Vec<u8> {
    let text = "x".repeat(payload_bytes.saturating_sub(r#"{"text":""}"#.len()));
    let one = |user: Option<&String>| {
        let whom = match user {
            Some(user) => format!(r#""destination":"{DESTINATION}","user":"{user}""#),
            None => r#""destination":"/topic/nobody""#.to_owned(),
        };
        format!(r#"{{{whom},"payload":{{"text":"{text}"}}}}"#)
    };
    let body = match users {
        [] => one(None),
        [user] => one(Some(user)),
        users => {
            let items: Vec<String> = users.iter().map(|user| one(Some(user))).collect();
            format!("[{}]", items.join(","))
        }
    };
    post(port, "/api/v1/notifications", "application/json", &body)
}

fn post(port: u16, path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let body_bytes = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {body_bytes}\r\n\r\n{body}"
    )
    .into_bytes()
}
