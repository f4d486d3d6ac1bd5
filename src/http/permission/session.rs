//! The same for a live session: the instance that holds it explains, based on what the session has proven and on its
//! own rules, since no other instance knows the token's claims. Knows no request.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Asked;
use crate::control::desk::Desk;
use crate::control::question::{Question, Refused};
use crate::delivery::registry::Registry;
use crate::destination::Prefixes;
use crate::http::access::Policy;
use crate::http::api::State;
use crate::permissions::{Permissions, Who};
use crate::principal::UserName;
use crate::telemetry::trace::decide::session_id;

/// The longest decision that one instance tells another, within [`crate::bus::CONTROL_MAX_BYTES`].
const DECISION_MAX_BYTES: usize = 512 << 10;

/// Do you hold this session, and may it do that?
pub(crate) struct ExplainSession;

impl Question for ExplainSession {
    const KIND: &'static str = "permissions.explain";
    type Ask = OfSession;
    type Answer = Explained;
}

/// Which session, and what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OfSession {
    /// CONNECTED's `session`.
    pub session: String,
    /// What is to be done.
    pub action: Asked,
    /// Where, as a client writes it.
    pub destination: String,
}

/// The answer to [`ExplainSession`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Explained {
    /// Whose it is; `None` if the instance that answers does not hold it.
    pub user: Option<UserName>,
    /// The decision as JSON, as the instance that made it has it.
    pub decision: Option<Box<RawValue>>,
    /// Why there is none.
    pub unexplained: Option<String>,
}

/// What explains the sessions of this instance.
#[derive(Clone)]
pub(crate) struct Explainer {
    /// Whose sessions.
    pub registry: Registry,
    /// The rules.
    pub permissions: Arc<Permissions>,
    /// What destinations begin with.
    pub prefixes: Arc<Prefixes>,
    /// Who may publish at all.
    pub policy: Policy,
}

impl Explainer {
    /// By what the routes know.
    pub(crate) fn of(state: &State) -> Self {
        Self {
            registry: state.registry.clone(),
            permissions: state.permissions.clone(),
            prefixes: state.prefixes.clone(),
            policy: state.policy.clone(),
        }
    }

    /// Answers [`ExplainSession`].
    pub(crate) fn register(&self, desk: &mut Desk) {
        let explainer = self.clone();
        desk.answer::<ExplainSession, _>(move |asked| {
            let explainer = explainer.clone();
            async move {
                session_id(&asked.session).ok_or(Refused::Malformed)?;
                Ok(explainer.explain(&asked).await)
            }
        });
    }

    /// Explains, if the session is one of this instance.
    pub(crate) async fn explain(&self, asked: &OfSession) -> Explained {
        let Some(principal) = self.registry.principal_of(&asked.session).await else {
            return Explained::default();
        };
        let action = asked.action.action();
        let explained =
            self.permissions
                .explain_text(&self.prefixes, action, Who::User(&principal), &asked.destination);
        let user = Some(principal.user().clone());
        match explained {
            Ok(decision) => {
                let decision = decision.unless_barred(self.policy.bars_user(action, &principal));
                // Structs of texts: their conversion cannot fail, although the signature says so.
                told(user, serde_json::value::to_raw_value(&decision).ok())
            }
            Err(error) => Explained {
                user,
                decision: None,
                unexplained: Some(error.to_string()),
            },
        }
    }
}

/// The answer with this decision, unless it is too long for one.
fn told(user: Option<UserName>, decision: Option<Box<RawValue>>) -> Explained {
    let bytes = decision.as_ref().map_or(0, |json| json.get().len());
    let unexplained = (bytes > DECISION_MAX_BYTES).then(|| {
        format!(
            "the explanation has {bytes} bytes, more than instances send each other ({DECISION_MAX_BYTES}): there are too many rules; \
             `herald explain permission --config FILE` explains by the configuration"
        )
    });
    Explained {
        user,
        decision: decision.filter(|_| unexplained.is_none()),
        unexplained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_that_is_too_long_is_refused_in_words() {
        let of = |bytes: usize| {
            let json = format!("\"{}\"", "x".repeat(bytes - 2));
            told(None, RawValue::from_string(json).ok())
        };
        let (fits, long) = (of(DECISION_MAX_BYTES), of(DECISION_MAX_BYTES + 1));
        assert!(fits.decision.is_some() && fits.unexplained.is_none());
        let words = long.unexplained.unwrap();
        assert!(
            long.decision.is_none() && words.contains("524289 bytes"),
            "{words}"
        );
    }
}
