//! Encodes server frames: exactly one frame, with NUL as its last byte (rule W4: clients cut at NUL, and some append
//! one to each message). Knows no WebSocket. MESSAGEs for large fan-outs are assembled in `delivery/wire`.

use super::Version;
use super::escape::{can_carry, header_into};

/// One server frame.
#[derive(Debug, Clone, Copy)]
pub enum ServerFrame<'a> {
    /// The answer to CONNECT. Its headers are never escaped (H3).
    Connected {
        /// Name and value of each header.
        headers: &'a [(&'a str, &'a str)],
    },
    /// The client's frame has been processed (R1).
    Receipt {
        /// The value of the frame's `receipt` header.
        receipt_id: &'a str,
        /// Additional headers, such as `position`.
        headers: &'a [(&'a str, &'a str)],
    },
    /// The last frame of a session (E1, E2).
    Error {
        /// A short text.
        message: &'a str,
        /// The `receipt` header of the offending frame.
        receipt_id: Option<&'a str>,
        /// Additional headers, such as `version`.
        headers: &'a [(&'a str, &'a str)],
        /// A longer text, `text/plain`. Empty means no body.
        body: &'a str,
    },
    /// A notification for this session only.
    Message {
        /// Name and value of each header except `content-length`.
        headers: &'a [(&'a str, &'a str)],
        /// The body, any bytes.
        body: &'a [u8],
    },
}

/// The bytes of `frame` for a session of `version`. Before login no version is agreed and nothing is escaped: pass
/// [`Version::V1_0`]. A text always stays inside its header: characters that the version cannot carry (see
/// [`can_carry`]) become blanks.
pub fn encode(frame: &ServerFrame<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    match *frame {
        ServerFrame::Connected { headers } => {
            out.extend_from_slice(b"CONNECTED\n");
            headers_into(&mut out, headers, Version::V1_0);
            body_into(&mut out, b"");
        }
        ServerFrame::Receipt { receipt_id, headers } => {
            out.extend_from_slice(b"RECEIPT\n");
            headers_into(&mut out, &[("receipt-id", receipt_id)], version);
            headers_into(&mut out, headers, version);
            body_into(&mut out, b"");
        }
        ServerFrame::Error {
            message,
            receipt_id,
            headers,
            body,
        } => {
            out.extend_from_slice(b"ERROR\n");
            headers_into(&mut out, &[("message", message)], version);
            if let Some(receipt_id) = receipt_id {
                headers_into(&mut out, &[("receipt-id", receipt_id)], version);
            }
            headers_into(&mut out, headers, version);
            if !body.is_empty() {
                headers_into(&mut out, &[("content-type", "text/plain")], version);
                content_length_into(&mut out, body.len());
            }
            body_into(&mut out, body.as_bytes());
        }
        ServerFrame::Message { headers, body } => {
            out.extend_from_slice(b"MESSAGE\n");
            headers_into(&mut out, headers, version);
            content_length_into(&mut out, body.len());
            body_into(&mut out, body);
        }
    }
    out
}

fn headers_into(out: &mut Vec<u8>, headers: &[(&str, &str)], version: Version) {
    for &(name, value) in headers {
        if can_carry(name, value, version) {
            header_into(out, name, value, version);
        } else {
            header_into(out, &blanked(name, true), &blanked(value, false), version);
        }
    }
}

/// `text` with a blank in place of each character that some version cannot carry.
fn blanked(text: &str, is_name: bool) -> String {
    text.replace(|c| matches!(c, '\n' | '\r' | '\0') || (is_name && c == ':'), " ")
}

fn content_length_into(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(b"content-length:");
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b'\n');
}

/// The blank line, the body and the NUL.
fn body_into(out: &mut Vec<u8>, body: &[u8]) {
    out.reserve_exact(body.len() + 2);
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &ServerFrame<'_>, version: Version, expected: &str) {
        assert_eq!(String::from_utf8(encode(frame, version)).unwrap(), expected);
    }

    #[test]
    fn connected_is_never_escaped() {
        for version in Version::ALL {
            let headers = [
                ("version", "1.2"),
                ("user-name", r"a\b:c"),
                ("instance", "two\nlines"),
            ];
            check(
                &ServerFrame::Connected { headers: &headers },
                version,
                "CONNECTED\nversion:1.2\nuser-name:a\\b:c\ninstance:two lines\n\n\0",
            );
        }
    }

    #[test]
    fn a_receipt_repeats_the_id_escaped_again() {
        let frame = ServerFrame::Receipt {
            receipt_id: "a:b\r",
            headers: &[],
        };
        check(&frame, Version::V1_0, "RECEIPT\nreceipt-id:a:b\r\n\n\0");
        check(&frame, Version::V1_1, "RECEIPT\nreceipt-id:a\\cb\r\n\n\0");
        check(&frame, Version::V1_2, "RECEIPT\nreceipt-id:a\\cb\\r\n\n\0");
    }

    #[test]
    fn an_error_has_type_and_length_where_it_has_a_body() {
        let bare = ServerFrame::Error {
            message: "no",
            receipt_id: None,
            headers: &[],
            body: "",
        };
        check(&bare, Version::V1_2, "ERROR\nmessage:no\n\n\0");
        let full = ServerFrame::Error {
            message: "a\nb",
            receipt_id: Some("7"),
            headers: &[("version", "1.0,1.1,1.2"), ("bad:name", "x")],
            body: "ä\0",
        };
        check(
            &full,
            Version::V1_0,
            "ERROR\nmessage:a b\nreceipt-id:7\nversion:1.0,1.1,1.2\nbad name:x\n\
             content-type:text/plain\ncontent-length:3\n\nä\0\0",
        );
        check(
            &full,
            Version::V1_2,
            "ERROR\nmessage:a\\nb\nreceipt-id:7\nversion:1.0,1.1,1.2\nbad\\cname:x\n\
             content-type:text/plain\ncontent-length:3\n\nä\0\0",
        );
    }

    #[test]
    fn a_message_always_says_its_length() {
        let message = |body| ServerFrame::Message {
            headers: &[("destination", "/queue/a:b")],
            body,
        };
        check(
            &message(b""),
            Version::V1_2,
            "MESSAGE\ndestination:/queue/a\\cb\ncontent-length:0\n\n\0",
        );
        check(
            &message(b"a\0b"),
            Version::V1_0,
            "MESSAGE\ndestination:/queue/a:b\ncontent-length:3\n\na\0b\0",
        );
    }
}
