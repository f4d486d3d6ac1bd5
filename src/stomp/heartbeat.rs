//! Heart-beats: what each side offers and what both agree on (rules C11, B1, B5, B6). Knows no clock and no timer.

use std::fmt;

/// The longest period that is distinguished: about 49 days. A longer one counts as this, and sums of a few do not
/// overflow.
const PERIOD_MAX_MS: u64 = u32::MAX as u64;
/// The shortest period that Herald offers. A client may ask for less: the period is the greater of the two offers.
pub(crate) const FLOOR_MS: u64 = 1_000;
/// The most digits of a number. More are not a period but an attack on the parser.
const DIGITS_MAX: usize = 20;

/// A client's `heart-beat:cx,cy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClientOffer {
    /// cx: the client can send something this often. 0: it cannot.
    pub can_send_ms: u64,
    /// cy: the client wants something this often. 0: it does not.
    pub wants_ms: u64,
}

/// The server's `heart-beat:sx,sy` in CONNECTED. `Display` writes that value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ServerOffer {
    /// sx: the server can send something this often. 0: it cannot.
    pub can_send_ms: u64,
    /// sy: the server wants something this often. 0: it does not.
    pub wants_ms: u64,
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Negotiated {
    /// The client sends something at least this often. 0: it need not.
    pub receive_every_ms: u64,
    /// The server sends something at least this often. 0: it need not.
    pub send_every_ms: u64,
}

/// A `heart-beat` header that is not two non-negative integers and a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadHeartBeat;

impl fmt::Display for BadHeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("heart-beat is not two non-negative integers and a comma")
    }
}

impl std::error::Error for BadHeartBeat {}

impl ClientOffer {
    /// Reads the header's value. A missing header means `0,0`. Blanks around a number are skipped, as clients write
    /// them after the comma. Periods over about 49 days count as 49 days.
    ///
    /// # Errors
    /// Anything but two integers of at most 20 digits and a comma (C11).
    pub(crate) fn parse(heart_beat: Option<&str>) -> Result<Self, BadHeartBeat> {
        let Some(value) = heart_beat else {
            return Ok(Self::default());
        };
        let (can_send, wants) = value.split_once(',').ok_or(BadHeartBeat)?;
        let period_ms = |number: &str| parse_period(number.trim_matches([' ', '\t']));
        Ok(Self {
            can_send_ms: period_ms(can_send)?,
            wants_ms: period_ms(wants)?,
        })
    }
}

impl ServerOffer {
    /// The configured periods, but never shorter than [`FLOOR_MS`]. The floor is part of what is advertised, so that
    /// the client knows it (B6).
    pub(crate) fn new(can_send_ms: u64, wants_ms: u64) -> Self {
        let floored = |period_ms| match period_ms {
            0 => 0,
            some => some.clamp(FLOOR_MS, PERIOD_MAX_MS),
        };
        Self {
            can_send_ms: floored(can_send_ms),
            wants_ms: floored(wants_ms),
        }
    }
}

impl fmt::Display for ServerOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.can_send_ms, self.wants_ms)
    }
}

/// For each direction: no heart-beats if one side cannot send them or the other does not want them, else the greater
/// of both periods (B1). A 1.0 session has no heart-beats (B5): its offer is [`ClientOffer::default`], whatever its
/// CONNECT says.
pub(crate) fn negotiate(client: ClientOffer, server: ServerOffer) -> Negotiated {
    let period_ms = |can_send_ms: u64, wants_ms: u64| match (can_send_ms, wants_ms) {
        (0, _) | (_, 0) => 0,
        (can_send_ms, wants_ms) => can_send_ms.max(wants_ms),
    };
    Negotiated {
        receive_every_ms: period_ms(client.can_send_ms, server.wants_ms),
        send_every_ms: period_ms(server.can_send_ms, client.wants_ms),
    }
}

fn parse_period(digits: &str) -> Result<u64, BadHeartBeat> {
    let is_number =
        (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(BadHeartBeat);
    }
    // Only digits are left: a number that does not parse is too large for a u64.
    Ok(digits
        .parse()
        .map_or(PERIOD_MAX_MS, |ms: u64| ms.min(PERIOD_MAX_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heart_beat_is_two_integers_and_a_comma() {
        #[track_caller]
        fn check(value: Option<&str>, expected: Option<(u64, u64)>) {
            let expected = expected.map(|(can_send_ms, wants_ms)| ClientOffer {
                can_send_ms,
                wants_ms,
            });
            assert_eq!(ClientOffer::parse(value).ok(), expected, "{value:?}");
        }
        check(None, Some((0, 0)));
        check(Some("0,0"), Some((0, 0)));
        check(Some("10000,20000"), Some((10_000, 20_000)));
        check(Some("007,1"), Some((7, 1)));
        check(Some("10000, 20000"), Some((10_000, 20_000)));
        check(Some(" 10000,\t20000 "), Some((10_000, 20_000)));
        check(Some("10000 ,20000"), Some((10_000, 20_000)));
        check(
            Some("99999999999999999999,18446744073709551615"),
            Some((PERIOD_MAX_MS, PERIOD_MAX_MS)),
        );
        let refused = [
            "",
            ",",
            "1",
            "1,",
            ",1",
            "1,2,3",
            "-1,0",
            "+1,0",
            "1.5,0",
            "1 0,2",
            " ,2",
            "\u{a0}1,2",
            "\r1,2",
            "a,b",
            "１,2",
            "000000000000000000001,0",
        ];
        for value in refused {
            check(Some(value), None);
        }
    }

    #[test]
    fn each_direction_has_the_greater_period_or_none() {
        #[track_caller]
        fn check(client: (u64, u64), server: (u64, u64), expected: (u64, u64)) {
            let client = ClientOffer {
                can_send_ms: client.0,
                wants_ms: client.1,
            };
            let negotiated = negotiate(client, ServerOffer::new(server.0, server.1));
            assert_eq!((negotiated.receive_every_ms, negotiated.send_every_ms), expected);
        }
        check((0, 0), (10_000, 10_000), (0, 0));
        check((10_000, 10_000), (0, 0), (0, 0));
        check((10_000, 20_000), (15_000, 12_000), (12_000, 20_000));
        check((500, 0), (10_000, 10_000), (10_000, 0));
        check((0, 500), (10_000, 10_000), (0, 10_000));
        check((1, 1), (1, 1), (FLOOR_MS, FLOOR_MS));
        check((60_000, 1), (1, 1), (60_000, FLOOR_MS));
    }

    #[test]
    fn the_floor_is_advertised() {
        assert_eq!(ServerOffer::new(500, 700).to_string(), "1000,1000");
        assert_eq!(ServerOffer::new(0, 10_000).to_string(), "0,10000");
    }
}
