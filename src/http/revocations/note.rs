//! Explains to the operator what a revocation does not do. Knows which logins are possible here, and no route.

use crate::auth::Authenticator;
use crate::auth::revoked::entry::Whom;

/// How many prefixes are named.
const NAMED_MAX: usize = 4;

/// Why it may shut out nobody.
pub(super) fn note(users: &Authenticator, whom: &Whom) -> Option<String> {
    let user = whom.user()?;
    let (is_of_tokens, issuer) = match whom {
        Whom::Issued { issuer, .. } => (true, issuer.as_deref()),
        Whom::Token { .. } | Whom::Block(_) => (false, None),
    };
    if users.known(user.as_str()).is_some() {
        return is_of_tokens.then(|| {
            format!(
                "this revokes tokens only, and {user} logs in by a password here: to keep them out, use \"block\": true"
            )
        });
    }
    if is_of_tokens && !users.takes_tokens() {
        return Some(
            "this revokes tokens only, and this instance accepts none (auth.issuers): to keep anybody else out, use \"block\": true".into(),
        );
    }
    let prefixes: Vec<_> = users.prefixes(issuer).collect();
    let is_theirs = |prefix: &&str| match prefix.is_empty() {
        true => !user.as_str().contains(':'),
        false => user.as_str().starts_with(*prefix),
    };
    if prefixes.is_empty() || prefixes.iter().any(is_theirs) {
        return None;
    }
    let mut named: Vec<_> = prefixes
        .iter()
        .filter(|prefix| !prefix.is_empty())
        .take(NAMED_MAX)
        .copied()
        .collect();
    if prefixes.len() > NAMED_MAX {
        named.push("…");
    }
    Some(format!(
        "nobody logs in as {user} here: no user with a password has this name, and the names of issuers' users begin with {}",
        named.join(", ")
    ))
}
