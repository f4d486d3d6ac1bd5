//! The set of revocations, which only grows until they end. The order in which they arrive, how often, and from whom
//! does not matter: the union of two sets is always valid. Pure: time is a parameter, in Unix ms.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::entry::{Revocation, RevocationId, Whom};

mod stairs;
mod tally;

use stairs::Stairs;
use tally::Tally;
pub(crate) use tally::{Digest, comparable_from_ms};

/// Why a login or a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The token was revoked.
    Revoked,
    /// The user is blocked, with any credential.
    Blocked,
}

impl Shut {
    /// Its name in the audit and in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Blocked => "blocked",
        }
    }
}

/// The login or session that the set is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub user: &'a str,
    /// The token that proved it, if any.
    pub token: Option<AskedToken<'a>>,
}

/// The token that the set is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedToken<'a> {
    pub issuer: &'a str,
    /// `jti`
    pub id: Option<&'a str>,
    /// The earliest moment at which it may have been issued: `iat` minus the leeway.
    pub earliest_ms: u64,
}

/// The result of adding a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is new, or says more than the known one.
    New,
    /// It was known, or has ended.
    Known,
    /// There is no room.
    Full,
}

/// The combined effect of all revocations of the same tokens, or of the same user.
#[derive(Debug, Default)]
struct Spot {
    stairs: Stairs,
    /// The revocations that were added here. Some may have been lifted or have ended since.
    ids: Vec<RevocationId>,
    /// Whether the stairs have to be rebuilt.
    is_stale: bool,
}

/// By two names.
type Index = HashMap<Box<str>, HashMap<Box<str>, Spot>>;

/// The key in an [`Index`] for any user or any issuer.
const ANY: &str = "";

/// The set. Asking it costs a few hash lookups, however many revocations there are.
#[derive(Debug, Default)]
pub(crate) struct Set {
    all: BTreeMap<RevocationId, Revocation>,
    tally: Tally,
    /// By issuer and `jti`.
    tokens: Index,
    /// By issuer and user, each of which may be [`ANY`].
    issued: Index,
    /// By [`ANY`] and user.
    blocks: Index,
    /// Where the stairs have to be rebuilt, each spot once.
    stale: Vec<Whom>,
}

impl Set {
    /// How many there are, including lifted ones.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Why `asked` is refused now.
    pub(crate) fn refuses(&self, asked: Asked<'_>, now_ms: u64) -> Option<Shut> {
        if self.all.is_empty() {
            return None;
        }
        let at = |index: &Index, first: &str, second: &str, from: u64| {
            let spot = index.get(first).and_then(|below| below.get(second));
            spot.is_some_and(|spot| spot.stairs.reaches(from, now_ms))
        };
        let is_revoked = asked.token.is_some_and(|token| {
            let from = token.earliest_ms;
            token.id.is_some_and(|id| at(&self.tokens, token.issuer, id, 0))
                || at(&self.issued, ANY, asked.user, from)
                || at(&self.issued, token.issuer, ANY, from)
                || at(&self.issued, token.issuer, asked.user, from)
        });
        if is_revoked {
            return Some(Shut::Revoked);
        }
        at(&self.blocks, ANY, asked.user, 0).then_some(Shut::Blocked)
    }

    /// Adds `revocation`, if there are fewer than `most` or it is known. [`Set::settle`] has to follow, once for many.
    pub(crate) fn put(&mut self, revocation: Revocation, now_ms: u64, most: usize) -> Joined {
        if revocation.until_ms <= now_ms {
            return Joined::Known;
        }
        let before = self.all.get(&revocation.id);
        if before.is_some_and(|known| *known >= revocation) {
            return Joined::Known;
        }
        if before.is_none() && self.all.len() >= most {
            return Joined::Full;
        }
        self.tally.add(revocation.until_ms, mark(&revocation));
        if !revocation.lifted {
            self.index(&revocation);
        }
        if let Some(before) = self.all.insert(revocation.id, revocation) {
            self.tally.remove(before.until_ms, mark(&before));
            self.disturb(before.whom);
        }
        Joined::New
    }

    /// Rebuilds the spots where a revocation was lifted or has ended: others that it covered may apply again. The cost
    /// depends only on the entries at these spots.
    pub(crate) fn settle(&mut self) {
        for whom in std::mem::take(&mut self.stale) {
            self.build_again(&whom);
        }
    }

