//! The link that turns CONNECT's credentials into a principal. Knows `auth/`, and no frame and no socket.

use std::sync::Arc;

use super::{ConnectAttempt, Interceptor, Reject};
use crate::auth::callout::{Circumstances, Protocol};
use crate::auth::presented::{Places, Presented};
use crate::auth::{AuthError, Authenticator};
use crate::close_reason::CloseReason;
use crate::principal::{Principal, ROLE_USER};
use crate::setting::Secret;
use crate::telemetry::audit::Claims;
use crate::telemetry::audit::event::Event;
use futures_util::future::BoxFuture;

/// Requires the password or the token of a user with `ROLE_USER`; or nothing, where anonymous sessions are let in.
pub(crate) struct Authenticate(Arc<Authenticator>);

impl Authenticate {
    /// A link that asks `authenticator`.
    pub(crate) fn new(authenticator: Arc<Authenticator>) -> Self {
        Self(authenticator)
    }

    async fn principal(
        &self,
        attempt: &ConnectAttempt,
        presented: &Presented,
    ) -> Result<Principal, AuthError> {
        let from = Circumstances {
            address: attempt.address,
            protocol: Protocol::Stomp,
            origin: attempt.upgrade.origin.as_deref(),
            headers: &attempt.upgrade.headers,
        };
        let principal = self.0.authenticate(presented, &from).await?;
        if principal.has_role(ROLE_USER) {
            Ok(principal)
        } else {
            let (audit, user) = (self.0.audit(), principal.user());
            audit.login_refused(attempt.address, Claims::User(user), "no-role");
            Err(AuthError::Failed)
        }
    }
}

impl Interceptor for Authenticate {
    /// Gives the same refusal for everything that is the client's fault: nothing presented where that is not enough, unusable
    /// credentials, unknown user, wrong password, no `ROLE_USER`. Who presents something that is refused does not become anonymous.
    fn connect<'a>(
        &'a self,
        attempt: &'a ConnectAttempt,
        principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(async move {
            let presented = presented(attempt);
            let anonymous = match presented {
                Presented::Nothing => self.0.anonymous(attempt.address),
                _ => None,
            };
            let (event, let_in) = match anonymous {
                None => (
                    Event::Login,
                    self.principal(attempt, &presented).await.map_err(refusal)?,
                ),
                Some(anonymous) => (Event::AnonymousLogin, anonymous),
            };
            self.0.audit().logged_in(event, &let_in, attempt.address);
            *principal = Some(let_in);
            Ok(())
        })
    }

    /// The same, with the same bounds: a renewal waits in the queue of logins, and a wrong password delays the next. It has to
    /// present something.
    fn renew<'a>(
        &'a self,
        _old: &'a Principal,
        attempt: &'a ConnectAttempt,
        principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(async move {
            let presented = presented(attempt);
            *principal = Some(self.principal(attempt, &presented).await.map_err(refusal)?);
            Ok(())
        })
    }

    /// A reload of the users, a revocation or the removal of a key between the check of the credential and the join finds no
    /// session to end; this check ends it.
    fn joined(&self, who: &Principal) -> Result<(), Reject> {
        self.0.recheck(who).map_err(refusal)
    }
}

/// What counts of what the client presents.
fn presented(attempt: &ConnectAttempt) -> Presented {
    fn text(place: &Option<Secret>) -> Option<&str> {
        place.as_ref().map(Secret::expose)
    }
    Presented::at(Places {
        x_authorization: text(&attempt.x_authorization),
        authorization: text(&attempt.authorization),
        login: attempt.login.as_deref(),
        passcode: text(&attempt.passcode),
        upgrade: text(&attempt.upgrade.authorization),
    })
}

fn refusal(error: AuthError) -> Reject {
    let (reason, retry_after) = match error {
        AuthError::Failed => (CloseReason::NotAuthenticated, None),
        AuthError::Expired => (CloseReason::TokenExpired, None),
        AuthError::Revoked => (CloseReason::Revoked, None),
        AuthError::Unavailable(retry_after) => (CloseReason::IdentityUnavailable, retry_after),
        AuthError::Overloaded(retry_after) => (CloseReason::Overloaded, retry_after),
    };
    Reject {
        retry_after,
        ..Reject::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests;
