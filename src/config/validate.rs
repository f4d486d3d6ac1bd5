//! What types cannot say: addresses that parse, prefixes that do not overlap, bounds that fit each other. Every finding
//! names its key. Pure but for the time zones that come with the program: no file is read and nothing is resolved.

use std::fmt::Display;

use super::Config;
use crate::setting::HumanDuration;

mod access;
mod bus;
mod destinations;
mod http;
mod limits;
mod tracing;

/// One thing that is wrong, or looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The dotted key.
    pub key: String,
    /// What was expected.
    pub message: String,
}

/// What [`Config::validate`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Herald must not start.
    pub errors: Vec<Finding>,
    /// Herald may start, and says this first.
    pub warnings: Vec<Finding>,
}

impl Config {
    /// Checks what the types cannot. `demo`: the users of `--demo` will be there too.
    pub fn validate(&self, demo: bool) -> Findings {
        let mut findings = Findings::default();
        instance(&self.instance, &mut findings);
        http::check(&self.http, &mut findings);
        access::check(self, demo, &mut findings);
        bus::check(&self.bus, &mut findings);
        destinations::check(self, &mut findings);
        limits::check(self, &mut findings);
        findings.at_least("metrics.interval", self.metrics.interval, HumanDuration::secs(1));
        findings.positive("metrics.timeout", self.metrics.timeout);
        tracing::check(self, &mut findings);
        if let Err(message) = crate::telemetry::log_filter::filter(&self.log.level) {
            findings.error("log.level", message);
        }
        if crate::telemetry::log_filter::lets_libraries_talk(&self.log.level) {
            findings.warn(
                "log.level",
                "a library named at debug or trace may log secrets and bodies",
            );
        }
        findings
    }
}

impl Findings {
    fn error(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Finding {
            key: key.into(),
            message: message.into(),
        });
    }

    fn warn(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Finding {
            key: key.into(),
            message: message.into(),
        });
    }

    fn at_least<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T) {
        if value < least {
            self.error(key, format!("expected at least {least}, got {value}"));
        }
    }

    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.error(key, format!("expected {least} to {most}, got {value}"));
        }
    }

    fn positive(&mut self, key: &str, duration: HumanDuration) {
        if duration.0.is_zero() {
            self.error(key, "expected more than 0s");
        }
    }
}

/// The name goes into a STOMP header and a NATS header.
fn instance(config: &crate::instance::Config, findings: &mut Findings) {
    if let Some(name) = &config.name
        && (name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) || name.trim() != name)
    {
        findings.error(
            "instance.name",
            "expected 1 to 128 bytes without control characters or blanks around them",
        );
    }
}

#[cfg(test)]
mod tests;
