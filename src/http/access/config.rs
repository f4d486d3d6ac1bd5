//! `[api]`: who may publish, and the named keys. No error repeats a digest.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::certificate::{self, CertificateConfig};
use crate::permissions::Pattern;
use crate::setting::{ByteRate, ByteSize, Findings, Rate, as_text};

/// `[api]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may publish.
    pub access: Access,
    /// The named keys.
    pub keys: Vec<Key>,
    /// Callers that are known by their certificates.
    pub certificates: Vec<CertificateConfig>,
    /// A TOML file of more `[[keys]]`, watched.
    pub keys_file: Option<String>,
    /// How large that file may be.
    pub keys_file_bytes: ByteSize,
    /// Samples of what is fanned out (`GET /api/v1/tap`) at the same time. Beyond it: 503.
    pub taps: usize,
    /// How many destinations one sample distinguishes.
    pub tap_destinations: usize,
    /// Targets of one request: one for each broadcast and one for each user of a notification. Beyond it: 413.
    pub targets_per_request: usize,
    /// The rate of targets of one caller: of a key, of a user, or with `access = "open"` of an address. Beyond it: 429.
    pub targets_per_caller: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            access: Access::default(),
            keys: Vec::new(),
            certificates: Vec::new(),
            keys_file: None,
            keys_file_bytes: ByteSize::kib(256),
            taps: 4,
            tap_destinations: 1_000,
            targets_per_request: 10_000,
            targets_per_caller: Rate::OFF,
        }
    }
}

impl Config {
    /// Whether anyone who reaches the port may publish.
    pub fn is_open(&self) -> bool {
        self.access == Access::Open
    }

    /// Checks that each key has one name and each name one key.
    pub fn check(&self, findings: &mut Findings) {
        check_keys(configured(&self.keys), findings);
        certificate::check(&self.certificates, findings);
        findings.within("api.taps", self.taps, 0, 64);
        findings.within("api.tap_destinations", self.tap_destinations, 1, 100_000);
        findings.within("api.targets_per_request", self.targets_per_request, 1, 1_000_000);
    }
}

/// The keys of the configuration, each with its place in it.
pub(super) fn configured(keys: &[Key]) -> impl Iterator<Item = (String, &Key)> {
    let place = |index| format!("api.keys[{index}]");
    keys.iter()
        .enumerate()
        .map(move |(index, key)| (place(index), key))
}

/// The keys of the file, each with its place in it.
pub(super) fn filed(keys: &[Key]) -> impl Iterator<Item = (String, &Key)> {
    let place = |index| format!("api.keys_file keys[{index}]");
    keys.iter()
        .enumerate()
        .map(move |(index, key)| (place(index), key))
}

/// Checks that each key has one name and each name one key.
pub(super) fn check_keys<'a>(keys: impl Iterator<Item = (String, &'a Key)>, findings: &mut Findings) {
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    for (place, key) in keys {
        let at = |field: &str| format!("{place}.{field}");
        if !names.insert(&key.name) {
            findings.error(at("name"), format!("{:?} is another key's name too", key.name));
        }
        for digest in &key.sha256.0 {
            if !digests.insert(*digest) {
                findings.error(at("sha256"), "is there twice: each key has one name");
            }
        }
        let publishes = key
            .scopes
            .iter()
            .any(|scope| matches!(scope, Scope::Publish | Scope::Admin));
        if key.destinations.is_some() && !publishes {
            findings.warn(
                at("destinations"),
                "the key may not publish at all: its scopes lack publish",
            );
        }
    }
}

/// `api.access`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Only the holder of a key, or a user with the role.
    #[default]
    Keys,
    /// Anyone who reaches the port may publish, and nothing else.
    Open,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish notifications.
    Publish,
    /// Read presence; includes metrics.
    Read,
    /// Read metrics.
    Metrics,
    /// Disconnect users; includes the others.
    Admin,
}

impl Scope {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Publish, Self::Read, Self::Metrics, Self::Admin];

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// The roles of users who have it, in words.
    pub(crate) fn roles(self) -> &'static str {
        match self {
            Self::Publish => "ROLE_PUBLISHER or ROLE_ADMIN",
            Self::Read | Self::Metrics | Self::Admin => "ROLE_ADMIN",
        }
    }
}

