//! Text for people: coloured on a terminal (anstream honours `NO_COLOR`), and without characters that control a
//! terminal, since bodies and names come from strangers.

use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use crate::deceptive::{distinct, escaped_json, escaped_text};

/// Destinations and names.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default().bold();
/// What is less important.
pub(super) const DIM: Style = Style::new().dimmed();
/// Success.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What may become a problem.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
/// A problem.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// `text` with control characters shown as escapes, except ends of line and tabs.
pub(super) fn printable(text: &str) -> String {
    escaped_text(text, &['\n', '\t']).into_owned()
}

/// The same on one line.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A line about the command itself, on standard error.
pub(super) fn notice(style: Style, text: &str) {
    // Nobody can be told if standard error is gone.
    let _ = writeln!(anstream::stderr().lock(), "{style}{}{style:#}", printable(text));
}

/// Rows as columns, each as wide as its widest cell, with a head.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let shown = |row: &Vec<String>| row.iter().map(|cell| distinct(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = anstream::stdout().lock();
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{DIM}{}{DIM:#}", line(head.to_vec()))?;
    for row in rows {
        writeln!(out, "{}", line(row.iter().map(String::as_str).collect()))?;
    }
    Ok(())
}

/// One JSON value on a line of its own.
pub(super) fn json_line(value: &impl serde::Serialize) -> std::io::Result<()> {
    let line = json(value)?;
    writeln!(std::io::stdout().lock(), "{line}")
}

/// JSON without characters that control a terminal: they only occur in strings, and are escaped there, which changes no
/// value.
fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(escaped_json(&text).into_owned())
}

/// A progress bar for work of known length, drawn only on the standard error of a terminal.
pub(super) fn bar(what: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deceptive::is_deceptive;

    #[test]
    fn a_terminal_has_nothing_to_obey() {
        assert_eq!(
            printable("a\u{1b}[31mb\r\u{9b}c\u{202e}d\ne\tä"),
            "a\\u{1b}[31mb\\r\\u{9b}c\\u{202e}d\ne\tä"
        );
        assert_eq!(one_line("a\nb"), "a\\nb");
        let hostile = "\u{9b}31m\u{7f}\u{202e}\u{1b}ä";
        let text = json(&[hostile]).unwrap();
        assert!(!text.chars().any(is_deceptive), "{text}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [hostile]);
    }
}
