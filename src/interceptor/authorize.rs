//! The link that asks [`crate::permissions`] at SUBSCRIBE and SEND. Knows no rule, no frame and no socket.

use std::sync::Arc;

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::permissions::{Action, Permissions, Who};
use crate::principal::Principal;
use crate::telemetry::audit::{Audit, Refused};
use crate::telemetry::metrics::Metrics;

/// Refuses what the permissions do not permit.
pub(crate) struct Authorize {
    permissions: Arc<Permissions>,
    audit: Audit,
    metrics: Metrics,
}

impl Authorize {
    /// By these permissions. What they refuse is counted, and told to `audit`.
    pub(crate) fn new(permissions: Arc<Permissions>, audit: Audit, metrics: Metrics) -> Self {
        Self {
            permissions,
            audit,
            metrics,
        }
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
                self.audit.not_permitted(&Refused {
                    who: &format!("user:{}", who.user()),
                    address: None,
                    action: action.name(),
                    user: None,
                    destination: text,
                    rule: refusal.rule().as_deref(),
                });
            }
            let message = format!("{} to {text} is not permitted: {refusal}", action.name());
            Reject::new(CloseReason::Forbidden, message)
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
