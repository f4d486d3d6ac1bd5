//! Shows a web address from the configuration without the user and password before its host, and without its query,
//! which may be a key. For `herald check`, the support bundle and the log; connections use the address itself.

use serde::Serializer;

/// `address` without what may be secret in it.
pub fn shown_address(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (public, rest) = address.split_at(end);
    let hidden = if rest.is_empty() { "" } else { "?***" };
    let Some((scheme, behind)) = public.split_once("://") else {
        return format!("{public}{hidden}");
    };
    let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let user = if host.len() < authority.len() { "***@" } else { "" };
    format!("{scheme}://{user}{host}{path}{hidden}")
}

/// For `#[serde(serialize_with)]`.
///
/// # Errors
/// The serializer's.
pub fn serialize_shown<S: Serializer>(address: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.serialize_some(&shown_address(address)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown_address;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (address, shown) in [
            ("http://localhost:4317", "http://localhost:4317"),
            ("https://a.example/v1/metrics", "https://a.example/v1/metrics"),
            ("https://u:PW@a.example:4318/x", "https://***@a.example:4318/x"),
            ("https://u:P@W@a.example", "https://***@a.example"),
            ("https://a.example/x?api_key=PW", "https://a.example/x?***"),
            ("https://a.example#PW", "https://a.example?***"),
            ("https://a.example/@x", "https://a.example/@x"),
            ("PW", "PW"),
            ("", ""),
        ] {
            assert_eq!(shown_address(address), shown, "{address}");
        }
    }
}
