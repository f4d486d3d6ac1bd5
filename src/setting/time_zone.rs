//! A time zone by its IANA name, from the database in the program. Knows no setting by name.

use std::fmt;
use std::str::FromStr;

use super::text::as_text;

/// A time zone that has been found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(pub jiff::tz::TimeZone);

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(jiff::tz::TimeZone::UTC);
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every zone that is found by its name has one.
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        jiff::tz::TimeZone::get(text)
            .map(Self)
            .map_err(|_| format!("expected an IANA time zone, such as UTC or Europe/Berlin, got {text:?}"))
    }
}

as_text!(TimeZone);