    /// Adds one.
    #[cfg(test)]
    pub(crate) fn join(&mut self, revocation: Revocation, now_ms: u64, most: usize) -> Joined {
        let joined = self.put(revocation, now_ms, most);
        self.settle();
        joined
    }

    /// Removes those that have ended.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        for ended in self
            .all
            .extract_if(.., |_, one| one.until_ms <= now_ms)
            .collect::<Vec<_>>()
        {
            let (_, ended) = ended;
            self.tally.remove(ended.until_ms, mark(&ended));
            self.disturb(ended.whom);
        }
        self.settle();
    }

    /// The revocation with this id.
    pub(crate) fn get(&self, id: RevocationId) -> Option<&Revocation> {
        self.all.get(&id)
    }

    /// Those after `after`, by id, which is the order in which they were made.
    pub(crate) fn behind(&self, after: Option<RevocationId>) -> impl Iterator<Item = &Revocation> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded)).map(|(_, one)| one)
    }

    /// How many end at `from_ms` or later, and a digest of them.
    pub(crate) fn digest(&self, from_ms: u64) -> Digest {
        self.tally.from(from_ms)
    }

    fn index(&mut self, revocation: &Revocation) {
        let (first, second, up_to) = place(&revocation.whom);
        let (first, second) = (Box::from(first), Box::from(second));
        let below = self.index_of(&revocation.whom).entry(first).or_default();
        let spot = below.entry(second).or_default();
        spot.stairs.add(up_to, revocation.until_ms);
        spot.ids.push(revocation.id);
    }

    /// An entry at this spot no longer applies.
    fn disturb(&mut self, whom: Whom) {
        let (first, second, _) = place(&whom);
        let below = self.index_of(&whom).get_mut(first);
        if let Some(spot) = below.and_then(|below| below.get_mut(second))
            && !std::mem::replace(&mut spot.is_stale, true)
        {
            self.stale.push(whom);
        }
    }

    fn build_again(&mut self, whom: &Whom) {
        let (first, second, _) = place(whom);
        let index = match whom {
            Whom::Token { .. } => &mut self.tokens,
            Whom::Issued { .. } => &mut self.issued,
            Whom::Block(_) => &mut self.blocks,
        };
        let Some(below) = index.get_mut(first) else { return };
        let Some(spot) = below.get_mut(second) else { return };
        let mut stairs = Stairs::default();
        spot.ids.sort_unstable();
        spot.ids.dedup();
        spot.ids.retain(|id| {
            let Some(one) = self.all.get(id).filter(|one| !one.lifted) else {
                return false;
            };
            // Another one with the same id, which no instance creates, may be elsewhere.
            let (other_first, other_second, up_to) = place(&one.whom);
            let is_here = std::mem::discriminant(&one.whom) == std::mem::discriminant(whom)
                && (first, second) == (other_first, other_second);
            if is_here {
                stairs.add(up_to, one.until_ms);
            }
            is_here
        });
        (spot.stairs, spot.is_stale) = (stairs, false);
        if spot.ids.is_empty() {
            below.remove(second);
            if below.is_empty() {
                index.remove(first);
            }
        }
    }

    fn index_of(&mut self, whom: &Whom) -> &mut Index {
        match whom {
            Whom::Token { .. } => &mut self.tokens,
            Whom::Issued { .. } => &mut self.issued,
            Whom::Block(_) => &mut self.blocks,
        }
    }
}

/// Its place in its index, and the moment up to which tokens may have been issued.
fn place(whom: &Whom) -> (&str, &str, u64) {
    match whom {
        Whom::Token { issuer, id } => (issuer, id, 0),
        Whom::Issued {
            user,
            issuer,
            up_to_ms,
        } => {
            let user = user.as_ref().map_or(ANY, |user| user.as_str());
            (issuer.as_deref().unwrap_or(ANY), user, *up_to_ms)
        }
        Whom::Block(user) => (ANY, user.as_str(), 0),
    }
}

/// A revocation's share of the hash. Ids are random; it is the same on every instance and in every version.
fn mark(revocation: &Revocation) -> u64 {
    let bits = revocation.id.bits();
    let mut mixed = (bits >> 64) as u64 ^ (bits as u64).rotate_left(32) ^ u64::from(revocation.lifted);
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests;
