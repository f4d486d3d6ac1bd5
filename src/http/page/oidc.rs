//! `http.page_oidc`: the provider at which the page's users sign in. Herald only passes its address to the page: the
//! page talks to the provider itself, and gets a token like any other. Knows no token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::setting::{Findings, as_text};

/// The longest name of a provider, of the page's client, and of an audience.
const NAME_MAX_BYTES: usize = 255;
/// How many scopes the page may ask for.
const SCOPES_MAX: usize = 16;

/// `[http.page_oidc]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageOidc {
    /// The provider. `None`: the page asks for a user and a password.
    pub issuer: Option<PageIssuer>,
    /// What the page is called there: a public client, which has no secret.
    pub client_id: Option<OidcName>,
    /// What it asks for.
    pub scopes: Vec<Scope>,
    /// What the token is to be for, where the provider has to be told (Auth0).
    pub audience: Option<OidcName>,
}

impl Default for PageOidc {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            scopes: vec![Scope("openid".into())],
            audience: None,
        }
    }
}

impl PageOidc {
    /// Checks that the settings fit each other.
    pub(in crate::http) fn check(&self, findings: &mut Findings) {
        match (&self.issuer, &self.client_id) {
            (Some(_), None) => findings.error(
                "http.page_oidc.client_id",
                "expected the page's name at http.page_oidc.issuer: a public client, with the page's address as redirect URI",
            ),
            (None, Some(_)) => findings.error(
                "http.page_oidc.issuer",
                "expected the provider that knows http.page_oidc.client_id",
            ),
            _ => {}
        }
        findings.within("http.page_oidc.scopes", self.scopes.len(), 1, SCOPES_MAX);
        if !self.scopes.iter().any(|scope| &*scope.0 == "openid") {
            findings.error(
                "http.page_oidc.scopes",
                "expected openid among them: without it the answer says nothing of who signed in",
            );
        }
    }

    /// The origin that the page talks to, if there is one.
    pub(super) fn origin(&self) -> Option<String> {
        let url = Url::parse(&self.issuer.as_ref()?.0).ok()?;
        Some(url.origin().ascii_serialization())
    }

    /// What the page is told, by the names of its attributes.
    pub(super) fn told(&self) -> [(&'static str, String); 4] {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| &*scope.0).collect();
        let text = |name: &Option<OidcName>| name.as_ref().map(ToString::to_string).unwrap_or_default();
        [
            (
                "{{oidc_issuer}}",
                self.issuer.as_ref().map(ToString::to_string).unwrap_or_default(),
            ),
            ("{{oidc_client_id}}", text(&self.client_id)),
            ("{{oidc_scopes}}", scopes.join(" ")),
            ("{{oidc_audience}}", text(&self.audience)),
        ]
    }
}

/// The provider's name, which is an address. Its origin goes into a header of the page's, so that its host has to be letters,
/// digits, dots and hyphens, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageIssuer(Box<str>);

impl PageIssuer {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PageIssuer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected the https:// address of a provider, or an http:// one on a loopback address, without user, \
                                password, ? and #";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let plain = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        };
        let (is_host, is_loopback) = match url.host() {
            Some(Host::Ipv4(ip)) => (true, ip.is_loopback()),
            Some(Host::Ipv6(ip)) => (true, ip.is_loopback()),
            Some(Host::Domain(name)) => (plain(name), name == "localhost"),
            None => (false, false),
        };
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback;
        match is_host && is_bare && is_safe && text.len() <= NAME_MAX_BYTES {
            true => Ok(Self(text.into())),
            false => Err(EXPECTED),
        }
    }
}

as_text!(PageIssuer);

/// The name of a client, or of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcName(Box<str>);

impl fmt::Display for OidcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OidcName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (1..=NAME_MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err("expected 1 to 255 visible ASCII characters"),
        }
    }
}

as_text!(OidcName);

/// One scope (RFC 6749, section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Box<str>);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letter = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        match (1..=NAME_MAX_BYTES).contains(&text.len()) && text.bytes().all(letter) {
            true => Ok(Self(text.into())),
            false => {
                Err("expected a scope such as openid: 1 to 255 visible ASCII characters, without \" and \\")
            }
        }
    }
}

as_text!(Scope);
