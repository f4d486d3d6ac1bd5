//! The trace context that a notification carries, as text (W3C Trace Context). Knows no span and no exporter.

use super::Mark;

/// The longest `tracestate` that is passed on (W3C Trace Context section 3.3.1.1: at least 512 characters).
const TRACESTATE_MAX_BYTES: usize = 512;
/// The most members of a `tracestate` (section 3.3.1.1).
const TRACESTATE_MAX_MEMBERS: usize = 32;

/// The W3C trace context that travels with a notification. It is passed on unchanged unless Herald makes a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// A `traceparent` that is valid by W3C Trace Context section 3.2, or `None`.
    pub traceparent: Option<Box<str>>,
    /// `tracestate`, only together with a `traceparent`.
    pub tracestate: Option<Box<str>>,
    /// Whether an instance of Herald has already decided if this notification is traced. No other instance decides
    /// again. From NATS this is what its publisher says: that the decision was "recorded" is believed by its `mark`.
    pub decided: bool,
    /// The mark of the instance that has decided to record it.
    pub mark: Option<Mark>,
}

impl TraceContext {
    /// Reads a publisher's headers. A malformed `traceparent` drops both, as W3C Trace Context requires.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        match traceparent.map(str::trim).filter(|text| is_traceparent(text)) {
            None => Self::default(),
            Some(parent) => Self {
                traceparent: Some(parent.into()),
                tracestate: tracestate
                    .map(str::trim)
                    .filter(|text| is_tracestate(text))
                    .map(Into::into),
                ..Self::default()
            },
        }
    }

    /// The same, with a function that looks headers up by name.
    pub fn from_lookup<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self::from_headers(get("traceparent"), get("tracestate"))
    }

    /// The context of a recorded span: its trace's id and its own id in hex, and what came with its parent.
    pub fn of_span(trace_id: &str, span_id: &str, tracestate: Option<Box<str>>) -> Self {
        Self {
            traceparent: Some(format!("00-{trace_id}-{span_id}-01").into()),
            tracestate,
            decided: true,
            mark: None,
        }
    }

    /// Whether the publisher's context says that its trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.traceparent
            .as_deref()
            .and_then(|text| text.get(53..55))
            .and_then(|flags| u8::from_str_radix(flags, 16).ok())
            .is_some_and(|flags| flags & 1 == 1)
    }

    /// The trace's id, if the trace is recorded.
    pub fn recorded_id(&self) -> Option<&str> {
        self.trace_id().filter(|_| self.is_sampled())
    }

    /// The 32 hex digits of the trace's id.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(|text| text.get(3..35))
    }

    /// The 16 hex digits of the span's id.
    pub fn span_id(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(|text| text.get(36..52))
    }

    /// The bytes of its texts.
    pub fn weight(&self) -> usize {
        let texts = [&self.traceparent, &self.tracestate];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }

    /// The same context, marked as not recorded from here on. Allocates only if it was marked as recorded.
    pub fn unsampled(mut self) -> Self {
        if self.is_sampled()
            && let Some(text) = &self.traceparent
        {
            let ids = text.get(..53).unwrap_or_default();
            self.traceparent = Some(format!("{ids}00").into());
        }
        self.decided = true;
        self.mark = None;
        self
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>` in lower case, with ids that are not all zero. A later version may be longer.
fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |range: std::ops::Range<usize>| bytes[range].iter().all(|b| *b == b'0');
    (bytes.len() == 55
        || (bytes.len() > 55 && bytes.len() <= 128 && &bytes[..2] != b"00" && bytes[55] == b'-'))
        && text.is_ascii()
        && hex(0..2)
        && &bytes[..2] != b"ff"
        && [2, 35, 52].iter().all(|dash| bytes[*dash] == b'-')
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && !zero(3..35)
        && !zero(36..52)
}

/// A bounded list of `key=value` in printable ASCII. Empty members are allowed (section 3.3.1).
fn is_tracestate(text: &str) -> bool {
    (1..=TRACESTATE_MAX_BYTES).contains(&text.len())
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && text.split(',').count() <= TRACESTATE_MAX_MEMBERS
        && text
            .split(',')
            .map(str::trim)
            .all(|member| member.is_empty() || member.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_malformed_traceparent_is_dropped() {
        let context = TraceContext::from_headers(Some(GOOD), Some("a=b"));
        assert!(context.is_sampled());
        assert_eq!(context.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(context.span_id(), Some("00f067aa0ba902b7"));
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &GOOD.replace('4', "ä"),
            &format!("{GOOD}-x"),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
        ] {
            assert_eq!(
                TraceContext::from_headers(Some(bad), Some("a=b")),
                TraceContext::default(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_tracestate_is_bounded_and_a_list_or_not_carried_on() {
        let check = |state: &str, expected: Option<&str>| {
            let context = TraceContext::from_headers(Some(GOOD), Some(state));
            assert_eq!(context.tracestate.as_deref(), expected, "{state}");
        };
        check("a=1, b=2", Some("a=1, b=2"));
        check("a=1,,b@t=2", Some("a=1,,b@t=2"));
        check("", None);
        check("a", None);
        check("=1", None);
        check("a=\u{7f}", None);
        check(&"a=1,".repeat(33), None);
        check(&format!("a={}", "x".repeat(511)), None);
    }

    #[test]
    fn a_refused_flag_leaves_the_ids() {
        let refused = TraceContext::from_headers(Some(GOOD), Some("a=b")).unsampled();
        assert!(!refused.is_sampled() && refused.decided);
        assert_eq!(
            refused.traceparent.as_deref(),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
        );
        let unsampled = GOOD.replace("-01", "-02");
        let kept = TraceContext::from_headers(Some(&unsampled), None).unsampled();
        assert_eq!(kept.traceparent.as_deref(), Some(&*unsampled), "unchanged");
        assert_eq!(TraceContext::default().unsampled().traceparent, None);
    }
}
