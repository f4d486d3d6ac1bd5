//! Targets and paths as NATS subjects, and back (docs/nats.md). Knows no NATS client, no headers, no STOMP.
//!
//! A segment or a user name is one token. In it, the bytes `% . * >`, white space, control and non-ASCII characters
//! are written as `%XX` in upper-case hex; nothing else is escaped. Decoding accepts exactly what encoding writes, so
//! that one target has one subject and no two subjects mean the same target.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, percent_decode_str, utf8_percent_encode};

use crate::destination::{DestinationError, Path, Target};
use crate::instance::InstanceId;
use crate::principal::UserName;
use crate::setting::as_text;

/// The longest prefix, so that no subject exceeds the 4,096 bytes that a NATS server allows for a protocol line.
pub const PREFIX_MAX_BYTES: usize = 64;

/// Every subject of one prefix (`bus.prefix`).
#[derive(Debug, Clone)]
pub struct Subjects {
    broadcast: Box<str>,
    user: Box<str>,
    app: Box<str>,
    control_all: Box<str>,
    control_instance: Box<str>,
    event: Box<str>,
    reply: Box<str>,
}

/// What the reply subjects of other NATS clients begin with, and those of instances where the server permits no others.
pub const INBOX: &str = "_INBOX.";

/// `bus.prefix`: the first token of every subject, 1 to 64 letters, digits, `-` and `_`, so that it needs no escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Box<str>);

impl Default for Prefix {
    fn default() -> Self {
        Self("herald".into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        match (1..=PREFIX_MAX_BYTES).contains(&text.len()) && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "expected one NATS token: 1 to {PREFIX_MAX_BYTES} letters, digits, - or _, got {text:?}"
            )),
        }
    }
}

as_text!(Prefix);

/// Why a subject has no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectError {
    /// Neither `<prefix>.broadcast.<path>` nor `<prefix>.user.<user>.<path>`.
    Unknown,
    /// A token that encoding would have written differently, or that is not UTF-8 when decoded.
    NotCanonical,
    /// The path breaks the rules of [`Path`].
    Path(DestinationError),
    /// The user name breaks the rules of [`UserName`].
    User,
    /// One of Herald's own destinations.
    Reserved,
}

impl Subjects {
    /// The subjects below `prefix`.
    pub fn new(prefix: &Prefix) -> Self {
        let below = |kind: &str| format!("{prefix}.{kind}.").into_boxed_str();
        Self {
            broadcast: below("broadcast"),
            user: below("user"),
            app: below("app"),
            control_all: below("control.all"),
            control_instance: below("control.instance"),
            event: below("event"),
            reply: below("reply"),
        }
    }

    /// The subject of a notification's target.
    pub fn target(&self, target: &Target) -> String {
        match target {
            Target::Broadcast(path) => with_path(self.broadcast.to_string(), path),
            Target::User { user, path } => {
                // Most need no escape.
                let length = self.user.len() + user.as_str().len() + path.as_str().len();
                let mut subject = String::with_capacity(length);
                subject.push_str(&self.user);
                subject.extend(encode(user.as_str()));
                subject.push('.');
                with_path(subject, path)
            }
        }
    }

    /// The target of `subject`: the inverse of [`Subjects::target`].
    pub fn parse(&self, subject: &str) -> Result<Target, SubjectError> {
        if let Some(tokens) = subject.strip_prefix(&*self.broadcast) {
            return Ok(Target::Broadcast(parse_path(tokens)?));
        }
        let (user, tokens) = subject
            .strip_prefix(&*self.user)
            .ok_or(SubjectError::Unknown)?
            .split_once('.')
            .ok_or(SubjectError::Unknown)?;
        let path = parse_path(tokens)?;
        if path.is_own_of_users() {
            return Err(SubjectError::Reserved);
        }
        Ok(Target::User {
            user: UserName::parse(&decode(user)?).map_err(|_| SubjectError::User)?,
            path,
        })
    }

    /// The subject on which backends listen for requests to `path`.
    pub fn app(&self, path: &Path) -> String {
        with_path(self.app.to_string(), path)
    }

    /// The subject of questions about logins.
    pub fn login(&self) -> String {
        let prefix = self.app.strip_suffix("app.").unwrap_or_default();
        format!("{prefix}auth.connect")
    }

