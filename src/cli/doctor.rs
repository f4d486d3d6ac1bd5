//! `herald doctor`: whether an instance with this configuration can run here, line by line, each with what to do. Reads
//! and opens the same as `serve`, and changes nothing.

use std::io::Write;

use serde::Serialize;

use super::paint;
use crate::config::{Config, Loaded};
use crate::setting::{Finding, Findings};

mod bus;
mod certificates;
mod collector;
mod history;
pub mod issuers;
mod machine;
mod timeouts;
mod users;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It could not be checked, and an instance does not need it.
    Unseen,
    /// An instance would run, but something may be missing.
    Warn,
    /// An instance would not start, or would not become ready.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was checked, in one or two words.
    pub check: &'static str,
    /// Its result.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do, unless everything is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Line {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            status: Status::Ok,
            detail: detail.into(),
            advice: None,
        }
    }

    fn unseen(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: Status::Unseen,
            ..Self::ok(check, detail)
        }
    }

    fn warn(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status: Status::Warn,
            advice: Some(advice.into()),
            ..Self::ok(check, detail)
        }
    }

    fn fail(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(check, detail, advice)
        }
    }
}

/// Checks everything and passes each result to `printer` as soon as it is known. `refused` is why `serve` would not
/// start, according to the files that settings name, and `issuers` what their servers answered. Returns whether nothing
/// failed.
///
/// # Errors
/// The output fails.
pub async fn run(
    loaded: &Loaded,
    refused: Findings,
    issuers: &[issuers::Seen],
    demo: bool,
    printer: &mut impl FnMut(&Line) -> std::io::Result<()>,
) -> std::io::Result<bool> {
    let mut printer = Printer {
        printer,
        fails: false,
    };
    for line in configuration(loaded, refused) {
        printer.print(&line)?;
    }
    let config = &loaded.config;
    for line in machine::look(config) {
        printer.print(&line)?;
    }
    for line in timeouts::look(config) {
        printer.print(&line)?;
    }
    for line in users::look(config, demo) {
        printer.print(&line)?;
    }
    for line in certificates::look(config) {
        printer.print(&line)?;
    }
    for line in issuers::look(issuers) {
        printer.print(&line)?;
    }
    let (mut lines, mut clock_ms) = Box::pin(bus::look(config)).await;
    let collector = Box::pin(collector::look(&collector::address(config))).await;
    lines.extend(collector.line);
    clock_ms = clock_ms.or(collector.clock_ms);
    lines.push(machine::clock(clock_ms));
    for line in lines {
        printer.print(&line)?;
    }
    Ok(!printer.fails)
}

/// The configuration has been loaded: anything wrong with the values themselves has ended the command before.
fn configuration(loaded: &Loaded, refused: Findings) -> Vec<Line> {
    const CHECK: &str = "configuration";
    // These have separate lines.
    let is_told = |key: &str| key == "auth.users_file" || key.starts_with("bus.");
    let errors: Vec<_> = refused
        .errors
        .into_iter()
        .filter(|error| !is_told(&error.key))
        .collect();
    if !errors.is_empty() {
        let advice = "serve ends with exit code 78; herald check says the same";
        let fail = |error: Finding| Line::fail(CHECK, error.to_string(), advice);
        return errors.into_iter().map(fail).collect();
    }
    let line = match loaded.warnings.as_slice() {
        [] => Line::ok(CHECK, "fit to run"),
        warnings => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            let advice = "herald check prints every value with its source";
            Line::warn(CHECK, warnings.join("; "), advice)
        }
    };
    vec![line]
}

struct Printer<'a, P> {
    printer: &'a mut P,
    fails: bool,
}

impl<P: FnMut(&Line) -> std::io::Result<()>> Printer<'_, P> {
    fn print(&mut self, line: &Line) -> std::io::Result<()> {
        self.fails |= line.status == Status::Fail;
        (self.printer)(line)
    }
}

impl Line {
    /// Prints it for people, or as JSON.
    ///
    /// # Errors
    /// The output fails.
    pub fn print(&self, json: bool) -> std::io::Result<()> {
        let line = self;
        if json {
            return paint::json_line(line);
        }
        let (word, style) = match line.status {
            Status::Ok => ("ok  ", paint::GOOD),
            Status::Unseen => ("--  ", paint::DIM),
            Status::Warn => ("warn", paint::WARN),
            Status::Fail => ("fail", paint::BAD),
        };
        let mut out = anstream::stdout().lock();
        let detail = paint::printable(&line.detail);
        writeln!(out, "{style}{word}{style:#}  {:14} {detail}", line.check)?;
        if let Some(advice) = &line.advice {
            let dim = paint::DIM;
            writeln!(out, "{:20} {dim}{}{dim:#}", "", paint::printable(advice))?;
        }
        Ok(())
    }
}

/// `--demo` gives users without a file.
fn has_users(config: &Config, demo: bool) -> bool {
    demo || !config.auth.users.is_empty() || config.auth.users_file.is_some()
}
