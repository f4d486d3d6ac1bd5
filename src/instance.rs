//! The identity of this Herald instance. The random id identifies it; the name is for people.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

use crate::setting::as_text;

/// An instance's identity: random at each start, and ordered, so that all instances agree on which id is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Ulid);

impl InstanceId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Ulid::new())
    }

    /// Reads the text that [`fmt::Display`] writes: 26 characters of Crockford's base 32.
    pub fn parse(text: &str) -> Option<Self> {
        Ulid::from_string(text).ok().map(Self)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("no instance id"))
    }
}

/// This instance: its identity and its name (`instance.name`, default the host's). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The identity on the bus.
    pub id: InstanceId,
    /// The name in CONNECTED, logs and spans.
    pub name: Arc<str>,
}

/// `[instance]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name for people. `None` means the host's name.
    pub name: Option<Name>,
}

/// `instance.name`: fit for a STOMP header and a NATS header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Box<str>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let sound =
            (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text;
        match sound {
            true => Ok(Self(text.into())),
            false => Err("expected 1 to 128 bytes without control characters or blanks around them"),
        }
    }
}

as_text!(Name);

impl Instance {
    /// The instance of this process, with a fresh id.
    pub fn new(config: &Config) -> Self {
        let name = config
            .name
            .as_ref()
            .map_or_else(host_name, |name| name.0.to_string());
        Self {
            id: InstanceId::random(),
            name: name.into(),
        }
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
