//! Herald's rules for texts as regular expressions for the OpenAPI document, in the syntax that all engines share: no
//! look-ahead, and no characters beyond the basic plane. They count characters where Herald counts bytes. Pure.

use crate::destination::{PATH_MAX_SEGMENTS, Path};

/// Control characters, and those that [`crate::deceptive`] names, for a class.
pub(super) const DECEPTIVE: &str = r"\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb";

/// A segment of a destination: not `.`, `..`, `*` or `**`. Without its bound, which would take some engines megabytes.
fn segment() -> String {
    let d = DECEPTIVE;
    format!(r"(?:[^/.*{d}][^/{d}]*|\.[^/.{d}][^/{d}]*|\.\.[^/{d}]+|\*[^/*{d}][^/{d}]*|\*\*[^/{d}]+)")
}

/// A broadcast's destination: below one of `prefixes`. `in_path`: its first slash may be left out.
pub(super) fn broadcast(prefixes: &[Path], in_path: bool) -> String {
    let names: Vec<String> = prefixes
        .iter()
        .map(|prefix| literal(&prefix.as_str()[1..]))
        .collect();
    let longest = prefixes
        .iter()
        .map(|prefix| prefix.segments().count())
        .max()
        .unwrap_or(1);
    let (slash, below) = (
        if in_path { "/?" } else { "/" },
        PATH_MAX_SEGMENTS.saturating_sub(longest),
    );
    format!("^{slash}(?:{})(?:/{}){{1,{below}}}$", names.join("|"), segment())
}

/// Any destination.
pub(super) fn any(in_path: bool) -> String {
    let (slash, below, segment) = (if in_path { "/?" } else { "/" }, PATH_MAX_SEGMENTS - 1, segment());
    format!("^{slash}{segment}(?:/{segment}){{0,{below}}}$")
}

/// A JSON object of at most `most` texts in visible ASCII without escapes, which is what a header can have.
pub(super) fn object_of_texts(most: usize) -> String {
    let member = r#""[A-Za-z0-9._-]+":"[ !#-\[\]-~]*""#;
    match most.checked_sub(1) {
        None => r"^\{\}$".into(),
        Some(more) => format!(r"^\{{(?:{member}(?:,{member}){{0,{more}}})?\}}$"),
    }
}

/// `text` itself.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\^$.|?*+()[]{}".contains(character) {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal
}

/// A duration of more than nothing and at most `hours`.
pub(super) fn duration(hours: u64) -> String {
    let units = [("ms", 3_600_000), ("s", 3_600), ("m", 60), ("h", 1)];
    let units = units.map(|(unit, factor)| format!("(?:{}){unit}", up_to(hours * factor)));
    format!("^0*(?:{})$", units.join("|"))
}

/// The numbers from 1 to `most` without leading zeros.
fn up_to(most: u64) -> String {
    let digits = most.to_string();
    let mut ways = Vec::new();
    // Those with fewer digits.
    if digits.len() > 1 {
        ways.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    // Those that are smaller at one digit and the same before it.
    for (at, digit) in digits.char_indices() {
        let first = if at == 0 { '1' } else { '0' };
        let rest = digits.len() - at - 1;
        if let Some(below) = char::from_digit(digit.to_digit(10).unwrap_or(0).saturating_sub(1), 10)
            && digit > first
        {
            ways.push(format!("{}[{first}-{below}][0-9]{{{rest}}}", &digits[..at]));
        }
    }
    ways.push(digits);
    ways.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Prefixes;
    use crate::setting::HumanDuration;
    use regex::Regex;

    /// As Rust writes what ECMAScript writes.
    fn compiled(pattern: &str) -> Regex {
        let mut rust = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once(r"\u") {
            rust.push_str(before);
            rust.push_str(&format!(r"\u{{{}}}", &after[..4]));
            rest = &after[4..];
        }
        rust.push_str(rest);
        Regex::new(&rust).unwrap()
    }

    #[test]
    fn the_class_has_all_deceptive_characters_of_the_basic_plane() {
        let class = compiled(&format!("^[{DECEPTIVE}]$"));
        for character in '\0'..='\u{ffff}' {
            let deceptive = crate::deceptive::is_deceptive(character);
            assert_eq!(
                class.is_match(character.encode_utf8(&mut [0; 4])),
                deceptive,
                "{character:?}"
            );
        }
    }

    #[test]
    fn a_destination_fits_where_herald_takes_it() {
        let prefixes = Prefixes::default();
        let (broadcast, any) = (
            compiled(&broadcast(&prefixes.broadcast_prefixes, false)),
            compiled(&any(false)),
        );
        for text in [
            "/queue/orders".to_owned(),
            "/topic/a/b".into(),
            "/topic/ä ö/%".into(),
            "/queue".into(),
            "/queue/".into(),
            "/queue//a".into(),
            "/queues/a".into(),
            "queue/a".into(),
            "".into(),
            "/".into(),
            "/foo".into(),
            "/queue/.".into(),
            "/queue/..".into(),
            "/queue/.a".into(),
            "/queue/..a".into(),
            "/queue/*".into(),
            "/queue/**".into(),
            "/queue/***".into(),
            "/queue/*a".into(),
            "/queue/a*/.*".into(),
            "/queue/a\u{202e}b".into(),
            "/queue/a\nb".into(),
            format!("/queue{}", "/a".repeat(15)),
            format!("/queue{}", "/a".repeat(16)),
        ] {
            assert_eq!(
                broadcast.is_match(&text),
                prefixes.broadcast(&text).is_ok(),
                "{text}"
            );
            assert_eq!(any.is_match(&text), Path::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_object_of_texts_is_json() {
        for (most, text, fits) in [
            (2, "{}", true),
            (2, r#"{"kind":"order"}"#, true),
            (2, r#"{"a":"x [y] z","b":""}"#, true),
            (2, r#"{"a":"","b":"","c":""}"#, false),
            (2, r#"{"a":7}"#, false),
            (2, r#"{"a":"\"}"#, false),
            (2, r#"{"":""}"#, false),
            (2, r#"{"a":"",}"#, false),
            (2, "[]", false),
            (0, "{}", true),
            (0, r#"{"a":""}"#, false),
        ] {
            assert_eq!(compiled(&object_of_texts(most)).is_match(text), fits, "{text}");
            let read = serde_json::from_str::<std::collections::BTreeMap<String, String>>(text);
            assert!(!fits || read.is_ok(), "{text}");
        }
    }

    #[test]
    fn a_duration_fits_where_herald_takes_it() {
        let day = compiled(&duration(24));
        for text in [
            "1ms",
            "86400000ms",
            "86400001ms",
            "99999999ms",
            "86399s",
            "86400s",
            "86401s",
            "90000s",
            "1440m",
            "1441m",
            "24h",
            "25h",
            "0h",
            "0s",
            "00s",
            "007m",
            "9h",
            "10h",
            "h",
            "1d",
            "1.5h",
            "-1s",
            "",
        ] {
            let taken = text
                .parse::<HumanDuration>()
                .is_ok_and(|read| !read.0.is_zero() && read.0 <= std::time::Duration::from_secs(24 * 3_600));
            assert_eq!(day.is_match(text), taken, "{text}");
        }
    }
}
