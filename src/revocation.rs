//! Revocations in the whole cluster: an operator's revocation takes effect here, then all others are told. A newcomer
//! learns all revocations before it is ready, and an instance that missed one learns it through the digests. If there
//! is a file for them, it is written first. Knows the set by its handle ([`crate::auth`]), the bus's control channel;
//! no HTTP and no session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
#[cfg(test)]
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::auth::revoked::entry::{Revocation, RevocationId, Whom};
use crate::auth::revoked::set::Digest;
use crate::auth::revoked::{Accepted, CLOCKS_MAX_MS, Revoked};
use crate::bus::Bus;
use crate::control::ask::tell;
use crate::control::desk::Desk;
use crate::control::question::fit;
use crate::instance::InstanceId;
use crate::limit::Limit;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};
use crate::telemetry::metrics::Metrics;
use keep::Keeper;
use standing::Standing;
use wire::{Announced, Answered, Behind, List, Told};

pub(crate) mod file;
pub(crate) mod keep;
mod learn;
mod put;
mod standing;
mod wire;

#[cfg(test)]
mod tests;

/// The most bytes of one message with revocations, less where the bus carries less.
const PAGE_MAX_BYTES: usize = 256 << 10;
/// What a message has beside the revocations.
const HEAD_BYTES: usize = 256;
/// More than one revocation takes.
const ONE_MAX_BYTES: usize = 16 << 10;
/// The most revocations in one answer.
const ANSWER_MAX: usize = 1_000;
/// The most instances that wait to be asked.
const UNEQUAL_MAX: usize = 64;
/// Of how many instances is known that they were asked in vain.
const VAIN_MAX: usize = 1_024;

/// What this instance needs of the rest of Herald. [`Revocations::new`] takes it.
pub(crate) struct Parts {
    pub authenticator: Arc<Authenticator>,
    pub bus: Arc<dyn Bus>,
    pub own: InstanceId,
    pub metrics: Metrics,
    pub audit: Audit,
    /// Of `auth.revoked_file`, if there is one.
    pub keeper: Keeper,
    /// Which other instances are known to live.
    pub known: Known,
}

/// Says which other instances are known to live.
pub(crate) type Known = Box<dyn Fn() -> Vec<InstanceId> + Send + Sync>;

/// The revocations of the cluster. Shared as `Arc<Revocations>`.
pub(crate) struct Revocations {
    parts: Parts,
    standing: Mutex<Standing>,
    /// Whether newcomers are to find this instance.
    is_found: AtomicBool,
    /// How often something came into force here that the bus did not take, since it last took word of everything.
    untold: AtomicU64,
    heard: Mutex<Heard>,
    woken: Notify,
}

/// What the others have said of what they have.
#[derive(Default)]
struct Heard {
    /// Whether an instance that is whole has the same as this one.
    is_equal_to_whole: bool,
    /// Who has something else than this instance.
    unequal: Vec<Unequal>,
    /// Who was asked in vain, with what it had and this instance too: it is asked again when either has something else.
    vain: HashMap<InstanceId, (Digest, Digest)>,
}

impl Heard {
    /// Where there is no room, who is known takes the place of one who is not.
    fn enter(&mut self, new: Unequal, known: &Known) {
        if self.unequal.len() < UNEQUAL_MAX {
            self.unequal.push(new);
            return;
        }
        let known = known();
        if known.contains(&new.instance)
            && let Some(stranger) = self.unequal.iter_mut().find(|one| !known.contains(&one.instance))
        {
            *stranger = new;
        }
    }

    fn was_vain(&mut self, instance: InstanceId, digests: (Digest, Digest)) {
        if self.vain.len() >= VAIN_MAX {
            self.vain.clear();
        }
        self.vain.insert(instance, digests);
    }
}

/// Who has something else.
struct Unequal {
    instance: InstanceId,
    /// What it has, and what this instance has.
    digests: (Digest, Digest),
    /// Whether it is whole.
    is_whole: bool,
}

/// What a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// Of what nobody forgets within the next minute.
    WhatLasts,
    /// Of everything.
    Everything,
}

/// Where an operator's revocation is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// Here, and all others have been told.
    Everywhere,
    /// Here. The bus did not take it, and the others hear of it by the next digest.
    Here,
}

