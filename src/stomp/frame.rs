//! A client's frame, decoded. Does not know which headers a command needs; the session does.

use std::fmt;

use bytes::Bytes;

use super::Headers;

/// The commands that a client may send. CONNECTED, MESSAGE, RECEIPT and ERROR are server commands and unknown here (a
/// server treats them as any other unknown command).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Command {
    Connect,
    /// The other name of CONNECT in 1.2, equal in every way.
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
    /// All commands.
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

    /// The command of exactly this text; case matters.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.as_str() == text)
    }

    /// Whether this is CONNECT under either name. Its headers are never escaped and its `receipt` has no meaning.
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One client frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The command.
    pub command: Command,
    /// Its headers, unescaped.
    pub headers: Headers,
    /// The body; empty unless the command is SEND.
    pub body: Bytes,
}

/// Shows only the headers' names and the body's length: values may be secrets.
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
