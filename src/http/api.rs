//! What handlers and middleware share: the handles of the rest of Herald, and what every route reads from a request. Knows no
//! route and no middleware.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use tokio::sync::watch;

use super::Config;
use super::access::Policy;
use super::body::{BodyReader, Buffered, Limit};
use super::error::ApiError;
use super::health::Readiness;
use super::origin::Pages;
use super::own_headers::OwnHeaders;
use super::query::Queries;
use crate::auth::Authenticator;
use crate::bus::Bus;
use crate::control::sessions::again::Unconfirmed;
use crate::delivery::registry::Registry;
use crate::destination::{Path, Prefixes};
use crate::drain::Phase;
use crate::envelope::HeaderLimits;
use crate::instance::Instance;
use crate::limit::SomePerSecond;
use crate::permissions::Permissions;
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::revocation::Revocations;
use crate::tap::Tap;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;

/// What the routes need of the rest of Herald. [`super::router::router`] takes it.
pub(crate) struct State {
    /// Publishes notifications.
    pub publisher: Publisher,
    /// The connection to the other instances, and whether it is up.
    pub bus: Arc<dyn Bus>,
    /// Who is online in the cluster.
    pub presence: Arc<Presence>,
    /// This instance's sessions.
    pub registry: Registry,
    /// Checks Basic credentials.
    pub authenticator: Arc<Authenticator>,
    /// Which destinations a backend may name.
    pub prefixes: Arc<Prefixes>,
    /// This instance.
    pub instance: Instance,
    /// Where callers may publish.
    pub permissions: Arc<Permissions>,
    /// The compiled `[api]`.
    pub policy: Policy,
    /// Counts requests and publishes, and renders `/metrics`.
    pub metrics: Metrics,
    /// Makes spans, or none.
    pub tracer: Tracer,
    /// How far this instance's life has come.
    pub phase: watch::Receiver<Phase>,
    /// What an outage of the bus means for readiness.
    pub readiness: Readiness,
    /// `limits.headers` and `limits.header_bytes`.
    pub header_limits: HeaderLimits,
    /// `application.time_zone`, for the `time` of `POST /api/v1/message`.
    pub time_zone: jiff::tz::TimeZone,
    /// Samples what this instance fans out.
    pub tap: Tap,
    /// Told of what operators do.
    pub audit: Audit,
    /// Whom the other instances may not know yet to disconnect.
    pub unconfirmed: Unconfirmed,
    /// Who is shut out of the cluster.
    pub revocations: Arc<Revocations>,
    /// `presence.list_destination`, for the page.
    pub list_destination: Option<Path>,
}

/// The state of all routes, with what `[http]` says about requests.
pub(crate) struct Api {
    pub(super) state: State,
    pub(super) body_reader: BodyReader,
    /// Which pages may change state.
    pub(super) pages: Pages,
    /// Limits the log's lines about requests that are refused.
    pub(super) refusals: SomePerSecond,
    max_request_bytes: usize,
    base: String,
    /// What each route takes. Set as soon as all of them are known.
    takes: OnceLock<(Queries, OwnHeaders)>,
}

impl Api {
    /// With the bounds and the origins of `config`.
    pub(super) fn new(state: State, config: &Config) -> Self {
        Self {
            state,
            body_reader: BodyReader::new(config.buffered_request_bytes.0, config.body_timeout.0),
            pages: Pages::new(config),
            refusals: SomePerSecond::default(),
            max_request_bytes: config.max_request_bytes.0,
            base: config.base_path.as_str().to_owned(),
            takes: OnceLock::new(),
        }
    }

    /// From now on requests are refused that are not as `queries` and `headers` say.
    pub(super) fn takes(&self, queries: Queries, headers: OwnHeaders) {
        // Once for each router.
        let _ = self.takes.set((queries, headers));
    }

    /// What is wrong with the query of `request` or with its headers of Herald's own, if anything is.
    pub(super) fn refusal(&self, request: &Request) -> Option<ApiError> {
        let (queries, headers) = self.takes.get()?;
        let query = queries.refusal(&self.base, request);
        query.or_else(|| headers.refusal(&self.base, request))
    }

    /// The methods that the route of `request` takes, sorted. Empty: its route is not described.
    pub(super) fn methods(&self, request: &Request) -> Vec<String> {
        let queries = self.takes.get().map(|(queries, _)| queries);
        queries
            .map(|queries| queries.methods(&self.base, request))
            .unwrap_or_default()
    }

    /// Reads the body of a JSON request.
    pub(super) async fn read_json(&self, headers: &HeaderMap, body: Body) -> Result<Buffered, ApiError> {
        let limit = Limit {
            name: "http.max_request_bytes",
            bytes: self.max_request_bytes,
        };
        self.body_reader.read(headers, body, limit).await
    }

    /// Refuses at once while the bus is not connected.
    pub(super) fn require_bus(&self) -> Result<(), ApiError> {
        let connected = self.state.publisher.check_connected();
        connected.map_err(|error| ApiError::from_publish(error, None).because_of(&*self.state.bus))
    }
}
