//! Reading `auth.revoked_file`: which revocations are in force, what was cut off while it was written, and what this
//! version does not know and must not guess. Knows no writing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Head, Kept, VERSION, join, refused};
use crate::auth::revoked::entry::Revocation;
use crate::auth::revoked::{latest_end_ms, room};
use crate::envelope::unix_ms;

/// The longest line. A revocation's is shorter, whatever its names are.
const LINE_MAX_BYTES: u64 = 64 << 10;

/// The revocations of the file at `path` that have not ended. None if there is no file, or an empty one.
pub(super) fn read(path: &Path, most: usize) -> Result<Kept, String> {
    let shown = path.display();
    match path.metadata() {
        // Opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return Err(format!("{shown}: expected a file")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::new()),
        Err(error) => return Err(refused(path, &error)),
    }
    let file = File::open(path).map_err(|error| refused(path, &error))?;
    let (mut reader, mut text) = (BufReader::new(file), Vec::new());
    let (now, latest) = (unix_ms(), latest_end_ms());
    let (mut kept, mut damaged) = (Kept::new(), None);
    for number in 1_usize.. {
        let line = next_line(&mut reader, &mut text).map_err(|error| refused(path, &error))?;
        if line == Line::None {
            break;
        }
        if number == 1 {
            expect_head(path, &text)?;
            continue;
        }
        let Some(one) = object::<Revocation>(&text) else {
            if line == Line::TooLong || is_anothers(&text) {
                return Err(unknown(path, number));
            }
            damaged.get_or_insert(number);
            continue;
        };
        // A write that was cut off leaves its traces at the end alone.
        if let Some(number) = damaged {
            return Err(unknown(path, number));
        }
        if one.until_ms > latest {
            return Err(format!(
                "{shown}: line {number} ends more than a year from now; expected the right time on this host's clock"
            ));
        }
        if one.until_ms > now {
            join(&mut kept, one);
        }
        if kept.len() > room(most) {
            return Err(format!(
                "{shown}: expected at most {} revocations in force (auth.revocations is {most})",
                room(most)
            ));
        }
    }
    if let Some(line) = damaged {
        tracing::warn!(
            file = %shown, line,
            "the end of auth.revoked_file is damaged and passed over: a write was cut off before it was acknowledged"
        );
    }
    Ok(kept)
}

fn unknown(path: &Path, number: usize) -> String {
    format!(
        "{}: line {number} is no revocation that this version knows, or it names a user that this version does not take; expected it corrected or \
         removed",
        path.display()
    )
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing: it is the end.
    None,
    /// A line, whole or the last one without its end.
    Some,
    /// A whole one of which only the beginning was read.
    TooLong,
}

fn next_line(reader: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<Line> {
    text.clear();
    let mut next = reader.by_ref().take(LINE_MAX_BYTES);
    if next.read_until(b'\n', text)? == 0 {
        return Ok(Line::None);
    }
    if text.ends_with(b"\n") || (text.len() as u64) < LINE_MAX_BYTES {
        return Ok(Line::Some);
    }
    loop {
        let more = reader.fill_buf()?;
        if more.is_empty() {
            return Ok(Line::Some);
        }
        let (end, count) = (more.iter().position(|byte| *byte == b'\n'), more.len());
        reader.consume(end.map_or(count, |end| end.saturating_add(1)));
        if end.is_some() {
            return Ok(Line::TooLong);
        }
    }
}

/// Whether a whole line is an object all the same: what was cut off is none, so a newer version has written it.
fn is_anothers(text: &[u8]) -> bool {
    text.ends_with(b"\n") && object::<IgnoredAny>(text).is_some()
}

/// Reads an object, and nothing else that serde would take for one.
fn object<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Option<T> {
    let text = Some(text).filter(|text| text.trim_ascii_start().starts_with(b"{"))?;
    serde_json::from_slice(text).ok()
}

fn expect_head(path: &Path, text: &[u8]) -> Result<(), String> {
    let shown = path.display();
    match object::<Head>(text) {
        Some(head) if head.herald == "revocations" && head.version == VERSION => Ok(()),
        Some(head) if head.herald == "revocations" => Err(format!(
            "{shown}: version {} of the file, which this Herald does not read; expected {VERSION}",
            head.version
        )),
        _ => Err(format!(
            "{shown}: expected revocations that Herald has written, or no file; this is another file"
        )),
    }
}
