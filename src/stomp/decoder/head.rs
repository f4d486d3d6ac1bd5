//! Command and headers up to the blank line, collected within the limits. Knows where lines end, not what they mean.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Limits, Partial};
use crate::stomp::error::{Fault, Quoted};

/// The longest line that may be a command. A longer line is no command that Herald knows.
pub(super) const COMMAND_MAX_BYTES: usize = 32;
/// The most bytes of a header's name that a fault repeats.
const NAME_SHOWN_BYTES: usize = 64;

/// The part of a head that has arrived.
#[derive(Default)]
pub(super) struct PartialHead {
    /// Everything that came in earlier calls.
    kept: Vec<u8>,
    /// The number of complete lines, including the command's.
    lines: usize,
    /// How many bytes at the end of `kept` belong to an incomplete line.
    line_bytes: usize,
}

impl PartialHead {
    /// Takes bytes from `input` up to and including the blank line and returns the complete head, or `None` when
    /// `input` is consumed. On a fault `input` is left as it is. Which fault is returned does not depend on how the
    /// bytes are cut.
    pub(super) fn take<'a>(
        &mut self,
        input: &mut &'a [u8],
        limits: &Limits,
        crlf: bool,
    ) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        let whole = *input;
        let mut taken = 0;
        loop {
            let rest = whole.get(taken..).unwrap_or_default();
            let line_max = self.line_max(limits);
            // Content, CR, LF.
            let line_room = line_max.saturating_add(2).saturating_sub(self.line_bytes);
            let frame_room = limits.frame_bytes.saturating_sub(self.kept.len() + taken);
            let window = rest.get(..line_room.min(frame_room)).unwrap_or(rest);
            let Some(end) = memchr2(b'\n', 0, window) else {
                if window.len() == rest.len() {
                    self.line_bytes += rest.len();
                    self.kept.extend_from_slice(whole);
                    *input = &[];
                    return Ok(None);
                }
                return Err(if frame_room <= line_room {
                    Fault::FrameTooLarge(limits.frame_bytes)
                } else {
                    self.line_too_long(rest, limits)
                });
            };
            let (line, from_end) = window.split_at(end);
            if from_end.first() == Some(&0) {
                return Err(Fault::NulInHeaders);
            }
            let content = self.line_bytes + line.len() - usize::from(crlf && self.ends_in_cr(line));
            taken += end + 1;
            if content == 0 {
                let (last, behind) = whole.split_at(taken);
                *input = behind;
                return Ok(Some(self.finish(last)));
            }
            if content > line_max {
                return Err(self.line_too_long(rest, limits));
            }
            self.line_bytes = 0;
            self.lines += 1;
            // The command is a line too.
            if self.lines - 1 > limits.headers {
                return Err(Fault::TooManyHeaders(limits.headers));
            }
        }
    }

    /// What has arrived.
    pub(super) fn partial(&self) -> Partial {
        Partial {
            received: self.kept.len(),
            held: self.kept.capacity(),
        }
    }

    /// Everything received so far, including `input`: where the receipt of a fault may be found.
    pub(super) fn with<'a>(&self, input: &'a [u8]) -> Cow<'a, [u8]> {
        if self.kept.is_empty() {
            Cow::Borrowed(input)
        } else {
            Cow::Owned([self.kept.as_slice(), input].concat())
        }
    }

    fn finish<'a>(&mut self, last: &'a [u8]) -> Cow<'a, [u8]> {
        if self.kept.is_empty() {
            return Cow::Borrowed(last);
        }
        let mut head = std::mem::take(&mut self.kept);
        head.extend_from_slice(last);
        Cow::Owned(head)
    }

    /// The longest that the current line may be, without its end of line.
    fn line_max(&self, limits: &Limits) -> usize {
        match self.lines {
            0 => COMMAND_MAX_BYTES,
            // The limit covers name and value; the colon is free.
            _ => limits.header_bytes.saturating_add(1),
        }
    }

    /// Whether the current line, whose last bytes are `line`, ends in CR.
    fn ends_in_cr(&self, line: &[u8]) -> bool {
        let earlier = if self.line_bytes > 0 {
            self.kept.last()
        } else {
            None
        };
        line.last().or(earlier) == Some(&b'\r')
    }

    /// The fault of the current line, which continues with `rest`.
    fn line_too_long(&self, rest: &[u8], limits: &Limits) -> Fault {
        let line_start = self.kept.len().saturating_sub(self.line_bytes);
        let earlier = self.kept.get(line_start..).unwrap_or_default();
        // No more than has surely arrived, so that the words do not depend on how the bytes were cut.
        let shown = self.line_max(limits).min(NAME_SHOWN_BYTES);
        let line: Vec<u8> = earlier.iter().chain(rest).copied().take(shown).collect();
        if self.lines == 0 {
            return Fault::UnknownCommand(Quoted::from_bytes(&line));
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        Fault::HeaderTooLong {
            header: Quoted::from_bytes(name),
            limit: limits.header_bytes,
        }
    }
}