/// One `[[api.keys]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Appears in spans and the audit log: 1 to 128 bytes without control characters.
    #[serde(deserialize_with = "name", serialize_with = "shown")]
    pub name: Arc<str>,
    /// SHA-256 of the key, or of the old and the new one while it is replaced.
    pub sha256: KeyDigests,
    /// What it may do; never empty.
    #[serde(default = "default_scopes", deserialize_with = "scopes")]
    pub scopes: Box<[Scope]>,
    /// Where it may publish. None: where `permissions.publish` lets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Pattern>>,
    /// Its rate of targets, instead of `api.targets_per_caller`. Beyond it: 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Its rate of bytes of bodies, counted once for each target. Beyond it: 429.
    #[serde(default = "unlimited", skip_serializing_if = "is_unlimited")]
    pub bytes: ByteRate,
    /// Until when it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<NotAfter>,
}

fn unlimited() -> ByteRate {
    ByteRate::OFF
}

fn is_unlimited(rate: &ByteRate) -> bool {
    *rate == ByteRate::OFF
}

impl Key {
    /// A key with these scopes and without bounds.
    pub fn new(name: &str, digest: impl Into<KeyDigest>, scopes: &[Scope]) -> Self {
        Self {
            name: name.into(),
            sha256: KeyDigests([digest.into()].into()),
            scopes: scopes.into(),
            destinations: None,
            rate: None,
            bytes: ByteRate::OFF,
            not_after: None,
        }
    }
}

/// A moment, written as RFC 3339 has it: `2027-01-31T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAfter(pub(super) jiff::Timestamp);

impl fmt::Display for NotAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NotAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.parse().map(Self);
        read.map_err(|_| "expected a moment such as 2027-01-31T00:00:00Z".into())
    }
}

as_text!(NotAfter);

pub(super) fn default_scopes() -> Box<[Scope]> {
    [Scope::Publish].into()
}

pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match (1..=128).contains(&name.len()) && !name.chars().any(char::is_control) {
        true => Ok(name.into()),
        false => Err(de::Error::custom(
            "expected 1 to 128 bytes without control characters",
        )),
    }
}

pub(super) fn shown<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

pub(super) fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[Scope]>, D::Error> {
    let scopes = Vec::deserialize(deserializer)?;
    match scopes.is_empty() {
        false => Ok(scopes.into()),
        true => Err(de::Error::custom(
            "expected at least one of publish, read, metrics and admin",
        )),
    }
}

/// One digest or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigests(pub(super) Box<[KeyDigest]>);

impl Serialize for KeyDigests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [digest] => digest.serialize(serializer),
            digests => digests.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeyDigests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrTwo;
        impl<'de> de::Visitor<'de> for OneOrTwo {
            type Value = KeyDigests;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256, or a list of two")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyDigests, E> {
                let digest: KeyDigest = text.parse().map_err(E::custom)?;
                Ok(KeyDigests([digest].into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<KeyDigests, A::Error> {
                let mut digests = Vec::new();
                while let Some(digest) = items.next_element()? {
                    digests.push(digest);
                }
                match digests.len() {
                    1 | 2 => Ok(KeyDigests(digests.into())),
                    found => Err(de::Error::custom(format!(
                        "expected one SHA-256 or two, got {found}"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(OneOrTwo)
    }
}

/// A SHA-256, read from 64 hexadecimal digits. It is hidden wherever the configuration is shown, as a password's hash is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub(super) [u8; 32]);

impl From<[u8; 32]> for KeyDigest {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for KeyDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut digest = [0; 32];
        let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let pairs = text.as_bytes().chunks(2);
        let read = digest.iter_mut().zip(pairs).try_for_each(|(byte, pair)| {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            Some(())
        });
        read.filter(|()| is_hex).map(|()| Self(digest)).ok_or_else(|| {
            format!(
                "expected the 64 hexadecimal digits of the key's SHA-256, got {} characters",
                text.chars().count()
            )
        })
    }
}

as_text!(KeyDigest);
