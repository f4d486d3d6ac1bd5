//! Adds `trace_id` and `span_id` to each line that is logged within a recorded span, so that nobody who logs has to. Knows
//! no line.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::trace;

/// How the two ids are added to a line that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ids {
    /// As the last members of a JSON object.
    Json,
    /// As the last words.
    Text,
}

/// A format with the ids.
pub(super) struct Traced<F> {
    pub format: F,
    pub ids: Ids,
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
        let Some((trace_id, span_id)) = trace::current() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.ids, line.strip_suffix('}')) {
            (Ids::Json, Some(members)) => {
                writeln!(
                    writer,
                    r#"{members},"trace_id":"{trace_id}","span_id":"{span_id}"}}"#
                )
            }
            _ => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
        }
    }
}
