//! The promise: what is escaped, what is not, and that no text breaks out of its header.

use proptest::prelude::*;

use super::super::Version::{self, *};
use super::*;

fn escaped(text: &str, version: Version) -> String {
    let mut out = Vec::new();
    escape_into(&mut out, text, version);
    String::from_utf8(out).unwrap()
}

fn unescaped(text: &str, version: Version) -> Result<String, BadEscape> {
    let mut out = String::new();
    unescape_into(&mut out, text, version).map(|()| out)
}

#[test]
fn escaping_follows_the_version() {
    #[track_caller]
    fn check(text: &str, v1_0: &str, v1_1: &str, v1_2: &str) {
        assert_eq!(escaped(text, V1_0), v1_0);
        assert_eq!(escaped(text, V1_1), v1_1);
        assert_eq!(escaped(text, V1_2), v1_2);
    }
    check("plain ä€", "plain ä€", "plain ä€", "plain ä€");
    check("", "", "", "");
    check("a:b", "a:b", r"a\cb", r"a\cb");
    check("a\nb", "a\nb", r"a\nb", r"a\nb");
    check(r"a\b", r"a\b", r"a\\b", r"a\\b");
    check("a\rb", "a\rb", "a\rb", r"a\rb");
    check(":\n\\", ":\n\\", r"\c\n\\", r"\c\n\\");
    check(r"\n", r"\n", r"\\n", r"\\n");
}

#[test]
fn unescaping_follows_the_version_and_refuses_what_is_undefined() {
    type Outcome = Result<&'static str, BadEscape>;
    #[track_caller]
    fn check(text: &str, v1_0: Outcome, v1_1: Outcome, v1_2: Outcome) {
        let owned = |outcome: Outcome| outcome.map(str::to_owned);
        assert_eq!(unescaped(text, V1_0), owned(v1_0));
        assert_eq!(unescaped(text, V1_1), owned(v1_1));
        assert_eq!(unescaped(text, V1_2), owned(v1_2));
    }
    let bad = |c: char| Err(BadEscape(Some(c)));
    check("ä€", Ok("ä€"), Ok("ä€"), Ok("ä€"));
    check(r"a\cb\nc\\d", Ok(r"a\cb\nc\\d"), Ok("a:b\nc\\d"), Ok("a:b\nc\\d"));
    check(r"\r", Ok(r"\r"), bad('r'), Ok("\r"));
    check(r"\\n", Ok(r"\\n"), Ok(r"\n"), Ok(r"\n"));
    check(r"\t", Ok(r"\t"), bad('t'), bad('t'));
    check(r"a\ä", Ok(r"a\ä"), bad('ä'), bad('ä'));
    check(r"a\", Ok(r"a\"), Err(BadEscape(None)), Err(BadEscape(None)));
    check(r"\\\", Ok(r"\\\"), Err(BadEscape(None)), Err(BadEscape(None)));
}

#[test]
fn a_header_that_a_version_cannot_carry_is_left_out_whole() {
    #[track_caller]
    fn check(name: &str, value: &str, expected: [Option<&str>; 3]) {
        for (version, line) in Version::ALL.into_iter().zip(expected) {
            let mut out = b"MESSAGE\n".to_vec();
            let carried = header_into(&mut out, name, value, version);
            assert_eq!(carried, line.is_some(), "{version}");
            assert_eq!(can_carry(name, value, version), carried, "{version}");
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("MESSAGE\n{}", line.unwrap_or_default()),
                "{version}"
            );
        }
    }
    check("a", "b", [Some("a:b\n"); 3]);
    check("a", "", [Some("a:\n"); 3]);
    check("a", " b ", [Some("a: b \n"); 3]);
    check("", "b", [None; 3]);
    check("a\0", "b", [None; 3]);
    check("a", "b\0", [None; 3]);
    check(
        "a",
        "x\ny:z",
        [None, Some("a:x\\ny\\cz\n"), Some("a:x\\ny\\cz\n")],
    );
    check("a\nb", "", [None, Some("a\\nb:\n"), Some("a\\nb:\n")]);
    check("a:b", "", [None, Some("a\\cb:\n"), Some("a\\cb:\n")]);
    check("a\rb", "", [None, None, Some("a\\rb:\n")]);
    check(
        "a",
        "b:c\r",
        [Some("a:b:c\r\n"), Some("a:b\\cc\r\n"), Some("a:b\\cc\\r\n")],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn unescaping_is_the_reverse_of_escaping(text in r"[a\\\\n:c\n\rä]{0,24}") {
        for version in Version::ALL {
            prop_assert_eq!(unescaped(&escaped(&text, version), version), Ok(text.clone()));
        }
    }

    #[test]
    fn a_carried_header_is_one_line(name in "[ab:\\\\\n\r\0]{0,6}", value in "[ab:\\\\\n\r\0]{0,6}") {
        for version in Version::ALL {
            let mut out = Vec::new();
            if header_into(&mut out, &name, &value, version) {
                prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
                prop_assert_eq!(out.last(), Some(&b'\n'));
            }
        }
    }
}