    /// The subject that every instance receives. `kind` is lower-case words with dots.
    pub fn control_all(&self, kind: &str) -> String {
        format!("{}{kind}", self.control_all)
    }

    /// The subject that one instance receives.
    pub fn control_instance(&self, instance: InstanceId, kind: &str) -> String {
        format!("{}{instance}.{kind}", self.control_instance)
    }

    /// The kind of what arrived on a subject of [`Subjects::control_all`] or [`Subjects::control_instance`].
    pub fn control_kind<'s>(&self, subject: &'s str, instance: InstanceId) -> Option<&'s str> {
        subject.strip_prefix(&*self.control_all).or_else(|| {
            subject
                .strip_prefix(&*self.control_instance)?
                .strip_prefix(&*instance.to_string())?
                .strip_prefix('.')
        })
    }

    /// The subject by which newcomers find out whether anybody is there that has everything.
    pub fn newcomers(&self) -> String {
        self.below_control("newcomers")
    }

    /// A subject beside that one to which nobody subscribes by its name; `random` is one token.
    pub fn nobody(&self, random: impl fmt::Display) -> String {
        self.below_control(random)
    }

    fn below_control(&self, last: impl fmt::Display) -> String {
        let control = self.control_all.strip_suffix("all.").unwrap_or_default();
        format!("{control}{last}")
    }

    /// The subject on which backends learn that a user came (`connected`) or went.
    pub fn user_event(&self, connected: bool) -> String {
        let what = if connected { "connected" } else { "disconnected" };
        format!("{}user.{what}", self.event)
    }

    /// What the reply subjects of instances begin with.
    pub fn reply(&self) -> &str {
        &self.reply
    }

    /// Whether an instance may have asked for a reply to `subject`; those of the release before say `_INBOX`.
    pub fn is_reply(&self, subject: &str) -> bool {
        subject.starts_with(&*self.reply) || subject.starts_with(INBOX)
    }

    /// The wildcards that an instance subscribes to for notifications: broadcasts and users.
    pub fn notifications(&self) -> [String; 2] {
        [format!("{}>", self.broadcast), format!("{}>", self.user)]
    }

    /// The wildcard of broadcasts below `prefix`.
    pub fn broadcasts_below(&self, prefix: &Path) -> String {
        let mut subject = with_path(self.broadcast.to_string(), prefix);
        subject.push_str(".>");
        subject
    }

    /// The wildcards that an instance subscribes to for control: messages to all, and questions to itself.
    pub fn control(&self, instance: InstanceId) -> [String; 2] {
        [
            format!("{}>", self.control_all),
            format!("{}{instance}.>", self.control_instance),
        ]
    }
}

/// Whether `kind` can name a control message: lower-case words with dots between them.
pub fn is_control_kind(kind: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    kind.len() <= 128 && kind.split('.').all(word)
}

fn with_path(mut subject: String, path: &Path) -> String {
    for (index, segment) in path.segments().enumerate() {
        if index > 0 {
            subject.push('.');
        }
        subject.extend(encode(segment));
    }
    subject
}

fn parse_path(tokens: &str) -> Result<Path, SubjectError> {
    let mut path = String::with_capacity(tokens.len() + 1);
    for token in tokens.split('.') {
        path.push('/');
        // A slash is valid in a user name but never in a segment: two subjects would mean one path.
        if token.contains('/') {
            return Err(SubjectError::NotCanonical);
        }
        path.push_str(&decode(token)?);
    }
    Path::parse(&path).map_err(SubjectError::Path)
}

/// The ASCII bytes that a token holds as `%XX`. What is not ASCII is always escaped.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'.').add(b'*').add(b'>');

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
}

/// The text that `token` stands for. A token is canonical if encoding that text returns the token.
fn decode(token: &str) -> Result<Cow<'_, str>, SubjectError> {
    let text = percent_decode_str(token)
        .decode_utf8()
        .map_err(|_| SubjectError::NotCanonical)?;
    let rest = encode(&text).try_fold(token, |rest, part| rest.strip_prefix(part));
    match rest {
        Some("") => Ok(text),
        _ => Err(SubjectError::NotCanonical),
    }
}

#[cfg(test)]
mod tests;
