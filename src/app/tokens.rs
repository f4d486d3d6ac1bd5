//! What an instance with this configuration would make of a token, and which keys it would have: for `herald token`, without a
//! running instance. Fetches keys as an instance does.

use std::fmt::Write;
use std::sync::Arc;

use super::prepare::Prepared;
use crate::auth::keys::KeySet;
use crate::auth::keys::source::fetch_once;
use crate::auth::token::inspect::Report;
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
            match self.key_set(name).await {
                Ok(set) => {
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

    async fn key_set(&self, issuer: &str) -> Result<Arc<KeySet>, String> {
        if let Some(own) = self.issuers.own_keys(issuer) {
            return Ok(own);
        }
        let config = self.issuers.fetched().find(|config| config.issuer == issuer);
        let (config, fetch) = config.zip(self.fetchers.of(issuer)).ok_or("no such issuer")?;
        fetch_once(config, &*fetch).await.map(|(set, _)| Arc::new(set))
    }
}
