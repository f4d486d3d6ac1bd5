//! Several notifications as one write to one session: encoded once per group into a reused buffer, and copied to the
//! heap only for sessions whose socket is full. Knows no session and no topic.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use super::command::Delivery;
use super::outbox::{CHUNKS_PER_CALL, Outgoing};
use super::trail::{MessageTrail, NotificationTrail};
use super::wire::{self, GroupKey, Rest};
use crate::destination::Path;
use crate::envelope::{CollapseKey, Envelope};
use crate::stomp::Version;

/// The most frames in one write: two chunks each.
pub(super) const FRAMES_PER_WRITE: usize = CHUNKS_PER_CALL / 2;
/// A shared part up to this size is copied behind its head: one chunk is cheaper for the kernel than two.
const COPY_UP_TO_BYTES: usize = 4_096;

/// One frame: a range of the buffer, and what may happen to the frame if it has to wait.
struct Frame {
    start: usize,
    end: usize,
    /// Chained after the range. Empty if it was copied into it.
    rest: Bytes,
    expires_at_ms: Option<u64>,
    collapse: Option<CollapseKey>,
    trail: Option<Arc<dyn MessageTrail>>,
}

/// The frames of one write.
#[derive(Default)]
pub(super) struct Frames {
    scratch: Vec<u8>,
    frames: Vec<Frame>,
    chained_bytes: usize,
}

impl Frames {
    /// Removes the frames and keeps the memory, up to a bound.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.scratch.clear();
        self.scratch.shrink_to(FRAMES_PER_WRITE * COPY_UP_TO_BYTES);
        self.chained_bytes = 0;
    }

    /// The total number of bytes.
    pub(super) fn bytes(&self) -> usize {
        self.scratch.len() + self.chained_bytes
    }

    /// Records that all frames are in the kernel.
    pub(super) fn written(&self) {
        for trail in self.frames.iter().filter_map(|frame| frame.trail.as_ref()) {
            trail.written();
        }
    }

    /// Releases the trails: what is neither written nor waiting by now was dropped.
    pub(super) fn release_trails(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.trail = None);
    }

    /// Adds one notification as the group `key` sees it, with its `trail` if it is recorded.
    pub(super) fn add(
        &mut self,
        envelope: &Envelope,
        key: &GroupKey,
        rest: &Rest,
        trail: Option<Arc<dyn MessageTrail>>,
    ) {
        let start = self.scratch.len();
        let traceparent = trail.as_deref().and_then(|trail| trail.own_traceparent());
        wire::head_into(&mut self.scratch, envelope, key, rest, traceparent);
        let rest = if rest.bytes.len() <= COPY_UP_TO_BYTES {
            self.scratch.extend_from_slice(&rest.bytes);
            Bytes::new()
        } else {
            self.chained_bytes += rest.bytes.len();
            rest.bytes.clone()
        };
        self.frames.push(Frame {
            start,
            end: self.scratch.len(),
            rest,
            expires_at_ms: envelope.expires_at_ms,
            collapse: envelope.collapse.clone(),
            trail,
        });
    }

    /// The chunks for the kernel, with neighbours joined. Returns how many entries of `into` are used.
    pub(super) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>; CHUNKS_PER_CALL]) -> usize {
        let (mut count, mut start) = (0, 0);
        for frame in self.frames.iter().filter(|frame| !frame.rest.is_empty()) {
            into[count] = IoSlice::new(&self.scratch[start..frame.end]);
            into[count + 1] = IoSlice::new(&frame.rest);
            count += 2;
            start = frame.end;
        }
        if start < self.scratch.len() {
            into[count] = IoSlice::new(&self.scratch[start..]);
            count += 1;
        }
        count
    }

    /// The frames for an outbox. `shared` holds the copy of the buffer that the blocked sessions of one group share.
    pub(super) fn outgoing(
        &self,
        shared: &mut Option<Bytes>,
        subscription: u32,
    ) -> impl Iterator<Item = Outgoing> {
        let copy = shared
            .get_or_insert_with(|| Bytes::copy_from_slice(&self.scratch))
            .clone();
        self.frames.iter().map(move |frame| Outgoing {
            head: copy.slice(frame.start..frame.end),
            rest: frame.rest.clone(),
            subscription: Some(subscription),
            expires_at_ms: frame.expires_at_ms,
            collapse: frame.collapse.clone(),
            trail: frame.trail.clone(),
            since: None,
        })
    }
}

/// A notification with its shared part per version, made when the first group needs it.
pub(super) struct Encoded<'a> {
    /// The notification.
    pub envelope: &'a Arc<Envelope>,
    /// Its trail through this instance, if it is recorded.
    pub trail: Option<&'a dyn NotificationTrail>,
    /// Whether the MESSAGE of each session has a trail of its own.
    pub traced: bool,
    /// Whether it is sent again, to a session that missed it.
    pub replayed: bool,
    rests: [Option<Rest>; 3],
}

impl<'a> Encoded<'a> {
    /// A notification of which nothing is encoded yet.
    pub(super) fn new(envelope: &'a Arc<Envelope>) -> Self {
        Self {
            envelope,
            trail: None,
            traced: false,
            replayed: false,
            rests: [None, None, None],
        }
    }

    /// The same, with the trail of its delivery.
    pub(super) fn of(delivery: &'a Delivery) -> Self {
        Self {
            trail: delivery.trail.as_deref(),
            ..Self::new(&delivery.envelope)
        }
    }

    /// A notification for one that missed it; `replayed`: it is sent again.
    pub(super) fn again(envelope: &'a Arc<Envelope>, replayed: bool) -> Self {
        Self {
            replayed,
            ..Self::new(envelope)
        }
    }

    /// `envelope` in place of that of `delivery`, whose trail it follows.
    pub(super) fn instead(envelope: &'a Arc<Envelope>, delivery: &'a Delivery) -> Self {
        Self {
            trail: delivery.trail.as_deref(),
            ..Self::new(envelope)
        }
    }

    /// The shared part for `version`.
    pub(super) fn rest(&mut self, version: Version, user_prefix: &Path) -> &Rest {
        let slot = match version {
            Version::V1_0 => &mut self.rests[0],
            Version::V1_1 => &mut self.rests[1],
            Version::V1_2 => &mut self.rests[2],
        };
        slot.get_or_insert_with(|| wire::rest(self.envelope, version, user_prefix, self.traced))
    }
}
