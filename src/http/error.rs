//! Every way in which a REST request can fail, and its representation: `application/problem+json` (RFC 9457). The
//! only place that turns an error into a response. Never repeats a body, a header's value or a secret.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;

use super::access::Scope;
use crate::limit::Limit;
use crate::problem::Problem;

mod answer;
mod publish;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The body is not JSON, or not UTF-8.
    Malformed(String),
    /// A part of the body breaks a rule.
    Invalid {
        /// A JSON pointer (RFC 6901) to the part. Empty means the whole body.
        pointer: String,
        /// The rule.
        detail: String,
        /// The limit that the part exceeds, if any.
        limit: Option<Limit>,
    },
    /// The path, the query or a header breaks a rule.
    BadRequest(String),
    /// The route does not accept this content type or coding.
    UnsupportedMediaType(&'static str),
    /// A body that exceeds its limit.
    TooLarge {
        /// The name of the setting.
        limit: &'static str,
        /// Its value.
        limit_bytes: usize,
        /// The actual size, if it is known.
        size_bytes: Option<usize>,
        /// A JSON pointer to the part. `None` means the whole body of the request.
        pointer: Option<String>,
    },
    /// Missing or wrong credentials; the answer does not say which. Holds the required scope; `None` if any credentials are enough.
    Unauthenticated(Option<Scope>),
    /// A token that is not taken; whether because its time is over, which its holder may know.
    InvalidToken {
        /// Whether the signature is right and its time over.
        expired: bool,
    },
    /// The keys of a token's issuer are not there now.
    IdentityUnavailable,
    /// `auth.revoked_file` cannot be written.
    NotKept,
    /// Nobody knows yet whether `auth.revoked_file` has it.
    PerhapsKept,
    /// Authenticated, but without the scope that the words name.
    Forbidden(String),
    /// A browser's request from another site's page.
    CrossSite,
    /// A page's request for a host that this server does not go by.
    Misdirected(Cow<'static, str>),
    /// No such route.
    NotFound(String),
    /// The route does not have this method, but these. Empty: it is not known which.
    MethodNotAllowed(Vec<String>),
    /// The body did not arrive in time (`http.body_timeout`).
    BodyTimeout,
    /// The client went away in the middle of its body.
    BodyBroken,
    /// The bus is not connected, or could not store it in time. Holds what is away, and why, if that is known.
    BusUnavailable(Option<Box<str>>),
    /// The bus is not connected, by which all instances would be told of an operator's order. Holds the same.
    NotTold(Option<Box<str>>),
    /// The bus did not say whether it is stored.
    OutcomeUnknown,
    /// History has no room.
    HistoryFull,
    /// The `Idempotency-Key` stands for another notification. Holds a JSON pointer to this one.
    KeyReused(String),
    /// Of a notification to several users: published for some, and for the others not.
    Partly {
        /// For how many it was surely published.
        published: usize,
        /// Why not for the others.
        error: Box<ApiError>,
    },
    /// An item of an array is stored, but behind one that follows it or in front of one that precedes it. Holds the positions
    /// of all its targets.
    OrderChanged(Vec<String>),
    /// A bound on concurrent work is reached, which the words name. Holds the limit if it has not been counted yet.
    Overloaded(&'static str, Option<Limit>),
    /// More targets in one request than `api.targets_per_request`.
    TooManyTargets {
        /// The targets of the request.
        targets: usize,
        /// The limit.
        allowed: usize,
    },
    /// More targets of one caller, or more bytes, than a rate allows.
    RateLimited {
        /// When the request would be admitted.
        wait: Duration,
        /// The rate.
        limit: Limit,
    },
    /// The key was good once (`not_after`), which its holder may know.
    KeyEnded,
    /// The caller may publish, but not there.
    NotPermitted {
        /// Where.
        destination: Box<str>,
        /// A JSON pointer to the destination, if it stands in the body.
        pointer: Option<String>,
        /// Who may, in words.
        detail: String,
        /// The rule that refuses, if one does.
        rule: Option<String>,
    },
    /// An internal error of Herald. The log has the cause.
    Internal,
}

/// Where a refused request wanted to publish: an extension of the response, for the log.
#[derive(Debug, Clone)]
pub(super) struct RefusedAt(pub Box<str>);

/// The last word of a refusal's `type`. A response carries it to [`super::observe`], which logs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused(pub &'static str);

impl ApiError {
    /// An error about a part of the body that breaks a rule.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid {
            pointer: pointer.into(),
            detail: detail.into(),
            limit: None,
        }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Invalid { .. } | Self::BadRequest(_) | Self::BodyBroken => {
                StatusCode::BAD_REQUEST
            }
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooManyTargets { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthenticated(_) | Self::InvalidToken { .. } | Self::KeyEnded => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::NotPermitted { .. } | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BusUnavailable(_)
            | Self::NotTold(_)
            | Self::OutcomeUnknown
            | Self::IdentityUnavailable
            | Self::NotKept
            | Self::PerhapsKept
            | Self::Overloaded(..) => StatusCode::SERVICE_UNAVAILABLE,
            Self::HistoryFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::OrderChanged(_) => StatusCode::CONFLICT,
            Self::Partly { error, .. } => error.status(),
            Self::KeyReused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The last word of `type`, which with `_` is also the metric label `reason`, and the title.
    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed(_) => ("malformed-body", "The body is not JSON"),
            Self::Invalid { .. } => ("invalid-value", "A value of the body is missing or wrong"),
            Self::BadRequest(_) => ("bad-request", "The path, the query or a header is wrong"),
            Self::UnsupportedMediaType(_) => ("unsupported-media-type", "Wrong content type"),
            Self::TooLarge { .. } => ("too-large", "Too large"),
            Self::TooManyTargets { .. } => ("too-many-targets", "Too many targets"),
            Self::RateLimited { .. } => ("rate-limited", "Too often"),
            Self::Unauthenticated(_) | Self::InvalidToken { .. } | Self::KeyEnded => {
                ("unauthenticated", "Not authenticated")
            }
            Self::IdentityUnavailable => (
                "identity-unavailable",
                "Whoever decides about logins does not answer",
            ),
            Self::NotKept => ("not-kept", "The revocation cannot be written down"),
            Self::PerhapsKept => ("outcome-unknown", "Perhaps in force"),
            Self::Forbidden(_) | Self::NotPermitted { .. } => ("forbidden", "Not allowed"),
            Self::CrossSite => ("cross-site", "Refused from a foreign page"),
            Self::Misdirected(_) => ("misdirected", "Not a host of this server"),
            Self::NotFound(_) => ("not-found", "Not found"),
            Self::MethodNotAllowed(_) => ("method-not-allowed", "Method not allowed"),
            Self::BodyTimeout => ("body-timeout", "The body came too slowly"),
            Self::BodyBroken => ("incomplete-body", "The body is incomplete"),
            Self::BusUnavailable(_) | Self::NotTold(_) => ("bus-unavailable", "The bus is not available"),
            Self::OutcomeUnknown => ("outcome-unknown", "Perhaps published"),
            Self::HistoryFull => ("history-full", "History is full"),
            Self::OrderChanged(_) => ("order-changed", "Published out of order"),
            Self::Partly { error, .. } => error.kind(),
            Self::KeyReused(_) => (
                "idempotency-key-reused",
                "The key stands for another notification",
            ),
            Self::Overloaded(..) => ("overloaded", "Too much at once"),
            Self::Internal => ("internal", "Internal error"),
        }
    }

    /// The value of the metric label `reason`.
    pub(crate) fn label(&self) -> String {
        self.kind().0.replace('-', "_")
    }

    /// The limit that was hit, if any. The response carries it to [`super::observe`], which counts it.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooLarge { limit, .. } => Limit::ALL.iter().copied().find(|known| known.name() == *limit),
            Self::Invalid { limit, .. } => *limit,
            Self::BodyTimeout => Some(Limit::BodyTimeout),
            Self::TooManyTargets { .. } => Some(Limit::TargetsPerRequest),
            Self::RateLimited { limit, .. } => Some(*limit),
            Self::Overloaded(_, limit) => *limit,
            Self::Partly { error, .. } => error.limit(),
            _ => None,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Malformed(detail)
            | Self::Invalid { detail, .. }
            | Self::BadRequest(detail)
            | Self::NotFound(detail)
            | Self::NotPermitted { detail, .. } => detail.clone(),
            Self::Forbidden(detail) => detail.clone(),
            Self::UnsupportedMediaType(detail) | Self::Overloaded(detail, _) => (*detail).into(),
            Self::Misdirected(detail) => detail.clone().into_owned(),
            Self::TooLarge {
                limit,
                limit_bytes,
                size_bytes,
                ..
            } => match size_bytes {
                Some(size) => format!("{size} bytes given, at most {limit_bytes} are allowed ({limit})"),
                None => format!("at most {limit_bytes} bytes are allowed ({limit})"),
            },
            Self::TooManyTargets { targets, allowed } => format!(
                "{targets} targets given, at most {allowed} are allowed in a request (api.targets_per_request); nothing was \
                 published"
            ),
            Self::RateLimited { limit, .. } => format!(
                "too many {} of this caller ({}); nothing was published, try again after Retry-After",
                if *limit == Limit::KeyBytes { "bytes" } else { "targets" },
                limit.name()
            ),
            Self::KeyEnded => "the key is no longer good (not_after)".into(),
            Self::Unauthenticated(None) => {
                "credentials are missing or wrong: \"Authorization: Bearer KEY\" with a key of api.keys, or \"Authorization: Basic …\" or a \
                 Bearer token of a user"
                    .into()
            }
            Self::Unauthenticated(Some(scope)) => format!(
                "credentials are missing or wrong; this requires the scope {}: \"Authorization: Bearer KEY\" with a key of api.keys that has it, \
                 or \"Authorization: Basic …\" or a Bearer token of a user with {}",
                scope.name(),
                scope.roles()
            ),
            Self::InvalidToken { expired: true } => "the token is no longer good".into(),
            Self::InvalidToken { expired: false } => "the token is not taken".into(),
            Self::IdentityUnavailable => {
                "who decides about this credential does not answer now; try again after Retry-After".into()
            }
            Self::NotKept => {
                "auth.revoked_file cannot be written, the log says why; nothing has changed, try again after Retry-After".into()
            }
            Self::PerhapsKept => {
                "the disk of auth.revoked_file has not answered, or has failed in the middle, the log says which; it may come into \
                 force yet: look at the list before you ask again"
                    .into()
            }
            Self::CrossSite => {
                "this request is accepted only from pages of this host (as in Host) or of an origin in http.origins; if the browser \
                 sends no Sec-Fetch-Site, as over plain HTTP, a * in http.origins does not permit it"
                    .into()
            }
            Self::MethodNotAllowed(methods) => match methods.split_last() {
                None => "this path has other methods, see Allow".into(),
                Some((one, [])) => format!("this path takes {one}"),
                Some((last, rest)) => format!("this path takes {} and {last}", rest.join(", ")),
            },
            Self::BodyTimeout => "the body did not arrive within http.body_timeout".into(),
            Self::BodyBroken => "the body ended before its announced length".into(),
            Self::BusUnavailable(Some(why)) => format!("nothing was published: {why}; try again after Retry-After"),
            Self::BusUnavailable(None) => {
                "nothing was published: NATS, or what stores history, did not answer; try again after Retry-After".into()
            }
            Self::NotTold(why) => {
                let why = why.as_deref().unwrap_or("NATS did not answer");
                format!("nothing was done, because the other instances cannot be told: {why}; try again after Retry-After")
            }
            Self::OutcomeUnknown => {
                "perhaps published; repeated with the same Idempotency-Key it is not published twice".into()
            }
            Self::HistoryFull => "nothing was published; history has no room".into(),
            Self::OrderChanged(_) => {
                "published, but not in the array's order: an item behind it comes first, or one in front of it last".into()
            }
            Self::Partly { published, error } => {
                format!("published for {published} of its users; for the others: {}", error.detail())
            }
            Self::KeyReused(_) => {
                "another destination, id or body was published with this Idempotency-Key; this one was not".into()
            }
            Self::Internal => "the log has the cause".into(),
        }
    }

    /// The body of the response.
    pub(crate) fn problem(&self) -> Problem {
        let (kind, title) = self.kind();
        let mut problem = Problem {
            kind: format!("urn:herald:problem:{kind}"),
            title,
            ..Problem::of_status(self.status(), self.detail())
        };
        match self {
            Self::Invalid { pointer, limit, .. } => {
                problem.pointer = Some(pointer.clone());
                problem.limit = limit.map(Limit::name);
            }
            Self::TooLarge {
                limit,
                limit_bytes,
                pointer,
                ..
            } => {
                problem.limit = Some(limit);
                problem.limit_bytes = Some(*limit_bytes);
                problem.pointer.clone_from(pointer);
            }
            Self::NotPermitted { pointer, rule, .. } => {
                problem.pointer.clone_from(pointer);
                problem.rule.clone_from(rule);
            }
            Self::TooManyTargets { .. } | Self::RateLimited { .. } => {
                problem.limit = self.limit().map(Limit::name)
            }
            Self::Partly { published, error } => {
                problem = Problem {
                    detail: problem.detail,
                    published: Some(*published),
                    ..error.problem()
                };
            }
            Self::OrderChanged(positions) => problem.positions = Some(positions.clone()),
            Self::KeyReused(pointer) => problem.pointer = Some(pointer.clone()),
            _ => {}
        }
        problem
    }
}
