//! The tasks between the bus and this instance's other parts, all of them under [`Tasks`]. Knows what each needs, and
//! not what it does.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::tasks::Tasks;
use super::{Core, Error};
use crate::auth::Authenticator;
use crate::close_reason::CloseReason;
use crate::control::{desk, shed, trace_marks};
use crate::delivery::registry::Registry;
use crate::envelope::Kind;
use crate::principal::{Principal, UserName};
use crate::probe;
use crate::recent;
use crate::task::Task;

/// In how many waves the sessions that a gap ends are closed, and the time between two.
const GAP_WAVES: usize = 100;
const GAP_WAVE_INTERVAL: Duration = Duration::from_millis(50);
/// The same for the sessions whose key was removed.
const KEY_WAVES: u64 = 20;
const KEY_WAVE_INTERVAL: Duration = Duration::from_millis(50);
/// The name of presence's task, whose end the drain waits for.
pub(super) const PRESENCE: &str = "presence";
/// The name of the task that writes revocations down, whose end the drain waits for too.
pub(super) const REVOCATIONS: &str = "revocations";

impl Core {
    /// Starts them. Most run until `background` ends or the bus has drained.
    pub(super) fn start_tasks(&self, background: &CancellationToken) -> Result<Tasks, Error> {
        let taken = || Error::Failure("the bus's incoming side is taken already".into());
        let notifications = self.bus.incoming().ok_or_else(taken)?;
        let notifications = self.relay().run(notifications);
        let kept = Kind::ALL.map(|kind| {
            let name = match kind {
                Kind::Broadcast => "relay of kept broadcasts",
                Kind::User => "relay of kept notifications to users",
            };
            let incoming = self.bus.kept_incoming(kind)?;
            Some(Task::essential(name, self.relay().run(incoming)))
        });
        let control = self.bus.control_incoming().ok_or_else(taken)?;
        let (shedder, shedding) = shed::shedder(&self.registry, self.drain.spread.0);
        let control = desk::serve(control, self.desk(&shedder), self.metrics.clone());
        let probe = probe::probe(
            self.bus.clone(),
            self.presence.clone(),
            self.instance.id,
            self.metrics.clone(),
            background.clone(),
        );
        let unconfirmed = self.unconfirmed.clone();
        let unconfirmed = unconfirmed.run(self.bus.clone(), self.instance.id, background.clone());
        let marks = trace_marks::tell_own(self.bus.clone(), self.tracer.clone(), background.clone());
        let learn = recent::share::learn(self.bus.clone(), self.presence.clone(), self.recent.clone());
        let withdrawals = close_withdrawn(
            self.authenticator.withdrawn(),
            self.authenticator.clone(),
            self.registry.clone(),
        );
        let learning = self.revocations.clone().run(background.clone());
        let revoked = close_revoked(self.authenticator.clone(), self.registry.clone());
        let without_key = close_of_gone_keys(self.authenticator.clone(), self.registry.clone());
        let pushing = self.push_metrics(background)?;
        let mut tasks = Tasks::default();
        for task in self.bus.tasks() {
            tasks.watch(task);
        }
        let files = self
            .authenticator
            .tasks()
            .into_iter()
            .chain(self.policy.task(&self.audit));
        for task in files.chain(pushing) {
            tasks.watch(task);
        }
        let fetching = self.authenticator.fetching(|issuer| self.fetchers.of(issuer));
        if !fetching.is_empty() {
            let fetching = async { drop(select_all(fetching).await) };
            tasks.watch(Task::essential("keys of issuers", fetching));
        }
        let presence = self.presence.clone().run(background.clone());
        let counting = self.cluster.clone().run(background.clone());
        tasks.watch(Task::essential("relay of notifications", notifications));
        if kept.iter().any(Option::is_some) {
            let gaps = close_gaps(self.registry.clone());
            tasks.watch(Task::essential("history gaps", gaps));
        }
        for task in kept.into_iter().flatten() {
            tasks.watch(task);
        }
        tasks.watch(Task::essential("relay of control messages", control));
        tasks.watch(Task::essential(PRESENCE, presence));
        tasks.watch(Task::essential("sessions per user", counting));
        tasks.watch(Task::essential("audit", self.audit.clone().run()));
        tasks.watch(Task::essential("withdrawals", withdrawals));
        tasks.watch(Task::essential("revoked sessions", revoked));
        tasks.watch(Task::essential(REVOCATIONS, learning));
        tasks.watch(Task::essential("sessions of gone keys", without_key));
        tasks.watch(Task::essential("shed sessions", shedding.run(background.clone())));
        tasks.watch(Task::essential("unconfirmed disconnects", unconfirmed));
        tasks.watch(Task::essential("probe", probe));
        tasks.watch(Task::essential("trace marks", marks));
        tasks.watch(Task::passing("recent bodies", learn));
        Ok(tasks)
    }
}

/// Closes, in waves, the sessions that lost subscriptions to a gap in the history: they all come back.
async fn close_gaps(registry: Registry) {
    loop {
        registry.was_cut().await;
        let mut wave = 1;
        loop {
            let left = registry.close_cut(wave).await;
            if left == 0 {
                break;
            }
            wave = wave.max(left.div_ceil(GAP_WAVES));
            tokio::time::sleep(GAP_WAVE_INTERVAL).await;
        }
    }
}

/// Closes the sessions of users that a reload of the users file has removed or changed.
async fn close_withdrawn(
    mut withdrawn: broadcast::Receiver<UserName>,
    authenticator: Arc<Authenticator>,
    registry: Registry,
) {
    loop {
        match withdrawn.recv().await {
            Ok(user) => registry.close_user(&user, CloseReason::Revoked).await,
            // Names are lost, users are not: every session is looked at.
            Err(RecvError::Lagged(names)) => {
                info!(names, "many users withdrawn at once: looking at every session");
                let users = authenticator.clone();
                let gone = Arc::new(move |who: &_| !users.is_current(who));
                registry.close_where(gone, CloseReason::Revoked).await;
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Closes the sessions that a new revocation shuts out: those of the users that it names, or after a look at every session.
async fn close_revoked(authenticator: Arc<Authenticator>, registry: Registry) {
    let revoked = authenticator.revoked().clone();
    loop {
        let due = authenticator.revoked().due().await;
        let revoked = revoked.clone();
        let gone = Arc::new(move |who: &Principal| revoked.refuses(who).is_some());
        if due.everyone {
            registry.close_where(gone, CloseReason::Revoked).await;
            continue;
        }
        for user in due.users {
            registry
                .close_of_user(&user, gone.clone(), CloseReason::Revoked)
                .await;
        }
    }
}

/// Closes the sessions whose token's key was removed from its issuer's set, if `close_on_key_removal` is set: in waves, because their
/// clients come back at once with a token of another key.
async fn close_of_gone_keys(authenticator: Arc<Authenticator>, registry: Registry) {
    loop {
        authenticator.keys_gone().await;
        let of_wave = RandomState::new();
        for wave in (0..KEY_WAVES).rev() {
            let (signed, of_wave) = (authenticator.clone(), of_wave.clone());
            // The last wave takes all that are left.
            let gone = Arc::new(move |who: &Principal| {
                !signed.has_key_of(who) && of_wave.hash_one(who.user()) % KEY_WAVES >= wave
            });
            registry.close_where(gone, CloseReason::TokenExpired).await;
            if wave > 0 {
                tokio::time::sleep(KEY_WAVE_INTERVAL).await;
            }
        }
    }
}
