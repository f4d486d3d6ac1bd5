//! The log: the output of tracing's events. Lines go to standard error in either format, so that standard output
//! belongs to the output of subcommands. Knows nothing of the events' content.
//!
//! **Nobody waits for a reader.** A separate thread writes the lines, from a bounded queue (`log.queue_lines`): a log
//! driver or a terminal that stalls costs lines, which [`lost`] counts, and never a session.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::lines::{self, Lines, Lost};
use super::{LogConfig, LogFormat, StartError, log_level, trace};
use recent::{Recent, Tee};
use traced::{Form, Traced};

mod limited;
mod recent;
mod traced;

/// Counts the lines that were lost. Set once, by [`start`].
static LOST: OnceLock<Lost> = OnceLock::new();

/// The newest lines. Set once, by [`start`].
static RECENT: OnceLock<Recent> = OnceLock::new();

/// Keeps the log's thread. Dropping it writes what is queued, and gives up after about a second if nobody reads.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct LogGuard(#[expect(dead_code, reason = "held for its drop")] lines::Guard);

/// Lines lost since the start, because nobody read standard error quickly enough.
pub fn lost() -> u64 {
    LOST.get().map_or(0, Lost::count)
}

/// The newest lines, the oldest first, up to `log.recent_bytes`. `None`: none are kept, or this process has no log.
pub fn recent() -> Option<Vec<String>> {
    RECENT.get()?.lines()
}

/// Whether lines are for people.
fn is_pretty(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    }
}

/// The layer that writes to what `writer` makes what `level` lets pass; colours if `coloured`, which JSON ignores. Spans
/// that are exported are no part of a line but for their ids: what else they say is for the collector.
fn layer<W, F>(
    format: LogFormat,
    terminal: bool,
    coloured: bool,
    writer: W,
    level: F,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
    F: Filter<Registry> + Send + Sync + 'static,
{
    let not_exported = filter_fn(|metadata| metadata.target() != trace::TARGET);
    // A filter without a hint would undo that of `level`, and every `trace!` of a library would be looked at.
    let not_exported = not_exported.with_max_level_hint(LevelFilter::TRACE);
    let of_client = limited::Limited::default();
    let not_too_often = dynamic_filter_fn(move |metadata, _| of_client.lets(metadata));
    let not_too_often = not_too_often.with_max_level_hint(LevelFilter::TRACE);
    let filter = level.and(not_exported).and(not_too_often);
    let layer = fmt::layer().with_writer(writer);
    if is_pretty(format, terminal) {
        let (format, form) = (
            format::format().compact().with_ansi(coloured),
            Form::Text { coloured },
        );
        let fields = format::debug_fn(traced::field).delimited(" ");
        let layer = layer.with_ansi(coloured).fmt_fields(fields);
        layer
            .event_format(Traced { format, form })
            .with_filter(filter)
            .boxed()
    } else {
        let format = format::format().json().flatten_event(true);
        let format = format.with_current_span(true).with_span_list(false);
        let (layer, form) = (layer.json(), Form::Json);
        layer
            .event_format(Traced { format, form })
            .with_filter(filter)
            .boxed()
    }
}

/// Makes this process's log, and the layer that exports spans. Once: a second call fails.
pub(super) fn start(config: &LogConfig) -> Result<LogGuard, StartError> {
    let filter = config.level.filter();
    let terminal = std::io::stderr().is_terminal();
    // https://no-color.org: set and not empty.
    let coloured = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, handle) = reload::Layer::new(filter);
    let recent = Recent::new(config.recent_bytes.0);
    let out = Tee {
        out: std::io::stderr(),
        recent: recent.clone(),
    };
    let (Lines { writer, lost }, guard) = lines::queue(out, "herald-log", config.queue_lines, |_| {});
    tracing_subscriber::registry()
        .with(layer(config.format, terminal, coloured, writer, filter))
        .with(trace::layer())
        .try_init()
        .map_err(|_| StartError::Twice)?;
    LOST.set(lost).map_err(|_| StartError::Twice)?;
    RECENT.set(recent).map_err(|_| StartError::Twice)?;
    log_level::begun(handle, config.level.as_str());
    log_panics();
    Ok(LogGuard(guard))
}

