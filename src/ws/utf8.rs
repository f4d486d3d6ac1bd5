//! Checks the UTF-8 of a text message that arrives in fragments, piece by piece (RFC 6455 section 8.1). Pure; keeps at
//! most 3 bytes, of a character split between fragments.

/// A text message is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

/// The state between two pieces of one message.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Checker {
    carry: [u8; 3],
    carried: u8,
}

impl Checker {
    /// Checks the next piece of the message. With `last` it also checks that the message does not end inside a
    /// character, and starts afresh.
    ///
    /// # Errors
    /// [`NotUtf8`] at the first byte that no UTF-8 text can have there.
    pub(crate) fn check(&mut self, piece: &[u8], last: bool) -> Result<(), NotUtf8> {
        let rest = self.complete_carried(piece)?;
        if let Err(error) = std::str::from_utf8(rest) {
            if error.error_len().is_some() {
                return Err(NotUtf8);
            }
            self.carry(rest.get(error.valid_up_to()..).unwrap_or_default());
        }
        if last && self.carried > 0 {
            return Err(NotUtf8);
        }
        Ok(())
    }

    /// Completes the character that the previous piece left unfinished, byte by byte. Returns the rest of `piece`.
    fn complete_carried<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], NotUtf8> {
        while self.carried > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(piece);
            };
            piece = rest;
            let [a, b, c] = self.carry;
            let (joined, length) = match self.carried {
                1 => ([a, byte, 0, 0], 2),
                2 => ([a, b, byte, 0], 3),
                _ => ([a, b, c, byte], 4),
            };
            let joined = joined.get(..length).unwrap_or_default();
            match std::str::from_utf8(joined) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() || error.valid_up_to() > 0 => return Err(NotUtf8),
                Err(_) => self.carry(joined),
            }
        }
        Ok(piece)
    }

    /// Keeps the beginning of a character. No incomplete character has 4 bytes.
    fn carry(&mut self, bytes: &[u8]) {
        self.carried = 0;
        for (slot, byte) in self.carry.iter_mut().zip(bytes) {
            *slot = *byte;
            self.carried += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Promise: however a text is cut, the verdict is that of the whole.

    use super::*;
    use proptest::prelude::*;

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut checker = Checker::default();
        let ok = pieces
            .into_iter()
            .all(|piece| checker.check(piece, false).is_ok());
        ok && checker.check(b"", true).is_ok()
    }

    fn check(bytes: &[u8], expected: bool) {
        assert_eq!(std::str::from_utf8(bytes).is_ok(), expected, "{bytes:02x?}");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(in_pieces(pieces), expected, "{bytes:02x?} at {first}, {second}");
            }
        }
        assert_eq!(in_pieces(bytes.chunks(1)), expected, "{bytes:02x?}");
    }

    #[test]
    fn texts() {
        check(b"", true);
        check(
            "a\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}z".as_bytes(),
            true,
        );
        check("κόσμε".as_bytes(), true);
    }

    #[test]
    fn not_texts() {
        for bytes in [
            &b"\x80"[..],
            b"a\xff",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"a\xe2\x82",
            b"\xf0\x9f\x98",
            b"\xce\xbaz\xed\xa0\x80ab",
            b"\xc3\xc3\xa9",
            b"\xe2\x82a",
        ] {
            check(bytes, false);
        }
    }

    #[test]
    fn fails_at_the_byte_that_shows_it() {
        let mut checker = Checker::default();
        assert_eq!(checker.check(b"\xf4", false), Ok(()));
        assert_eq!(checker.check(b"\x90", false), Err(NotUtf8));
    }

    #[test]
    fn starts_anew_after_each_message() {
        let mut checker = Checker::default();
        assert_eq!(checker.check(b"\xc3", false), Ok(()));
        assert_eq!(checker.check(b"\xa9", true), Ok(()));
        assert_eq!(checker.check(b"\xa9", true), Err(NotUtf8));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(bytes: Vec<u8>, text: String, cut: usize, size in 1usize..7) {
            for all in [bytes.clone(), text.into_bytes(), bytes] {
                let cut = cut % (all.len() + 1);
                let expected = std::str::from_utf8(&all).is_ok();
                prop_assert_eq!(in_pieces([&all[..cut], &all[cut..]]), expected);
                prop_assert_eq!(in_pieces(all.chunks(size)), expected);
            }
        }
    }
}
