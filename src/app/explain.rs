//! Finds the rule that decides, from a configuration alone and without a running instance: for `herald explain
//! permission`. The decision and its explanation are in [`crate::permissions`].

use super::prepare::Prepared;
use super::settings;
use crate::permissions::{Action, Decision, Who};
use crate::principal::{Origin, Principal};
use crate::setting::Secret;

/// Who is asked about, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user of the configuration or of the users file.
    User(String),
    /// The holder of a key of the configuration or of the keys file.
    Key(String),
    /// The holder of the certificate of an entry of `api.certificates`.
    Certificate(String),
    /// An anonymous session.
    Anonymous,
    /// Whoever a token proves.
    Token(Secret),
}

impl Prepared {
    /// Explains whether `subject` may do `action` at `destination`.
    ///
    /// # Errors
    /// In words: there is no such user or key, the token is not taken, or the destination means nothing.
    pub async fn explain(
        &self,
        subject: &Subject,
        action: Action,
        destination: &str,
    ) -> Result<Decision, String> {
        let words = |error: super::Error| error.to_string();
        let permissions = settings::permissions(&self.config).map_err(words)?;
        let explain = |who: Who<'_>| {
            let explained = permissions.explain_text(&self.config.destinations, action, who, destination);
            explained.map_err(|error| error.to_string())
        };
        match subject {
            Subject::User(name) => {
                let principal = self.users.get(name);
                let principal = principal.ok_or(
                    "there is no such user in auth.users and auth.users_file; for a user whom a token proves, name the token \
                     (--token-file) or, of a running Herald, a live session (--session)",
                )?;
                Ok(explain(Who::User(&principal))?.unless_barred(self.policy.bars_user(action, &principal)))
            }
            Subject::Token(token) => {
                let (report, _) = self.inspect(token, None).await;
                let outcome = report.outcome;
                let verified = outcome.map_err(|words| format!("the token is not taken: {words}"))?;
                let origin = Origin::Issuer(verified.issuer);
                let principal = Principal::of(origin, verified.user, verified.roles, verified.attributes);
                let principal = principal.granting(verified.granted);
                Ok(explain(Who::User(&principal))?.unless_barred(self.policy.bars_user(action, &principal)))
            }
            Subject::Anonymous => {
                // Whoever opens a session has a ULID instead.
                let principal = Principal::anonymous("0").map_err(|error| error.to_string())?;
                explain(Who::User(&principal))
            }
            Subject::Certificate(name) => {
                let rights = self.policy.named_certificate(name);
                let rights = rights.ok_or("there is no such certificate in api.certificates")?;
                let bar = self.policy.bars_certificate(action, &rights);
                Ok(explain(Who::Certificate(&rights.destinations))?.unless_barred(bar))
            }
            Subject::Key(name) => {
                let key = self.policy.named(name);
                let key = key.ok_or("there is no such key in api.keys and api.keys_file")?;
                Ok(explain(Who::Key(&key.destinations))?.unless_barred(self.policy.bars_key(action, &key)))
            }
        }
    }
}
