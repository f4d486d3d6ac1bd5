//! An IP address and a port, with Herald's own words for a text that is not one. Knows no setting by name.
//!
//! For `#[serde(deserialize_with = "…")]`: the field itself is a plain [`SocketAddr`].

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

struct Address(SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            de::Error::custom(format!(
                "expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080, got {text:?}"
            ))
        })
    }
}

/// Reads an address that must be there.
///
/// # Errors
/// The text is not an IP address and a port.
pub fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    Address::deserialize(deserializer).map(|address| address.0)
}

/// Reads an address that may be missing.
///
/// # Errors
/// The text is not an IP address and a port.
pub fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    Option::<Address>::deserialize(deserializer).map(|address| address.map(|address| address.0))
}
