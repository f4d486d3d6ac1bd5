//! The link that asks [`crate::permissions`] at SUBSCRIBE and SEND. Knows no rule, no frame and no socket.

use std::sync::Arc;

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::permissions::{Action, Permissions, Who};
use crate::principal::Principal;

/// Refuses what the permissions do not permit.
pub(crate) struct Authorize(Arc<Permissions>);

impl Authorize {
    /// By these permissions.
    pub(crate) fn new(permissions: Arc<Permissions>) -> Self {
        Self(permissions)
    }

    fn ask(
        &self,
        action: Action,
        who: &Principal,
        destination: &Destination,
        text: &str,
    ) -> Result<(), Reject> {
        let decided = self.0.decide(action, Who::User(who), destination.into());
        decided.map_err(|refusal| {
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
