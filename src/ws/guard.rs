//! Checks a client's frame by its header alone, before a byte of payload is stored: the parts of
//! RFC 6455 section 5 that fastwebsockets does not check, and the maximum size of a message. Pure; knows no socket and no
//! payload.

use std::fmt;

use crate::close_reason::CloseReason;

/// The largest payload of a control frame (RFC 6455 section 5.5).
pub const CONTROL_MAX_BYTES: usize = 125;
/// The longest head of a masked frame: 2 bytes, 8 of length, 4 of mask.
pub const HEAD_MAX_BYTES: usize = 14;

/// The length of the key that masks a client's payload (RFC 6455 section 5.3).
pub const MASK_BYTES: usize = 4;

/// The type of a frame (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of a message that has begun.
    Continuation,
    /// The start of a text message.
    Text,
    /// The start of a binary message.
    Binary,
    /// The peer's close.
    Close,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether the frame may stand between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame that passed the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The bytes of the head itself, including the mask.
    pub head_bytes: usize,
    /// The bytes of payload that follow.
    pub payload_bytes: usize,
}

impl Head {
    /// The bytes of the whole frame.
    pub fn frame_bytes(&self) -> usize {
        self.head_bytes + self.payload_bytes
    }
}

/// Why a frame is refused. `Display` gives words fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 6455 section 5.1.
    Unmasked,
    /// RFC 6455 section 5.2: no extension is ever negotiated.
    ReservedBits,
    /// RFC 6455 section 5.2.
    UnknownOpcode(u8),
    /// RFC 6455 section 5.5.
    FragmentedControl,
    /// RFC 6455 section 5.5.
    LongControl,
    /// RFC 6455 section 5.4.
    NothingToContinue,
    /// RFC 6455 section 5.4.
    MessageInMessage,
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used".
    LengthNotMinimal,
    /// RFC 6455 section 5.2: "the most significant bit MUST be 0".
    LengthTopBit,
    /// A message that exceeds this many bytes over all its fragments.
    TooLarge(usize),
}

impl Refusal {
    /// How the connection should be closed.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::TooLarge(_) => CloseReason::TooLarge,
            Self::Unmasked
            | Self::ReservedBits
            | Self::UnknownOpcode(_)
            | Self::FragmentedControl
            | Self::LongControl
            | Self::NothingToContinue
            | Self::MessageInMessage
            | Self::LengthNotMinimal
            | Self::LengthTopBit => CloseReason::Malformed,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmasked => f.write_str("a client's WebSocket frame must be masked"),
            Self::ReservedBits => f.write_str("reserved bits are set without an extension"),
            Self::UnknownOpcode(bits) => write!(f, "unknown WebSocket opcode {bits:#x}"),
            Self::FragmentedControl => f.write_str("a control frame must not be fragmented"),
            Self::LongControl => write!(f, "a control frame has at most {CONTROL_MAX_BYTES} bytes"),
            Self::NothingToContinue => f.write_str("continuation without a message to continue"),
            Self::MessageInMessage => f.write_str("a new message began inside an unfinished one"),
            Self::LengthNotMinimal => f.write_str("the frame's length is not written in its shortest form"),
            Self::LengthTopBit => f.write_str("the frame's 64-bit length has its top bit set"),
            Self::TooLarge(max) => write!(f, "WebSocket message over {max} bytes"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A message that has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unfinished {
    text: bool,
    /// Small, since every parked connection holds it. No message reaches 4 GiB.
    bytes: u32,
}

/// The state between frames: which message is unfinished, and how many bytes of it have arrived. A few words: it
/// outlives every buffer of a parked connection.
#[derive(Debug)]
pub struct Guard {
    max_message_bytes: usize,
    unfinished: Option<Unfinished>,
}

impl Guard {
    /// Between messages. A message may have `max_message_bytes` over all its fragments.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            unfinished: None,
        }
    }

    /// Sets another bound from the next frame on. What has arrived of an unfinished message already counts.
    pub fn set_max_message_bytes(&mut self, max_message_bytes: usize) {
        self.max_message_bytes = max_message_bytes;
    }

    /// The bound of a message.
    pub fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// The bytes of the message that has begun and not ended, as far as its frames are complete.
    pub fn unfinished_bytes(&self) -> Option<usize> {
        self.unfinished.map(|message| message.bytes as usize)
    }