/// Has a panic logged by its place alone: its words may quote a body, and the default hook would wait for a reader of
/// standard error.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, thread = thread.name(), "a thread panicked");
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::telemetry::log_filter::Level;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `say` logs under `level`.
    fn logged(format: LogFormat, level: &str, say: impl FnOnce()) -> String {
        logged_in(format, false, level, say)
    }

    /// The same, coloured or not.
    fn logged_in(format: LogFormat, coloured: bool, level: &str, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = layer(
            format,
            false,
            coloured,
            move || writer.clone(),
            level.parse::<Level>().unwrap().filter(),
        );
        let subscriber = tracing_subscriber::registry().with(layer).with(trace::layer());
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(sink.0.lock().clone()).unwrap()
    }

    #[test]
    fn the_client_of_nats_says_the_same_once_a_second() {
        let say = || {
            for _ in 0..5 {
                tracing::warn!(target: "async_nats::connector", "again");
                tracing::error!(target: "async_nats", "another");
                tracing::warn!(target: "async_nats_of_others", "theirs");
                tracing::warn!(target: "herald::bus", "ours");
            }
        };
        let lines = logged(LogFormat::Json, "info", say);
        let count = |word: &str| lines.matches(word).count();
        assert_eq!(
            ["again", "another", "theirs", "ours"].map(count),
            [1, 1, 5, 5],
            "{lines}"
        );
    }

    #[test]
    fn libraries_are_quiet_until_they_are_named() {
        let say = || {
            tracing::trace!(target: "async_nats::connector", "noise");
            tracing::trace!(target: "of::tomorrow", "chatter");
            tracing::warn!(target: "async_nats", "trouble");
            tracing::error!(target: "async_nats", "failure");
            tracing::trace!(target: "herald::app", "ours");
        };
        let check = |level: &str, expected: &[&str]| {
            let lines = logged(LogFormat::Json, level, say);
            let all = ["noise", "chatter", "trouble", "failure", "ours"];
            let found: Vec<&str> = all.into_iter().filter(|word| lines.contains(word)).collect();
            assert_eq!(found, expected, "{level}");
        };
        check("trace", &["trouble", "failure", "ours"]);
        check("TRACE", &["trouble", "failure", "ours"]);
        check("info", &["trouble", "failure"]);
        check("error", &["failure"]);
        check("off", &[]);
        check("info,async_nats=trace", &["noise", "trouble", "failure"]);
        check("async_nats=error,trace", &["failure", "ours"]);
        check("herald=trace,info", &["trouble", "failure", "ours"]);
        check("herald=trace", &["trouble", "failure", "ours"]);
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let lines = logged(LogFormat::Json, "info", || {
            let span = tracing::info_span!("session", user = "alice");
            span.in_scope(|| tracing::info!(port = 8080, "line one\nline two"));
        });
        assert_eq!(lines.lines().count(), 1, "{lines}");
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["message"], "line one\nline two");
        assert_eq!(line["port"], 8080);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["user"], "alice");
    }

    #[test]
    fn no_value_ends_its_line_or_has_a_terminal_obey() {
        const HOSTILE: &str =
            "a\n2026-11-24T12:00:00Z  INFO forged\r\u{1b}[2K\u{9b}31m\u{202e}\u{2028}\u{7f}\u{e0041}ä";
        let say = || {
            let span = tracing::info_span!("session", user = %HOSTILE);
            span.in_scope(
                || tracing::info!(by = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, "{HOSTILE}"),
            );
        };
        for (format, coloured) in [
            (LogFormat::Pretty, false),
            (LogFormat::Pretty, true),
            (LogFormat::Json, false),
        ] {
            let lines = logged_in(format, coloured, "info", say);
            let line = lines.strip_suffix('\n').unwrap();
            let colours = line.replace("\u{1b}[", "");
            let shown = if coloured { colours.as_str() } else { line };
            assert!(
                !shown.chars().any(crate::deceptive::is_deceptive),
                "{format:?} {coloured}: {line:?}"
            );
            assert!(!line.contains("\u{1b}[2K"), "{line:?}");
            assert!(line.contains('ä') && line.contains("forged"), "{line:?}");
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&line["by"], &line["message"]),
                    (&HOSTILE.into(), &HOSTILE.into())
                );
            }
        }
    }

    #[test]
    fn a_line_within_a_recorded_span_has_its_ids_and_nothing_else_of_it() {
        let metrics = crate::telemetry::metrics::Metrics::new().unwrap();
        let tracer = trace::recording(&metrics);
        let mut ids = Vec::new();
        let mut logged = |format, level| {
            logged(format, level, || {
                let upstream = tracer.decide(Default::default(), false, None);
                let address = "::1".parse().unwrap();
                let span = tracer.connect(&upstream, address, "1.2").unwrap();
                let around = tracing::info_span!("session", user = "alice");
                let _around = around.entered();
                span.tracing().in_scope(|| tracing::warn!(port = 8080, "within"));
                tracing::warn!("without");
                let context = span.context();
                ids = [context.trace_id(), context.span_id()]
                    .map(|id| id.unwrap().to_owned())
                    .into();
            })
        };
        // Whatever the level, and whatever of Herald's it names.
        for level in ["info", "warn", "warn,herald::span=trace"] {
            let lines = logged(LogFormat::Json, level);
            let lines: Vec<serde_json::Value> = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert_eq!(lines[0]["trace_id"].as_str().unwrap().len(), 32, "{level}");
            assert_eq!(lines[0]["span_id"].as_str().unwrap().len(), 16, "{level}");
        }
        let lines = logged(LogFormat::Json, "info");
        let lines: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["message"], &lines[0]["port"]),
            (&"within".into(), &8080.into())
        );
        assert_eq!(
            lines[0]["span"],
            serde_json::json!({"name": "session", "user": "alice"})
        );
        assert!(lines[1].get("trace_id").is_none() && lines[1].get("span_id").is_none());
        drop(lines);
        let lines = logged(LogFormat::Pretty, "warn");
        let mut lines = lines.lines();
        let (within, without) = (lines.next().unwrap().to_owned(), lines.next().unwrap().to_owned());
        assert!(
            within.contains("within") && within.contains("port=8080"),
            "{within}"
        );
        assert!(
            within.ends_with(&format!(" trace_id={} span_id={}", ids[0], ids[1])),
            "{within}"
        );
        assert!(!without.contains("trace_id"), "{without}");
    }

    #[test]
    fn auto_looks_at_the_terminal() {
        assert!(is_pretty(LogFormat::Auto, true));
        assert!(!is_pretty(LogFormat::Auto, false));
        assert!(is_pretty(LogFormat::Pretty, false));
        assert!(!is_pretty(LogFormat::Json, true));
        let line = logged(LogFormat::Pretty, "info", || tracing::info!("hello"));
        assert!(
            line.contains("hello") && !line.starts_with('{') && !line.contains('\u{1b}'),
            "{line}"
        );
    }
}
