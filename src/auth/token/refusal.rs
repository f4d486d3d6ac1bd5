//! Why a token is refused: a closed set, so that it can be a metric's label. Knows no token.

use std::fmt;

/// Why, in the order of the checks (docs/tokens.md). The first that applies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is too long, does not have three parts, or a part is not the JSON that it has to be.
    Malformed,
    /// Its algorithm is none that its issuer or its key is for, its type is not taken, or it has critical extensions.
    Algorithm,
    /// Nobody of this name may issue tokens.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// Its time is over. Said only of a token with the right signature.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// It does not say from when to when it is good, or is good for too long.
    Lifetime,
    /// Its issuer has no such key.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// It names no user, or something that no user can have.
    Claim,
    /// It was revoked: by its id, or with all that its user or its issuer had then.
    Revoked,
    /// Its user may not come in, by whatever.
    Blocked,
}

impl Refusal {
    /// All of them, in the order of the checks.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Algorithm,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::Lifetime,
        Self::UnknownKey,
        Self::Signature,
        Self::Claim,
        Self::Revoked,
        Self::Blocked,
    ];

    /// Its name as a metric's label, and for `herald token inspect`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Lifetime => "lifetime",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim => "claim",
            Self::Revoked => "revoked",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl std::error::Error for Refusal {}
