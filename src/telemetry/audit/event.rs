//! The closed set of audited events, and the words for them. All values are known in advance, so that a search through
//! the audit can name them (docs/logs.md). Pure.

use serde::Serialize;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A user's sessions are closed.
    DisconnectUser,
    /// The log's level is changed for a while.
    SetLogLevel,
    /// The log's level is read.
    GetLogLevel,
    /// The newest lines of the log are read.
    GetLogLines,
    /// A user's or a session's notifications are traced for a while, or no longer.
    DebugSampling,
    /// Samples of what is fanned out, by destination.
    Tap,
    /// Who would get a notification, or may do what.
    Explain,
    /// The instances and what they hold.
    ListInstances,
    /// The sessions that send most.
    ListSenders,
    /// A share of an instance's sessions is closed.
    ShedSessions,
    /// A token, or what a user or an issuer has, is revoked, or somebody is blocked.
    Revoke,
    /// A revocation is taken back.
    Unrevoke,
    /// What is revoked.
    ListRevocations,
    /// An instance has learned what another one has revoked, at its start or since it missed something.
    LearnRevocations,
    /// A credential is refused, on CONNECT, in a renewal or in a request.
    LoginRefused,
    /// A user has proven who it is (`audit.logins`).
    Login,
    /// Somebody without a credential is let in (`audit.logins`).
    AnonymousLogin,
    /// The backend that is asked about logins does not answer, or not as it should.
    CalloutFailed,
    /// A session presents a credential again.
    Renewal,
    /// A session ends because its credential does.
    SessionEnded,
    /// A SUBSCRIBE, a SEND or a publish is not permitted.
    PermissionRefused,
    /// An API key or a certificate of a caller is used, for the first time in an hour.
    KeyUsed,
    /// `auth.users_file` is loaded again.
    UsersFile,
    /// `api.keys_file` is loaded again.
    KeysFile,
    /// An issuer's keys are fetched, and others than before, or not there.
    IssuerKeys,
    /// A certificate of a listener is replaced.
    Certificate,
    /// The instance starts.
    Start,
}

impl Event {
    /// All of them, in their order.
    pub const ALL: [Self; 27] = [
        Self::DisconnectUser,
        Self::SetLogLevel,
        Self::GetLogLevel,
        Self::GetLogLines,
        Self::DebugSampling,
        Self::Tap,
        Self::Explain,
        Self::ListInstances,
        Self::ListSenders,
        Self::ShedSessions,
        Self::Revoke,
        Self::Unrevoke,
        Self::ListRevocations,
        Self::LearnRevocations,
        Self::LoginRefused,
        Self::Login,
        Self::AnonymousLogin,
        Self::CalloutFailed,
        Self::Renewal,
        Self::SessionEnded,
        Self::PermissionRefused,
        Self::KeyUsed,
        Self::UsersFile,
        Self::KeysFile,
        Self::IssuerKeys,
        Self::Certificate,
        Self::Start,
    ];

    /// Those that routes of operators have.
    #[cfg(test)]
    pub(crate) const OF_OPERATORS: [Self; 13] = [
        Self::DisconnectUser,
        Self::SetLogLevel,
        Self::GetLogLevel,
        Self::GetLogLines,
        Self::DebugSampling,
        Self::Tap,
        Self::Explain,
        Self::ListInstances,
        Self::ListSenders,
        Self::ShedSessions,
        Self::Revoke,
        Self::Unrevoke,
        Self::ListRevocations,
    ];
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The instance that was asked took it, and did it or told all instances.
    Accepted,
    /// It did not; `reason` says why.
    Refused,
    /// The operator went away before the answer, or handling it failed: it may have been done.
    Unanswered,
    /// It has happened. Of what an operator asked for: this instance did what another one, or itself, told all instances to
    /// do.
    Done,
    /// What should have happened has not; `reason` says why, and the log with which words.
    Failed,
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
    /// What was to be done there: `SUBSCRIBE`, `SEND`, `publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// The destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Box<str>>,
    /// The rule that decided, by its name or its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<str>>,
    /// The issuer of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Box<str>>,
    /// The token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<Box<str>>,
    /// Tokens issued up to here, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<u64>,
    /// Whether the user is blocked as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<bool>,
    /// The revocation's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Box<str>>,
    /// The section of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<&'static str>,
    /// How many users or keys there are by now, or how many sessions are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The share of the sessions, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u8>,
    /// The instance's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Box<str>>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Box<str>>,
    /// The program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    /// The SHA-256 of the configuration in force, without its secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Box<str>>,
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

    /// What a group of events has in common. `None`: nothing.
    pub(super) fn of_a_group(&self) -> Option<Box<Self>> {
        let common = Self {
            user: None,
            session: None,
            destination: None,
            ..self.clone()
        };
        (!common.is_empty()).then(|| Box::new(common))
    }

    /// A user.
    pub fn user(name: &str) -> Self {
        Self {
            user: Some(name.into()),
            ..Self::default()
        }
    }

    /// An issuer.
    pub fn issuer(name: &str) -> Self {
        Self {
            issuer: Some(name.into()),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_stands_at_its_place() {
        for (place, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, place, "{event:?}");
        }
    }
}
