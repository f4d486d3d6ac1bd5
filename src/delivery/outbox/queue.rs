//! The frames that wait in one outbox, in order. The front frame stays until its last byte is in the kernel; once
//! begun, it can only be finished. Knows no socket and no bound.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{CHUNKS_PER_CALL, Outgoing};
use crate::delivery::ledger::Ledger;
use crate::envelope::unix_ms;
use crate::limit::Account;

#[derive(Default)]
pub(super) struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    /// Whose bytes these are.
    pub(super) account: Account,
    /// Whether part of the front frame is in the kernel: it must then be finished, whatever happens.
    begun: bool,
}

impl Queue {
    /// Whether nothing waits, which also means that nothing is half-written.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The MESSAGEs that wait.
    pub(super) fn messages(&self) -> u64 {
        let messages = self.frames.iter().filter(|frame| frame.subscription.is_some());
        messages.count() as u64
    }

    /// Since when the oldest frame has been waiting.
    pub(super) fn since(&self) -> Option<Instant> {
        self.frames.front()?.since
    }

    /// Appends a frame. `begun` says that part of it is in the kernel; it must then be the only one.
    pub(super) fn push(&mut self, frame: Outgoing, begun: bool, ledger: &Ledger) {
        ledger.queued.add(self.account, frame.len());
        self.bytes += frame.len();
        self.begun |= begun;
        self.frames.push_back(frame);
    }

    /// Gives the memory of an empty queue back.
    pub(super) fn shrink(&mut self) {
        self.frames = VecDeque::new();
    }

    /// The first chunks for the kernel. Returns how many entries of `into` are used.
    pub(super) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>; CHUNKS_PER_CALL]) -> usize {
        let mut count = 0;
        let chunks = self.frames.iter().flat_map(|frame| [&frame.head, &frame.rest]);
        for (slice, chunk) in into.iter_mut().zip(chunks.filter(|chunk| !chunk.is_empty())) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        count
    }

    /// Removes `n` written bytes from the front.
    pub(super) fn advance(&mut self, mut n: usize, ledger: &Ledger) {
        ledger.queued.remove(self.account, n);
        self.bytes -= n;
        while n > 0 {
            let Some(front) = self.frames.front_mut() else {
                return;
            };
            self.begun = true;
            n = front.advance(n);
            if !front.is_empty() {
                return;
            }
            front.written();
            if let Some(frame) = self.frames.pop_front()
                && let Some(since) = frame.since
            {
                let trace = frame.trail.as_deref().map(|trail| trail.context());
                ledger.trail.waited(since.elapsed(), trace);
            }
            self.begun = false;
        }
    }

    /// Keeps the frame that is begun and those of the others that `keep` selects. Returns the number of MESSAGEs
    /// dropped.
    pub(super) fn retain_unbegun(&mut self, ledger: &Ledger, keep: impl Fn(&Outgoing) -> bool) -> u64 {
        let (mut is_begun, mut dropped, mut bytes) = (self.begun, 0, 0);
        self.frames.retain(|frame| {
            let kept = std::mem::take(&mut is_begun) || keep(frame);
            if !kept {
                bytes += frame.len();
                dropped += u64::from(frame.subscription.is_some());
            }
            kept
        });
        self.bytes -= bytes;
        ledger.queued.remove(self.account, bytes);
        dropped
    }

    /// Drops the waiting MESSAGE that `newer` replaces. Only frames with a key search.
    pub(super) fn collapse(&mut self, newer: &Outgoing, ledger: &Ledger) {
        if newer.collapse.is_none() {
            return;
        }
        let dropped = self.retain_unbegun(ledger, |frame| {
            frame.collapse != newer.collapse || frame.subscription != newer.subscription
        });
        ledger.collapsed.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Drops stale frames that are not begun. The clock is read only if something can become stale.
    pub(super) fn drop_expired(&mut self, ledger: &Ledger) {
        if self.frames.iter().all(|frame| frame.expires_at_ms.is_none()) {
            return;
        }
        let now_ms = unix_ms();
        let dropped = self.retain_unbegun(ledger, |frame| frame.expires_at_ms.is_none_or(|at| at > now_ms));
        ledger.expired.fetch_add(dropped, Ordering::Relaxed);
    }
}
