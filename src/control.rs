//! What instances ask and tell each other over the bus's control channel. [`question`] is the form of a message and its
//! codec, [`ask`] the asking side, [`desk`] the answering side. The other files are questions about this instance's own
//! sessions and the process itself; presence, `session/per_user`, `recent` and `probe` bring theirs. Knows the bus by its
//! trait, the registry by its handle, and no HTTP.

pub mod ask;
pub mod complaints;
pub mod debug_sampling;
pub mod describe;
pub mod desk;
pub mod explain;
pub mod log_level;
pub mod question;
pub mod session_user;
pub mod sessions;

#[cfg(test)]
mod tests;
