//! `[[auth.issuers]]` and `[auth.token]`: whose tokens are accepted, and the limits on tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

use crate::principal::Role;
use crate::setting::{ByteSize, Findings, HumanDuration, as_text, serialize_shown};

mod check;

pub(in crate::auth) use check::{check, check_names, is_safe, prefix_problem};

/// The name of an algorithm: `RS256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmName(pub Algorithm);

impl fmt::Display for AlgorithmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants have JOSE's names.
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for AlgorithmName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            "expected one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 and HS512"
                .into()
        })
    }
}

as_text!(AlgorithmName);

/// One `[[auth.issuers]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// `aud` of its tokens: any of these.
    pub audience: Vec<String>,
    /// The prefix of its users' names, so that no two issuers name the same user.
    pub user_prefix: String,
    /// The claim with the user's name.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// Roles that all of its users have.
    #[serde(default = "default_roles")]
    pub roles: Vec<Role>,
    /// The claim with values for `role_map` and `roles_allowed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles_claim: Option<String>,
    /// Maps values of that claim to roles.
    #[serde(default)]
    pub role_map: BTreeMap<String, Role>,
    /// Values of that claim that are used as roles unchanged.
    #[serde(default)]
    pub roles_allowed: Vec<Role>,
    /// Claims that rules may use.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// The claim that says what a token itself permits, for rules with `granted = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_claim: Option<String>,
    /// `typ` of its tokens: any of these; an empty one means that it is absent.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// The algorithms that it signs with. `None`: RS256, PS256, ES256, EdDSA, and those of `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<AlgorithmName>>,
    /// How far its clock may differ from this one.
    #[serde(default = "default_leeway")]
    pub leeway: HumanDuration,
    /// The longest time from `iat` to `exp`.
    #[serde(default = "default_max_lifetime")]
    pub max_lifetime: HumanDuration,
    /// The address of its key set.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_shown"
    )]
    pub jwks_uri: Option<String>,
    /// Whether to take that address from its discovery document.
    #[serde(default)]
    pub discovery: bool,
    /// Configured keys instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyConfig>,
    /// The certificate authorities for its server, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Whether the instance waits for its keys before it is ready.
    #[serde(default = "default_required")]
    pub required: bool,
    /// How often its keys are fetched.
    #[serde(default = "default_refresh")]
    pub refresh: HumanDuration,
    /// How long the last keys are used while its server does not answer.
    #[serde(default = "default_stale")]
    pub stale: HumanDuration,
    /// How long an answer may take, and how long a login waits for it.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Whether sessions end when the key that signed their token is removed from the set.
    #[serde(default)]
    pub close_on_key_removal: bool,
}

/// One `[[auth.issuers.keys]]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The name by which tokens refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The only algorithm that it is for. `None`: all that fit it; for a secret: HS256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmName>,
    /// A file with a secret of at least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// A file with a public key, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<String>,
}

fn default_user_claim() -> String {
    "sub".into()
}

fn default_roles() -> Vec<Role> {
    vec![Role::user()]
}

fn default_types() -> Vec<String> {
    ["JWT", "at+jwt", ""].map(Into::into).into()
}

fn default_leeway() -> HumanDuration {
    HumanDuration::secs(30)
}

fn default_max_lifetime() -> HumanDuration {
    HumanDuration::secs(86_400)
}

fn default_required() -> bool {
    true
}

fn default_refresh() -> HumanDuration {
    HumanDuration::secs(600)
}

fn default_stale() -> HumanDuration {
    HumanDuration::secs(86_400)
}

fn default_timeout() -> HumanDuration {
    HumanDuration::secs(2)
}

impl IssuerConfig {
    /// An issuer with default settings.
    pub fn new(issuer: &str, audience: &str, user_prefix: &str) -> Self {
        Self {
            issuer: issuer.into(),
            audience: vec![audience.into()],
            user_prefix: user_prefix.into(),
            user_claim: default_user_claim(),
            roles: default_roles(),
            roles_claim: None,
            role_map: BTreeMap::new(),
            roles_allowed: Vec::new(),
            attributes: Vec::new(),
            permissions_claim: None,
            types: default_types(),
            algorithms: None,
            leeway: default_leeway(),
            max_lifetime: default_max_lifetime(),
            jwks_uri: None,
            discovery: false,
            keys: Vec::new(),
            ca_file: None,
            required: default_required(),
            refresh: default_refresh(),
            stale: default_stale(),
            timeout: default_timeout(),
            close_on_key_removal: false,
        }
    }

    /// The algorithms that its tokens may be signed with. Each key decides by itself which of them it is for.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
        match &self.algorithms {
            Some(named) => named.iter().map(|name| name.0).collect(),
            None if self.is_fetched() => vec![RS256, PS256, ES256, EdDSA],
            None => {
                let named = self
                    .keys
                    .iter()
                    .filter_map(|key| key.algorithm.map(|name| name.0));
                let hashed = self.keys.iter().any(|key| key.secret_file.is_some());
                let public = self.keys.iter().any(|key| key.public_key_file.is_some());
                let hashed = hashed.then_some(Algorithm::HS256);
                let public = [RS256, PS256, ES256, ES384, EdDSA].into_iter().filter(|_| public);
                named.chain(hashed).chain(public).collect()
            }
        }
    }

    /// Whether its keys come from a server.
    pub fn is_fetched(&self) -> bool {
        self.jwks_uri.is_some() || self.discovery
    }

    /// Whether its tokens may provide this attribute.
    pub fn gives(&self, name: &str) -> bool {
        self.attributes.iter().any(|text| attribute(text).0 == name)
    }

    /// The address of its discovery document.
    pub fn discovery_uri(&self) -> String {
        let issuer = self.issuer.trim_end_matches('/');
        format!("{issuer}/.well-known/openid-configuration")
    }
}

/// An entry of `attributes`: its name, and its claim. `tenant` is both; `tenant=https://e.example/tenant` gives a name
/// to a claim whose own name cannot be used in a rule.
pub(super) fn attribute(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, text))
}

/// `[auth.token]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// The maximum length of a token. A longer one is refused unread.
    pub max_bytes: ByteSize,
    /// The share of all cores, in percent, for verifying signatures on the thread that received the token. Other
    /// signatures wait for their turn on the threads for hashes. 0: all of them do.
    pub inline_percent: u32,
    /// How many verified tokens are remembered, each until it expires.
    pub cache_entries: usize,
    /// How many logins may wait for keys that are being fetched. Beyond it: refused.
    pub waiting: usize,
    /// How long before its end a session is reminded of it, at most a third of its life. 0s: never. It applies to every
    /// credential that expires.
    pub remind: HumanDuration,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::kib(6),
            inline_percent: 50,
            cache_entries: 10_000,
            waiting: 1_000,
            remind: HumanDuration::secs(60),
        }
    }
}

impl TokenConfig {
    /// Checks that everything is bounded.
    pub fn check(&self, findings: &mut Findings) {
        let (least, most) = (ByteSize::kib(1), ByteSize::kib(64));
        findings.within("auth.token.max_bytes", self.max_bytes, least, most);
        findings.within("auth.token.inline_percent", self.inline_percent, 0, 100);
        findings.within("auth.token.cache_entries", self.cache_entries, 0, 1_000_000);
        findings.within("auth.token.waiting", self.waiting, 0, 100_000);
    }
}
