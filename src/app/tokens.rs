//! Checks a token as an instance with this configuration would, and finds the keys that it would have: for `herald
//! token`, without a running instance. Fetches keys as an instance does.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::prepare::Prepared;
use crate::auth::keys::KeySet;
use crate::auth::keys::source::{Brought, fetch_once};
use crate::auth::token::inspect::Report;
use crate::cli::doctor::issuers::Seen;
use crate::envelope::unix_ms;
use crate::setting::Secret;

impl Prepared {
    /// Inspects `token`, and says whether it is taken. `at`: in Unix seconds, instead of now.
    pub async fn inspect(&self, token: &Secret, at: Option<u64>) -> (Report, bool) {
        let now = at.map_or_else(unix_ms, |seconds| seconds.saturating_mul(1_000));
        let issuers = self.issuers.looking();
        // Its issuer's keys are fetched only if the token gets that far.
        let named = issuers
            .look(token, now)
            .ok()
            .map(|unproven| unproven.issuer_name().to_owned());
        let keys = match named {
            Some(issuer) => self.key_set(&issuer).await,
            None => Err("not asked".into()),
        };
        let report = issuers.inspect(token, now, |_| keys);
        let taken = report.outcome.is_ok();
        (report, taken)
    }

    /// The keys of all issuers, or of one, and whether all are there.
    pub async fn keys(&self, issuer: Option<&str>) -> (String, bool) {
        let (mut text, mut all) = (String::new(), true);
        let names: Vec<_> = self
            .issuers
            .names()
            .filter(|name| issuer.is_none_or(|wanted| wanted == *name))
            .collect();
        if names.is_empty() {
            return ("no such issuer in auth.issuers\n".into(), false);
        }
        for name in names {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}");
            match self.fetched(name).await {
                Ok((set, max_age)) => {
                    if let Some(max_age) = max_age {
                        let seconds = max_age.as_secs();
                        let _ = writeln!(text, "  fetched now, good for {seconds} s (Cache-Control)");
                    }
                    for key in set.keys() {
                        let algorithms = key.algorithms().iter().map(|one| format!("{one:?}"));
                        let algorithms = algorithms.collect::<Vec<_>>().join(" ");
                        let _ = writeln!(text, "  {:32} {algorithms}", key.kid().unwrap_or("(no kid)"));
                    }
                }
                Err(words) => {
                    all = false;
                    let _ = writeln!(text, "  none: {words}");
                }
            }
        }
        (text, all)
    }

    /// What the server of each issuer says whose keys are fetched, asked one after the other.
    pub async fn look_at_issuers(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for config in self.issuers.fetched() {
            let found = match self.fetchers.of(&config.issuer) {
                Some(fetch) => fetch_once(config, &*fetch).await,
                None => Err("it cannot be asked".into()),
            };
            let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
            let ahead = |date: i64| match date.saturating_sub(now) {
                // Within its own second it is not off.
                -1..=1 => 0,
                seconds => seconds.saturating_mul(1_000),
            };
            all.push(Seen {
                issuer: config.issuer.clone(),
                ahead_ms: found.as_ref().ok().and_then(|brought| brought.date).map(ahead),
                keys: found.map(|brought| brought.set.keys().count()),
                leeway_ms: i64::try_from(config.leeway.0.as_millis()).unwrap_or(i64::MAX),
                required: config.required,
            });
        }
        all
    }

    async fn key_set(&self, issuer: &str) -> Result<Arc<KeySet>, String> {
        self.fetched(issuer).await.map(|(set, _)| set)
    }

    /// Its keys, and how long they are good for, if they come from its server and that says so.
    async fn fetched(&self, issuer: &str) -> Result<(Arc<KeySet>, Option<Duration>), String> {
        if let Some(own) = self.issuers.own_keys(issuer) {
            return Ok((own, None));
        }
        let config = self.issuers.fetched().find(|config| config.issuer == issuer);
        let (config, fetch) = config.zip(self.fetchers.of(issuer)).ok_or("no such issuer")?;
        let Brought { set, max_age, .. } = fetch_once(config, &*fetch).await?;
        Ok((Arc::new(set), max_age))
    }
}
