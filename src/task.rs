//! Supervised tasks with names, and panics confined to one piece of work. Ground floor: knows no other module.
//!
//! `app/tasks` watches every [`Task`]; its creator passes it there, through a method `tasks()` if `app` does not create
//! it itself. Work that comes from outside, one message or one session, runs in [`caught`], so that a message that
//! makes its handler panic affects no others.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use tokio_util::task::AbortOnDropHandle;

#[cfg(test)]
pub(crate) mod faults;

/// A running task with a name. Dropped, it is aborted.
#[must_use = "a task that nobody watches can end unseen: hand it to app/tasks"]
#[derive(Debug)]
pub struct Task {
    name: &'static str,
    may_return: bool,
    handle: AbortOnDropHandle<()>,
}

/// A [`Task`] that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The task's name.
    pub name: &'static str,
    /// Whether the instance can do without it from here on: it was made by [`Task::passing`].
    pub may_return: bool,
    /// Whether it panicked.
    pub panicked: bool,
}

impl Task {
    /// Starts `work`, without which the instance does not do what it promises: its end before the drain is a fault. `name`
    /// is for people, and unique within an instance. Must be called inside a tokio runtime.
    pub fn essential(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::start(name, false, work)
    }

    /// Starts `work` that returns when it is done; only its panic is a fault, and one that the instance survives.
    pub fn passing(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::start(name, true, work)
    }

    fn start(name: &'static str, may_return: bool, work: impl Future<Output = ()> + Send + 'static) -> Self {
        #[cfg(test)]
        let work = faults::struck(name, work);
        #[expect(
            clippy::disallowed_methods,
            reason = "the handle is kept, and `must_use` sees to it that somebody awaits it"
        )]
        let handle = AbortOnDropHandle::new(tokio::spawn(work));
        Self {
            name,
            may_return,
            handle,
        }
    }

    /// The task's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it was made by [`Task::passing`].
    pub fn may_return(&self) -> bool {
        self.may_return
    }
}

impl Future for Task {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.handle.poll_unpin(cx).map(|ended| Ended {
            name: self.name,
            may_return: self.may_return,
            panicked: ended.is_err_and(|error| error.is_panic()),
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.panicked { "panicked" } else { "ended" };
        write!(f, "the task `{}` has {how}", self.name)
    }
}

/// A piece of work panicked. What the panic said stays out of the log, since it may quote a body; the panic hook has
/// reported it.
pub type Panicked = Box<dyn Any + Send>;

/// Does `work`; a panic ends it alone. Whoever calls this vouches that what `work` shares with others survives being left
/// half-done: locks are parking_lot's, which a panic unlocks.
///
/// No byte larger than `work`: a session's task lives as long as its session.
pub fn caught<F: Future>(work: F) -> CatchUnwind<AssertUnwindSafe<F>> {
    AssertUnwindSafe(work).catch_unwind()
}

/// The same for work that does not wait.
pub fn caught_now<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_says_whose_it_is_and_how_it_came() {
        let ended = Task::essential("a", async {}).await;
        assert_eq!(ended.to_string(), "the task `a` has ended");
        let ended = Task::passing("b", async { panic!("on purpose") }).await;
        assert!(ended.panicked && ended.may_return);
        assert_eq!(ended.to_string(), "the task `b` has panicked");
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_alone() {
        assert_eq!(caught(async { 1 }).await.unwrap(), 1);
        let late = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert!(caught(late).await.is_err());
        assert_eq!(caught_now(|| 1).unwrap(), 1);
        assert!(caught_now(|| panic!("on purpose")).is_err());
    }
}
