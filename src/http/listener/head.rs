//! The requirements for every request's head, whatever its route, and the answer if hyper cannot read one: hyper itself
//! would answer with a bare status. Pure.

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode, Version};

use crate::limit::Limit;

/// Why a head is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    pub(super) limit: Option<Limit>,
}

impl Refused {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            limit: None,
        }
    }
}

/// Checks `Host` (RFC 9112 section 3.2) and `Transfer-Encoding` (section 6.1) of a head that hyper has read.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), Refused> {
    let bad_host = |what: &str| {
        let detail =
            format!("expected one Host header such as example.com or [2001:db8::1]:8080, got {what}");
        Err(Refused::new(StatusCode::BAD_REQUEST, detail))
    };
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => return bad_host("none"),
        (None, _) => {}
        (Some(_), Some(_)) => return bad_host("several"),
        (Some(host), None) if !is_host(host.as_bytes()) => return bad_host("something else"),
        (Some(_), None) => {}
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(coding()),
    }
}

/// The bytes of a head as most clients write it: one space where there may be none or several.
pub(super) fn bytes<B>(request: &Request<B>) -> usize {
    let path = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter();
    let lines: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    request.method().as_str().len() + path + "  HTTP/1.1\r\n\r\n".len() + lines
}

/// A host and perhaps a port, and no user (RFC 9110 section 7.2).
fn is_host(value: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(value) else {
        return false;
    };
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host);
    let port = match rest {
        Some("" | ":") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        }),
        None => false,
    };
    !host.is_empty() && port
}

fn coding() -> Refused {
    let detail = "expected no Transfer-Encoding but chunked";
    Refused::new(StatusCode::NOT_IMPLEMENTED, detail)
}

/// What to answer instead of hyper's bare refusal. `head_bytes` is `http.head_bytes`.
pub(super) fn instead_of(error: &hyper::Error, head_bytes: usize) -> Refused {
    // hyper tells its reasons apart by words alone; tests hold them to it.
    match error.to_string().as_str() {
        "invalid transfer-encoding parsed" => coding(),
        "URI too long" => Refused::new(
            StatusCode::URI_TOO_LONG,
            "the path and query are longer than 65534 bytes",
        ),
        _ if error.is_parse_too_large() => Refused {
            limit: Some(Limit::HeadBytes),
            ..Refused::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!(
                    "at most {head_bytes} bytes of request line and headers (http.head_bytes), and at most 100 headers"
                ),
            )
        },
        why => Refused::new(
            StatusCode::BAD_REQUEST,
            format!("expected an HTTP/1.1 request: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_one_sound_host() {
        let check = |version, hosts: &[&str], passes: bool| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            let checked = super::check(version, &headers);
            assert_eq!(checked.is_ok(), passes, "{hosts:?}: {checked:?}");
            assert!(checked.is_ok() || checked.unwrap_err().status == StatusCode::BAD_REQUEST);
        };
        for sound in [
            "a",
            "herald.example",
            "herald.example:8080",
            "herald.example:",
            "my_service:80",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:8080",
        ] {
            check(Version::HTTP_11, &[sound], true);
        }
        for malformed in [
            "", ":80", "a b", "a/b", "user@a", "a:b", "a:99999", "a:80:80", "[::1", "http://a", "a,b", "a?b",
        ] {
            // A comma may stand in a registered name.
            check(Version::HTTP_11, &[malformed], malformed == "a,b");
            check(Version::HTTP_10, &[malformed], malformed == "a,b");
        }
        check(Version::HTTP_11, &[], false);
        check(Version::HTTP_10, &[], true);
        check(Version::HTTP_11, &["a", "a"], false);
        check(Version::HTTP_10, &["a", "b"], false);
    }

    #[test]
    fn a_body_is_chunked_or_has_its_length() {
        let check = |codings: &[&str], passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "a".parse().unwrap());
            for coding in codings {
                headers.append(TRANSFER_ENCODING, coding.parse().unwrap());
            }
            let checked = super::check(Version::HTTP_11, &headers);
            assert_eq!(checked.is_ok(), passes, "{codings:?}");
            assert!(checked.is_ok() || checked.unwrap_err().status == StatusCode::NOT_IMPLEMENTED);
        };
        check(&[], true);
        check(&["chunked"], true);
        check(&["Chunked "], true);
        check(&["gzip, chunked"], false);
        check(&["gzip", "chunked"], false);
        check(&["chunked, chunked"], false);
        check(&["identity"], false);
    }
}
