//! Targets and paths as NATS subjects, and back (docs/nats.md). Knows no NATS client, no headers, no STOMP.
//!
//! A segment or user name is one token. In it the bytes `% . * >`, white space, control and non-ASCII characters stand as
//! `%XX`, upper-case hex; nothing else is escaped. Decoding accepts exactly what encoding writes, so that one target
//! has one subject and no two subjects mean the same target.

use std::fmt;

use crate::destination::{DestinationError, Path, Target};
use crate::instance::InstanceId;
use crate::principal::UserName;

/// Longest prefix, so that no subject passes the 4,096 bytes that a NATS server allows a protocol line.
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
}

/// The prefix is not 1 to 64 bytes of `[A-Za-z0-9_-]` tokens with dots between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected 1 to {PREFIX_MAX_BYTES} bytes of letters, digits, '-' and '_', with single dots between them"
        )
    }
}

impl std::error::Error for PrefixError {}

/// Why a subject means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectError {
    /// Neither `<prefix>.broadcast.<path>` nor `<prefix>.user.<user>.<path>`.
    Unknown,
    /// A token that encoding would have written otherwise, or that is not UTF-8 once decoded.
    NotCanonical,
    /// The path breaks the rules of [`Path`].
    Path(DestinationError),
    /// The user name breaks the rules of [`UserName`].
    User,
}

impl Subjects {
    /// The subjects below `prefix`.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        let legal = |token: &str| {
            !token.is_empty()
                && token
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if prefix.len() > PREFIX_MAX_BYTES || !prefix.split('.').all(legal) {
            return Err(PrefixError);
        }
        let below = |kind: &str| format!("{prefix}.{kind}.").into_boxed_str();
        Ok(Self {
            broadcast: below("broadcast"),
            user: below("user"),
            app: below("app"),
            control_all: below("control.all"),
            control_instance: below("control.instance"),
            event: below("event"),
        })
    }

    /// The subject of a notification's target.
    pub fn target(&self, target: &Target) -> String {
        match target {
            Target::Broadcast(path) => with_path(self.broadcast.to_string(), path),
            Target::User { user, path } => {
                let mut subject = self.user.to_string();
                escape(user.as_str(), &mut subject);
                subject.push('.');
                with_path(subject, path)
            }
        }
    }

    /// The target that `subject` means; the inverse of [`Subjects::target`].
    pub fn parse(&self, subject: &str) -> Result<Target, SubjectError> {
        if let Some(tokens) = subject.strip_prefix(&*self.broadcast) {
            return Ok(Target::Broadcast(parse_path(tokens)?));
        }
        let (user, tokens) = subject
            .strip_prefix(&*self.user)
            .ok_or(SubjectError::Unknown)?
            .split_once('.')
            .ok_or(SubjectError::Unknown)?;
        let mut name = String::with_capacity(user.len());
        unescape(user, &mut name)?;
        Ok(Target::User {
            user: UserName::parse(&name).map_err(|_| SubjectError::User)?,
            path: parse_path(tokens)?,
        })
    }

    /// The subject on which backends listen for requests to `path`.
    pub fn app(&self, path: &Path) -> String {
        with_path(self.app.to_string(), path)
    }

    /// What every instance hears; `kind` is lower-case words with dots.
    pub fn control_all(&self, kind: &str) -> String {
        format!("{}{kind}", self.control_all)
    }

    /// What one instance hears.
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

    /// Where backends learn that a user came (`connected`) or went.
    pub fn user_event(&self, connected: bool) -> String {
        let what = if connected { "connected" } else { "disconnected" };
        format!("{}user.{what}", self.event)
    }

    /// The wildcards that an instance subscribes to for notifications: broadcasts, users.
    pub fn notifications(&self) -> [String; 2] {
        [format!("{}>", self.broadcast), format!("{}>", self.user)]
    }

    /// The wildcards that an instance subscribes to for control: what is said to all, what is asked of it.
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
        escape(segment, &mut subject);
    }
    subject
}

fn parse_path(tokens: &str) -> Result<Path, SubjectError> {
    let mut path = String::with_capacity(tokens.len() + 1);
    for token in tokens.split('.') {
        path.push('/');
        // A slash is legal in a user name, never in a segment: two subjects would mean one path.
        if token.contains('/') {
            return Err(SubjectError::NotCanonical);
        }
        unescape(token, &mut path)?;
    }
    Path::parse(&path).map_err(SubjectError::Path)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn must_escape(byte: u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b'%' | b'.' | b'*' | b'>')
}

/// Appends `byte` as `%XX`.
pub(super) fn push_escaped(byte: u8, out: &mut String) {
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if must_escape(byte) {
            push_escaped(byte, out);
        } else {
            out.push(char::from(byte));
        }
    }
}

/// Appends what `token` stands for; only the canonical form.
fn unescape(token: &str, out: &mut String) -> Result<(), SubjectError> {
    if !token.bytes().any(must_escape) {
        out.push_str(token);
        return Ok(());
    }
    let mut decoded = Vec::with_capacity(token.len());
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if must_escape(byte) {
                return Err(SubjectError::NotCanonical);
            }
            decoded.push(byte);
            continue;
        }
        let digits = (bytes.next().and_then(hex_value), bytes.next().and_then(hex_value));
        match digits {
            (Some(high), Some(low)) if must_escape(high << 4 | low) => decoded.push(high << 4 | low),
            _ => return Err(SubjectError::NotCanonical),
        }
    }
    out.push_str(std::str::from_utf8(&decoded).map_err(|_| SubjectError::NotCanonical)?);
    Ok(())
}

/// Upper case only: the lower-case form is not canonical.
fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
