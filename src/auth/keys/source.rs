//! The keys of one issuer, fetched from its server by one task, which carries out what [`State`] decides. Knows no
//! HTTP: the caller provides the way to fetch.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::state::{Answer, OnUnknown, State};
use super::{KeyId, KeySet, jwks};
use crate::auth::token::config::{IssuerConfig, is_safe};
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;

use held::{Gone, Held};

mod held;

/// The maximum number of names remembered during one fetch.
const NAMES_MAX: usize = 1_024;

/// A way to fetch a document.
pub trait Fetch: Send + Sync + 'static {
    /// The body of the 200 answer to a GET, and how long it may be cached. Follows no redirects.
    ///
    /// # Errors
    /// Any other answer, more bytes than `max_bytes`, or none `within` this time; the text says which.
    fn get<'a>(
        &'a self,
        uri: &'a str,
        max_bytes: usize,
        within: Duration,
    ) -> BoxFuture<'a, Result<Fetched, String>>;
}

/// A document from the server.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// `Cache-Control: max-age`.
    pub max_age: Option<Duration>,
    /// `Date`: the server's time, in Unix seconds.
    pub date: Option<i64>,
}

/// The result of one fetch.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The keys.
    pub set: KeySet,
    /// How long they may be cached, if the server says so.
    pub max_age: Option<Duration>,
    /// The server's time, in Unix seconds, if it says so.
    pub date: Option<i64>,
}

/// A set that was fetched for a token.
#[derive(Debug, Clone)]
pub struct Newer {
    /// The set.
    pub set: Arc<KeySet>,
    /// The server was asked because of this token, or of one that names the same key. Otherwise the token arrived while
    /// the server was being asked, so the answer may be older than the token's key.
    pub asked: bool,
    /// When to try again if that was not the case.
    pub again: Duration,
}

/// Why no keys for a token are available now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKeys {
    /// The issuer has no such key.
    Unknown,
    /// It cannot be determined now whether the issuer has the key. Holds when to try again, if known.
    Unavailable(Option<Duration>),
    /// `auth.token.waiting` logins already wait.
    TooMany,
}

struct Inner {
    state: State<Arc<KeySet>>,
    /// A login requests a fetch: the task begins it.
    wanted: bool,
    /// The keys of this and of earlier sets that no complete set has removed.
    held: Held,
    /// The names that caused the current fetch. A login that arrives right after the answer needs to know what the
    /// answer says about them.
    names: HashSet<Box<str>>,
}

/// How many fetches have ended, and whether the last one returned a set.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    count: u64,
    brought: bool,
}

