//! Which members of a publisher's `baggage` (W3C Baggage) reach browsers. Knows no transport and no setting by name.
//!
//! Backends put data for other backends into `baggage`: a tenant, a session, a feature flag. A browser gets the members
//! that an operator listed, and by default none.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Envelope, Headers};
use crate::setting::as_text;

const BAGGAGE: &str = "baggage";

/// The key of a member of `baggage`: a token of RFC 9110 section 5.6.2, compared byte for byte (W3C Baggage section 3.3.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaggageKey(Box<str>);

impl fmt::Display for BaggageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BaggageKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        match !text.is_empty() && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "expected a key of baggage such as shop.id: letters, digits and !#$%&'*+-.^_`|~, got {text:?}"
            )),
        }
    }
}

as_text!(BaggageKey);

/// The keys that browsers may see. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BrowserBaggage(Arc<[BaggageKey]>);

impl BrowserBaggage {
    /// Lets members with one of `keys` through.
    pub fn new(keys: &[BaggageKey]) -> Self {
        Self(keys.into())
    }

    /// `headers` as a browser gets them: of `baggage`, in any case, the members whose key is listed, with their
    /// properties and in their order; without one, no header. Everything else is unchanged.
    pub fn filter(&self, headers: Headers) -> Headers {
        if !headers.iter().any(|(name, _)| is_baggage(name)) {
            return headers;
        }
        headers.filter_map(|name, value| match is_baggage(name) {
            true => Some(self.seen(&value))
                .filter(|seen| !seen.is_empty())
                .map(Into::into),
            false => Some(value),
        })
    }

    /// The same in place. A notification that is shared is copied only if it has baggage.
    pub fn filter_in(&self, envelope: &mut Arc<Envelope>) {
        if envelope.headers.iter().any(|(name, _)| is_baggage(name)) {
            let envelope = Arc::make_mut(envelope);
            envelope.headers = self.filter(std::mem::take(&mut envelope.headers));
        }
    }

    /// The listed members of `list`.
    fn seen(&self, list: &str) -> String {
        let is_seen = |member: &&str| {
            let key = member.split(['=', ';']).next().unwrap_or_default().trim();
            self.0.iter().any(|listed| *listed.0 == *key)
        };
        let members: Vec<_> = list.split(',').filter(is_seen).map(str::trim).collect();
        members.join(",")
    }
}

fn is_baggage(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(BAGGAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::HeaderLimits;

    fn filtered(keys: &[&str], given: &[(&str, &str)]) -> Vec<(String, String)> {
        let keys: Vec<_> = keys.iter().map(|key| key.parse().unwrap()).collect();
        let limits = HeaderLimits { count: 9, bytes: 999 };
        let headers = Headers::from_publisher(given.iter().copied(), limits).unwrap();
        let seen = BrowserBaggage::new(&keys).filter(headers);
        seen.iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn only_listed_members_are_seen() {
        let check = |keys: &[&str], list: &str, expected: Option<&str>| {
            let seen = filtered(keys, &[("baggage", list), ("x", "1")]);
            let baggage = seen.iter().find(|(name, _)| name == "baggage");
            assert_eq!(baggage.map(|(_, value)| value.as_str()), expected, "{list}");
            assert!(seen.contains(&("x".into(), "1".into())), "{list}");
        };
        check(&[], "session=s3cr3t", None);
        check(&[], "", None);
        check(&["shop"], "session=s3cr3t", None);
        check(
            &["shop"],
            "session=s3cr3t,shop=7;p=1, other=2",
            Some("shop=7;p=1"),
        );
        check(&["a", "b"], "b = 2 ,c=3,\ta=1", Some("b = 2,a=1"));
        // A key is compared whole and byte for byte; what stands in a value or a property is no key.
        check(&["shop"], "Shop=1,shops=2,x=shop=3,y=1;shop=4,sh=op", None);
        check(&["shop"], "shop", Some("shop"));
    }

    #[test]
    fn the_header_is_found_in_any_case() {
        for name in ["Baggage", "BAGGAGE", " baggage", "baggage "] {
            assert_eq!(filtered(&[], &[(name, "session=s3cr3t")]), [], "{name:?}");
        }
        let given = [("baggage-x", "1"), ("x-baggage", "2")];
        assert_eq!(filtered(&[], &given).len(), 2, "other headers stay");
    }

    #[test]
    fn a_key_is_a_token() {
        for bad in ["", "a b", "a=1", "a,b", "a;b", "é", "a\n"] {
            assert!(bad.parse::<BaggageKey>().is_err(), "{bad:?}");
        }
        assert_eq!("shop.id".parse::<BaggageKey>().unwrap().to_string(), "shop.id");
    }
}
