//! The messages of instances about revocations. These types are the wire format.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::auth::revoked::entry::{Revocation, RevocationId};
use crate::control::question::{Question, Statement};
use crate::instance::InstanceId;

/// Revocations. What cannot be read of them is left out: a newer version may revoke what this one does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct List(pub Vec<Revocation>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(list: D) -> Result<Self, D::Error> {
        let all = Vec::<Box<RawValue>>::deserialize(list)?;
        // Not a list that serde would take for one.
        let objects = all.iter().map(|one| one.get()).filter(|one| one.starts_with('{'));
        let read = objects.filter_map(|one| serde_json::from_str(one).ok());
        Ok(Self(read.collect()))
    }
}

/// To every instance: these are in force from now on, or lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub revocations: List,
}

impl Statement for Told {
    const KIND: &'static str = "tokens.revoked";
    const MAX_BYTES: usize = 256 << 10;
}

/// To every instance: so many revocations have I that end at a moment or later, and these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announced {
    pub instance: InstanceId,
    pub count: usize,
    /// Equal for equal revocations.
    pub hash: u64,
    /// The moment, in Unix ms: what ends sooner may be forgotten by one and not by the other.
    #[serde(default)]
    pub from_ms: u64,
    /// Whether the others are to say the same of themselves.
    #[serde(default)]
    pub asks: bool,
    /// Whether the sender surely has all that any instance had when it began, or more.
    #[serde(default)]
    pub is_whole: bool,
}

impl Statement for Announced {
    const KIND: &'static str = "tokens.digest";
    const MAX_BYTES: usize = 1_024;
}

/// Which revocations do you have?
pub(super) struct Behind;

impl Question for Behind {
    const KIND: &'static str = "tokens.revocations";
    type Ask = After;
    type Answer = Answered;
}

/// Behind which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct After {
    /// To be said in any case: a question without it is another's.
    #[serde(deserialize_with = "Option::deserialize")]
    pub after: Option<RevocationId>,
}

/// The answer to [`Behind`], by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    pub revocations: List,
    /// Behind which one there are more.
    #[serde(default)]
    pub next: Option<RevocationId>,
}
