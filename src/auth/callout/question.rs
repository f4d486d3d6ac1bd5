//! What a backend is asked: a credential, and the circumstances in which it is presented. Pure. `Debug` output never
//! contains the credential.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::auth::presented::Presented;
use crate::setting::Secret;

/// The protocol of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// STOMP over WebSocket: a session.
    Stomp,
    /// REST: one request.
    Rest,
}

/// Headers and their values.
pub type Shown = [(Box<str>, Secret)];

/// The client that presents a credential, as far as the network shows.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// The page's origin, if a browser sent one.
    pub origin: Option<&'a str>,
    /// The headers of the upgrade that `auth.callout.headers` passes to the backend.
    pub headers: &'a Shown,
}

impl Circumstances<'_> {
    /// A session from `address`, of which nothing else is known.
    pub fn session(address: IpAddr) -> Self {
        Self {
            address,
            protocol: Protocol::Stomp,
            origin: None,
            headers: &[],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Password,
    Token,
}

/// The form on the wire.
#[derive(Serialize)]
struct Question<'a> {
    form: Form,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    credential: &'a str,
    address: IpAddr,
    origin: Option<&'a str>,
    protocol: Protocol,
    instance: &'a str,
    #[serde(serialize_with = "exposed", skip_serializing_if = "<[_]>::is_empty")]
    headers: &'a Shown,
}

/// The question as JSON. `None` for a credential about which nobody is asked.
pub(super) fn question(presented: &Presented, from: &Circumstances<'_>, instance: &str) -> Option<Bytes> {
    let (form, user, credential) = match presented {
        Presented::Password(pair) => (Form::Password, Some(&*pair.user), pair.password.expose()),
        Presented::Token(token, _) => (Form::Token, None, token.expose()),
        Presented::Unusable | Presented::Nothing => return None,
    };
    let question = Question {
        form,
        user,
        credential,
        address: from.address,
        origin: from.origin,
        protocol: from.protocol,
        instance,
        headers: from.headers,
    };
    // Texts and an address: writing them to memory cannot fail.
    serde_json::to_vec(&question).ok().map(Bytes::from)
}

fn exposed<S: Serializer>(headers: &&Shown, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers.iter() {
        map.serialize_entry(name, value.expose())?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::credentials::Credentials;

    fn asked(presented: &Presented, from: &Circumstances<'_>) -> Value {
        serde_json::from_slice(&question(presented, from, "a").unwrap()).unwrap()
    }

    #[test]
    fn a_backend_is_told_what_was_presented_and_whence() {
        let address = "192.0.2.1".parse().unwrap();
        let pair = Presented::Password(Credentials::new("ann", "s3\"cret").unwrap());
        assert_eq!(
            asked(&pair, &Circumstances::session(address)),
            json!({"form": "password", "user": "ann", "credential": "s3\"cret", "address": "192.0.2.1", "origin": null,
                "protocol": "stomp", "instance": "a"})
        );
        let from = Circumstances {
            address,
            protocol: Protocol::Rest,
            origin: Some("https://a.example"),
            headers: &[("cookie".into(), Secret::new("x=1"))],
        };
        assert_eq!(
            asked(&Presented::Token(Secret::new("opaque"), None), &from),
            json!({"form": "token", "credential": "opaque", "address": "192.0.2.1", "origin": "https://a.example",
                "protocol": "rest", "instance": "a", "headers": {"cookie": "x=1"}})
        );
        for nothing in [Presented::Nothing, Presented::Unusable] {
            assert!(question(&nothing, &from, "a").is_none());
        }
        assert!(!format!("{from:?}").contains("x=1"));
    }
}
