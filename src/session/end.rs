//! The last frames of a session, as whole WebSocket messages. Knows no socket and no shard.

use bytes::Bytes;

use super::action::Refusal;
use crate::close_reason::CloseReason;
use crate::delivery::wire::{self, HERALD_REASON};
use crate::limit::Limit;
use crate::stomp::Version;
use crate::stomp::encoder::{ServerFrame, encode};
use crate::telemetry::metrics::Metrics;

/// How a session's reading half ended, and what it says last.
pub(crate) struct End {
    /// Determines the close code, and whether anything is said.
    pub reason: CloseReason,
    /// The limit that was hit, if one was.
    pub limit: Option<Limit>,
    /// Whole WebSocket messages: ERROR or RECEIPT, and Close.
    pub messages: Vec<Bytes>,
}

/// RECEIPT (STOMP rule R1).
pub(crate) fn receipt_message(receipt: &str, version: Version) -> Bytes {
    wire::receipt(receipt, &[], version)
}

/// DISCONNECT: RECEIPT if asked, then Close (STOMP rule D1).
pub(crate) fn farewell(receipt: Option<&str>, version: Version) -> End {
    let mut messages = Vec::new();
    messages.extend(receipt.map(|receipt| receipt_message(receipt, version)));
    let mut end = close_end(CloseReason::Normal);
    messages.append(&mut end.messages);
    End { messages, ..end }
}

/// There is nobody left to say anything to.
pub(crate) fn gone() -> End {
    End {
        reason: CloseReason::PeerGone,
        limit: None,
        messages: Vec::new(),
    }
}

/// Only a Close frame.
pub(crate) fn close_end(reason: CloseReason) -> End {
    End {
        reason,
        limit: None,
        messages: vec![wire::close_frame(reason.code(), reason.words())],
    }
}

/// ERROR, then Close (STOMP rules E1, E2). If a limit was hit, it is counted in `metrics`.
pub(crate) fn error_end(refusal: Refusal, version: Version, metrics: &Metrics) -> End {
    if let Some(limit) = refusal.limit {
        metrics.limit_hit(limit);
    }
    let own = refusal
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let herald_reason = refusal
        .reason
        .herald_reason()
        .map(|reason| (HERALD_REASON, reason));
    let headers: Vec<(&str, &str)> = herald_reason.into_iter().chain(own).collect();
    let error = encode(
        &ServerFrame::Error {
            message: &refusal.message,
            receipt_id: refusal.receipt.as_deref(),
            headers: &headers,
            body: refusal.body,
        },
        version,
    );
    let close = wire::close_frame(refusal.reason.code(), &refusal.message);
    End {
        reason: refusal.reason,
        limit: refusal.limit,
        messages: vec![wire::message_of(&error), close],
    }
}
