//! Which headers of Herald's own a request may have: one that begins with `Herald-` and that its route does not take, or that is
//! there twice, is refused, for all routes in one place. `Herald-TTL` would otherwise say nothing. Knows the routes by their
//! descriptions alone; by name only `Idempotency-Key`, the fields of a notification and `Herald-User`, which does not exist.

use std::collections::HashMap;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use super::json::nearest;
use super::query::{operations, strict_route};

/// How the names of Herald's own headers begin, in lower case.
const OWN: &str = "herald-";
/// By which a request may be repeated. It is no header of Herald's own, and its name is often mistaken.
const ONCE: &str = "Idempotency-Key";
/// What a notification in JSON has as fields, and raw ones as headers.
const FIELDS: [&str; 4] = ["id", "ttl_ms", "collapse", "headers"];
/// The most characters of a header's name that an answer repeats.
const NAME_MAX_CHARS: usize = 64;

/// Herald's own headers that each route takes, by method and pattern.
#[derive(Debug, Default)]
pub(crate) struct OwnHeaders(HashMap<(Method, String), Vec<String>>);

impl OwnHeaders {
    /// As `documents` describe their routes.
    pub(crate) fn of<'a>(documents: impl IntoIterator<Item = &'a OpenApi>) -> Self {
        let mut all = HashMap::new();
        for (path, item) in documents.into_iter().flat_map(|document| &document.paths.paths) {
            for (method, operation) in operations(item) {
                all.insert((method, path.clone()), taken(operation));
            }
        }
        Self(all)
    }

    /// What is wrong with Herald's own headers in `request`, if anything is. `base` may stand before the pattern of its route.
    pub(crate) fn refusal(&self, base: &str, request: &Request) -> Option<ApiError> {
        let headers = request.headers();
        // Nearly all requests have none.
        headers.keys().find(|name| is_own(name) || is_like_once(name))?;
        check(headers, self.0.get(&strict_route(base, request)?)?)
    }
}

fn is_own(name: &HeaderName) -> bool {
    name.as_str().starts_with(OWN)
}

/// Whether it is meant as [`ONCE`]: by another name nothing would keep a repeat from being published again.
fn is_like_once(name: &HeaderName) -> bool {
    // Nearly no other header ends so.
    if !name.as_str().ends_with("key") {
        return false;
    }
    let letters = name.as_str().bytes().filter(u8::is_ascii_alphabetic);
    let letters: String = letters.map(char::from).collect();
    let letters = letters
        .strip_prefix("herald")
        .or(letters.strip_prefix('x'))
        .unwrap_or(&letters);
    letters == "idempotencykey" && !name.as_str().eq_ignore_ascii_case(ONCE)
}

