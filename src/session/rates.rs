//! How often one session may do what, and how slowly: limiters that all sessions share, and 8 bytes of memory per session for each.
//! Knows no session's state and no socket. What a user may do over all sessions is in `interceptor/rate_limit`.

use super::action::Refusal;
use crate::close_reason::CloseReason;
use crate::limit::{Limit, Memory, SharedRate};
use crate::setting::{HumanDuration, Limits, Rate};
use crate::stomp::{Command, Frame};

/// What [`Rates::idle`] counts, in an ERROR.
const IDLE: &str = "frames that settle nothing";

/// The limiters.
pub(crate) struct Rates {
    sends: Limiter,
    subscribes: Limiter,
    control_frames: Limiter,
    idle_frames: Limiter,
    /// `limits.frame_timeout`
    pub(super) frame_timeout: HumanDuration,
}

struct Limiter {
    limit: Limit,
    rate: Rate,
    limiter: Option<SharedRate>,
}

/// One session's memory for [`Rates`].
#[derive(Debug, Default)]
pub(crate) struct Memories {
    sends: Memory,
    subscribes: Memory,
    control_frames: Memory,
    idle_frames: Memory,
}

impl Rates {
    /// From `[limits]`: `sends_per_session`, `subscribes_per_session`, `control_frames_per_session`, `idle_frames_per_session`,
    /// `frame_timeout`.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            sends: Limiter::new(Limit::SendsPerSession, limits.sends_per_session),
            subscribes: Limiter::new(Limit::SubscribesPerSession, limits.subscribes_per_session),
            control_frames: Limiter::new(Limit::ControlFramesPerSession, limits.control_frames_per_session),
            idle_frames: Limiter::new(Limit::IdleFramesPerSession, limits.idle_frames_per_session),
            frame_timeout: limits.frame_timeout,
        }
    }

    /// A STOMP frame arrived. A COMMIT or ABORT needs its BEGIN; whether an ACK or NACK is idle is known later.
    pub(crate) fn frame(&self, memories: &mut Memories, frame: &Frame) -> Result<(), Refusal> {
        let checked = match frame.command {
            Command::Send => self.sends.check(&mut memories.sends, "SEND"),
            Command::Subscribe => self.subscribes.check(&mut memories.subscribes, "SUBSCRIBE"),
            Command::Unsubscribe => self.subscribes.check(&mut memories.subscribes, "UNSUBSCRIBE"),
            Command::Begin => self.idle_frames.check(&mut memories.idle_frames, IDLE),
            _ => Ok(()),
        };
        checked.map_err(|refusal| refusal.with_receipt(frame.headers.get("receipt")))
    }

    /// So many ACKs and NACKs have settled nothing, or WebSocket frames have completed no STOMP frame.
    pub(crate) fn idle(&self, memories: &mut Memories, frames: u32) -> Result<(), Refusal> {
        self.idle_frames
            .check_many(&mut memories.idle_frames, frames, IDLE)
    }

    /// A ping, a pong or an empty frame arrived.
    pub(crate) fn control_frame(&self, memories: &mut Memories) -> Result<(), Refusal> {
        self.control_frames
            .check(&mut memories.control_frames, "pings, pongs and empty frames")
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
