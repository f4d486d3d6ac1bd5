//! Decides whether a publisher's notification is traced: once, from its trace context, from whether its sender is
//! trusted and from the ratio, without an allocation if the answer is no. Knows no span, no exporter, no transport.
//!
//! The flag of a trusted sender's `traceparent` decides. Anybody may say "not recorded"; if an untrusted sender says
//! "recorded", the ratio decides, with an independent random number and not with the trace's id, which the sender
//! chooses. `marks` recognizes whether a decision that arrives over the bus was made by an instance.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use serde::{Deserialize, Serialize};

use crate::envelope::TraceContext;

mod debug;

pub use debug::{DEBUG_MAX, DEBUG_MINUTES_MAX, DebugSampling, Debugged, session_id};

/// One entry of `tracing.trust`: a network, an address, `key:` and the name of an API key, or `nats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trusted {
    /// Clients that connect from there.
    Network(IpNet),
    /// The bearer of the API key of this name.
    Key(Box<str>),
    /// Whoever publishes straight to NATS.
    Nats,
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "nats" {
            return Ok(Self::Nats);
        }
        if let Some(name) = text.strip_prefix("key:").filter(|name| !name.is_empty()) {
            return Ok(Self::Key(name.into()));
        }
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network: IpNet| Self::Network(network.trunc()))
            .map_err(|_| {
                format!("expected a network such as 10.0.0.0/8, an address, key:NAME or nats, got {text:?}")
            })
    }
}

impl TryFrom<String> for Trusted {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Trusted> for String {
    fn from(trusted: Trusted) -> Self {
        trusted.to_string()
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::Nats => f.write_str("nats"),
        }
    }
}

/// Who may have a trace recorded (`tracing.trust`).
#[derive(Debug, Clone, Default)]
pub struct Trust(Box<[Trusted]>);

impl Trust {
    /// Out of the configuration.
    pub fn new(entries: &[Trusted]) -> Self {
        Self(entries.into())
    }

    /// Whether `address` lies in a trusted network.
    pub fn network(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0
            .iter()
            .any(|entry| matches!(entry, Trusted::Network(network) if network.contains(&address)))
    }

    /// Whether those are trusted who publish straight to NATS.
    pub fn nats(&self) -> bool {
        self.0.contains(&Trusted::Nats)
    }

    /// Whether the API key of this name is trusted.
    pub fn key(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|entry| matches!(entry, Trusted::Key(held) if **held == *name))
    }
}

/// `OTEL_TRACES_SAMPLER`, whose ratio `tracing.ratio` overrides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the flag of a context counts at all.
    pub parent_based: bool,
    /// Which share of new traces is recorded, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`, as OpenTelemetry has it.
    fn default() -> Self {
        Self {
            parent_based: true,
            ratio: 1.0,
        }
    }
}

impl Sampler {
    /// Whether a trace is recorded that comes with `context` from a sender who is trusted or not.
    pub fn decide(&self, context: &TraceContext, trusted: bool) -> bool {
        if self.parent_based && context.traceparent.is_some() {
            if !context.is_sampled() {
                return false;
            }
            if trusted {
                return true;
            }
        }
        self.throw()
    }

    fn throw(&self) -> bool {
        self.ratio >= 1.0 || (self.ratio > 0.0 && fastrand::f64() < self.ratio)
    }
}

/// The span that `context` is of, as one of another process.
pub fn remote(context: &TraceContext) -> Option<SpanContext> {
    let trace_id = TraceId::from_hex(context.trace_id()?).ok()?;
    let span_id = SpanId::from_hex(context.span_id()?).ok()?;
    let flags = if context.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let state = context
        .tracestate
        .as_deref()
        .and_then(|text| TraceState::from_str(text).ok())
        .unwrap_or_default();
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context(flags: &str) -> TraceContext {
        let parent = SAMPLED.replace("-01", flags);
        TraceContext::from_headers(Some(&parent), None)
    }

    #[test]
    fn a_flag_decides_for_who_is_trusted_and_the_ratio_for_all_others() {
        let check = |ratio, context: &TraceContext, trusted, expected| {
            let sampler = Sampler {
                parent_based: true,
                ratio,
            };
            let decided = sampler.decide(context, trusted);
            assert_eq!(decided, expected, "{ratio} {context:?} {trusted}");
        };
        let (none, no, yes) = (TraceContext::default(), context("-00"), context("-01"));
        check(0.0, &yes, true, true);
        check(0.0, &yes, false, false);
        check(1.0, &yes, false, true);
        check(1.0, &no, true, false);
        check(1.0, &no, false, false);
        check(1.0, &none, false, true);
        check(0.0, &none, true, false);
    }

    #[test]
    fn a_chosen_trace_id_does_not_beat_the_ratio() {
        let low = "00-00000000000000000000000000000001-00f067aa0ba902b7-01";
        let sampler = Sampler {
            parent_based: true,
            ratio: 0.01,
        };
        let context = TraceContext::from_headers(Some(low), None);
        let sampled = (0..1_000).filter(|_| sampler.decide(&context, false)).count();
        assert!(sampled < 100, "{sampled} of 1,000");
    }

    #[test]
    fn trust_is_networks_addresses_and_keys() {
        let entries: Vec<Trusted> = ["10.0.0.0/8", "2001:db8::1", "key:orders"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let trust = Trust::new(&entries);
        let check = |address: &str, expected| {
            assert_eq!(trust.network(address.parse().unwrap()), expected, "{address}");
        };
        check("10.1.2.3", true);
        check("::ffff:10.1.2.3", true);
        check("11.1.2.3", false);
        check("2001:db8::1", true);
        check("2001:db8::2", false);
        assert!(trust.key("orders") && !trust.key("other"));
        assert!(!trust.nats() && Trust::new(&["nats".parse().unwrap()]).nats());
        for bad in ["", "key:", "orders", "10.0.0.0/33"] {
            assert!(bad.parse::<Trusted>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_context_is_read_as_the_span_it_names() {
        let context = TraceContext::from_headers(Some(SAMPLED), Some("a=1"));
        let span = remote(&context).unwrap();
        assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_sampled() && span.is_remote());
        assert_eq!(span.trace_state().header(), "a=1");
        assert!(remote(&TraceContext::default()).is_none());
    }
}