/// The headers of Herald's own, and [`ONCE`], that an operation takes, as they are written.
fn taken(operation: &Operation) -> Vec<String> {
    let all = operation.parameters.iter().flatten().filter_map(|one| match one {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    all.filter(|parameter| parameter.parameter_in == ParameterIn::Header)
        .map(|parameter| parameter.name.clone())
        .filter(|name| name.to_ascii_lowercase().starts_with(OWN) || name == ONCE)
        .collect()
}

fn check(headers: &HeaderMap, taken: &[String]) -> Option<ApiError> {
    let known: Vec<String> = taken.iter().filter(|name| *name != ONCE).cloned().collect();
    let is_once = known.len() < taken.len() && !headers.contains_key(ONCE);
    let meant = headers.keys().find(|name| is_once && is_like_once(name));
    if let Some(name) = meant {
        let shown: String = name.as_str().chars().take(NAME_MAX_CHARS).collect();
        return Some(ApiError::BadRequest(format!(
            "unknown header {shown}; did you mean {ONCE}? nothing was done"
        )));
    }
    headers.keys().filter(|name| is_own(name)).find_map(|name| {
        match known.iter().find(|one| one.eq_ignore_ascii_case(name.as_str())) {
            None => Some(unknown(name.as_str(), &known)),
            Some(known) => (headers.get_all(name).iter().count() > 1).then(|| {
                ApiError::BadRequest(format!("the header {known} is given twice; nothing was done"))
            }),
        }
    })
}

fn unknown(name: &str, known: &[String]) -> ApiError {
    let shown: String = name.chars().take(NAME_MAX_CHARS).collect();
    // Without what all of them begin with.
    let rest = |name: &str| name.to_ascii_lowercase().replacen(OWN, "", 1).replace('-', "_");
    let (given, rests) = (rest(name), known.iter().map(|one| rest(one)));
    let rests: Vec<String> = rests.collect();
    let compared: Vec<&str> = rests.iter().map(String::as_str).collect();
    let begun = compared
        .iter()
        .position(|one| !given.is_empty() && one.starts_with(&*given));
    let near = || {
        let meant = nearest(&given, &compared)?;
        compared.iter().position(|one| *one == meant)
    };
    let meant = begun.or_else(near).and_then(|place| known.get(place));
    let meant = match (name, meant) {
        ("herald-user" | "herald-users", _) => "no header names a user: the path or the body does; ".into(),
        (_, Some(meant)) => format!("did you mean {meant}? "),
        (_, None) => String::new(),
    };
    let field = FIELDS.iter().find(|field| **field == given);
    let known = match (known.is_empty(), field) {
        (true, Some(field)) => {
            format!("this route takes none of Herald's own: a notification in JSON has the field {field:?}")
        }
        (true, None) => {
            "this route takes none of Herald's own: its body has fields, if it has a body".to_owned()
        }
        (false, _) => format!("known are {}", known.join(", ")),
    };
    ApiError::BadRequest(format!(
        "unknown header {shown}; {meant}{known}; nothing was done"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_heralds_own_is_known_and_there_once() {
        let known = ["Herald-Id", "Herald-Ttl-Ms", "Herald-Headers"].map(str::to_owned);
        let detail = |names: &[&str], known: &[String]| {
            let mut headers = HeaderMap::new();
            for name in names {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, "SECRET".parse().unwrap());
            }
            match check(&headers, known) {
                None => String::new(),
                Some(ApiError::BadRequest(detail)) => detail,
                Some(other) => panic!("{other:?}"),
            }
        };
        for names in [
            &[][..],
            &["herald-id", "HERALD-TTL-MS", "Herald-Headers"],
            &[
                "x-herald-id",
                "herald",
                "traceparent",
                "x-forwarded-for",
                "x-forwarded-for",
            ],
        ] {
            assert_eq!(detail(names, &known), "", "{names:?}");
        }
        let list = "known are Herald-Id, Herald-Ttl-Ms, Herald-Headers; nothing was done";
        for (name, meant) in [
            ("herald-ttl", "did you mean Herald-Ttl-Ms? "),
            ("Herald-TtlMs", "did you mean Herald-Ttl-Ms? "),
            ("herald-header", "did you mean Herald-Headers? "),
            (
                "herald-user",
                "no header names a user: the path or the body does; ",
            ),
            ("herald-surplus", ""),
        ] {
            let lower = name.to_ascii_lowercase();
            assert_eq!(
                detail(&[name], &known),
                format!("unknown header {lower}; {meant}{list}"),
                "{name}"
            );
        }
        assert_eq!(
            detail(&["herald-id", "herald-id"], &known),
            "the header Herald-Id is given twice; nothing was done"
        );
        assert_eq!(
            detail(&["herald-ttl-ms"], &[]),
            "unknown header herald-ttl-ms; this route takes none of Herald's own: a notification in JSON has the field \"ttl_ms\"; \
             nothing was done"
        );
        let once = [&known[..], &[ONCE.to_owned()]].concat();
        for name in [
            "x-idempotency-key",
            "idempotencykey",
            "idempotency_key",
            "herald-idempotency-key",
        ] {
            assert_eq!(
                detail(&[name], &once),
                format!("unknown header {name}; did you mean Idempotency-Key? nothing was done")
            );
            if !name.starts_with("herald") {
                assert_eq!(detail(&[name], &known), "", "the route takes none: {name}");
                assert_eq!(
                    detail(&[name, "idempotency-key"], &once),
                    "",
                    "it is there: {name}"
                );
            }
        }
        let long = format!("herald-{}", "x".repeat(1_000));
        assert_eq!(
            detail(&[&long], &[]),
            format!(
                "unknown header {}; this route takes none of Herald's own: its body has fields, if it has a body; nothing was done",
                &long[..64]
            )
        );
    }
}
