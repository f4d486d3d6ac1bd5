//! How an operator's revocation takes effect: on disk, then in the set, then it is sent to the others, in this order
//! and by one task, whether or not its operator still waits. So the disk and the set agree, whatever fails. Knows the
//! disk by the keeper, and no HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::keep::{Job, QUEUE, Work, Written};
use super::wire::{List, Told};
use super::{Compared, NotPut, Put, Revocations, event_of, what};
use crate::auth::revoked::entry::Revocation;
use crate::bus::PublishError;
use crate::control::ask::{confirmed, tell};
use crate::control::question::fit;
use crate::limit::Limit;

/// The most of operators' revocations of which the disk may have some and may not.
const UNSURE_MAX: usize = 1_024;
/// How long the bus may take to have what is told.
const TELL: Duration = Duration::from_secs(1);

/// Who waits for a revocation.
type Waits = oneshot::Sender<Result<Put, NotPut>>;

impl Revocations {
    /// Has an operator's revocation put in force here and told to everybody, and waits for the word on it.
    ///
    /// # Errors
    /// [`NotPut`].
    ///
    /// # Cancel safety
    /// If dropped before it is ready, the revocation comes into force all the same.
    pub(crate) async fn put(&self, revocation: Revocation) -> Result<Put, NotPut> {
        self.parts.keeper.put(revocation).await
    }

    /// Takes what waits until `shutdown`, and then what still waits. Run it once.
    pub(super) async fn put_all(&self, shutdown: &CancellationToken) {
        let Some(mut work) = self.parts.keeper.take() else {
            return shutdown.cancelled().await;
        };
        let mut waiting = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !work.jobs.is_closed() => {
                    work.jobs.close();
                    continue;
                }
                count = work.jobs.recv_many(&mut waiting, QUEUE) => count,
            };
            if count == 0 || self.put_some(&mut work, &mut waiting).await.is_none() {
                return;
            }
        }
    }

    /// All of these at once. `None`: the runtime ends.
    async fn put_some(&self, work: &mut Work, waiting: &mut Vec<Job>) -> Option<()> {
        let (mut new, mut putting) = (work.unsure.clone(), Vec::new());
        for job in waiting.drain(..) {
            match job {
                Job::Note(noted) => new.extend(noted),
                Job::Put(revocation, waits) => match self.refuses(work, &revocation) {
                    Some(refusal) => {
                        let _ = waits.send(Err(refusal));
                    }
                    None => putting.push((revocation, waits)),
                },
            }
        }
        new.extend(putting.iter().map(|(revocation, _)| revocation.clone()));
        let refusal = match self.parts.keeper.write(work, new).await? {
            Written::Yes => {
                let unsure = std::mem::take(&mut work.unsure);
                self.put_in_force(unsure, putting).await;
                return Some(());
            }
            Written::No => NotPut::NotKept,
            Written::Perhaps => {
                let maybe = putting.iter().map(|(revocation, _)| revocation.clone());
                work.unsure.extend(maybe);
                NotPut::Unknown
            }
        };
        for (_, waits) in putting {
            let _ = waits.send(Err(refusal));
        }
        Some(())
    }

    fn refuses(&self, work: &Work, revocation: &Revocation) -> Option<NotPut> {
        if !self.here().has_room(revocation.id) {
            self.parts.metrics.limit_hit(Limit::Revocations);
            return Some(NotPut::Full);
        }
        (work.unsure.len() >= UNSURE_MAX).then_some(NotPut::NotKept)
    }

    async fn put_in_force(&self, unsure: Vec<Revocation>, putting: Vec<(Revocation, Waits)>) {
        let (mut all, mut waiting) = (unsure.clone(), Vec::new());
        for (revocation, waits) in putting {
            all.push(revocation.clone());
            waiting.push((revocation, waits));
        }
        self.here().add(all.iter().cloned());
        let told = self.tell_all(all).await;
        let gone = unsure
            .into_iter()
            .chain(waiting.into_iter().filter_map(|(revocation, waits)| {
                // Who does not wait any more hears of it by the audit alone.
                waits.send(Ok(told)).is_err().then_some(revocation)
            }));
        for revocation in gone {
            self.parts
                .audit
                .done(event_of(&revocation), &revocation.by, &what(&revocation));
        }
    }

    /// Tells everybody, in messages that the bus carries, and waits until it has them.
    async fn tell_all(&self, all: Vec<Revocation>) -> Put {
        let bus = &*self.parts.bus;
        if let Err(error) = confirmed(bus, TELL, self.publish_all(all)).await {
            tracing::warn!(%error, "revocations are in force here, and the others hear of them when the bus takes them");
            self.untold.fetch_add(1, Ordering::AcqRel);
            return Put::Here;
        }
        Put::Everywhere
    }

    async fn publish_all(&self, mut all: Vec<Revocation>) -> Result<(), PublishError> {
        while !all.is_empty() {
            let mut page = all.clone();
            fit(&mut page, self.page_bytes());
            all.drain(..page.len().max(1).min(all.len()));
            let told = Told {
                revocations: List(page),
            };
            tell(&*self.parts.bus, &told).await?;
        }
        Ok(())
    }

    /// Says again what this instance has, where the bus did not take what was to be told.
    pub(super) async fn make_up(&self) {
        let untold = self.untold.load(Ordering::Acquire);
        if untold > 0 && self.announce(Compared::Everything, false).await && self.parts.bus.flush(TELL).await
        {
            // What could not be told meanwhile is to be told again.
            let _ = self
                .untold
                .compare_exchange(untold, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Warns where the others may never hear of what is in force here: this instance ends.
    pub(super) fn say_untold(&self) {
        if self.has_untold() {
            let where_kept = match self.parts.keeper.has_file() {
                true => "it tells them when it starts again with its auth.revoked_file",
                false => "look at `herald revoke --list` of another one, and revoke again",
            };
            tracing::error!(
                "this instance ends, and the others were not told of revocations that were made here: {where_kept}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
