//! Revocations in the whole cluster: an operator's is in force here, then told to all; a newcomer learns what the others have
//! before it is ready, and whoever missed one learns it by the digests. Where there is a file for them, it is in there first. Knows the set by its handle ([`crate::auth`]), the bus's
//! control channel and presence; no HTTP and no session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::auth::Authenticator;
use crate::auth::revoked::Revoked;
use crate::auth::revoked::entry::{Revocation, RevocationId, Whom};
use crate::bus::{Bus, PublishError};
use crate::control::ask::tell;
use crate::control::desk::Desk;
use crate::control::question::fit;
use crate::instance::InstanceId;
use crate::limit::Limit;
use crate::presence::Presence;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};
use crate::telemetry::metrics::Metrics;
use keep::{Keeper, NotKept};
use wire::{Announced, Answered, Behind, List, Told};

pub(crate) mod file;
pub(crate) mod keep;
mod learn;
mod wire;

#[cfg(test)]
mod tests;

/// Most bytes of revocations in one answer: well below what NATS carries, whatever its `max_payload`.
const ANSWER_MAX_BYTES: usize = 256 << 10;
/// The most revocations in one answer.
const ANSWER_MAX: usize = 1_000;
/// The most instances that wait to be asked.
const UNEQUAL_MAX: usize = 64;

/// What this instance needs of the rest of Herald. [`Revocations::new`] takes it.
pub(crate) struct Parts {
    pub authenticator: Arc<Authenticator>,
    pub bus: Arc<dyn Bus>,
    pub presence: Arc<Presence>,
    pub own: InstanceId,
    pub metrics: Metrics,
    pub audit: Audit,
    /// `None` if there is no `auth.revoked_file`.
    pub keeper: Option<Keeper>,
}

/// The revocations of the cluster. Shared as `Arc<Revocations>`.
pub(crate) struct Revocations {
    parts: Parts,
    ready: AtomicBool,
    heard: Mutex<Heard>,
    woken: Notify,
}

/// What the others have said of what they have.
#[derive(Default)]
struct Heard {
    /// Whether anybody has said anything.
    any: bool,
    /// Who has something else than this instance.
    unequal: Vec<InstanceId>,
}

/// Why a revocation is not known to everybody.
#[derive(Debug)]
pub(crate) enum NotPut {
    /// There are `auth.revocations` already: it is in force nowhere.
    Full,
    /// It is not in `auth.revoked_file`: it is in force nowhere.
    NotKept,
    /// The bus did not take it: it is in force here, and the others hear of it by the next digest.
    NotTold(PublishError),
}

impl Revocations {
    /// Nothing is known of the other instances yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            ready: AtomicBool::new(false),
            heard: Mutex::default(),
            woken: Notify::new(),
        }
    }

    /// Those in force here.
    pub(crate) fn here(&self) -> &Arc<Revoked> {
        self.parts.authenticator.revoked()
    }

    /// Whether what the others have is in force here too.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// What keeps revocations from outliving a restart, in words.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        let lacks = self.parts.keeper.as_ref().is_some_and(|keeper| !keeper.has_all());
        lacks.then_some("auth.revoked_file lacks revocations: the log says why")
    }

    /// For tests: there is nobody to learn from.
    #[cfg(test)]
    pub(crate) fn is_known(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// How long the tokens of this issuer, or of any, may outlive the moment of their revocation, in ms. `None`: there is no
    /// such issuer.
    pub(crate) fn longest_ms(&self, issuer: Option<&str>) -> Option<u64> {
        let mut all = self.parts.authenticator.longest_lives();
        match issuer {
            Some(issuer) => all.find(|(name, _)| *name == issuer).map(|(_, longest)| longest),
            None => all.map(|(_, longest)| longest).max(),
        }
    }

    /// Writes an operator's revocation down, puts it in force here, and tells everybody. To be called only while the bus is connected.
    ///
    /// # Errors
    /// [`NotPut`].
    pub(crate) async fn put(&self, revocation: Revocation) -> Result<(), NotPut> {
        let full = || {
            self.parts.metrics.limit_hit(Limit::Revocations);
            NotPut::Full
        };
        if !self.here().has_room(revocation.id) {
            return Err(full());
        }
        if let Some(keeper) = &self.parts.keeper {
            let kept = keeper.keep(revocation.clone()).await;
            kept.map_err(|NotKept| NotPut::NotKept)?;
        }
        self.here().add(revocation.clone()).map_err(|_| full())?;
        let told = Told {
            revocations: List(vec![revocation]),
        };
        tell(&*self.parts.bus, &told).await.map_err(NotPut::NotTold)
    }

    /// Takes what other instances tell and ask.
    pub(crate) fn register(self: &Arc<Self>, desk: &mut Desk) {
        let all = Arc::clone(self);
        desk.listen(move |Told { revocations }| {
            all.accept(revocations.0);
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

    /// Puts what another instance has told in force; whether anything of it was new.
    fn accept(&self, told: Vec<Revocation>) -> bool {
        let accepted = self.here().accept(told);
        for revocation in &accepted.new {
            let event = match revocation.lifted {
                false => Event::Revoke,
                true => Event::Unrevoke,
            };
            self.parts.audit.done(event, &revocation.by, &what(revocation));
        }
        if accepted.refused > 0 {
            self.parts.metrics.limit_hit(Limit::Revocations);
            tracing::error!(
                refused = accepted.refused,
                "revocations of other instances are not in force here: there are more than auth.revocations, or their end is \
                 too far away"
            );
        }
        let any_new = !accepted.new.is_empty();
        if let Some(keeper) = self.parts.keeper.as_ref().filter(|_| any_new) {
            keeper.note(accepted.new);
        }
        any_new
    }

    fn answer(&self, after: Option<RevocationId>) -> Answered {
        let (mut page, is_last) = self.here().page(after, ANSWER_MAX, |_| true);
        let is_cut = fit(&mut page, ANSWER_MAX_BYTES);
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
        let own = self.here().digest();
        if said.asks {
            self.announce(false).await;
        }
        let mut heard = self.heard.lock();
        heard.any = true;
        let has_other = said.count > 0 && (said.count, said.hash) != (own.count, own.hash);
        if has_other && heard.unequal.len() < UNEQUAL_MAX && !heard.unequal.contains(&said.instance) {
            heard.unequal.push(said.instance);
        }
        drop(heard);
        self.woken.notify_one();
    }

    /// Tells everybody what this instance has; whether the bus took it.
    async fn announce(&self, asks: bool) -> bool {
        let own = self.here().digest();
        let announced = Announced {
            instance: self.parts.own,
            count: own.count,
            hash: own.hash,
            asks,
        };
        let told = tell(&*self.parts.bus, &announced).await;
        if let Err(error) = &told {
            // It is told again with the next tick.
            tracing::debug!(%error, "the digest of revocations was not told");
        }
        told.is_ok()
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
