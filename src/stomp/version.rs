//! The protocol's versions and how CONNECT chooses one. Knows nothing of what a version changes.

use std::fmt;

/// A version of STOMP that Herald speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.0: no escaping, no heart-beats, no NACK.
    V1_0,
    /// 1.1: escaping of LF, `:` and `\`, heart-beats, NACK, `id` of a subscription.
    V1_1,
    /// 1.2: CR LF as an end of line, escaping of CR, `ack` header.
    V1_2,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];
    /// The `version` header of the ERROR for a client without a common version (1.2, "Protocol Negotiation").
    pub const SUPPORTED: &str = "1.0,1.1,1.2";
    /// The body of that ERROR.
    pub const SUPPORTED_WORDS: &str = "Supported protocol versions are 1.0 1.1 1.2";

    /// The number, as in the headers `version` and `accept-version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The highest version that both sides speak, whatever the order of the client's list and whatever else is in it.
    /// `None` if there is no common version. A missing header means 1.0 alone. Blanks around an entry are tolerated.
    pub fn negotiate(accept_version: Option<&str>) -> Option<Self> {
        let Some(list) = accept_version else {
            return Some(Self::V1_0);
        };
        let offered = |version: &Self| list.split(',').any(|entry| entry.trim() == version.as_str());
        Self::ALL.into_iter().rev().find(offered)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Version::{self, *};

    #[test]
    fn the_highest_common_version_is_chosen_whatever_the_order() {
        #[track_caller]
        fn check(accept_version: Option<&str>, expected: Option<Version>) {
            assert_eq!(Version::negotiate(accept_version), expected, "{accept_version:?}");
        }
        check(None, Some(V1_0));
        check(Some("1.2"), Some(V1_2));
        check(Some("1.2,1.1,1.0"), Some(V1_2));
        check(Some("1.0,1.1,1.2"), Some(V1_2));
        check(Some("1.0,1.1,2.0"), Some(V1_1));
        check(Some("1.0, 1.1"), Some(V1_1));
        check(Some("2.0"), None);
        check(Some("1"), None);
        check(Some("1.20"), None);
        check(Some(""), None);
        check(Some(","), None);
    }

    #[test]
    fn the_texts_for_a_refusal_name_every_version() {
        let all: Vec<_> = Version::ALL.iter().map(Version::to_string).collect();
        assert_eq!(Version::SUPPORTED, all.join(","));
        assert!(Version::SUPPORTED_WORDS.ends_with(&all.join(" ")));
    }
}
