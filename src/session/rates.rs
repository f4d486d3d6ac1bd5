//! The rates of one session: limiters that all sessions share, with 8 bytes of memory per session for each.
//! Knows no session's state and no socket. The rates of a user over all sessions are in `interceptor/rate_limit`.

use super::action::Refusal;
use crate::close_reason::CloseReason;
use crate::limit::{Limit, Memory, SharedRate};
use crate::setting::{ByteRate, HumanDuration, Limits, Rate};
use crate::stomp::{Command, Frame};

/// What a frame that sends nothing may have in headers: an ACK is free, and half a MiB of headers beside it is not.
const FREE_BYTES: usize = 1_024;
/// What [`Rates::idle`] counts, in an ERROR.
const IDLE: &str = "frames that settle nothing";

/// The limiters.
pub(crate) struct Rates {
    sends: Limiter,
    subscribes: Limiter,
    control_frames: Limiter,
    idle_frames: Limiter,
    renewals: Limiter,
    send_bytes: ByteLimiter,
    /// `limits.frame_timeout`
    pub(super) frame_timeout: HumanDuration,
}

/// `limits.send_bytes_per_session`
struct ByteLimiter {
    rate: ByteRate,
    limiter: Option<SharedRate>,
}

struct Limiter {
    limit: Limit,
    rate: Rate,
    limiter: Option<SharedRate>,
}

/// One session's memory for [`Rates`].
#[derive(Debug, Default)]
pub(crate) struct Memories {
    sending: Option<Box<Sending>>,
    subscribes: Memory,
    control_frames: Memory,
    idle_frames: Memory,
}

/// The part of it that most sessions never need: they only listen.
#[derive(Debug, Default)]
struct Sending {
    sends: Memory,
    bytes: Memory,
    renewals: Memory,
}

impl Rates {
    /// From `[limits]`: `sends_per_session`, `subscribes_per_session`, `control_frames_per_session`, `idle_frames_per_session`,
    /// `renewals_per_session`, `send_bytes_per_session`, `frame_timeout`.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            sends: Limiter::new(Limit::SendsPerSession, limits.sends_per_session),
            subscribes: Limiter::new(Limit::SubscribesPerSession, limits.subscribes_per_session),
            control_frames: Limiter::new(Limit::ControlFramesPerSession, limits.control_frames_per_session),
            idle_frames: Limiter::new(Limit::IdleFramesPerSession, limits.idle_frames_per_session),
            renewals: Limiter::new(Limit::RenewalsPerSession, limits.renewals_per_session),
            send_bytes: ByteLimiter {
                rate: limits.send_bytes_per_session,
                limiter: limits.send_bytes_per_session.quota().map(SharedRate::new),
            },
            frame_timeout: limits.frame_timeout,
        }
    }

    /// A STOMP frame arrived. A SEND counts with its headers and its body; of any other frame counts what is beyond
    /// [`FREE_BYTES`]. A COMMIT or ABORT needs its BEGIN; whether an ACK or NACK is idle is known later.
    pub(crate) fn frame(&self, memories: &mut Memories, frame: &Frame) -> Result<(), Refusal> {
        let checked = match frame.command {
            Command::Send => self.sends.check(&mut memories.sending().sends, "SEND"),
            Command::Subscribe => self.subscribes.check(&mut memories.subscribes, "SUBSCRIBE"),
            Command::Unsubscribe => self.subscribes.check(&mut memories.subscribes, "UNSUBSCRIBE"),
            Command::Begin => self.idle_frames.check(&mut memories.idle_frames, IDLE),
            _ => Ok(()),
        };
        let all = frame.headers.bytes() + frame.body.len();
        let bytes = match frame.command {
            Command::Send => all,
            _ => all.saturating_sub(FREE_BYTES),
        };
        let checked = match bytes {
            0 => checked,
            _ => checked.and_then(|()| {
                let memory = &mut memories.sending().bytes;
                self.send_bytes.check(memory, frame.command, bytes)
            }),
        };
        checked.map_err(|refusal| refusal.with_receipt(frame.headers.get("receipt")))
    }

    /// So many ACKs and NACKs have settled nothing, or WebSocket frames have completed no STOMP frame.
    pub(crate) fn idle(&self, memories: &mut Memories, frames: u32) -> Result<(), Refusal> {
        self.idle_frames
            .check_many(&mut memories.idle_frames, frames, IDLE)
    }

    /// A renewal was asked for: each costs what a login does.
    pub(crate) fn renewal(&self, memories: &mut Memories) -> Result<(), Refusal> {
        self.renewals
            .check(&mut memories.sending().renewals, "SEND: renewals")
    }

    /// A ping, a pong or an empty frame arrived.
    pub(crate) fn control_frame(&self, memories: &mut Memories) -> Result<(), Refusal> {
        self.control_frames
            .check(&mut memories.control_frames, "pings, pongs and empty frames")
    }
}

impl Memories {
    fn sending(&mut self) -> &mut Sending {
        self.sending.get_or_insert_with(Box::default)
    }
}

impl ByteLimiter {
    fn check(&self, memory: &mut Memory, command: Command, bytes: usize) -> Result<(), Refusal> {
        match &self.limiter {
            Some(limiter) if !limiter.passes_many(memory, ByteRate::units(bytes)) => {
                let (command, limit) = (command.as_str(), Limit::SendBytesPerSession);
                let message = format!("{command}: more than {} ({})", self.rate, limit.name());
                Err(Refusal::new(CloseReason::RateLimited, message).at(limit))
            }
            _ => Ok(()),
        }
    }
}

impl Limiter {
    fn new(limit: Limit, rate: Rate) -> Self {
        Self {
            limit,
            rate,
            limiter: rate.quota().map(SharedRate::new),
        }
    }

    fn check(&self, memory: &mut Memory, what: &str) -> Result<(), Refusal> {
        self.check_many(memory, 1, what)
    }

    fn check_many(&self, memory: &mut Memory, units: u32, what: &str) -> Result<(), Refusal> {
        match &self.limiter {
            Some(limiter) if !limiter.passes_many(memory, units) => {
                let message = format!("{what}: more than {} ({})", self.rate, self.limit.name());
                Err(Refusal::new(CloseReason::RateLimited, message).at(self.limit))
            }
            _ => Ok(()),
        }
    }
}
