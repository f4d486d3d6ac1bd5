//! What a principal's own token permits: destinations by action, as clients write them, with wildcards. Bounded, since
//! each session has its own. It narrows what rules with `granted = true` permit, and widens nothing. Knows no rule, no
//! prefix and no token.

use std::fmt;

use crate::deceptive::is_deceptive;

/// The most patterns of all actions together.
pub const GRANTED_MAX: usize = 64;
/// All patterns together, in bytes.
pub const GRANTED_MAX_BYTES: usize = 2_048;

/// Patterns by action: a segment `*` is any one, a last segment `**` any number, including none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    subscribe: Box<[Box<str>]>,
    send: Box<[Box<str>]>,
    publish: Box<[Box<str>]>,
}

/// Why patterns cannot be taken. The words do not repeat them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantedError {
    /// More than [`GRANTED_MAX`].
    TooMany,
    /// More than [`GRANTED_MAX_BYTES`].
    TooLong,
    /// One that means nothing.
    Pattern,
}

impl fmt::Display for GrantedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "expected at most {GRANTED_MAX} patterns"),
            Self::TooLong => write!(f, "expected at most {GRANTED_MAX_BYTES} bytes of patterns"),
            Self::Pattern => f.write_str(
                "expected destinations that begin with '/', where '*' is one whole segment and '**' the last ones",
            ),
        }
    }
}

impl std::error::Error for GrantedError {}

/// Whether `text` is a destination with wildcards.
fn is_pattern(text: &str) -> bool {
    let stem = text.strip_suffix("/**").unwrap_or(text);
    let Some(stem) = stem.strip_prefix('/') else {
        return false;
    };
    let is_segment = |segment: &str| !segment.is_empty() && (segment == "*" || !segment.contains('*'));
    stem.split('/').all(is_segment) && !text.chars().any(is_deceptive)
}

impl Granted {
    /// What may be subscribed to, sent to and published to.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(subscribe: &[&str], send: &[&str], publish: &[&str]) -> Result<Self, GrantedError> {
        let all = || subscribe.iter().chain(send).chain(publish);
        if all().count() > GRANTED_MAX {
            return Err(GrantedError::TooMany);
        }
        if all().map(|text| text.len()).sum::<usize>() > GRANTED_MAX_BYTES {
            return Err(GrantedError::TooLong);
        }
        if !all().all(|text| is_pattern(text)) {
            return Err(GrantedError::Pattern);
        }
        let boxed = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
        Ok(Self {
            subscribe: boxed(subscribe),
            send: boxed(send),
            publish: boxed(publish),
        })
    }

    /// What may be subscribed to.
    pub fn subscribe(&self) -> &[Box<str>] {
        &self.subscribe
    }

    /// What may be sent to.
    pub fn send(&self) -> &[Box<str>] {
        &self.send
    }

    /// What may be published to.
    pub fn publish(&self) -> &[Box<str>] {
        &self.publish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_or_is_too_much_is_refused() {
        let check = |texts: &[&str]| Granted::new(texts, &[], &[]).map(drop);
        assert_eq!(
            check(&["/queue/x", "/queue/*/y", "/queue/x/**", "/user/**", "/*/**"]),
            Ok(())
        );
        for wrong in [
            "",
            "queue/x",
            "/",
            "/queue//x",
            "/queue/x/",
            "/queue/a*",
            "/**/x",
            "/queue/***",
            "/**",
            "/q/\u{202e}x",
        ] {
            assert_eq!(check(&[wrong]), Err(GrantedError::Pattern), "{wrong:?}");
        }
        assert_eq!(check(&["/q"; GRANTED_MAX]), Ok(()));
        assert_eq!(check(&["/q"; GRANTED_MAX + 1]), Err(GrantedError::TooMany));
        let long = format!("/{}", "x".repeat(GRANTED_MAX_BYTES - 1));
        assert_eq!(check(&[&long]), Ok(()));
        assert_eq!(check(&[&long, "/x"]), Err(GrantedError::TooLong));
        let spread = Granted::new(&["/q"; 30], &["/q"; 30], &["/q"; 5]);
        assert_eq!(spread, Err(GrantedError::TooMany));
    }
}
