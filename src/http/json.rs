//! JSON bodies: read once, into the type that describes them. Only if that fails are they read again, for the place
//! and the words of the error. Knows no route. An error never repeats a value; it names members, truncated to a
//! bounded length.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

use super::error::ApiError;

/// The most characters of a member's name that an error's pointer repeats.
const NAME_MAX_CHARS: usize = 64;

/// Reads a body that is one object.
///
/// # Errors
/// [`ApiError::Malformed`] if the body is not JSON; [`ApiError::Invalid`] that points at the first member that `T`
/// refuses or lacks.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    object(text(body)?, "")
}

/// The text of a body.
///
/// # Errors
/// [`ApiError::Malformed`] if it is not UTF-8.
pub(crate) fn text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| {
        let utf16 = body.starts_with(b"\xFF\xFE") || body.starts_with(b"\xFE\xFF");
        ApiError::Malformed(match utf16 {
            true => "the body is not UTF-8: it begins with a byte order mark of UTF-16".into(),
            false => "the body is not UTF-8".into(),
        })
    })
}

/// Reads `text` as one object. `at` is the JSON pointer to it: empty for the whole body, `/3` for the fourth item of
/// an array.
///
/// # Errors
/// As [`read`].
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str, at: &str) -> Result<T, ApiError> {
    // A derived type would also accept an array of its fields in order.
    if !is_object(text) {
        return Err(well_formed(text)
            .err()
            .unwrap_or_else(|| ApiError::invalid(at, "must be an object")));
    }
    serde_json::from_str(text).map_err(|_| explain::<T>(text, at))
}

fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// Whether `text` is one JSON value of any kind.
///
/// # Errors
/// [`ApiError::Malformed`] with the position of the fault.
pub(crate) fn well_formed(text: &str) -> Result<(), ApiError> {
    let Err(error) = serde_json::from_str::<&RawValue>(text) else {
        return Ok(());
    };
    Err(ApiError::Malformed(match text.starts_with('\u{FEFF}') {
        true => {
            "the body begins with a byte order mark (BOM), which JSON does not allow (RFC 8259 section 8.1)"
                .into()
        }
        false => {
            let what = if error.is_eof() {
                "ends early"
            } else {
                "is not JSON"
            };
            format!(
                "the body {what} at line {}, column {}",
                error.line(),
                error.column()
            )
        }
    }))
}

/// Why `T` refuses `text`, after it has.
#[cold]
fn explain<'a, T: Deserialize<'a>>(text: &'a str, at: &str) -> ApiError {
    if let Err(malformed) = well_formed(text) {
        return malformed;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) => refusal(at, error.path(), error.inner()),
        // The same type has refused the same text.
        Ok(_) => ApiError::Internal,
    }
}

fn refusal(at: &str, path: &Path, error: &serde_json::Error) -> ApiError {
    let mut pointer = at.to_owned();
    let mut last = "";
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                push(&mut pointer, name);
                last = name;
            }
            Segment::Unknown => {}
        }
    }
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    if let Some(name) = quoted(text, "missing field `") {
        push(&mut pointer, name);
        return ApiError::invalid(pointer, "is required");
    }
    ApiError::invalid(pointer, words(text, last, error.is_data()))
}

/// A serde error in Herald's words. What follows the last `expected` is written by the type being read; what comes
/// before may repeat the body.
fn words(text: &str, name: &str, is_data: bool) -> String {
    if !is_data {
        // A number that is too large, or half a surrogate pair: well-formed, but not a value. The parser's words
        // repeat nothing.
        return format!("cannot be read: {text}");
    }
    if let Some(name) = quoted(text, "duplicate field `") {
        return format!("must not have {name:?} twice");
    }
    let Some((_, expected)) = text.rsplit_once(", expected ") else {
        return text.to_owned();
    };
    if text.starts_with("unknown field `") {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return match nearest(name, &known) {
            Some(meant) => format!("unknown field; did you mean {meant:?}?"),
            None => format!("unknown field; known are {}", known.join(", ")),
        };
    }
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "an array".into(),
        "a map" => "an object".into(),
        other => other.replace('`', "\""),
    };
    match kind_given(text).filter(|kind| !(*kind == "a number" && expected.contains("number"))) {
        Some(kind) => format!("must be {expected}, not {kind}"),
        None => format!("must be {expected}"),
    }
}

/// What kind of value serde found in `text` instead of another kind. The value itself is not repeated.
fn kind_given(text: &str) -> Option<&'static str> {
    let found = text.strip_prefix("invalid type: ")?;
    let kinds = [
        ("string ", "a string"),
        ("integer ", "a number"),
        ("floating point ", "a number"),
        ("boolean ", "true or false"),
        ("null", "null"),
        ("sequence", "an array"),
        ("map", "an object"),
    ];
    kinds
        .iter()
        .find_map(|(begin, kind)| found.starts_with(begin).then_some(*kind))
}

/// The name in `text`, which consists of `before`, the name and a back-quote. The name is a field of the type.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix('`')
}

