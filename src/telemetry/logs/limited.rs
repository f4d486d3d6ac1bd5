//! Limits how often the NATS client repeats a line: while a server is away, it logs each attempt to connect, in
//! addition to Herald's own limited line. Knows no writer.

use std::collections::HashMap;

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

use crate::limit::OncePerSecond;

/// What the client's lines are called.
const CLIENT: &str = "async_nats";

/// A limit for each place in the client's code that tells of trouble. They are as many as its code has.
#[derive(Default)]
pub(super) struct Limited(Mutex<HashMap<Identifier, OncePerSecond>>);

impl Limited {
    /// Whether a line is written. Whoever asks for more than warnings of the client gets all of it.
    pub(super) fn lets(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let is_limited = *metadata.level() <= Level::WARN
            && metadata.is_event()
            && target
                .strip_prefix(CLIENT)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        !is_limited
            || self
                .0
                .lock()
                .entry(metadata.callsite())
                .or_default()
                .pass()
                .is_some()
    }
}
