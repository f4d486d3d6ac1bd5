//! The control channel, over which instances ask and inform each other. [`question`] is the form of a message and its
//! codec, [`ask`] the asking side, [`desk`] the answering side. The other files are questions about this instance's own
//! sessions and the process itself; presence, `session/per_user`, `recent` and `probe` have theirs. Knows the bus by
//! its trait, the registry by its handle, and no HTTP.

pub(crate) mod ask;
pub(crate) mod complaints;
pub(crate) mod debug_sampling;
pub(crate) mod describe;
pub(crate) mod desk;
pub(crate) mod explain;
pub(crate) mod log_level;
pub(crate) mod question;
pub(crate) mod senders;
pub(crate) mod session_user;
pub(crate) mod sessions;
pub(crate) mod shed;
pub(crate) mod trace_marks;

#[cfg(test)]
mod tests;
