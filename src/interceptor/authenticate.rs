//! The link that turns CONNECT's credentials into a principal. Knows `auth/`, and no frame and no socket.

use std::sync::Arc;

use super::{ConnectAttempt, Interceptor, Reject};
use crate::auth::credentials::Credentials;
use crate::auth::{AuthError, Authenticator};
use crate::close_reason::CloseReason;
use crate::principal::{Principal, ROLE_USER};
use crate::setting::Secret;
use futures_util::future::BoxFuture;

/// Requires the name and password of a user with `ROLE_USER`.
pub(crate) struct Authenticate(Arc<Authenticator>);

impl Authenticate {
    /// A link that asks `authenticator`.
    pub(crate) fn new(authenticator: Arc<Authenticator>) -> Self {
        Self(authenticator)
    }

    async fn principal(&self, attempt: &ConnectAttempt) -> Result<Principal, AuthError> {
        let Some(credentials) = presented(attempt) else {
            return Err(self.0.unusable(attempt.address));
        };
        let principal = self.0.verify(&credentials, attempt.address).await?;
        if principal.has_role(ROLE_USER) {
            Ok(principal)
        } else {
            Err(AuthError::Failed)
        }
    }
}

impl Interceptor for Authenticate {
    /// Gives the same refusal for everything that is the client's fault: nothing presented, unusable credentials,
    /// unknown user, wrong password, no `ROLE_USER`.
    fn connect<'a>(
        &'a self,
        attempt: &'a ConnectAttempt,
        principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(async move {
            *principal = Some(self.principal(attempt).await.map_err(refusal)?);
            Ok(())
        })
    }

    /// The same, with the same bounds: a renewal waits in the queue of logins, and a wrong password delays the next.
    fn renew<'a>(
        &'a self,
        _old: &'a Principal,
        attempt: &'a ConnectAttempt,
        principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        self.connect(attempt, principal)
    }

    /// A reload of the users between the check of the password and the join finds no session to end; this check ends
    /// it.
    fn joined(&self, who: &Principal) -> Result<(), Reject> {
        if self.0.is_current(who) {
            Ok(())
        } else {
            Err(refusal(AuthError::Failed))
        }
    }
}

/// The first credential that is present decides, whether or not it is usable (docs/auth.md): a client that presents
/// two different users must not log in as the one it did not mean. An empty one counts as absent: many clients send
/// every header they know, whether or not they have a value for it.
fn presented(attempt: &ConnectAttempt) -> Option<Credentials> {
    let x_authorization = not_blank(attempt.x_authorization.as_ref());
    if let Some(value) = x_authorization.or_else(|| not_blank(attempt.authorization.as_ref())) {
        return Credentials::from_authorization(value);
    }
    let login = attempt.login.as_deref().filter(|text| !text.is_empty());
    // Blanks may be a password.
    let passcode = attempt.passcode.as_ref().map(Secret::expose);
    match (login, passcode.filter(|text| !text.is_empty())) {
        (Some(login), Some(passcode)) => Credentials::new(login, passcode),
        (None, None) => Credentials::from_basic(not_blank(attempt.upgrade_authorization.as_ref())?),
        // Half a pair is present, which is unusable.
        _ => None,
    }
}

fn not_blank(value: Option<&Secret>) -> Option<&str> {
    value.map(Secret::expose).filter(|text| !text.trim().is_empty())
}

fn refusal(error: AuthError) -> Reject {
    let (reason, retry_after) = match error {
        AuthError::Failed => (CloseReason::NotAuthenticated, None),
        AuthError::Overloaded(retry_after) => (CloseReason::Overloaded, retry_after),
    };
    Reject {
        retry_after,
        ..Reject::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests;
