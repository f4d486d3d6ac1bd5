//! Lists of origins: `http.origins`, `http.cors_origins`. Pure; knows no request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use url::{Host, Url};

/// The allow-list of origins (RFC 6454): `*`, exact origins, and `https://*.example.com` for every host below a
/// domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    scheme: String,
    /// With `below`: the domain, including the dot before it.
    host: String,
    port: Option<u16>,
    below: bool,
}

/// As in the configuration: a list of texts, each read at its own place.
impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<Item>::deserialize(deserializer)?;
        Ok(Self::of(items))
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let any = self.any.then(|| "*".to_owned());
        serializer.collect_seq(any.into_iter().chain(self.listed.iter().map(Pattern::to_string)))
    }
}

/// One item of the list.
enum Item {
    Any,
    Listed(Pattern),
}

impl FromStr for Item {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        match text.trim() {
            "*" => Ok(Self::Any),
            text => Pattern::parse(text)
                .map(Self::Listed)
                .ok_or_else(|| OriginError(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = if self.below { "*" } else { "" };
        write!(f, "{}://{wildcard}{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginError(String);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected an origin such as *, https://a.example or https://*.example.com, without a path, got {:?}",
            self.0
        )
    }
}

impl std::error::Error for OriginError {}

impl Origins {
    /// Reads the list as configured.
    ///
    /// # Errors
    /// [`OriginError`], which names the first item that has none of the three forms.
    pub fn parse(list: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, OriginError> {
        let items: Result<Vec<Item>, OriginError> =
            list.into_iter().map(|item| item.as_ref().parse()).collect();
        Ok(Self::of(items?))
    }

    /// Every origin: `*`.
    pub fn any() -> Self {
        Self::of([Item::Any])
    }

    fn of(items: impl IntoIterator<Item = Item>) -> Self {
        let mut origins = Self::default();
        for item in items {
            match item {
                Item::Any => origins.any = true,
                Item::Listed(pattern) => origins.listed.push(pattern),
            }
        }
        origins
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// Whether a request with this `Origin` is allowed. A client without an `Origin` is not a browser, and an
    /// allow-list of origins cannot bind it.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        self.any || origin.is_none_or(|origin| self.lists_by_name(origin))
    }

    /// The same, but a page of the host that the request itself names is allowed as well.
    pub fn allows_at(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let own = || matches!((origin, host), (Some(origin), Some(host)) if is_of_host(origin, host));
        self.allows(origin) || own()
    }

    /// Whether every origin is allowed: `*`.
    pub fn has_any(&self) -> bool {
        self.any
    }

    /// Whether `origin` is listed, by itself or by its domain, and not merely by `*`. `null` never is: any sandboxed
    /// page has it.
    pub fn lists_by_name(&self, origin: &str) -> bool {
        let Some(origin) = Pattern::parse(origin).filter(|origin| !origin.below) else {
            return false;
        };
        self.listed.iter().any(|pattern| pattern.matches(&origin))
    }
}

impl Pattern {
    /// [`Url`] reads more than an origin may have and respells what it reads. The text is an origin if its parts, put
    /// together again, are the text; the scheme's own port may be written or not.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let domain = authority.strip_prefix("*.");
        let url = Url::parse(&format!("{scheme}://{}", domain.unwrap_or(authority))).ok()?;
        let host = match url.host()? {
            Host::Domain(host) if host.starts_with('.') || host.contains('*') => return None,
            Host::Domain(_) => url.host_str()?,
            Host::Ipv4(_) | Host::Ipv6(_) => url.host_str().filter(|_| domain.is_none())?,
        };
        let wildcard = if domain.is_some() { "*." } else { "" };
        let spelled = |port: Option<u16>| {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            format!("{}://{wildcard}{host}{port}", url.scheme()) == text
        };
        (spelled(url.port()) || spelled(url.port_or_known_default())).then(|| Self {
            scheme: scheme.to_owned(),
            host: format!("{}{host}", wildcard.trim_start_matches('*')),
            port: url.port(),
            below: domain.is_some(),
        })
    }

