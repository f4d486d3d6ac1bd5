//! How far this instance has read what history keeps, and who waits for more. Knows no shard and no session; the rule
//! is in [`crate::delivery::heads`].

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::delivery::heads::{Head, Heads};
use crate::envelope::{Kind, Position};

/// The heads of both kinds, and who waits.
#[derive(Default)]
pub(super) struct Progress {
    heads: Heads,
    waiting: AtomicUsize,
    moved: Notify,
}

impl Progress {
    pub(super) fn head(&self, kind: Kind) -> Head {
        self.heads.get(kind)
    }

    pub(super) fn begin(&self, kind: Kind, position: Position) {
        self.heads.begin(kind, position);
    }

    pub(super) fn finish(&self, kind: Kind, position: Position) {
        self.heads.finish(kind, position);
        // Whoever began to wait before this looked at the head under its lock: either it saw this, or it is counted.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.moved.notify_waiters();
        }
    }

    /// Shows `is_enough` the head of `kind`, now and whenever one has moved, until it returns `true`.
    pub(super) async fn until(&self, kind: Kind, mut is_enough: impl FnMut(Head) -> bool) {
        if !is_enough(self.head(kind)) {
            // Boxed, since it is rare, and an idle session keeps the memory of whatever it may ever wait for.
            Box::pin(self.wait(kind, is_enough)).await;
        }
    }

    async fn wait(&self, kind: Kind, mut is_enough: impl FnMut(Head) -> bool) {
        let _counted = Counted::among(&self.waiting);
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if is_enough(self.head(kind)) {
                return;
            }
            moved.await;
        }
    }
}

/// One who waits.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_sees_every_step_until_it_is_enough() {
        let progress = Progress::default();
        let at = |sequence| Position { epoch: 1, sequence };
        let mut seen = Vec::new();
        let waiting = progress.until(Kind::User, |head| {
            seen.push(head.done.sequence);
            head.done.has_reached(at(2))
        });
        let moving = async {
            for sequence in 1..=3 {
                progress.begin(Kind::User, at(sequence));
                progress.finish(Kind::User, at(sequence));
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(waiting, moving);
        assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&2)));
        assert_eq!(progress.waiting.load(Ordering::SeqCst), 0);
    }
}
