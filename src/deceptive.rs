//! Characters that make one name or one line look like another: they are invisible, end a line, or change the direction
//! of the following text. Pure; knows no name and no line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether `character` is one that no name may contain: a control character, a bidirectional control (Unicode
/// Standard Annex #9), a character that shows nothing (Default_Ignorable_Code_Point of the Unicode Character Database, and a blank
/// one), or white space that looks like a space. ZWNJ and ZWJ (U+200C, U+200D) are not among them: Persian and Indic names are
/// written with them; nor is the ideographic space (U+3000), which is as wide as a letter.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, combining grapheme joiner.
            '\u{ad}' | '\u{34f}'
            // Bidirectional marks, embeddings, overrides and isolates.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Hangul fillers, Khmer inherent vowels, Mongolian selectors.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            // Spaces other than the ordinary one, and the blank Braille pattern.
            | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}'
            // Zero width space, word joiner and invisible operators, zero width no-break space (a BOM).
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Variation selectors, also those of the supplement.
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e0fff}'
            // Deprecated format characters, interlinear annotations and what is reserved beside them, tags.
            | '\u{206a}'..='\u{206f}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e00ff}'
            // Shorthand and musical format controls.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        )
}

/// Whether `character` steers how the text around it is shown: a control character, a bidirectional control, or a separator of lines
/// or paragraphs. A value that is only compared may contain the other deceptive ones: "R&D" with an emoji has a variation selector.
pub(crate) fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}'
        )
}

/// `name` as an operator can tell it from another: in quotes, with what nobody sees as escapes, where it begins or ends with white
/// space or a joiner, or begins with a quote of its own.
pub(crate) fn distinct(name: &str) -> Cow<'_, str> {
    let is_unseen =
        |character: char| character.is_whitespace() || matches!(character, '\u{200c}' | '\u{200d}');
    match name.starts_with(is_unseen) || name.ends_with(is_unseen) || name.starts_with('"') {
        true => Cow::Owned(format!("{name:?}")),
        false => Cow::Borrowed(name),
    }
}

/// `json`, a finished text of JSON on one line, with every such character as `\u…`. They only stand within strings
/// there, whose values do not change.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    escaped(json, is_deceptive, |escaped, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

/// `text` with every such character but those in `kept` as Rust writes it: `\n`, `\u{202e}`.
pub(crate) fn escaped_text<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_bad = |character| is_deceptive(character) && !kept.contains(&character);
    escaped(text, is_bad, |escaped, character| {
        let _ = match character {
            '\n' | '\r' | '\t' => write!(escaped, "{}", character.escape_default()),
            _ => write!(escaped, "{}", character.escape_unicode()),
        };
    })
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.chars().any(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_bad(character) {
            true => escape(&mut escaped, character),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_show_what_stands_there_and_change_no_value() {
        let hostile = "a\n\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}\"ä";
        let json = serde_json::to_string(&[hostile]).unwrap();
        let shown = escaped_json(&json);
        assert!(!shown.chars().any(is_deceptive), "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [hostile]);
        assert_eq!(
            escaped_text(hostile, &[]),
            "a\\n\\u{1b}[31m\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\u{e0041}\"ä"
        );
        assert!(escaped_text("a\nb\r", &['\n']).starts_with("a\nb\\r"));
        assert!(matches!(escaped_text("plain ä", &[]), Cow::Borrowed(_)));
    }

    #[test]
    fn names_that_look_alike_are_told_apart() {
        for name in ["admin", "Ann Lee", "میترا\u{200c}ها"] {
            assert_eq!(distinct(name), name);
        }
        assert_eq!(distinct("admin "), "\"admin \"");
        assert_eq!(distinct("admin\u{3000}"), "\"admin\\u{3000}\"");
        assert_eq!(distinct("\u{200d}admin"), "\"\\u{200d}admin\"");
        assert_eq!(distinct("\"admin \""), "\"\\\"admin \\\"\"");
    }

    #[test]
    fn names_of_people_pass_and_tricks_do_not() {
        for name in [
            "zoë",
            "میترا\u{200c}ها",
            "क्\u{200d}ष",
            "李",
            "山田\u{3000}太郎",
            "Ann Lee",
            "ß",
        ] {
            assert!(!name.chars().any(is_deceptive), "{name:?}");
        }
        for trick in [
            '\u{202e}',
            '\u{200b}',
            '\u{2028}',
            '\u{feff}',
            '\u{200f}',
            '\u{2067}',
            '\u{ad}',
            '\u{2060}',
            '\u{e0041}',
            '\u{85}',
            '\u{34f}',
            '\u{180e}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{17b4}',
            '\u{1d173}',
            '\u{115f}',
            '\u{3164}',
            '\u{2800}',
            '\u{a0}',
            '\u{2003}',
            '\n',
        ] {
            assert!(is_deceptive(trick), "{trick:?}");
        }
        for character in '\0'..=char::MAX {
            assert!(
                !is_steering(character) || is_deceptive(character),
                "{character:?}"
            );
        }
        assert!(
            "a\n\u{202e}\u{200f}\u{2067}\u{2028}\u{85}"
                .chars()
                .skip(1)
                .all(is_steering)
        );
        assert!(!"R&D \u{2764}\u{fe0f} 5\u{a0}km".chars().any(is_steering));
    }
}
