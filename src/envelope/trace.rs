//! The trace context that a notification carries, as text. Knows no span and no exporter.

/// The W3C trace context that travels with a notification, unchanged where Herald makes no span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`, valid by W3C Trace Context section 3.2, or none.
    pub traceparent: Option<Box<str>>,
    /// `tracestate`, only beside a `traceparent`.
    pub tracestate: Option<Box<str>>,
}

impl TraceContext {
    /// Takes a publisher's headers; a malformed `traceparent` drops both, as the W3C asks.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        match traceparent.map(str::trim).filter(|text| is_traceparent(text)) {
            None => Self::default(),
            Some(parent) => Self {
                traceparent: Some(parent.into()),
                tracestate: tracestate
                    .map(str::trim)
                    .filter(|text| {
                        !text.is_empty()
                            && text.len() <= 512
                            && text.bytes().all(|b| (b' '..=b'~').contains(&b))
                    })
                    .map(Into::into),
            },
        }
    }

    /// Whether the publisher's context says that its trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.traceparent
            .as_deref()
            .and_then(|text| u8::from_str_radix(&text[53..55], 16).ok())
            .is_some_and(|flags| flags & 1 == 1)
    }

    /// The trace's id, if the trace is recorded.
    pub fn recorded_id(&self) -> Option<&str> {
        self.trace_id().filter(|_| self.is_sampled())
    }

    /// The 32 hex digits of the trace's id.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().map(|text| &text[3..35])
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero; a later version may be longer.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_traceparent_is_dropped() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::from_headers(Some(good), Some("a=b"));
        assert!(context.is_sampled());
        assert_eq!(context.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            &good[..54],
            &good.to_uppercase(),
            &good.replace('4', "ä"),
            &format!("{good}-x"),
            &good.replace("00f067aa0ba902b7", "0000000000000000"),
        ] {
            assert_eq!(
                TraceContext::from_headers(Some(bad), Some("a=b")),
                TraceContext::default(),
                "{bad}"
            );
        }
    }
}
