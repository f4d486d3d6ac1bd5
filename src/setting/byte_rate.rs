//! A rate of bytes as people write it in a configuration: `4MiB/s burst 32MiB`, `1MiB/m`, `off`. Knows nothing of what it
//! limits.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;

use super::ByteSize;
use super::rate::Unit;
use super::text::as_text;

/// Bytes are counted in units of this many, so that a fast rate is still exact and a large burst fits.
const UNIT_BYTES: usize = 64;
const LEAST: ByteSize = ByteSize::kib(1);
const MOST: ByteSize = ByteSize(1 << 30);

/// A number of bytes per second or per minute, with a burst after a standstill; or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate(Option<Limited>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limited {
    bytes: ByteSize,
    unit: Unit,
    burst: ByteSize,
}

impl ByteRate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// `bytes` per second, `burst` at once: each from 1 KiB to 1 GiB.
    pub const fn per_second(bytes: ByteSize, burst: ByteSize) -> Self {
        Self(Some(Limited {
            bytes,
            unit: Unit::Second,
            burst,
        }))
    }

    /// The quota for a limiter of [`ByteRate::units`], or `None` if there is no limit.
    pub fn quota(self) -> Option<Quota> {
        let Limited { bytes, unit, burst } = self.0?;
        let per_unit = unit.period().as_nanos() * UNIT_BYTES as u128 / bytes.0.max(1) as u128;
        let per_unit = Duration::from_nanos(u64::try_from(per_unit).unwrap_or(u64::MAX).max(1));
        let burst = NonZeroU32::new(Self::units(burst.0)).unwrap_or(NonZeroU32::MIN);
        Quota::with_period(per_unit).map(|quota| quota.allow_burst(burst))
    }

    /// What so many bytes cost of the [quota](ByteRate::quota).
    pub fn units(bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Limited { bytes, unit, burst }) => write!(f, "{bytes}/{} burst {burst}", unit.letter()),
        }
    }
}

impl FromStr for ByteRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "expected off, or a rate such as 4MiB/s, 4MiB/s burst 32MiB or 100MiB/m, with sizes from {LEAST} to {MOST}, \
                 got {text:?}"
            )
        })
    }
}

as_text!(ByteRate);

fn parse(text: &str) -> Option<ByteRate> {
    let mut words = text.split_ascii_whitespace();
    let (rate, burst) = match (words.next()?, words.next(), words.next(), words.next()) {
        ("off", None, None, None) => return Some(ByteRate::OFF),
        (rate, None, None, None) => (rate, None),
        (rate, Some("burst"), Some(burst), None) => (rate, Some(burst)),
        _ => return None,
    };
    let (bytes, unit) = rate.split_once('/')?;
    let size = |text: &str| {
        let size: ByteSize = text.parse().ok()?;
        (LEAST..=MOST).contains(&size).then_some(size)
    };
    let bytes = size(bytes)?;
    Some(ByteRate(Some(Limited {
        bytes,
        unit: Unit::parse(unit)?,
        burst: burst.map_or(Some(bytes), size)?,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_bytes_are_read_and_shown() {
        let check = |text: &str, shown: Option<&str>| {
            let rate = text.parse::<ByteRate>();
            let text_of = rate.as_ref().ok().map(ByteRate::to_string);
            assert_eq!(text_of.as_deref(), shown, "{text}: {rate:?}");
        };
        check("off", Some("off"));
        check("4MiB/s burst 32MiB", Some("4MiB/s burst 32MiB"));
        check("4MiB/s", Some("4MiB/s burst 4MiB"));
        check("100KiB/m burst 1GiB", Some("100KiB/m burst 1GiB"));
        for wrong in [
            "",
            "4MiB",
            "4/s",
            "0B/s",
            "1023B/s",
            "2GiB/s",
            "4MiB/h",
            "4MiB/s burst",
            "4MiB/s burst 0B",
            "4MiB/s burst 4",
            "4MiB /s",
            "off burst 1MiB",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn its_quota_is_exact_enough() {
        let quota = |text: &str| text.parse::<ByteRate>().unwrap().quota().unwrap();
        let burst = ByteRate::units(32 << 20);
        assert_eq!(quota("4MiB/s burst 32MiB").burst_size().get(), burst);
        let per_unit = quota("4MiB/s").replenish_interval();
        let second = per_unit * ByteRate::units(4 << 20);
        assert!(
            (Duration::from_millis(999)..=Duration::from_secs(1)).contains(&second),
            "{second:?}"
        );
        assert_eq!(quota("1KiB/m").replenish_interval(), Duration::from_secs(60) / 16);
        assert!(quota("1GiB/s burst 1GiB").replenish_interval() >= Duration::from_nanos(59));
        assert!(ByteRate::OFF.quota().is_none());
        assert_eq!(
            (ByteRate::units(0), ByteRate::units(1), ByteRate::units(65)),
            (0, 1, 2)
        );
    }
}
