//! Headers as a collection. How they are read from a frame is tested with the decoder.

use super::*;

#[test]
fn the_first_of_a_repeated_header_wins() {
    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: &[(&str, &str)]) {
        let collected: Headers = headers.iter().copied().collect();
        assert_eq!(collected.iter().collect::<Vec<_>>(), expected);
        assert_eq!(collected.len(), expected.len());
        assert_eq!(collected.is_empty(), expected.is_empty());
        for (name, value) in expected {
            assert_eq!(collected.get(name), Some(*value));
        }
    }
    check(&[], &[]);
    check(&[("a", "1"), ("b", ""), ("a", "2")], &[("a", "1"), ("b", "")]);
    check(&[("ab", "c"), ("a", "bc")], &[("ab", "c"), ("a", "bc")]);
    check(&[("ä", "€"), ("ä", ""), ("A", "x")], &[("ä", "€"), ("A", "x")]);
}

#[test]
fn names_are_exact() {
    let headers: Headers = [("receipt", "1")].into_iter().collect();
    assert_eq!(headers.get("Receipt"), None);
    assert_eq!(headers.get("receip"), None);
    assert_eq!(headers.get(""), None);
}

#[test]
fn debug_shows_names_only() {
    let headers: Headers = [("login", "me"), ("passcode", "hush")].into_iter().collect();
    assert_eq!(format!("{headers:?}"), r#"["login", "passcode"]"#);
}
