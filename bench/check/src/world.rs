//! The shared state of sessions, publishers and the run: who takes part, what was recorded, and how far the run is.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::options::Options;
use crate::recorded::{Answer, Attempt, Position, Target, Terms};

/// The broadcast that everybody listens to.
pub const BROADCAST: u32 = 0;

/// Where each destination ends: whoever is there has everything.
pub type Ends = Arc<HashMap<u32, Position>>;

/// Shared by all tasks of a run.
pub struct World {
    /// As told.
    pub options: Options,
    /// Everything that is drawn is drawn from it.
    pub seed: u64,
    /// Where clients and publishers come in.
    pub doors: Vec<SocketAddr>,
    /// The broadcast, then one for each user.
    pub targets: Vec<Target>,
    /// Sessions with both of their subscriptions live.
    pub live: AtomicUsize,
    /// Sessions that have everything.
    pub finished: AtomicUsize,
    /// Notifications that are stored.
    pub stored: AtomicU64,
    /// Whether publishers go on.
    pub publishing: AtomicBool,
    /// Known once nothing more is published.
    pub ends: watch::Sender<Option<Ends>>,
    /// Sessions are to leave.
    pub over: watch::Sender<bool>,
    began: Instant,
    attempts: Mutex<Vec<Attempt>>,
    complaints: Mutex<Vec<String>>,
    closes: Mutex<BTreeMap<String, u64>>,
}

impl World {
    /// Before anything has happened.
    pub fn new(options: Options, seed: u64, doors: Vec<SocketAddr>, users: &[String]) -> Self {
        let mut targets = vec![Target {
            user: None,
            destination: "/topic/check".into(),
        }];
        targets.extend(users.iter().map(|user| Target {
            user: Some(user.clone()),
            destination: "/queue/check".into(),
        }));
        Self {
            options,
            seed,
            doors,
            targets,
            live: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            stored: AtomicU64::new(0),
            publishing: AtomicBool::new(true),
            ends: watch::Sender::new(None),
            over: watch::Sender::new(false),
            began: Instant::now(),
            attempts: Mutex::default(),
            complaints: Mutex::default(),
            closes: Mutex::default(),
        }
    }

    /// Since the start of the run.
    pub fn now_ms(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    /// The body of an attempt.
    pub fn body_of(&self, attempt: u32) -> String {
        let start = format!("{{\"attempt\":{attempt}");
        let width = self.options.body_bytes.saturating_sub(1);
        format!("{start:<width$}}}")
    }

    /// One of the instances.
    pub fn door(&self, random: &mut fastrand::Rng) -> Option<SocketAddr> {
        random.choice(&self.doors).copied()
    }

    /// Records an attempt that is about to be sent. Returns its id.
    pub fn attempt(&self, publisher: u32, target: u32, terms: impl FnOnce(u32) -> Terms) -> u32 {
        let mut attempts = self.attempts.lock();
        let id = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
        attempts.push(Attempt {
            target,
            publisher,
            at_ms: self.now_ms(),
            answer: Answer::Unknown,
            repeated: false,
            stored_ms: None,
            terms: terms(id),
        });
        id
    }

    /// Records what became of it.
    pub fn answered(&self, id: u32, answer: Answer) {
        // Repeated under its key it may have been answered before.
        let mut before = Answer::Unknown;
        if let Some(attempt) = self.attempts.lock().get_mut(id as usize) {
            before = attempt.answer;
            match (before, answer) {
                (Answer::Stored(first), Answer::Stored(second)) if first != second => {
                    self.complain(format!(
                        "attempt {id} was said to be at {first}, then at {second}"
                    ));
                }
                (Answer::Stored(_), _) => {}
                // An attempt before may be stored.
                (Answer::Unknown, Answer::Refused) if self.options.keys && attempt.repeated => {}
                _ => attempt.answer = answer,
            }
            if matches!(answer, Answer::Stored(_)) && attempt.stored_ms.is_none() {
                attempt.stored_ms = Some(self.now_ms());
            }
            attempt.repeated = true;
        }
        if matches!(answer, Answer::Stored(_)) && !matches!(before, Answer::Stored(_)) {
            self.stored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records what must not happen; the first hundred.
    pub fn complain(&self, words: String) {
        let mut complaints = self.complaints.lock();
        if complaints.len() < 100 {
            let at_ms = self.now_ms();
            complaints.push(format!("{at_ms} ms: {words}"));
        }
    }

    /// Counts how a connection ended.
    pub fn closed(&self, how: &str) {
        *self.closes.lock().entry(how.to_owned()).or_default() += 1;
    }

    /// What was recorded: attempts, complaints, and how connections ended.
    pub fn take(&self) -> (Vec<Attempt>, Vec<String>, BTreeMap<String, u64>) {
        let attempts = std::mem::take(&mut *self.attempts.lock());
        let complaints = std::mem::take(&mut *self.complaints.lock());
        (attempts, complaints, std::mem::take(&mut *self.closes.lock()))
    }
}