    fn matches(&self, origin: &Self) -> bool {
        let host = match self.below {
            true => origin.host.len() > self.host.len() && origin.host.ends_with(&self.host),
            false => origin.host == self.host,
        };
        host && self.scheme == origin.scheme && self.port == origin.port
    }
}

/// Whether `text` is one origin, as a browser writes it; `null` is none.
pub(crate) fn is_origin(text: &str) -> bool {
    Pattern::parse(text).is_some_and(|origin| !origin.below)
}

/// Whether `origin` is that of a page of `host`, a `Host` header. Schemes are not compared: TLS may end before
/// Herald.
pub(crate) fn is_of_host(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, _)| {
        let page = Pattern::parse(origin).filter(|page| !page.below);
        page.is_some() && page == Pattern::parse(&format!("{scheme}://{host}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &[&str], origin: &str, allowed: bool, by_name: bool) {
        let origins = Origins::parse(list).unwrap();
        assert_eq!(origins.allows(Some(origin)), allowed, "{list:?} {origin}");
        assert_eq!(origins.lists_by_name(origin), by_name, "{list:?} {origin}");
        assert!(origins.allows(None));
    }

    #[test]
    fn exact() {
        let list = [
            "https://a.example:443",
            "http://b.example:8080",
            "http://[::1]:3000",
            "http://10.0.0.1",
            "capacitor://localhost",
            "moz-extension://6f4e-a_b",
        ];
        check(&list, "https://a.example", true, true);
        check(&list, "HTTPS://A.example:443", true, true);
        check(&list, "http://10.0.0.1:80", true, true);
        check(&list, "capacitor://localhost", true, true);
        check(&list, "moz-extension://6f4e-a_b", true, true);
        check(&list, "http://[::1]:3000", true, true);
        for other in [
            "http://a.example",
            "https://a.example:444",
            "https://a.example.evil",
            "https://b.a.example",
            "https://evil-a.example",
            "http://b.example",
            "https://a.example/",
            "https://a.example@evil",
            "https://a.example:",
            "https://a.example:+443",
            "null",
            "",
            "*",
            "https://*",
        ] {
            check(&list, other, false, false);
        }
    }

    #[test]
    fn below_a_domain() {
        let list = ["https://*.example.com"];
        check(&list, "https://a.example.com", true, true);
        check(&list, "https://a.b.example.com", true, true);
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://*.example.com",
            "https://evilexample.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://a.example.com.evil.org",
            "https://evil.org/.example.com",
            "https://evil.org#.example.com",
        ] {
            check(&list, other, false, false);
        }
        check(&["http://*.local:81"], "http://a.local:81", true, true);
        check(&["app://*.local:81"], "app://a.local:81", true, true);
    }

    #[test]
    fn any() {
        check(&["*"], "https://a.example", true, false);
        check(&["*"], "null", true, false);
        check(&["*", "https://a.example"], "https://a.example", true, true);
        check(&[], "https://a.example", false, false);
    }

    #[test]
    fn what_is_no_origin_is_refused_by_name() {
        for text in [
            "",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://*",
            "https://*example.com",
            "https://a.*.com",
            "https://*.[::1]",
            "https://a.example?x",
            "https://a.example#x",
            "https://user:password@a.example",
            "https://a.example\\",
            "https://a.exa\tmple",
            "https://%61.example",
            "https://b\u{fc}cher.example",
            "http://[::0:1]",
            "http://127.1",
            "http:a.example",
            "http:///a.example",
            "file:///etc",
            "data:,x",
            "https://a.example:99999",
            "https://.example.com",
            "1http://a",
        ] {
            let error = Origins::parse([text]).unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_page_of_the_host_itself() {
        for (origin, host, expected) in [
            ("https://a.example", "a.example", true),
            ("https://a.example:443", "A.example", true),
            ("https://a.example", "a.example:443", true),
            ("http://a.example", "a.example:443", false),
            ("https://a.example:444", "a.example", false),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://127.0.0.1:8080", "localhost:8080", false),
            ("https://a.example.evil", "a.example", false),
            ("https://*.example", "*.example", false),
            ("null", "null", false),
            ("null", "", false),
            ("https://", "", false),
        ] {
            let origins = Origins::default();
            assert_eq!(
                origins.allows_at(Some(origin), Some(host)),
                expected,
                "{origin} {host}"
            );
            assert!(!origins.allows_at(Some(origin), None));
            assert!(!origins.lists_by_name(origin));
        }
    }
}