/// Why an operator's revocation is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotPut {
    /// There are `auth.revocations` already: it is in force nowhere.
    Full,
    /// Too many wait to be put in force: it is not among them.
    TooMany,
    /// It is not in `auth.revoked_file`: it is in force nowhere.
    NotKept,
    /// The disk has not answered, or failed in the middle: it may come into force yet.
    Unknown,
}

impl Revocations {
    /// Nothing is known of the other instances yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            standing: Mutex::default(),
            is_found: AtomicBool::new(false),
            untold: AtomicU64::new(0),
            heard: Mutex::default(),
            woken: Notify::new(),
        }
    }

    /// Those in force here.
    pub(crate) fn here(&self) -> &Arc<Revoked> {
        self.parts.authenticator.revoked()
    }

    /// Whether what the others have is in force here too, as far as it could be learned in time.
    pub(crate) fn is_ready(&self) -> bool {
        self.standing.lock().is_ready()
    }

    fn has_untold(&self) -> bool {
        self.untold.load(Ordering::Acquire) > 0
    }

    /// Whether it surely is.
    fn is_whole(&self) -> bool {
        self.standing.lock().is_whole()
    }

    /// What keeps revocations from being in force here or elsewhere, or from outliving a restart, in words.
    pub(crate) fn trouble(&self) -> impl Iterator<Item = &'static str> {
        let lacks = self.is_ready() && !self.is_whole();
        let lacks = lacks.then_some("revocations may be missing here: no instance that has them all answers");
        let unkept = !self.parts.keeper.has_all();
        let unkept = unkept.then_some("auth.revoked_file lacks revocations: the log says why");
        let untold = self.has_untold();
        let untold =
            untold.then_some("other instances have not been told yet of revocations that were made here");
        let hangs = self.parts.keeper.hangs();
        let hangs = hangs.then_some("the disk of auth.revoked_file does not answer: operators cannot revoke");
        lacks.into_iter().chain(unkept).chain(hangs).chain(untold)
    }

    /// For tests: there is nobody to learn from, and what operators revoke comes into force.
    #[cfg(test)]
    pub(crate) fn is_known(self: &Arc<Self>) {
        self.standing.lock().hear(standing::Heard::Nobody);
        let all = self.clone();
        tokio::spawn(async move { all.put_all(&CancellationToken::new()).await });
    }

    /// How long the tokens of this issuer, or of any, may outlive the moment of their revocation, in ms. `None`: there is no
    /// such issuer.
    pub(crate) fn longest_ms(&self, issuer: Option<&str>) -> Option<u64> {
        let mut all = self.parts.authenticator.longest_lives();
        match issuer {
            Some(issuer) => all.find(|(name, _)| *name == issuer).map(|(_, longest)| longest),
            None => {
                let callout = self.parts.authenticator.callout_life();
                all.map(|(_, longest)| longest).chain(callout).max()
            }
        }
    }

    /// Takes what other instances tell and ask.
    pub(crate) fn register(self: &Arc<Self>, desk: &mut Desk) {
        let all = Arc::clone(self);
        desk.listen(move |Told { revocations }| {
            all.hear_told(revocations.0);
            std::future::ready(Ok(()))
        });
        let all = Arc::clone(self);
        desk.answer::<Behind, _>(move |asked| std::future::ready(Ok(all.answer(asked.after))));
        let all = Arc::clone(self);
        desk.listen(move |announced: Announced| {
            let all = Arc::clone(&all);
            async move {
                all.hear(announced).await;
                Ok(())
            }
        });
    }

    /// Puts what another instance has told all in force.
    fn hear_told(&self, told: Vec<Revocation>) {
        for revocation in self.accept(told).new {
            let what = what(&revocation);
            self.parts
                .audit
                .done(event_of(&revocation), &revocation.by, &what);
        }
    }

    /// Puts what another instance has in force, and says what of it was new and how many found no room.
    fn accept(&self, told: Vec<Revocation>) -> Accepted {
        let accepted = self.here().accept(told);
        if accepted.refused > 0 {
            self.parts.metrics.limit_hit(Limit::Revocations);
            tracing::error!(
                refused = accepted.refused,
                "revocations of other instances are not in force here: there are more than auth.revocations"
            );
        }
        if !accepted.new.is_empty() {
            self.parts.keeper.note(accepted.new.clone());
        }
        accepted
    }

    /// The most bytes of revocations in one message: what the bus carries, and room for one at least.
    fn page_bytes(&self) -> usize {
        self.parts
            .bus
            .max_body_bytes()
            .clamp(ONE_MAX_BYTES, PAGE_MAX_BYTES)
            - HEAD_BYTES
    }

    fn answer(&self, after: Option<RevocationId>) -> Answered {
        let (mut page, is_last) = self.here().page(after, ANSWER_MAX, |_| true);
        let is_cut = fit(&mut page, self.page_bytes());
        let next = page.last().map(|last| last.id).filter(|_| is_cut || !is_last);
        Answered {
            revocations: List(page),
            next,
        }
    }

    /// Another instance, or this one, says what it has.
    async fn hear(&self, said: Announced) {
        if said.instance == self.parts.own {
            return;
        }
        if said.asks {
            let compared = match said.from_ms {
                0 => Compared::Everything,
                _ => Compared::WhatLasts,
            };
            self.announce(compared, false).await;
        }
        if said.is_whole {
            self.standing.lock().answered();
        }
        let from_ms = said.from_ms.min(Revoked::comparable_from_ms() + CLOCKS_MAX_MS);
        let own = self.here().digest(from_ms);
        let other = Digest {
            count: said.count,
            hash: said.hash,
        };
        // Who has to be told by one that is whole asks it, unless both have the same of everything.
        let is_wanted = said.is_whole && !self.is_whole();
        let is_equal = other == own && (said.from_ms == 0 || !is_wanted);
        let mut heard = self.heard.lock();
        heard.is_equal_to_whole |= said.is_whole && is_equal;
        let is_in_vain = other.count == 0 || heard.vain.get(&said.instance) == Some(&(other, own));
        let has_other = !is_equal && (is_wanted || !is_in_vain);
        let known = heard.unequal.iter_mut().find(|one| one.instance == said.instance);
        if let Some(known) = known {
            known.is_whole |= said.is_whole;
        } else if has_other {
            let new = Unequal {
                instance: said.instance,
                digests: (other, own),
                is_whole: said.is_whole,
            };
            heard.enter(new, &self.parts.known);
        }
        drop(heard);
        self.woken.notify_one();
    }

    /// Tells everybody what this instance has; whether the bus took it.
    async fn announce(&self, compared: Compared, asks: bool) -> bool {
        let from_ms = match compared {
            Compared::WhatLasts => Revoked::comparable_from_ms(),
            Compared::Everything => 0,
        };
        let own = self.here().digest(from_ms);
        let announced = Announced {
            instance: self.parts.own,
            count: own.count,
            hash: own.hash,
            from_ms,
            asks,
            is_whole: self.is_whole(),
        };
        let told = tell(&*self.parts.bus, &announced).await;
        if let Err(error) = &told {
            // It is told again with the next tick.
            tracing::debug!(%error, "the digest of revocations was not told");
        }
        told.is_ok()
    }
}

/// What the audit calls it.
fn event_of(revocation: &Revocation) -> Event {
    match revocation.lifted {
        false => Event::Revoke,
        true => Event::Unrevoke,
    }
}

/// What the audit says that a revocation is about.
pub(crate) fn what(revocation: &Revocation) -> What {
    let (issuer, token_id, issued_before) = match &revocation.whom {
        Whom::Token { issuer, id } => (Some(issuer.clone()), Some(id.clone()), None),
        Whom::Issued { issuer, up_to_ms, .. } => (issuer.clone(), None, Some(up_to_ms / 1_000)),
        Whom::Block(_) => (None, None, None),
    };
    What {
        user: revocation.whom.user().map(|user| user.as_str().into()),
        issuer,
        token_id,
        issued_before,
        block: matches!(revocation.whom, Whom::Block(_)).then_some(true),
        revocation: Some(revocation.id.to_string().into()),
        for_seconds: Some(revocation.until_ms.saturating_sub(revocation.since_ms) / 1_000)
            .filter(|_| !revocation.lifted),
        ..What::default()
    }
}