/// The keys of one issuer. Shared as `Arc<Source>`.
pub struct Source {
    issuer: Arc<str>,
    config: IssuerConfig,
    waiting: Arc<Semaphore>,
    began: Instant,
    inner: Mutex<Inner>,
    wake: Notify,
    /// Signals that keys were removed whose sessions are to end.
    gone: Notify,
    ended: watch::Sender<Ended>,
    metrics: Metrics,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Source {
    /// The source that `config` describes. Nothing is fetched before [`run`](Self::run).
    pub fn new(config: &IssuerConfig, waiting: Arc<Semaphore>, metrics: Metrics) -> Arc<Self> {
        let state = State::new(millis(config.refresh.0), millis(config.stale.0), 0);
        for result in ["ok", "failed"] {
            metrics.jwks_fetches.with_label_values(&[&*config.issuer, result]);
        }
        Arc::new(Self {
            issuer: config.issuer.as_str().into(),
            config: config.clone(),
            waiting,
            began: Instant::now(),
            inner: Mutex::new(Inner {
                state,
                wanted: false,
                held: Held::default(),
                names: HashSet::new(),
            }),
            wake: Notify::new(),
            gone: Notify::new(),
            ended: watch::Sender::default(),
            metrics,
        })
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// The set in force, if it may still be used.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.inner.lock().state.usable(self.now()).cloned()
    }

    /// Whether the last set has this key, however old it is. A server that does not answer removes no key; nor does a
    /// set with damaged entries, since one of them may be this key.
    pub fn has(&self, key: &KeyId) -> bool {
        let inner = self.inner.lock();
        inner.held.has(key) || inner.state.last().is_none_or(|set| set.has(key))
    }

    /// Waits until a set lacks keys that the one before it had, if the issuer's sessions are to end when keys are
    /// removed.
    pub async fn gone(&self) {
        self.gone.notified().await;
    }

    /// The age of the set in force.
    pub fn age(&self) -> Option<Duration> {
        self.inner
            .lock()
            .state
            .age_ms(self.now())
            .map(Duration::from_millis)
    }

    /// Whether these keys allow the instance to be ready.
    pub fn is_ready(&self) -> bool {
        !self.config.required || self.current().is_some()
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// A set that is fetched because a token's key is not in the one in force. Waits for it, among a bounded number of
    /// others, for at most `timeout`. Cancel-safe: the fetch continues.
    ///
    /// # Errors
    /// There is no newer set.
    pub async fn newer(&self, kid: Option<&str>) -> Result<Newer, NoKeys> {
        let mut ended = self.ended.subscribe();
        let now = self.now();
        let (asked, behind) = {
            let mut inner = self.inner.lock();
            let asked = inner.state.on_unknown_kid(kid, now);
            inner.wanted |= asked == OnUnknown::Fetch;
            let begins = asked == OnUnknown::Fetch;
            if let Some(kid) = kid.filter(|_| begins && inner.names.len() < NAMES_MAX) {
                inner.names.insert(kid.into());
            }
            let is_named = kid.is_some_and(|kid| inner.names.contains(kid));
            (asked, begins || is_named)
        };
        match asked {
            OnUnknown::Refuse => return Err(NoKeys::Unknown),
            OnUnknown::Later { in_ms } => {
                return Err(NoKeys::Unavailable(Some(Duration::from_millis(in_ms))));
            }
            OnUnknown::Fetch => self.wake.notify_one(),
            OnUnknown::Wait => {}
        }
        let _place = self.waiting.try_acquire().map_err(|_| NoKeys::TooMany)?;
        let unavailable = NoKeys::Unavailable(None);
        match timeout(self.config.timeout.0, ended.changed()).await {
            Ok(Ok(())) if ended.borrow().brought => Ok(Newer {
                set: self.current().ok_or(unavailable)?,
                asked: behind,
                again: Duration::from_millis(self.inner.lock().state.early_in_ms(self.now())),
            }),
            _ => Err(unavailable),
        }
    }

    /// The newer set does not have the key either.
    pub fn still_unknown(&self, kid: Option<&str>) {
        self.inner.lock().state.still_unknown(kid);
    }

    /// A signature was wrong: the key may have been replaced under its old name.
    pub fn doubted(&self) {
        let now = self.now();
        let mut inner = self.inner.lock();
        if inner.state.on_wrong_signature(now) {
            inner.wanted = true;
            self.wake.notify_one();
        }
    }

    /// Fetches forever.
    pub async fn run(self: Arc<Self>, fetch: Arc<dyn Fetch>, audit: Audit) {
        loop {
            let due = self.began + Duration::from_millis(self.inner.lock().state.due());
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.wake.notified() => {}
            }
            let begins = {
                let now = self.now();
                let mut inner = self.inner.lock();
                std::mem::take(&mut inner.wanted) || inner.state.on_tick(now)
            };
            if begins {
                self.fetch(&*fetch, &audit).await;
            }
        }
    }

    async fn fetch(&self, fetch: &dyn Fetch, audit: &Audit) {
        let found = fetch_once(&self.config, fetch).await;
        let brought = found.is_ok();
        let (had, before) = (self.age(), self.current());
        let mut gone = Gone::default();
        let answer = match found {
            Ok(Brought { set, max_age, .. }) => {
                if before.is_none_or(|before| !before.is_like(&set)) {
                    audit.issuer_keys(&self.issuer, Some(set.keys().count()));
                }
                gone = self.inner.lock().held.take(&set);
                if set.damaged() > 0 {
                    warn!(
                        issuer = &*self.issuer,
                        damaged = set.damaged(),
                        "damaged entries of its key set are left out: no key counts as removed by it"
                    );
                }
                if had.is_none() {
                    info!(
                        issuer = &*self.issuer,
                        keys = set.keys().count(),
                        "the keys of the issuer have been fetched"
                    );
                }
                Answer::Set {
                    set: Arc::new(set),
                    max_age_ms: max_age.map(millis),
                }
            }
            Err(error) => {
                audit.issuer_keys(&self.issuer, None);
                let age = had.map(|age| age.as_secs());
                warn!(issuer = &*self.issuer, %error, last_seconds_ago = age, "no keys from its server");
                Answer::Failed
            }
        };
        let result = if brought { "ok" } else { "failed" };
        self.metrics
            .jwks_fetches
            .with_label_values(&[&*self.issuer, result])
            .inc();
        let now = self.now();
        {
            let mut inner = self.inner.lock();
            inner.state.on_answer(answer, now, fastrand::u64(..));
            let names = std::mem::take(&mut inner.names);
            if let Some(set) = inner.state.usable(now).filter(|_| brought).cloned() {
                let is_missing = |name: &str| set.keys().all(|key| key.kid() != Some(name));
                for name in names.iter().filter(|name| is_missing(name)) {
                    inner.state.still_unknown(Some(name));
                }
            }
        }
        if gone.count() > 0 && self.config.close_on_key_removal {
            info!(
                issuer = &*self.issuer,
                gone = gone.count(),
                kids = gone.names(),
                "keys are gone: the sessions of their tokens end"
            );
            self.gone.notify_one();
        }
        self.ended.send_modify(|ended| {
            ended.count += 1;
            ended.brought = brought;
        });
    }
}

/// Fetches an issuer's keys once.
///
/// # Errors
/// There is no answer, or no usable set in it; the text says why.
pub async fn fetch_once(config: &IssuerConfig, fetch: &dyn Fetch) -> Result<Brought, String> {
    let within = config.timeout.0;
    // The whole fetch may take no longer than a login waits.
    let found = timeout(within, read(config, fetch)).await;
    found.unwrap_or_else(|_| Err(format!("none within {within:?}")))
}

async fn read(config: &IssuerConfig, fetch: &dyn Fetch) -> Result<Brought, String> {
    let within = config.timeout.0;
    let found;
    let uri = match &config.jwks_uri {
        Some(uri) => uri,
        None => {
            let uri = config.discovery_uri();
            let document = fetch.get(&uri, jwks::BYTES_MAX, within).await?;
            found = jwks::jwks_uri(&document.body, &config.issuer).map_err(|error| error.to_string())?;
            is_safe(&found).map_err(|words| format!("its jwks_uri: {words}"))?;
            &found
        }
    };
    let document = fetch.get(uri, jwks::BYTES_MAX, within).await?;
    let set = jwks::parse(&document.body).map_err(|error| error.to_string())?;
    let Fetched { max_age, date, .. } = document;
    Ok(Brought { set, max_age, date })
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.issuer)
    }
}

#[cfg(test)]
mod tests;
