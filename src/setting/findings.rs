//! The problems that a section finds in its own values, by key. Knows no section and no source of settings.

use std::fmt::Display;

use super::HumanDuration;

/// One thing that is wrong, or looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The dotted key, such as `limits.outbox_bytes` or `api.keys[0].name`.
    pub key: String,
    /// What was expected. Never repeats a secret.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// What the checks of all sections find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Herald must not start.
    pub errors: Vec<Finding>,
    /// Herald may start, and says this first.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Notes that the value of `key` cannot be used.
    pub fn error(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Finding {
            key: key.into(),
            message: message.into(),
        });
    }

    /// Notes that the value of `key` is allowed and looks wrong.
    pub fn warn(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Finding {
            key: key.into(),
            message: message.into(),
        });
    }

    /// Notes an error unless `value` is `least` or more.
    pub fn at_least<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T) {
        if value < least {
            self.error(key, format!("expected at least {least}, got {value}"));
        }
    }

    /// Notes an error unless `value` is from `least` to `most`.
    pub fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.error(key, format!("expected {least} to {most}, got {value}"));
        }
    }

    /// Notes an error if `duration` is zero.
    pub fn positive(&mut self, key: &str, duration: HumanDuration) {
        if duration.0.is_zero() {
            self.error(key, "expected more than 0s");
        }
    }

    /// The first error, for whoever reports one alone.
    ///
    /// # Errors
    /// The first error that was noted.
    pub fn into_result(self) -> Result<(), Finding> {
        match self.errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
