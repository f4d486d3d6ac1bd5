//! The issuers of tokens: whether their keys can be fetched from here, and whether their clocks agree. Knows no HTTP:
//! `main` asks them.

use super::Line;

/// What asking an issuer's server came to.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `iss` of its tokens.
    pub issuer: String,
    /// How many keys it has, or why there are none.
    pub keys: Result<usize, String>,
    /// How far its clock is ahead, if it says what time it is.
    pub ahead_ms: Option<i64>,
    /// How far clocks may be apart (`leeway`).
    pub leeway_ms: i64,
    /// Whether an instance is not ready without its keys (`required`).
    pub required: bool,
}

/// A line for each.
pub(super) fn look(seen: &[Seen]) -> Vec<Line> {
    seen.iter().flat_map(lines).collect()
}

fn lines(seen: &Seen) -> Vec<Line> {
    const CHECK: &str = "issuer";
    let issuer = &seen.issuer;
    let keys = match (&seen.keys, seen.required) {
        (Ok(count), _) => Line::ok(CHECK, format!("{issuer}: {count} keys")),
        (Err(words), true) => Line::fail(
            CHECK,
            format!("{issuer}: no keys: {words}"),
            "an instance is not ready before they are there (required): look at jwks_uri or discovery, a proxy, ca_file",
        ),
        (Err(words), false) => Line::warn(
            CHECK,
            format!("{issuer}: no keys: {words}"),
            "its users cannot log in: look at jwks_uri or discovery, a proxy, ca_file",
        ),
    };
    let clock = seen.ahead_ms.filter(|ahead| ahead.abs() > seen.leeway_ms).map(|ahead| {
        Line::warn(
            CHECK,
            format!("{issuer}: its clock is {} s off this one's", ahead / 1_000),
            "beyond leeway its new tokens are refused (not_yet), or end too early: run an NTP client here and there",
        )
    });
    std::iter::once(keys).chain(clock).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn keys_that_are_missing_and_a_clock_that_is_off_are_told() {
        let seen = |keys, ahead_ms, required| Seen {
            issuer: "https://id".into(),
            keys,
            ahead_ms,
            leeway_ms: 30_000,
            required,
        };
        let check = |seen: Seen, expected: &[Status]| {
            let found: Vec<Status> = look(&[seen]).iter().map(|line| line.status).collect();
            assert_eq!(found, expected);
        };
        check(seen(Ok(2), None, true), &[Status::Ok]);
        check(seen(Ok(2), Some(-30_000), true), &[Status::Ok]);
        check(seen(Ok(2), Some(31_000), true), &[Status::Ok, Status::Warn]);
        check(seen(Ok(2), Some(-90_000), true), &[Status::Ok, Status::Warn]);
        check(seen(Err("status 500".into()), None, true), &[Status::Fail]);
        check(seen(Err("status 500".into()), None, false), &[Status::Warn]);
    }
}