/// The field that `name` most probably means. One letter in three may be wrong; case and `-` never count.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name: String = name.chars().take(NAME_MAX_CHARS).collect();
    let name = name.to_lowercase().replace('-', "_");
    let distance = |known: &&str| strsim::damerau_levenshtein(&name, known);
    let nearest = known.iter().copied().min_by_key(distance)?;
    (distance(&nearest) * 3 <= nearest.len()).then_some(nearest)
}

/// Appends one part to a JSON pointer (RFC 6901 section 3).
fn push(pointer: &mut String, part: &str) {
    let cut: String = part.chars().take(NAME_MAX_CHARS).collect();
    pointer.push('/');
    pointer.push_str(&cut.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused is looked at")]
    struct Order {
        user: Option<String>,
        ttl_ms: Option<u64>,
        kind: Option<Kind>,
        urgent: Option<bool>,
        tags: Option<Vec<BTreeMap<String, String>>>,
        destination: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Own,
        All,
    }

    #[track_caller]
    fn check(body: &str, pointer: &str, detail: &str) {
        let expected = ApiError::invalid(pointer, detail);
        assert_eq!(read::<Order>(body.as_bytes()).unwrap_err(), expected, "{body}");
    }

    #[test]
    fn an_error_points_at_what_is_wrong_and_repeats_no_value() {
        check("{}", "/destination", "is required");
        check("[\"u\"]", "", "must be an object");
        check("7", "", "must be an object");
        check(
            r#"{"user":["SECRET"]}"#,
            "/user",
            "must be a string, not an array",
        );
        check(r#"{"user":7}"#, "/user", "must be a string, not a number");
        check(
            r#"{"user":"\ud800"}"#,
            "/user",
            "cannot be read: unexpected end of hex escape",
        );
        check(
            r#"{"ttl_ms":"SECRET, expected x"}"#,
            "/ttl_ms",
            "must be a whole number, not a string",
        );
        check(r#"{"ttl_ms":1.5}"#, "/ttl_ms", "must be a whole number");
        check(
            r#"{"ttl_ms":1e999}"#,
            "/ttl_ms",
            "cannot be read: number out of range",
        );
        check(
            r#"{"urgent":1}"#,
            "/urgent",
            "must be true or false, not a number",
        );
        check(
            r#"{"urgent":"true"}"#,
            "/urgent",
            "must be true or false, not a string",
        );
        check(
            r#"{"destination":null}"#,
            "/destination",
            "must be a string, not null",
        );
        check(
            r#"{"destination":{"a":"SECRET"}}"#,
            "/destination",
            "must be a string, not an object",
        );
        check(r#"{"tags":true}"#, "/tags", "must be an array, not true or false");
        check(r#"{"kind":"SECRET"}"#, "/kind", "must be \"own\" or \"all\"");
        check(
            r#"{"tags":[{},{"a/b~":7}]}"#,
            "/tags/1/a~1b~0",
            "must be a string, not a number",
        );
        check(r#"{"user":"a","user":"b"}"#, "", "must not have \"user\" twice");
        let long = format!(r#"{{"tags":[{{"{}":7}}]}}"#, "x".repeat(1_000));
        check(
            &long,
            &format!("/tags/0/{}", "x".repeat(64)),
            "must be a string, not a number",
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_what_was_meant() {
        for (name, meant) in [
            ("User", "user"),
            ("usr", "user"),
            ("ttlMs", "ttl_ms"),
            ("TTL-ms", "ttl_ms"),
            ("destnation", "destination"),
        ] {
            let detail = format!("unknown field; did you mean {meant:?}?");
            check(&format!(r#"{{"{name}":1}}"#), &format!("/{name}"), &detail);
        }
        let known = "unknown field; known are user, ttl_ms, kind, urgent, tags, destination";
        check(r#"{"message":1}"#, "/message", known);
        check(r#"{"":1}"#, "/", known);
        check("{\"x`, expected `y`\":1}", "/x`, expected `y`", known);
        check(
            &format!(r#"{{"{}":1}}"#, "user".repeat(99)),
            &format!("/{}", "user".repeat(16)),
            known,
        );
    }

    #[test]
    fn what_is_no_json_is_said_by_its_place() {
        let check = |body: &[u8], detail: &str| {
            let expected = ApiError::Malformed(detail.into());
            assert_eq!(read::<Order>(body).unwrap_err(), expected, "{body:?}");
        };
        let bom =
            "the body begins with a byte order mark (BOM), which JSON does not allow (RFC 8259 section 8.1)";
        check(b"\xEF\xBB\xBF{\"destination\":\"/x\"}", bom);
        check(b"\xEF\xBB\xBF[]", bom);
        check(
            b"\xFF\xFE{\0}\0",
            "the body is not UTF-8: it begins with a byte order mark of UTF-16",
        );
        check(b"{\"user\":\"\xFF\"}", "the body is not UTF-8");
        check(b"", "the body ends early at line 1, column 0");
        check(b"{\n\"user\":SECRET}", "the body is not JSON at line 2, column 8");
        check(b"{} SECRET", "the body is not JSON at line 1, column 4");
        check(b"{\"User\":1,", "the body ends early at line 1, column 10");
    }
}
