//! Tests of the routes from a publisher's point of view, over a bus that records. Each file states its promise.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tower::ServiceExt;

use super::Config;
use super::access::{Access, Config as ApiConfig, Key, Policy, Scope};
use super::api::State;
use super::router::{Routers, router};
use crate::auth::Authenticator;
use crate::bus::Bus;
use crate::control::sessions::again::Unconfirmed;
use crate::delivery::registry::Registry;
use crate::destination::Prefixes;
use crate::drain::Phase;
use crate::envelope::HeaderLimits;
use crate::instance::Instance;
use crate::permissions::Permissions;
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::revocation::keep::Keeper;
use crate::revocation::{Parts, Revocations};
use crate::setting::{ByteSize, Findings};
use crate::telemetry::audit::kept::Kept;
use crate::telemetry::audit::{Audit, AuditGuard};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;

mod audited;
mod bodies;
mod browsers;
mod description;
mod generators;
mod headers;
mod paths;
mod publishing;
pub(super) mod recording_bus;
mod strictness;
mod surroundings;
mod targets;

pub(crate) use recording_bus::{MAX_BODY_BYTES, RecordingBus};

/// An authenticator that knows nobody.
pub(crate) fn authenticator() -> Arc<Authenticator> {
    let metrics = Metrics::new().expect("metrics");
    Authenticator::new(
        &crate::auth::Config::default(),
        &crate::auth::LoginConfig::default(),
        metrics,
    )
    .expect("no users")
}

/// A registry of its own, with nobody in it.
pub(crate) fn registry() -> Registry {
    let settings = crate::delivery::registry::Settings {
        outbox_bytes: 1 << 20,
        outbox_total_bytes: 1 << 20,
        delivery_bytes: 1 << 20,
        hidden_tab_grace: std::time::Duration::from_secs(300),
        remind: std::time::Duration::from_secs(60),
        user_prefix: Prefixes::default().user_prefix,
        kept: Default::default(),
    };
    Registry::start(&crate::delivery::Config::default(), settings, Arc::new(())).expect("a shard")
}

/// The routes with what stands behind them.
pub(crate) struct Fixture {
    pub bus: Arc<RecordingBus>,
    pub main: Router,
    pub admin: Option<Router>,
    pub phase: watch::Sender<Phase>,
    /// What the audit says.
    pub audited: Kept,
    _audit_guard: AuditGuard,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

impl Fixture {
    /// Anyone may publish; the key `admin` may everything.
    pub(crate) fn open() -> Self {
        Self::new(Access::Open, &Config::default())
    }

    /// Like [`Fixture::open`], with this `http.base_path`.
    fn below(base: &str) -> Self {
        let config = Config {
            base_path: base.parse().unwrap(),
            ..Config::default()
        };
        Self::new(Access::Open, &config)
    }

    pub(crate) fn new(access: Access, config: &Config) -> Self {
        let api = ApiConfig {
            access,
            ..ApiConfig::default()
        };
        Self::with(api, config)
    }

    /// The same with other bounds than the defaults of `[api]`.
    pub(crate) fn with(api: ApiConfig, config: &Config) -> Self {
        let (fixture, revocations) = Self::unlearned(api, config);
        revocations.is_known();
        fixture
    }

    /// The same where no revocation comes into force, as with a disk that hangs.
    pub(crate) fn unlearned(api: ApiConfig, config: &Config) -> (Self, Arc<Revocations>) {
        let bus = Arc::new(RecordingBus::default());
        let dyn_bus: Arc<dyn Bus> = Arc::clone(&bus) as Arc<dyn Bus>;
        let instance = Instance::new(&crate::instance::Config {
            name: Some("test".parse().unwrap()),
        });
        let key = |name: &str, scope| Key::new(name, <[u8; 32]>::from(Sha256::digest(name)), &[scope]);
        let keys = vec![
            key("publish", Scope::Publish),
            key("read", Scope::Read),
            key("admin", Scope::Admin),
        ];
        let presence = Presence::new(
            instance.clone(),
            Arc::clone(&dyn_bus),
            registry(),
            crate::presence::Config::default(),
        );
        let phase = watch::Sender::new(Phase::Running);
        let (audit, audit_guard, audited) = Audit::kept();
        let (metrics, tracer) = (Metrics::new().unwrap(), Tracer::default());
        let publisher = Publisher::new(dyn_bus.clone(), tracer.clone(), metrics.clone(), MAX_BODY_BYTES);
        let (authenticator, presence) = (authenticator(), Arc::new(presence));
        let revocations = Arc::new(Revocations::new(Parts {
            authenticator: authenticator.clone(),
            bus: dyn_bus.clone(),
            own: instance.id,
            metrics: metrics.clone(),
            audit: audit.clone(),
            keeper: Keeper::without_file(authenticator.revoked()),
            known: Box::new(Vec::new),
        }));
        let (prefixes, mut findings) = (Prefixes::default(), Findings::default());
        let state = State {
            publisher,
            bus: dyn_bus,
            presence,
            registry: registry(),
            authenticator,
            prefixes: Arc::new(prefixes.clone()),
            instance,
            permissions: Arc::new(Permissions::new(&Default::default(), &prefixes, &mut findings)),
            policy: Policy::new(&ApiConfig { keys, ..api }, &prefixes, &mut findings),
            metrics,
            tracer,
            phase: phase.subscribe(),
            readiness: super::health::Readiness::new(&Default::default(), true),
            header_limits: HeaderLimits { count: 4, bytes: 64 },
            time_zone: jiff::tz::TimeZone::UTC,
            tap: crate::tap::Tap::new(1, 8),
            audit,
            unconfirmed: Unconfirmed::default(),
            revocations: revocations.clone(),
            list_destination: None,
        };
        let ws = Router::new().route(
            config.ws_path.as_str(),
            axum::routing::get(|| async { StatusCode::IM_A_TEAPOT }),
        );
        let Routers { main, admin } = router(state, config, ws);
        let fixture = Self {
            bus,
            main,
            admin,
            phase,
            audited,
            _audit_guard: audit_guard,
        };
        (fixture, revocations)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        answer(&self.main, request).await
    }

    /// A GET as the bearer of `key`.
    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A POST of JSON as nobody in particular.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// The path of a route with values in it.
fn filled(path: &str) -> String {
    path.replace("{destination}", "queue/x").replace(['{', '}'], "")
}

/// Whether the route of this path accepts any query and any header.
fn is_free(path: &str) -> bool {
    !path.contains("/api/v1/") || path.ends_with("/message")
}

/// A request as the bearer of the key `admin`, whose method may be in lower case.
fn as_admin(method: &str, uri: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(uri)
        .header("authorization", "Bearer admin")
}

pub(crate) async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}
