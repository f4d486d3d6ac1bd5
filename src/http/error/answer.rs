//! A refusal as an answer: its document, its headers, and what the log reports about it. Knows no route.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::{ApiError, Refused, RefusedAt};

/// The number of seconds after which a publisher may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How a request without credentials is asked for a key.
const BEARER: &str = "Bearer realm=\"herald\"";

/// How one with a token that is not taken is asked for another (RFC 6750, section 3).
const INVALID_TOKEN: &str = "Bearer realm=\"herald\", error=\"invalid_token\"";
/// The same, if it was good once.
const INVALID_TOKEN_EXPIRED: &str =
    "Bearer realm=\"herald\", error=\"invalid_token\", error_description=\"expired\"";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        if let Some(limit) = self.limit() {
            response.extensions_mut().insert(limit);
        }
        response.extensions_mut().insert(Refused(self.kind().0));
        if let Self::NotPermitted { destination, .. } = &self {
            response.extensions_mut().insert(RefusedAt(destination.clone()));
        }
        let headers = response.headers_mut();
        let cause = match self {
            Self::Partly { error, .. } => *error,
            other => other,
        };
        match cause {
            Self::Unauthenticated(_) | Self::KeyEnded => {
                for challenge in [BEARER, "Basic realm=\"herald\", charset=\"UTF-8\""] {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            Self::InvalidToken { expired } => {
                let challenge = match expired {
                    true => INVALID_TOKEN_EXPIRED,
                    false => INVALID_TOKEN,
                };
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::RateLimited { wait, .. } => {
                let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Self::BusUnavailable(_)
            | Self::NotTold(_)
            | Self::OutcomeUnknown
            | Self::IdentityUnavailable
            | Self::NotKept
            | Self::PerhapsKept
            | Self::Overloaded(..) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response
    }
}
