//! Header escaping, by version. Does not know which frames are exempt: CONNECT, STOMP and CONNECTED are never
//! escaped, so for them the caller passes [`Version::V1_0`], which has no escapes.
//!
//! 1.1 writes LF, `:` and `\` as `\n`, `\c` and `\\`; 1.2 also writes CR as `\r`. Any other escape is a fatal error.

use memchr::memchr;

use super::Version;

/// Appends `text`, a header's name or value, escaped as `version` requires.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str, version: Version) {
    if version == Version::V1_0 {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let escape_of = |byte: u8| match byte {
        b'\n' => Some(b'n'),
        b':' => Some(b'c'),
        b'\\' => Some(b'\\'),
        b'\r' if version == Version::V1_2 => Some(b'r'),
        _ => None,
    };
    let mut run = text.as_bytes();
    while let Some((at, escape)) = run
        .iter()
        .enumerate()
        .find_map(|(at, byte)| Some((at, escape_of(*byte)?)))
    {
        let (plain, special) = run.split_at(at);
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', escape]);
        run = special.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(run);
}

/// An escape that the session's version does not define: the character after the `\`, or `None` if the text ends
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadEscape(pub Option<char>);

/// Appends `text`, a header's name or value as received, unescaped as `version` requires. The reverse of
/// [`escape_into`].
///
/// # Errors
/// An escape that `version` does not define. `out` then holds what came before it.
pub(crate) fn unescape_into(out: &mut String, text: &str, version: Version) -> Result<(), BadEscape> {
    if version == Version::V1_0 {
        out.push_str(text);
        return Ok(());
    }
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = escape.chars();
        chars.next();
        out.push(match chars.next() {
            Some('n') => '\n',
            Some('c') => ':',
            Some('\\') => '\\',
            Some('r') if version == Version::V1_2 => '\r',
            other => return Err(BadEscape(other)),
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(())
}

/// Whether a header can stand in a frame of `version` without turning into another header. No version can carry an
/// empty name or a NUL (clients cut frames there). 1.0 has no escapes, so it carries no LF at all and no `:` in a
/// name. 1.0 and 1.1 cannot escape CR, so they carry none in a name; in a value a CR stands unescaped, where only LF
/// ends a line.
pub(crate) fn can_carry(name: &str, value: &str, version: Version) -> bool {
    let has = |text: &str, bytes: &[u8]| text.bytes().any(|byte| bytes.contains(&byte));
    if name.is_empty() || has(name, b"\0") || has(value, b"\0") {
        return false;
    }
    match version {
        Version::V1_0 => !has(name, b"\n:\r") && !has(value, b"\n"),
        Version::V1_1 => !has(name, b"\r"),
        Version::V1_2 => true,
    }
}

/// Appends the header line `name:value` LF, escaped as `version` requires, and returns whether it did. A header that
/// `version` cannot carry (see [`can_carry`]) is left out as a whole, so that no text can turn into a header of its
/// own.
pub(crate) fn header_into(out: &mut Vec<u8>, name: &str, value: &str, version: Version) -> bool {
    let carried = can_carry(name, value, version);
    if carried {
        escape_into(out, name, version);
        out.push(b':');
        escape_into(out, value, version);
        out.push(b'\n');
    }
    carried
}

#[cfg(test)]
mod tests;
