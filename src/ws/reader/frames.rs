//! One complete WebSocket frame as an event: fastwebsockets parses and unmasks it. Knows no socket.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use fastwebsockets::{Role, WebSocketError};
use futures_util::FutureExt;

use super::{Event, Payload, ReadError};
use crate::ws::close::may_be_sent;
use crate::ws::guard::{Guard, Head, MASK_BYTES, Opcode};
use crate::ws::utf8::Checker;

/// Payloads up to this size are copied out of the read half's buffer, which would otherwise live as long as they do.
const COPIED_MAX_BYTES: usize = 4 << 10;

/// Turns the bytes of complete frames into events: the state between two frames.
pub(super) struct Frames {
    pub(super) guard: Guard,
    pub(super) utf8: Checker,
}

impl Frames {
    /// The event of the frame that `bytes` begins with, and that frame's length. `None` if it is incomplete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<(Event, usize)>, ReadError> {
        let Some(head) = self.guard.inspect(bytes)? else {
            return Ok(None);
        };
        let Some(frame) = bytes.get(..head.frame_bytes()) else {
            return Ok(None);
        };
        let text = self.guard.advance(&head);
        let payload = payload_of(frame, &head)?;
        let event = match head.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong,
            Opcode::Close => Event::Close(close_code(&payload)?),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                // fastwebsockets has already checked a text message of one frame.
                if text && !(head.opcode == Opcode::Text && head.fin) {
                    self.utf8.check(&payload, head.fin)?;
                }
                Event::Data(Payload {
                    bytes: payload,
                    text,
                    last: head.fin,
                })
            }
        };
        Ok(Some((event, frame.len())))
    }
}

/// The payload of a frame that is a single end of line: what an idle client sends (STOMP rule B2). Building a read
/// half with its 8 KiB would be too much for it.
fn heart_beat(frame: &[u8], head: &Head) -> Option<Bytes> {
    let masked = frame.get(head.head_bytes.checked_sub(MASK_BYTES)?..)?;
    let [key, _, _, _, byte] = masked.first_chunk()?;
    (head.payload_bytes == 1 && key ^ byte == b'\n').then_some(Bytes::from_static(b"\n"))
}

/// Lets fastwebsockets parse and unmask exactly one complete frame, so that it neither waits nor leaves anything in
/// the read half. Pongs and closes are answered here.
fn payload_of(frame: &[u8], head: &Head) -> Result<Bytes, ReadError> {
    if let Some(end_of_line) = heart_beat(frame, head) {
        return Ok(end_of_line);
    }
    let (mut read_half, _) = fastwebsockets::after_handshake_split(frame, tokio::io::sink(), Role::Server);
    read_half.set_auto_pong(false);
    read_half.set_auto_close(false);
    // fastwebsockets refuses sizes equal to its maximum.
    read_half.set_max_message_size(head.payload_bytes.saturating_add(1));
    let frame = read_half
        .read_frame(&mut |_| ready(Ok::<_, Infallible>(())))
        .now_or_never()
        .unwrap_or(Err(WebSocketError::UnexpectedEOF))?;
    Ok(match frame.payload {
        fastwebsockets::Payload::Bytes(bytes) if bytes.len() > COPIED_MAX_BYTES => bytes.freeze(),
        payload => Bytes::copy_from_slice(&payload),
    })
}

/// RFC 6455 section 5.5.1: nothing, or a code and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, ReadError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload.is_empty() {
            true => Ok(None),
            false => Err(ReadError::CloseTooShort),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(ReadError::CloseCode(code));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(ReadError::NotUtf8),
    }
}