    /// Judges the head that `bytes` begins with. `None`: nothing is wrong so far, but the head is incomplete. Changes
    /// nothing; call [`Self::advance`] once the frame is taken.
    ///
    /// # Errors
    /// A [`Refusal`] as soon as the bytes show it, usually after the second byte.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Option<Head>, Refusal> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode) = self.first_byte(first)?;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(Refusal::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_MAX_BYTES {
            return Err(Refusal::LongControl);
        }
        let Some((payload, length_bytes)) = length(short, bytes)? else {
            return Ok(None);
        };
        if !opcode.is_control() {
            self.check_total(payload)?;
        }
        let head_bytes = 2 + length_bytes + MASK_BYTES;
        // No accepted payload exceeds `max_message_bytes`, a usize.
        let payload_bytes = usize::try_from(payload).map_err(|_| self.too_large())?;
        if head_bytes.checked_add(payload_bytes).is_none() {
            return Err(self.too_large());
        }
        if bytes.len() < head_bytes {
            return Ok(None);
        }
        Ok(Some(Head {
            fin,
            opcode,
            head_bytes,
            payload_bytes,
        }))
    }

    /// Moves past a frame that [`Self::inspect`] accepted. For a data frame, returns whether its message is text.
    pub fn advance(&mut self, head: &Head) -> bool {
        if head.opcode.is_control() {
            return false;
        }
        let before = self.unfinished.take().unwrap_or(Unfinished {
            text: head.opcode == Opcode::Text,
            bytes: 0,
        });
        if !head.fin {
            self.unfinished = Some(Unfinished {
                text: before.text,
                bytes: before
                    .bytes
                    .saturating_add(u32::try_from(head.payload_bytes).unwrap_or(u32::MAX)),
            });
        }
        before.text
    }

    fn first_byte(&self, byte: u8) -> Result<(bool, Opcode), Refusal> {
        let fin = byte & 0x80 != 0;
        if byte & 0x70 != 0 {
            return Err(Refusal::ReservedBits);
        }
        let opcode = Opcode::parse(byte & 0x0F).ok_or(Refusal::UnknownOpcode(byte & 0x0F))?;
        match opcode {
            _ if opcode.is_control() && !fin => Err(Refusal::FragmentedControl),
            Opcode::Continuation if self.unfinished.is_none() => Err(Refusal::NothingToContinue),
            Opcode::Text | Opcode::Binary if self.unfinished.is_some() => Err(Refusal::MessageInMessage),
            _ => Ok((fin, opcode)),
        }
    }

    fn check_total(&self, payload: u64) -> Result<(), Refusal> {
        let before = self.unfinished_bytes().unwrap_or(0);
        let room = self.max_message_bytes.saturating_sub(before) as u64;
        if payload > room {
            return Err(self.too_large());
        }
        Ok(())
    }

    fn too_large(&self) -> Refusal {
        Refusal::TooLarge(self.max_message_bytes)
    }
}

/// The length of the payload and how many bytes after the second encode it. `None` if they have not all arrived.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Refusal> {
    let rest = bytes.get(2..).unwrap_or_default();
    match short {
        126 => {
            let Some(field) = rest.first_chunk::<2>() else {
                return Ok(None);
            };
            match u16::from_be_bytes(*field) {
                0..126 => Err(Refusal::LengthNotMinimal),
                long => Ok(Some((long.into(), 2))),
            }
        }
        127 => {
            let Some(field) = rest.first_chunk::<8>() else {
                return Ok(None);
            };
            match u64::from_be_bytes(*field) {
                0..0x1_0000 => Err(Refusal::LengthNotMinimal),
                long if long >> 63 != 0 => Err(Refusal::LengthTopBit),
                long => Ok(Some((long, 8))),
            }
        }
        short => Ok(Some((short.into(), 0))),
    }
}

/// Whether `bytes`, which start at a frame, are nothing but pongs, the last of which may be cut. A pong proves that a
/// browser is alive, not that its page is (docs/architecture.md, decision 5), so it does not count as activity.
pub fn only_pongs(mut bytes: &[u8]) -> bool {
    while let Some(&first) = bytes.first() {
        if first & 0x0F != 0x0A {
            return false;
        }
        let payload = usize::from(bytes.get(1).copied().unwrap_or(0) & 0x7F);
        bytes = bytes.get(2 + MASK_BYTES + payload..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests;
