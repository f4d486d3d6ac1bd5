//! STOMP frames as a client reads and writes them; written for this program, so that it shares no error with Herald's
//! own codec. Knows no sockets.

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// MESSAGE, RECEIPT, ….
    pub command: String,
    headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: Vec<u8>,
}

impl Frame {
    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// A number in a header.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }
}

/// Takes bytes, gives frames.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete frame. Heart-beats are skipped.
    pub fn take(&mut self) -> Result<Option<Frame>, String> {
        let start = self.bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r'));
        self.bytes.drain(..start.unwrap_or(self.bytes.len()));
        let Some(head_end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") else {
            return Ok(None);
        };
        let head = self.bytes.get(..head_end).unwrap_or_default();
        let head = str::from_utf8(head).map_err(|error| format!("a frame's head is not UTF-8: {error}"))?;
        let mut lines = head.split('\n');
        let command = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("no colon in {line:?}"))?;
            headers.push((unescaped(name)?, unescaped(value)?));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let rest = self.bytes.get(head_end + 2..).unwrap_or_default();
        let length = match length {
            Some((_, length)) => length.parse().map_err(|_| format!("content-length {length:?}"))?,
            None => match rest.iter().position(|byte| *byte == 0) {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        match rest.get(length) {
            None => return Ok(None),
            Some(0) => {}
            Some(byte) => return Err(format!("a frame ends with byte {byte} where NUL must be")),
        }
        let body = rest.get(..length).unwrap_or_default().to_vec();
        self.bytes.drain(..head_end + 2 + length + 1);
        Ok(Some(Frame {
            command,
            headers,
            body,
        }))
    }
}

/// What `\c`, `\n`, `\r` and `\\` stand for.
fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('c') => ':',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('\\') => '\\',
                other => return Err(format!("an escape of {other:?} in {text:?}")),
            },
            plain => plain,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let bytes = b"\n\nMESSAGE\nmessage-id:1-2\na:b\\cc\ncontent-length:3\n\nx\0y\0\nRECEIPT\nreceipt-id:r\n\n\0\n";
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.take().unwrap() {
                    frames.push(frame);
                }
            }
            let [message, receipt] = &frames[..] else {
                panic!("{frames:?}");
            };
            assert_eq!(message.get("a"), Some("b:c"));
            assert_eq!(message.body, b"x\0y");
            assert_eq!(receipt.get("receipt-id"), Some("r"));
        }
    }

    #[test]
    fn a_frame_that_breaks_the_rules_is_an_error() {
        for bytes in [
            &b"A\nb\n\n\0"[..],
            b"A\nb:\\t\n\n\0",
            b"A\ncontent-length:1\n\nxy",
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert!(decoder.take().is_err(), "{bytes:?}");
        }
    }
}
