//! A client's frame, decoded. Knows nothing of which headers a command needs: that is the session's part.

use std::fmt;

use bytes::Bytes;

use super::Headers;

/// What a client may send. CONNECTED, MESSAGE, RECEIPT and ERROR are a server's and unknown here (rule: a server that
/// gets one treats it as any other unknown command).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Command {
    Connect,
    /// 1.2's other name of CONNECT, in every way the same.
    Stomp,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
    ];

    /// The command as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
        }
    }

    /// The command of this exact text; case matters.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.as_str() == text)
    }

    /// Whether this is CONNECT under either name. Its headers are never escaped and its `receipt` means nothing.
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One frame of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it asks for.
    pub command: Command,
    /// Its headers, unescaped.
    pub headers: Headers,
    /// Its body; empty unless the command is SEND.
    pub body: Bytes,
}

/// Names of headers and the length of the body only: values may be secrets.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_by_its_exact_text() {
        #[track_caller]
        fn check(text: &str, expected: Option<Command>) {
            assert_eq!(Command::parse(text), expected, "{text}");
        }
        check("SEND", Some(Command::Send));
        check("STOMP", Some(Command::Stomp));
        check("send", None);
        check("SEND ", None);
        check("", None);
        for server in ["CONNECTED", "MESSAGE", "RECEIPT", "ERROR"] {
            check(server, None);
        }
        for command in Command::ALL {
            check(command.as_str(), Some(command));
        }
    }

    #[test]
    fn debug_shows_no_value_and_no_body() {
        let frame = Frame {
            command: Command::Connect,
            headers: [("passcode", "hush")].into_iter().collect(),
            body: Bytes::from_static(b"whisper"),
        };
        let shown = format!("{frame:?}");
        assert!(shown.contains("passcode"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
    }
}
