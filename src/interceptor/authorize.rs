//! The link that asks [`crate::permissions`] at SUBSCRIBE and SEND. Knows no rule, no frame and no socket.

use std::sync::Arc;

use super::{Denied, Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::permissions::{Action, Permissions, Who};
use crate::principal::Principal;
use crate::telemetry::metrics::Metrics;

/// Refuses what the permissions do not permit.
pub(crate) struct Authorize {
    permissions: Arc<Permissions>,
    metrics: Metrics,
}

impl Authorize {
    /// By these permissions. What they refuse is counted.
    pub(crate) fn new(permissions: Arc<Permissions>, metrics: Metrics) -> Self {
        Self { permissions, metrics }
    }

    fn ask(
        &self,
        action: Action,
        who: &Principal,
        destination: &Destination,
        text: &str,
    ) -> Result<(), Reject> {
        let decided = self
            .permissions
            .decide(action, Who::User(who), destination.into());
        decided.map_err(|refusal| {
            // A renewal that judges a subscription again asks without its text first.
            if !text.is_empty() {
                let counter = self
                    .metrics
                    .permission_refusals
                    .with_label_values(&[action.label()]);
                counter.inc();
            }
            let message = format!("{} to {text} is not permitted: {refusal}", action.name());
            Reject {
                denied: Some(Box::new(Denied {
                    action: action.name(),
                    destination: text.into(),
                    rule: refusal.rule().map(Into::into),
                })),
                ..Reject::new(CloseReason::Forbidden, message)
            }
        })
    }
}

impl Interceptor for Authorize {
    fn subscribe(&self, who: &Principal, destination: &Destination, text: &str) -> Result<(), Reject> {
        self.ask(Action::Subscribe, who, destination, text)
    }

    fn send(
        &self,
        who: &Principal,
        destination: &Destination,
        text: &str,
        _bytes: usize,
    ) -> Result<(), Reject> {
        self.ask(Action::Send, who, destination, text)
    }
}
