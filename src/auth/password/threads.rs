//! The threads that compute password hashes: few, started when needed, and with the lowest priority for the cores.
//! Knows nothing of what they compute.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Added to the niceness of these threads. A hash keeps a core busy for tens of milliseconds, and a notification should
/// not wait for a stranger's login. At 8 a thread has a sixth of the weight of the others, and logins still make
/// progress if those leave no core idle; docs/performance.md has the figures.
const NICENESS: i32 = 8;
/// The largest niceness (setpriority(2)).
const NICENESS_MAX: i32 = 19;

/// At most as many threads as requested.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// At most `count` threads. A thread that has had nothing to do for 10 s ends.
    ///
    /// # Errors
    /// The system provides no epoll instance.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(count)
            .thread_name("herald-hash")
            .on_thread_start(|| {
                // Applies to the calling thread, on Linux. If it is refused, the hashes are computed anyway. The call
                // sets a niceness and adds nothing: if the process itself is niced, its hashes must not overtake it.
                let set = rustix::process::getpriority_process(None).and_then(|own| {
                    rustix::process::setpriority_process(None, (own + NICENESS).min(NICENESS_MAX))
                });
                if let Err(error) = set {
                    tracing::debug!(%error, "a thread for password hashes keeps its priority");
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs `work` as soon as a thread is free.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            // Only while this is being dropped.
            None => tokio::task::spawn_blocking(work),
        }
    }
}

/// The CPU time of the calling thread so far: the cost of a hash, however many others want the core.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Not waited for: the last hash may be dropped by a thread that must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_are_last_in_line() {
        let threads = Threads::new(1).unwrap();
        let own = rustix::process::getpriority_process(None).unwrap();
        let of_hash = threads
            .run(|| rustix::process::getpriority_process(None).unwrap())
            .await
            .unwrap();
        assert_eq!(of_hash, (own + NICENESS).min(NICENESS_MAX));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }
}
