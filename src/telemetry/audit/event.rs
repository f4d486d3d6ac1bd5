//! The closed set of what is audited, and the words for it. Values are known beforehand, so that whoever searches the audit
//! can name them all (docs/logs.md). Pure.

use serde::Serialize;

/// What an operator did or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A user's sessions are closed.
    DisconnectUser,
    /// The log's level is changed for a while.
    SetLogLevel,
    /// The log's level is read.
    GetLogLevel,
    /// A user's or a session's notifications are traced for a while, or no longer.
    DebugSampling,
    /// Samples of what is fanned out, by destination.
    Tap,
    /// Who would get a notification.
    Explain,
    /// The instances and what they hold.
    ListInstances,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DisconnectUser,
        Self::SetLogLevel,
        Self::GetLogLevel,
        Self::DebugSampling,
        Self::Tap,
        Self::Explain,
        Self::ListInstances,
    ];
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The instance that was asked took it, and did it or told all instances.
    Accepted,
    /// It did not; `reason` says why.
    Refused,
    /// The operator went away before the answer, or handling it failed: it may have been done.
    Unanswered,
    /// This instance did what another one, or itself, told all instances to do.
    Done,
}

/// To what it was done: only what the event has, and only what was read and found sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct What {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// The destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Box<str>>,
    /// The log's new level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Box<str>>,
    /// For how long, in seconds; 0 ends what lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// `own` or `all` instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<&'static str>,
}

impl What {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A user.
    pub fn user(name: &str) -> Self {
        Self {
            user: Some(name.into()),
            ..Self::default()
        }
    }
}
