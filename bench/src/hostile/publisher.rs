//! Publishes numbered notifications on schedule, whether or not the ones before have arrived.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::read_answers;
use crate::process::Server;
use crate::request::broadcast;
use crate::session::{DESTINATION, connect};

/// No run has more notifications.
const MOST: usize = 1 << 20;

/// When each notification was due, in microseconds from one instant on: latency counts from there, so that a publisher
/// who is held up hides nothing.
pub struct Times {
    origin: Instant,
    due_us: Vec<AtomicU64>,
}

impl Times {
    /// How long after notification `number` was due it is now.
    pub fn since(&self, number: usize) -> Option<Duration> {
        let due = self.due_us.get(number)?.load(Ordering::Acquire);
        Some(self.origin.elapsed().saturating_sub(Duration::from_micros(due)))
    }
}

/// The publishing thread.
pub struct Publisher {
    times: Arc<Times>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Publisher {
    /// Begins, one notification every `interval`.
    pub fn start(herald: &Server, interval: Duration) -> Outcome<Self> {
        let mut stream = connect(herald.address, 0)?;
        let port = herald.address.port();
        let times = Arc::new(Times {
            origin: Instant::now(),
            due_us: std::iter::repeat_with(AtomicU64::default).take(MOST).collect(),
        });
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (theirs, count, stopped) = (times.clone(), sent.clone(), stop.clone());
        let mut run = move || -> Outcome<()> {
            let mut due = Instant::now();
            for (number, slot) in theirs.due_us.iter().enumerate() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                sleep(due.saturating_duration_since(Instant::now()));
                let us = due.saturating_duration_since(theirs.origin).as_micros();
                slot.store(u64::try_from(us)?, Ordering::Release);
                stream.write_all(&broadcast(port, DESTINATION, &format!("{number:0128}")))?;
                read_answers(&mut stream, 1)?;
                count.store(number + 1, Ordering::Release);
                due += interval;
            }
            Ok(())
        };
        Ok(Self {
            times,
            sent,
            stop,
            thread: spawn(move || run().map_err(|error| format!("the publisher: {error}"))),
        })
    }

    /// The clock of the notifications.
    pub fn times(&self) -> Arc<Times> {
        self.times.clone()
    }

    /// Notifications published so far.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    /// Ends; gives how many were published.
    pub fn stop(self) -> Outcome<usize> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "the publisher panicked")??;
        Ok(self.sent.load(Ordering::Acquire))
    }
}
