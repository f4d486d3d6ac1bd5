//! Completes a replay once everything missed is known: adds the tail's part, and selects what is sent. Knows no server.

use std::collections::HashSet;

use super::Request;
use crate::bus::history::{Missed, Outcome, Stored, Unrecovered};
use crate::bus::tail::Tail;

/// What the tail has of the gap, oldest first; one message more than may be read if there are more.
pub(super) fn from_tail<M: Stored>(tail: &Tail<M>, request: &Request<M::Target>) -> Vec<M> {
    let found = tail.newest_first(&request.target, request.after.sequence, request.until.sequence);
    let most = request.caps.messages_read().saturating_add(1);
    let mut messages: Vec<M> = found.map(|(_, message)| message.clone()).take(most).collect();
    messages.reverse();
    messages
}

/// Leaves out what is stale and what a newer message with the same collapse key replaces, counts the rest against the caps,
/// and gives its first piece. The first `of_pages` of the messages were read of the stream.
pub(super) fn settle<M: Stored>(
    messages: Vec<M>,
    of_pages: usize,
    request: &Request<M::Target>,
) -> Outcome<M> {
    let caps = request.caps;
    if messages.len() > caps.messages_read() {
        return Err(Unrecovered::TooMany);
    }
    let mut keys = HashSet::new();
    let mut kept = Vec::new();
    let mut bytes: usize = 0;
    for (index, message) in messages.iter().enumerate().rev() {
        let is_replaced = message.collapse().is_some_and(|key| !keys.insert(key));
        if is_replaced || message.is_stale(request.now_ms) {
            continue;
        }
        bytes = bytes.saturating_add(message.weight());
        kept.push((index, message));
        if kept.len() > caps.messages || (bytes > caps.bytes && kept.len() > 1) {
            return Err(Unrecovered::TooMany);
        }
    }
    let count = kept.len();
    let mut piece = 0_usize;
    let fits = kept.iter().rev().enumerate().take_while(|(nth, (_, message))| {
        piece = piece.saturating_add(message.weight());
        *nth == 0 || piece <= request.piece
    });
    let fits: Vec<&(usize, &M)> = fits.map(|(_, kept)| kept).collect();
    Ok(Missed {
        behind: count - fits.len(),
        from_stream: fits.iter().filter(|(index, _)| *index < of_pages).count(),
        messages: fits.iter().map(|(_, message)| (*message).clone()).collect(),
    })
}
