//! A rate as people write it in a configuration: `20/s burst 100`, `30/m burst 10`, `off`. Knows nothing of what it limits.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The largest count and the largest burst. A larger rate would be no limit at all.
const COUNT_MAX: u32 = 1_000_000;

/// A number of events per second or per minute, with a burst after a standstill; or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(Option<Limited>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limited {
    count: NonZeroU32,
    unit: Unit,
    burst: NonZeroU32,
}

/// What a rate counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
}

impl Unit {
    pub(super) fn period(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_secs(60),
        }
    }

    pub(super) fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
        }
    }

    pub(super) fn parse(letter: &str) -> Option<Self> {
        match letter {
            "s" => Some(Self::Second),
            "m" => Some(Self::Minute),
            _ => None,
        }
    }
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// `count` per second, `burst` at once. Zero for either means no limit.
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self::per(Unit::Second, count, burst)
    }

    /// The same per minute.
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self::per(Unit::Minute, count, burst)
    }

    const fn per(unit: Unit, count: u32, burst: u32) -> Self {
        match (NonZeroU32::new(count), NonZeroU32::new(burst)) {
            (Some(count), Some(burst)) => Self(Some(Limited { count, unit, burst })),
            _ => Self::OFF,
        }
    }

    /// The quota for a limiter, or `None` if there is no limit.
    pub fn quota(self) -> Option<Quota> {
        let Limited { count, unit, burst } = self.0?;
        Quota::with_period(unit.period() / count.get()).map(|quota| quota.allow_burst(burst))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Limited { count, unit, burst }) => write!(f, "{count}/{} burst {burst}", unit.letter()),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "expected off, or a rate such as 20/s, 20/s burst 100 or 30/m burst 10, with numbers from 1 to \
                 {COUNT_MAX}, got {text:?}"
            )
        })
    }
}

fn parse(text: &str) -> Option<Rate> {
    let mut words = text.split_ascii_whitespace();
    let (rate, burst) = match (words.next()?, words.next(), words.next(), words.next()) {
        ("off", None, None, None) => return Some(Rate::OFF),
        (rate, None, None, None) => (rate, None),
        (rate, Some("burst"), Some(burst), None) => (rate, Some(burst)),
        _ => return None,
    };
    let (count, unit) = rate.split_once('/')?;
    let unit = Unit::parse(unit)?;
    let count = number(count)?;
    let burst = burst.map_or(Some(count), number)?;
    Some(Rate(Some(Limited { count, unit, burst })))
}

/// 1 to [`COUNT_MAX`], digits only.
fn number(text: &str) -> Option<NonZeroU32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    NonZeroU32::new(number).filter(|number| number.get() <= COUNT_MAX)
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate such as 20/s burst 100, or off")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        let check = |text: &str, shown: Option<&str>| {
            let rate = text.parse::<Rate>();
            assert_eq!(
                rate.as_ref().ok().map(Rate::to_string).as_deref(),
                shown,
                "{text}: {rate:?}"
            );
        };
        check("off", Some("off"));
        check("20/s", Some("20/s burst 20"));
        check("20/s burst 100", Some("20/s burst 100"));
        check("30/m burst 1", Some("30/m burst 1"));
        check("1000000/s", Some("1000000/s burst 1000000"));
        for wrong in [
            "",
            "20",
            "0/s",
            "20/s burst 0",
            "20/h",
            "+1/s",
            "20/s burst",
            "20/s burst 1 2",
            "1000001/s",
            "-1/s",
            "20 /s",
            "off burst 1",
        ] {
            check(wrong, None);
        }
    }
}
