//! The client's side of the protocol, for programs that are clients: encodes client frames, and decodes server frames
//! from one whole WebSocket message. Knows no socket. The reader of the message bounds its size.

use std::fmt;

use bytes::Bytes;
use memchr::memchr;

use super::error::{Fault, Quoted};
use super::escape::header_into;
use super::header::{HeadRules, parse_header};
use super::{Command, Headers, Version};

/// The command of a server frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerCommand {
    Connected,
    Message,
    Receipt,
    Error,
}

impl ServerCommand {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Connected, "CONNECTED"),
        (Self::Message, "MESSAGE"),
        (Self::Receipt, "RECEIPT"),
        (Self::Error, "ERROR"),
    ];

    /// The command as it stands on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        let same = Self::ALL.iter().find(|(command, _)| *command == self);
        same.map_or("", |(_, text)| text)
    }
}

/// One server frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ReceivedFrame {
    /// The command.
    pub command: ServerCommand,
    /// Its headers, unescaped.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

/// Shows only the headers' names and the body's length, as for a client frame.
impl fmt::Debug for ReceivedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedFrame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// The bytes of a client frame; a `body` that is not empty brings its `content-length`. A header that `version` cannot carry is left out as a whole. CONNECT is never
/// escaped: pass [`Version::V1_0`].
pub(crate) fn encode_client(
    command: Command,
    headers: &[(&str, &str)],
    body: &[u8],
    version: Version,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + body.len());
    out.extend_from_slice(command.as_str().as_bytes());
    out.push(b'\n');
    for (name, value) in headers {
        header_into(&mut out, name, value, version);
    }
    if !body.is_empty() {
        header_into(&mut out, "content-length", &body.len().to_string(), version);
    }
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
    out
}

/// Takes one server frame from `message` and leaves what follows it. Returns `None` if only heart-beats were left.
/// `version` is what CONNECTED agreed on; before that pass [`Version::V1_0`], since CONNECTED is never escaped.
///
/// # Errors
/// The rule that the bytes break. An incomplete frame breaks [`Fault::NoNul`].
pub(crate) fn decode_server(message: &mut &[u8], version: Version) -> Result<Option<ReceivedFrame>, Fault> {
    let start = message.iter().position(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    let Some(frame) = start.and_then(|start| message.get(start..)) else {
        *message = &[];
        return Ok(None);
    };
    let rules = HeadRules {
        crlf: version != Version::V1_1,
        ..HeadRules::of(Some(version))
    };
    let mut rest = frame;
    let command = line(&mut rest, rules)?;
    let command = ServerCommand::ALL
        .iter()
        .find(|(_, text)| *text == command)
        .map(|(command, _)| *command)
        .ok_or_else(|| Fault::UnknownCommand(Quoted::new(command)))?;
    let rules = match command {
        ServerCommand::Connected => HeadRules {
            escapes: Version::V1_0,
            ..rules
        },
        _ => rules,
    };
    let mut headers = Headers::default();
    for number in 1.. {
        match line(&mut rest, rules)? {
            "" => break,
            text => parse_header(&mut headers, text, number, rules)?,
        }
    }
    let length = match headers.content_length()? {
        Some(length) => length,
        None => memchr(0, rest).unwrap_or(rest.len()),
    };
    match rest.split_at_checked(length) {
        Some((body, [0, behind @ ..])) => {
            *message = behind;
            Ok(Some(ReceivedFrame {
                command,
                headers,
                body: Bytes::copy_from_slice(body),
            }))
        }
        _ => Err(Fault::NoNul(length)),
    }
}

/// The next line of a frame's head, without its end of line.
fn line<'a>(rest: &mut &'a [u8], rules: HeadRules) -> Result<&'a str, Fault> {
    let end = memchr(b'\n', rest).ok_or(Fault::NoNul(rest.len()))?;
    let (line, behind) = rest.split_at(end);
    *rest = behind.get(1..).unwrap_or_default();
    let text = str::from_utf8(line).map_err(|_| Fault::NotUtf8(0))?;
    Ok(rules.without_cr(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stomp::encoder::{ServerFrame, encode};
    use crate::stomp::{Decoder, Limits};

    #[test]
    fn what_the_encoder_writes_is_read_back() {
        for version in Version::ALL {
            let headers = [("destination", "/queue/ä"), ("note", r"a\b")];
            let bytes = encode(
                &ServerFrame::Message {
                    headers: &headers,
                    body: b"a\0\nb",
                },
                version,
            );
            let mut two = [b"\n", &*bytes, b"\n", &*bytes].concat();
            two.push(b'\n');
            let mut rest = &*two;
            for _ in 0..2 {
                let frame = decode_server(&mut rest, version).unwrap().unwrap();
                assert_eq!(frame.command, ServerCommand::Message);
                assert_eq!(frame.headers.get("note"), Some(r"a\b"), "{version}");
                assert_eq!(&*frame.body, b"a\0\nb");
            }
            assert_eq!(decode_server(&mut rest, version), Ok(None));
        }
        let bytes = encode(
            &ServerFrame::Connected {
                headers: &[("user-name", r"a\b")],
            },
            Version::V1_2,
        );
        let frame = decode_server(&mut &*bytes, Version::V1_0).unwrap().unwrap();
        assert_eq!(frame.headers.get("user-name"), Some(r"a\b"));
    }

    #[test]
    fn what_is_no_whole_frame_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: Option<Fault>) {
            let outcome = decode_server(&mut text.as_bytes(), Version::V1_2);
            assert_eq!(outcome.err(), expected, "{text:?}");
        }
        check("MESSAGE\na:b\n\nx\0", None);
        check("MESSAGE\r\na:b\r\n\r\nx\0", None);
        check("MESSAGE\na:b\n\nx", Some(Fault::NoNul(1)));
        check("MESSAGE\na:b", Some(Fault::NoNul(3)));
        check("MESSAGE\ncontent-length:9\n\nx\0", Some(Fault::NoNul(9)));
        check("MESSAGE\ncontent-length:1\n\nxy\0", Some(Fault::NoNul(1)));
        check("MESSAGE\ncontent-length:-1\n\n\0", Some(Fault::BadContentLength));
        check("MESSAGE\nab\n\n\0", Some(Fault::NoColon(1)));
        check("SEND\n\n\0", Some(Fault::UnknownCommand(Quoted::new("SEND"))));
    }

    #[test]
    fn a_client_s_frames_are_what_the_server_decodes() {
        let limits = Limits::after_login(8, 256, 256);
        let mut decoder = Decoder::new(limits);
        decoder.set_version(Version::V1_2);
        let bytes = encode_client(
            Command::Subscribe,
            &[("id", "0"), ("destination", "/queue/a:b\\c\n")],
            b"",
            Version::V1_2,
        );
        let frame = decoder.decode(&mut &*bytes).unwrap().unwrap();
        assert_eq!(frame.command, Command::Subscribe);
        assert_eq!(frame.headers.get("destination"), Some("/queue/a:b\\c\n"));
        let headers = [("destination", "/app/x")];
        let bytes = encode_client(Command::Send, &headers, b"a\0b\xff", Version::V1_2);
        let frame = decoder.decode(&mut &*bytes).unwrap().unwrap();
        assert_eq!((frame.command, &*frame.body), (Command::Send, &b"a\0b\xff"[..]));
    }
}
