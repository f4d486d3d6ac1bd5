//! The log: what tracing's events become. Lines go to standard error in either format, so that standard output belongs
//! to what a subcommand prints. Knows nothing of what is told.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::{LogConfig, LogFormat, StartError, log_level};

/// Whether lines are for people.
fn is_pretty(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    }
}

/// The layer that writes to what `writer` makes; colours if `coloured`, which JSON ignores.
fn layer<W>(
    format: LogFormat,
    terminal: bool,
    coloured: bool,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    if is_pretty(format, terminal) {
        Box::new(fmt::layer().compact().with_ansi(coloured).with_writer(writer))
    } else {
        Box::new(
            fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(writer),
        )
    }
}

/// Makes this process's log. Once: a second call fails.
pub(super) fn start(config: &LogConfig) -> Result<(), StartError> {
    let filter = config.level.filter();
    let terminal = std::io::stderr().is_terminal();
    // https://no-color.org: set and not empty.
    let coloured = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry()
        .with(layer(config.format, terminal, coloured, std::io::stderr).with_filter(filter))
        .try_init()
        .map_err(|_| StartError::Twice)?;
    log_level::begun(handle, config.level.as_str());
    Ok(())
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
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = layer(format, false, false, move || writer.clone());
        let subscriber =
            tracing_subscriber::registry().with(layer.with_filter(level.parse::<Level>().unwrap().filter()));
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(sink.0.lock().clone()).unwrap()
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
