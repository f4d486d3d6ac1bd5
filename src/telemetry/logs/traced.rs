//! The last step for each line, so that no caller has to think of it: adds `trace_id` and `span_id` within a recorded
//! span, and escapes everything that could end the line early or control a terminal. Knows no line.

use std::fmt;

use anstyle::Style;
use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::deceptive::{escaped_json, escaped_text};
use crate::telemetry::trace;

/// What a line is, once it is whole.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// A JSON object: the ids are its last members.
    Json,
    /// Words: the ids are the last of them.
    Text {
        /// Whether it has colours. Their escape characters are left alone; [`field`] has escaped those of values.
        coloured: bool,
    },
}

/// Writes a field of a line for people. The default lets a value's own escape characters through where it is written by its
/// `Display`, and the line as a whole no longer tells them from those of colours.
pub(super) fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = escaped_text(&value, &[]);
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => write!(writer, "{value}"),
        (name, false) => write!(writer, "{name}={value}"),
        (name, true) => {
            let (italic, dimmed) = (Style::new().italic(), Style::new().dimmed());
            write!(writer, "{italic}{name}{italic:#}{dimmed}={dimmed:#}{value}")
        }
    }
}

/// A format with the ids, and without what was not to be printed.
pub(super) struct Traced<F> {
    pub format: F,
    pub form: Form,
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        let line = match self.form {
            Form::Json => escaped_json(line),
            Form::Text { coloured: true } => escaped_text(line, &['\u{1b}']),
            Form::Text { coloured: false } => escaped_text(line, &[]),
        };
        let Some((trace_id, span_id)) = trace::current() else {
            return writeln!(writer, "{line}");
        };
        match (self.form, line.strip_suffix('}')) {
            (Form::Json, Some(members)) => {
                writeln!(
                    writer,
                    r#"{members},"trace_id":"{trace_id}","span_id":"{span_id}"}}"#
                )
            }
            _ => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
        }
    }
}
