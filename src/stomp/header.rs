//! The decoded headers of one frame. Knows nothing of what a name means, except `content-length`, which delimits the
//! frame.

use std::fmt;

use super::error::{Fault, Quoted};
use super::escape::{BadEscape, unescape_into};
use super::{Command, Version};

/// Headers in the order received. Of a repeated name only the first counts (rule H7). Needs two allocations, whatever
/// the number of headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Name, value, name, value, … without separators.
    text: String,
    /// The end of each name and of its value in `text`.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// The value of the header `name` (exact case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value)
    }

    /// Name and value of each header, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let header = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            header
        })
    }

    /// The number of headers.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// `content-length`, or `None` if it is absent.
    pub(super) fn content_length(&self) -> Result<Option<usize>, Fault> {
        let Some(value) = self.get("content-length") else {
            return Ok(None);
        };
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::BadContentLength);
        }
        // More digits than a usize holds are still a number, and over any limit.
        Ok(Some(value.parse().unwrap_or(usize::MAX)))
    }

    /// Adds one header. A name that is already present keeps its first value.
    fn end_header(&mut self, start: usize, name_end: usize) {
        let (earlier, added) = self.text.split_at(start);
        let name = &added[..name_end - start];
        let mut from = 0;
        let repeated = self.ends.iter().any(|&(name_end, value_end)| {
            let same = earlier[from..name_end] == *name;
            from = value_end;
            same
        });
        if repeated {
            self.text.truncate(start);
        } else {
            self.ends.push((name_end, self.text.len()));
        }
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(headers: I) -> Self {
        let mut collected = Self::default();
        for (name, value) in headers {
            let start = collected.text.len();
            collected.text.push_str(name);
            let name_end = collected.text.len();
            collected.text.push_str(value);
            collected.end_header(start, name_end);
        }
        collected
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// How the lines of one frame's head are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadRules {
    /// Whether CR LF ends a line as LF does: in 1.2 and before login. No other CR may then stand in the line (F2,
    /// F3).
    pub crlf: bool,
    /// The version whose escapes apply. 1.0 has none.
    pub escapes: Version,
    /// Whether blanks before a value are dropped, as 1.0 servers do (H5).
    pub trim: bool,
}

impl HeadRules {
    /// The rules of a session of `version`. `None` means before login, when the version is not known yet.
    pub(super) fn of(version: Option<Version>) -> Self {
        Self {
            crlf: matches!(version, None | Some(Version::V1_2)),
            escapes: version.unwrap_or(Version::V1_0),
            trim: version == Some(Version::V1_0),
        }
    }

    /// The same for a frame of `command`: CONNECT is never escaped (H3), and follows 1.0 if it has no
    /// `accept-version`.
    fn for_command<'a>(self, command: Command, mut headers: impl Iterator<Item = &'a str>) -> Self {
        if !command.is_connect() {
            return self;
        }
        Self {
            escapes: Version::V1_0,
            trim: !headers.any(|line| line.starts_with("accept-version:")),
            ..self
        }
    }

    /// `line` without its end of line.
    pub(super) fn without_cr<'a>(&self, line: &'a str) -> &'a str {
        match line.strip_suffix('\r') {
            Some(cut) if self.crlf => cut,
            _ => line,
        }
    }
}

/// Reads the head of a frame: command and headers, each with its end of line, then the blank line.
pub(super) fn parse_head(head: &[u8], rules: HeadRules) -> Result<(Command, Headers), Fault> {
    let head = str::from_utf8(head).map_err(|error| {
        let valid = head.get(..error.valid_up_to()).unwrap_or_default();
        Fault::NotUtf8(memchr::memchr_iter(b'\n', valid).count())
    })?;
    let mut lines = head
        .split_terminator('\n')
        .map(|line| rules.without_cr(line))
        .take_while(|line| !line.is_empty());
    let command_line = lines.next().unwrap_or_default();
    if rules.crlf && command_line.contains('\r') {
        return Err(Fault::LoneCarriageReturn(0));
    }
    let command =
        Command::parse(command_line).ok_or_else(|| Fault::UnknownCommand(Quoted::new(command_line)))?;
    let rules = rules.for_command(command, lines.clone());
    let mut headers = Headers {
        text: String::with_capacity(head.len() - command_line.len()),
        ends: Vec::with_capacity(lines.clone().count()),
    };
    for (index, line) in lines.enumerate() {
        parse_header(&mut headers, line, index + 1, rules)?;
    }
    Ok((command, headers))
}

/// Reads the line of one header and adds it to `headers`. `number` is its position in the frame.
pub(super) fn parse_header(
    headers: &mut Headers,
    line: &str,
    number: usize,
    rules: HeadRules,
) -> Result<(), Fault> {
    if rules.crlf && line.contains('\r') {
        return Err(Fault::LoneCarriageReturn(number));
    }
    // Only the first colon separates: every parser in use keeps later ones in the value, whatever 1.1's grammar says
    // (H6).
    let (name, value) = line.split_once(':').ok_or(Fault::NoColon(number))?;
    if name.is_empty() {
        return Err(Fault::EmptyName(number));
    }
    let value = if rules.trim {
        value.trim_start_matches([' ', '\t'])
    } else {
        value
    };
    let bad_escape = |BadEscape(escape)| Fault::BadEscape {
        header: Quoted::new(name),
        escape,
        version: rules.escapes,
    };
    let start = headers.text.len();
    unescape_into(&mut headers.text, name, rules.escapes).map_err(bad_escape)?;
    let name_end = headers.text.len();
    unescape_into(&mut headers.text, value, rules.escapes).map_err(bad_escape)?;
    headers.end_header(start, name_end);
    Ok(())
}

/// The `receipt` header of a head that may be malformed or incomplete. CONNECT has none (C10).
pub(super) fn receipt_in(head: &[u8], rules: HeadRules) -> Option<Box<str>> {
    let whole_lines = head.get(..memchr::memrchr(b'\n', head)?)?;
    let mut lines = whole_lines.split(|byte| *byte == b'\n').map(|line| match line {
        [cut @ .., b'\r'] if rules.crlf => cut,
        line => line,
    });
    let command = str::from_utf8(lines.next()?).ok()?;
    if Command::parse(command).is_some_and(Command::is_connect) {
        return None;
    }
    let mut headers = Headers::default();
    lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with(b"receipt:"))
        .filter_map(|line| str::from_utf8(line).ok())
        .find_map(|line| parse_header(&mut headers, line, 0, rules).ok())?;
    headers.get("receipt").map(Into::into)
}

#[cfg(test)]
mod tests;
