//! A refusal over HTTP in words for people: the status, the reason that Herald gave, and what to do. Knows problems by their `type`
//! (docs/rest.md), and a few by the words of this version: another version's get the advice for their `type`. Knows no command.

use std::fmt::Write;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::cli::paint;

/// What the `type` of Herald's problems begins with.
const KIND: &str = "urn:herald:problem:";

/// The members of RFC 9457 that people are shown.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    pointer: Option<String>,
}

/// A refusal in one line: its status, its `type`, what is wrong, and what to do.
pub(super) fn words(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let kind = problem
        .as_ref()
        .and_then(|problem| problem.kind.as_deref()?.strip_prefix(KIND));
    let kind = kind.unwrap_or_default().to_owned();
    let mut words = status.to_string();
    let after = headers
        .get(header::RETRY_AFTER)
        .and_then(|after| after.to_str().ok());
    if !kind.is_empty() {
        // Writing to a text cannot fail.
        let _ = write!(words, " ({kind})");
    }
    // Of a refused upgrade the body may be missing: it is not waited for.
    let media = headers.get(header::CONTENT_TYPE);
    let is_herald_s = problem.is_some() || media.is_some_and(|media| media == "application/problem+json");
    let _ = match problem {
        Some(problem) => {
            let detail = problem.detail.or(problem.title).unwrap_or_default();
            let at = problem.pointer.filter(|at| !at.is_empty());
            let at = at.map_or(String::new(), |at| format!(" (at {at})"));
            let detail = in_options(&detail);
            let detail = match after {
                Some(after) => detail.replace("after Retry-After", &format!("in {after} s")),
                None => detail,
            };
            write!(words, ": {detail}{at}")
        }
        None if is_herald_s => Ok(()),
        None => write!(words, ": {}", not_herald_s(status)),
    };
    if let Some(after) = after
        && !words.contains(&format!("try again in {after} s"))
    {
        let _ = write!(words, " (Retry-After: {after} s)");
    }
    if is_herald_s {
        let more = match () {
            () if words.contains("on http.admin_listen") => ADMIN_URL,
            () if status == StatusCode::FORBIDDEN && words.contains("publishing there is not permitted") => {
                NOT_THERE
            }
            // A path that is there, and what it names is not.
            () if status == StatusCode::NOT_FOUND && !words.contains("no such path") => "",
            () => advice(status, &kind),
        };
        words.push_str(more);
    }
    paint::printable(&words)
}

/// What to do about a route that is on the other port, as Herald says in its words.
const ADMIN_URL: &str = ". Name that address by --admin-url, or store it: herald context add --admin-url";

/// What to do about a destination that the caller may not publish to, whatever its scopes and roles.
const NOT_THERE: &str = ". Ask for a key with this destination, or for a rule that permits it; herald explain permission --publish says \
                         which rule decides";

/// What Herald calls by REST's names, and the options of commands for it.
const OPTIONS: [(&str, &str); 3] = [
    ("with the same Idempotency-Key", "with the same --idempotency-key"),
    (
        "POST /api/v1/users/{user}/queue/orders names one",
        "--user NAME names one",
    ),
    ("\"block\": true", "--block"),
];

/// Herald's words with the options of commands in the place of REST's names.
pub(super) fn in_options(words: &str) -> String {
    let replace = |words: String, (of_rest, option): &(&str, &str)| words.replace(of_rest, option);
    OPTIONS.iter().fold(words.to_owned(), replace)
}

/// What such an answer means whose body is no problem.
fn not_herald_s(status: StatusCode) -> &'static str {
    match status.as_u16() {
        502..=504 => {
            "the answer is not Herald's but that of a proxy or balancer in front of it: is an instance ready (herald health)?"
        }
        _ => "the answer is not Herald's: is this its address?",
    }
}

