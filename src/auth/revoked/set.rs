//! Who is shut out: a set of revocations that only grows until they end. Which order they come in, how often, and from whom
//! does not matter: the union of two sets is always right. Pure: time is a parameter, Unix ms.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::entry::{Revocation, RevocationId, Whom};

mod stairs;
mod tally;

use stairs::Stairs;
use tally::Tally;
pub(crate) use tally::{Digest, comparable_from_ms};

/// Why somebody is shut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The token counts no more.
    Revoked,
    /// The user may not come in, whatever it presents.
    Blocked,
}

impl Shut {
    /// What the audit and metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Blocked => "blocked",
        }
    }
}

/// Of whom the set is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub user: &'a str,
    /// What proved it, if that was a token.
    pub token: Option<AskedToken<'a>>,
}

/// A token of which the set is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedToken<'a> {
    pub issuer: &'a str,
    /// `jti`
    pub id: Option<&'a str>,
    /// The earliest moment at which it may have been issued: `iat` less the leeway.
    pub earliest_ms: u64,
}

/// What became of a revocation that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is new, or says more than what was known.
    New,
    /// It was known, or has ended.
    Known,
    /// There is no room.
    Full,
}

/// What revocations of the same tokens, or of the same user, come to.
#[derive(Debug, Default)]
struct Spot {
    stairs: Stairs,
    /// Of those that were put in here. Some may have been lifted or have ended since.
    ids: Vec<RevocationId>,
    /// Whether the stairs have to be built again.
    is_stale: bool,
}

/// By two names.
type Index = HashMap<Box<str>, HashMap<Box<str>, Spot>>;

/// The place in an [`Index`] of somebody who is not named.
const ANY: &str = "";

/// The set. Asking it costs a few lookups by hash, however many revocations there are.
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
    /// Where the stairs have to be built again, each spot once.
    stale: Vec<Whom>,
}

impl Set {
    /// How many there are, the lifted ones among them.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Why `asked` is shut out now.
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

    /// Puts `revocation` in, if there are fewer than `most` or it is known. [`Set::settle`] has to follow, once for many.
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

    /// Looks again at the spots where something was lifted or has ended: what stood in its shadow may count again. It costs what
    /// stands there, and nothing of what stands elsewhere.
    pub(crate) fn settle(&mut self) {
        for whom in std::mem::take(&mut self.stale) {
            self.build_again(&whom);
        }
    }

    /// Puts one in.
    #[cfg(test)]
    pub(crate) fn join(&mut self, revocation: Revocation, now_ms: u64, most: usize) -> Joined {
        let joined = self.put(revocation, now_ms, most);
        self.settle();
        joined
    }

    /// Forgets those that have ended.
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

    /// The revocation of this id.
    pub(crate) fn get(&self, id: RevocationId) -> Option<&Revocation> {
        self.all.get(&id)
    }

    /// Those behind `after`, by id, which is the order in which they were made.
    pub(crate) fn behind(&self, after: Option<RevocationId>) -> impl Iterator<Item = &Revocation> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded)).map(|(_, one)| one)
    }

    /// How many end at `from_ms` or later, and which.
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

    /// Something at this spot counts no more.
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
            // Another one of the same id, which no instance makes, may stand elsewhere.
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

/// Where it stands in its index, and up to when tokens may have been issued.
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

/// What a revocation adds to the hash. Ids are random; the same on every instance and in every version.
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
