//! Who may use the REST interface: API keys, users with roles, or anyone (`api.access`). Knows no route.

use serde::{Deserialize, Serialize};

/// `[api]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may publish.
    pub access: Access,
    /// The named keys.
    pub keys: Vec<Key>,
}

/// `api.access`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Only the bearer of a key, or a user with the role.
    #[default]
    Keys,
    /// Anyone who reaches the port may publish, nothing else.
    Open,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish notifications.
    Publish,
    /// Read presence and metrics.
    Read,
    /// Disconnect users; includes the others.
    Admin,
}

/// One `[[api.keys]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Stands in spans and the audit log.
    pub name: String,
    /// SHA-256 of the key, 64 hex digits.
    pub sha256: String,
    /// What it may do.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<Scope>,
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::Publish]
}