/// What to do.
fn advice(status: StatusCode, kind: &str) -> &'static str {
    match (status.as_u16(), kind) {
        (401, _) => {
            ". Set HERALD_KEY or --key-file, HERALD_TOKEN or --token-file, or --login with HERALD_PASSWORD or --password-file"
        }
        (403, "cross-site") => "",
        (403, _) => ". Ask for a key with the scope, or a user with the role",
        (404, _) => ". Does --url name http.base_path?",
        (_, "bus-unavailable") => {
            ". The instance's /readyz (herald health) and its log have more; until then, another instance may answer"
        }
        (_, "identity-unavailable") => {
            ". The instance cannot reach the issuer's keys or the backend of auth.callout: its /readyz (herald health) and its log \
             say why"
        }
        (_, "history-full") => {
            ". Give JetStream, or the disk of history.path, more room, or lower history.user_bytes and history.broadcast_bytes"
        }
        (_, "overloaded") => ". Ask again in a moment",
        (429, _) => ". Ask more slowly, or have the limit raised that is named",
        (503, "") => ". Ask again in a moment, or another instance",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, after: Option<&'static str>, body: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(after));
        }
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(words(status, &headers, body.as_bytes()), expected);
    }

    #[test]
    fn a_refusal_says_the_server_s_reason_and_what_to_do() {
        check(
            503,
            Some("1"),
            r#"{"type":"urn:herald:problem:bus-unavailable","title":"t","status":503,"detail":"nothing was published; try again after Retry-After"}"#,
            "503 Service Unavailable (bus-unavailable): nothing was published; try again in 1 s. The instance's \
             /readyz (herald health) and its log have more; until then, another instance may answer",
        );
        check(
            422,
            None,
            r#"{"type":"urn:herald:problem:invalid-value","detail":"wrong","pointer":"/a"}"#,
            "422 Unprocessable Entity (invalid-value): wrong (at /a)",
        );
        check(
            404,
            None,
            r#"{"type":"urn:herald:problem:not-found","detail":"no such path on this port: it is on http.admin_listen"}"#,
            "404 Not Found (not-found): no such path on this port: it is on http.admin_listen. Name that address by --admin-url, \
             or store it: herald context add --admin-url",
        );
        check(
            404,
            None,
            r#"{"type":"urn:herald:problem:not-found","detail":"there is no such user"}"#,
            "404 Not Found (not-found): there is no such user",
        );
        // Of the listener, at http.max_connections.
        check(
            503,
            Some("5"),
            r#"{"type":"about:blank","title":"t","detail":"too many connections"}"#,
            "503 Service Unavailable: too many connections (Retry-After: 5 s). Ask again in a moment, or another instance",
        );
        check(
            503,
            None,
            "<html>nginx</html>",
            "503 Service Unavailable: the answer is not Herald's but that of a proxy or balancer in front of it: is an instance ready \
             (herald health)?",
        );
    }

    #[test]
    fn a_destination_is_no_matter_of_scopes_and_options_have_their_own_names() {
        check(
            403,
            None,
            r#"{"type":"urn:herald:problem:forbidden","detail":"publishing there is not permitted: it is not among the destinations of the key"}"#,
            &format!(
                "403 Forbidden (forbidden): publishing there is not permitted: it is not among the destinations of the key{NOT_THERE}"
            ),
        );
        check(
            400,
            None,
            r#"{"type":"urn:herald:problem:bad-request","detail":"no: POST /api/v1/users/{user}/queue/orders names one"}"#,
            "400 Bad Request (bad-request): no: --user NAME names one",
        );
        assert_eq!(in_options("only \"block\": true does"), "only --block does");
    }

    /// Every reason of a 503 or 507 (`http::error`) comes with what to do: `outcome-unknown` says it itself, differently of a
    /// publish and of a revocation.
    #[test]
    fn no_reason_of_an_outage_is_without_advice() {
        for (status, kind) in [
            (503, "bus-unavailable"),
            (503, "identity-unavailable"),
            (503, "overloaded"),
            (503, ""),
            (507, "history-full"),
            (429, "rate-limited"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(!advice(status, kind).is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_stranger_s_answer_does_not_steer_the_terminal() {
        check(
            500,
            None,
            "{\"detail\":\"a\\u001b[2Jb\"}",
            "500 Internal Server Error: a\\u{1b}[2Jb",
        );
    }
}
