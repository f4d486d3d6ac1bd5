//! Characters that let one name look like another: they show nothing, or change the direction of what follows. Pure;
//! knows no name.

/// Whether `character` is one that no name may contain: a control character, a bidirectional control (Unicode
/// Standard Annex #9), or a character that takes no room and joins nothing. ZWNJ and ZWJ (U+200C, U+200D) are not among
/// them: Persian and Indic names are written with them.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen.
            '\u{ad}'
            // Bidirectional marks, embeddings, overrides and isolates.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Zero width space, word joiner and invisible operators, zero width no-break space (a BOM).
            | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Deprecated format characters, interlinear annotations, tags.
            | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass_and_tricks_do_not() {
        for name in ["zoë", "میترا\u{200c}ها", "क्\u{200d}ष", "李", "Ann Lee", "ß"] {
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
            '\n',
        ] {
            assert!(is_deceptive(trick), "{trick:?}");
        }
    }
}
