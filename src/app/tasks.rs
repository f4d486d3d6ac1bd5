//! The supervised set: every task that this instance cannot do without, and what happens when one ends. Knows tasks
//! only by their names.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::error;

use super::Error;
use crate::task::{Ended, Task};

/// Running tasks. Dropped, all of them are aborted.
#[derive(Default)]
pub(super) struct Tasks {
    running: FuturesUnordered<Task>,
}

impl Tasks {
    /// Watches `task` from here on. One that has ended already is noticed all the same.
    pub(super) fn watch(&mut self, task: Task) {
        debug_assert!(!self.is_running(task.name()), "two tasks `{}`", task.name());
        self.running.push(task);
    }

    /// Waits until a task ends that the instance cannot do without: why the instance has to end. Only to be asked before
    /// the drain, during which tasks end as they should. Cancel-safe.
    pub(super) async fn failed(&mut self) -> Error {
        while let Some(ended) = self.running.next().await {
            if !ended.may_return {
                return Error::Failure(ended.to_string());
            }
            note(ended);
        }
        std::future::pending().await
    }

    /// Waits until the task `name` has ended; returns at once if it is not running. For the drain.
    pub(super) async fn ended(&mut self, name: &str) {
        while self.is_running(name) {
            match self.running.next().await {
                Some(ended) => note(ended),
                None => return,
            }
        }
    }

    /// For tests: whose end would be a failure, sorted.
    #[cfg(test)]
    pub(super) fn essential_names(&self) -> Vec<&'static str> {
        let essential = self.running.iter().filter(|task| !task.may_return());
        let mut names: Vec<_> = essential.map(Task::name).collect();
        names.sort_unstable();
        names
    }

    fn is_running(&self, name: &str) -> bool {
        self.running.iter().any(|task| task.name() == name)
    }
}

/// Tells of a task whose end the instance survives, if it was no good end.
fn note(ended: Ended) {
    if ended.panicked {
        error!(task = ended.name, "{ended}");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_first_essential_end_is_a_failure() {
        let mut tasks = Tasks::default();
        assert!(tasks.failed().now_or_never().is_none());
        tasks.watch(Task::essential("stays", pending()));
        tasks.watch(Task::passing("passes", async {}));
        tasks.watch(Task::passing("panics and is not missed", async {
            panic!("on purpose")
        }));
        tasks.ended("passes").await;
        tasks.ended("panics and is not missed").await;
        assert!(tasks.failed().now_or_never().is_none());
        tasks.watch(Task::essential("ends", async {}));
        assert_eq!(tasks.failed().await.to_string(), "the task `ends` has ended");
        tasks.watch(Task::essential("panics", async { panic!("on purpose") }));
        assert_eq!(tasks.failed().await.to_string(), "the task `panics` has panicked");
        tasks.ended("never ran").await;
    }
}
