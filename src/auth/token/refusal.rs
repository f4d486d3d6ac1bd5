//! Why a token is refused: a closed set, so that it can be a metric's label. Knows no token.

use std::fmt;

/// The reasons, in the order of the checks (docs/tokens.md). The first that applies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is too long, does not have three parts, or a part is not the required JSON.
    Malformed,
    /// Its algorithm is not one of its issuer's or its key's, its type is not accepted, or it has critical extensions.
    Algorithm,
    /// Its issuer is not configured.
    Issuer,
    /// It is for another audience.
    Audience,
    /// It has expired. Reported only for a token with a valid signature.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It does not say when it was issued or when it expires, or its life is too long.
    Lifetime,
    /// Its issuer has no such key.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// It names no user, or a name that no user can have.
    Claim,
    /// It was revoked: by its id, or with all tokens that its user or its issuer had then.
    Revoked,
    /// Its user is blocked, with any credential.
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
