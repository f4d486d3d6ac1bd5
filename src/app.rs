//! A whole instance: configuration → App (bound listeners) → run → drain. The only file that knows every part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::auth::{Authenticator, CookieName};
use crate::bus::{Bus, History};
use crate::config::Config;
use crate::control::sessions::again::Unconfirmed;
use crate::delivery::registry::Registry;
use crate::drain::{self, Phase, Stop};
use crate::envelope::{BrowserBaggage, Kind};
use crate::http::access::Policy;
use crate::http::certificate::Certificate;
use crate::http::health::Readiness;
use crate::http::permission::session::Explainer;
use crate::http::{self, listener};
use crate::instance::Instance;
use crate::limit::{SomePerSecond, Total};
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::recent::Recent;
use crate::revocation::Revocations;
use crate::revocation::keep::Keeper;
use crate::session::anonymous::AnonymousPlaces;
use crate::session::application::Application;
use crate::session::context::{Context, RESUMES_AT_ONCE};
use crate::session::driver;
use crate::session::per_user::{PerUser, cluster::Cluster};
use crate::session::rates::Rates;
use crate::setting::Findings;
use crate::tap::Tap;
use crate::task;
use crate::telemetry::audit::{Audit, AuditGuard};
use crate::telemetry::metrics::{Metrics, otlp};
use crate::telemetry::plan::Plan;
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::delivery::Recorder;
use crate::telemetry::trace::export::Exporter;
use crate::ws::upgrade::{Admission, UpgradeState, routes};

mod background;
mod callout;
mod connect;
mod desk;
mod error;
mod explain;
pub(crate) mod fetch;
mod listen;
mod prepare;
mod push;
mod settings;
mod tasks;
mod tokens;

pub use error::Error;
pub use explain::Subject;
pub use prepare::Prepared;

use connect::connect_bus;
use fetch::Fetchers;
use listen::{Bound, Listening};
use settings::{connection_limits, header_limits, permissions, registry_settings, rules, start_tracing};
use tasks::Tasks;

/// An instance whose listeners are bound, not yet serving.
pub struct App {
    listening: Listening,
    core: Core,
}

/// An instance without its listeners.
struct Core {
    drain: drain::Config,
    otlp: otlp::Config,
    plan: Plan,
    instance: Instance,
    bus: Arc<dyn Bus>,
    presence: Arc<Presence>,
    registry: Registry,
    recent: Arc<Recent>,
    audit: Audit,
    /// Dropped last, which writes the lines that are still queued.
    _audit_guard: AuditGuard,
    baggage: BrowserBaggage,
    tap: Tap,
    cluster: Arc<Cluster>,
    authenticator: Arc<Authenticator>,
    unconfirmed: Unconfirmed,
    revocations: Arc<Revocations>,
    policy: Policy,
    explainer: Explainer,
    fetchers: Fetchers,
    metrics: Metrics,
    tracer: Tracer,
    exporter: Exporter,
    phase: watch::Sender<Phase>,
    sessions: TaskTracker,
    draining: CancellationToken,
}

/// Binds, serves until a signal, then drains. A signal during binding ends the process at once without an error, since no
/// client has been served yet.
pub async fn run(prepared: Prepared) -> Result<(), Error> {
    listen::raise_open_files(&prepared.config.http);
    let mut signals =
        drain::StopSignals::catch().map_err(|error| Error::Failure(format!("signals: {error}")))?;
    let app = tokio::select! {
        bound = Box::pin(App::bind_prepared(prepared)) => bound?,
        _ = signals.next() => {
            info!("ended by a signal before it served");
            return Ok(());
        }
    };
    Box::pin(app.run(signals.first())).await
}

impl App {
    /// Creates everything that `config` requires and binds the listeners. `demo` adds the users and the issuer of `--demo`. Who may publish depends on
    /// `config.api.access` alone.
    pub async fn bind(config: Config, demo: bool) -> Result<Self, Error> {
        let (prepared, warnings) = Prepared::new(config, demo).map_err(|findings| Error::of(&findings))?;
        warnings.warnings.iter().for_each(|warning| warn!("{warning}"));
        Box::pin(Self::bind_prepared(prepared)).await
    }

    /// Like [`App::bind`], with a prepared configuration.
    async fn bind_prepared(mut prepared: Prepared) -> Result<Self, Error> {
        let instance = Instance::new(&prepared.config.instance);
        let bus = Box::pin(connect_bus(&mut prepared, &instance)).await?;
        Box::pin(Self::make(prepared, instance, bus)).await
    }

    /// Like [`App::bind`], as the instance `instance` on an existing bus, whatever `[bus]` says: for programs that
    /// embed Herald and answer application requests themselves, and for tests. To trace (`[tracing]`), first install
    /// [`telemetry::trace::layer`](crate::telemetry::trace::layer()) in the process's subscriber, once for all instances.
    pub async fn bind_on(
        config: Config,
        demo: bool,
        instance: Instance,
        bus: Arc<dyn Bus>,
    ) -> Result<Self, Error> {
        let mut findings = Findings::default();
        let prepared = Prepared::on_a_bus(config, demo, &mut findings).ok_or_else(|| Error::of(&findings))?;
        findings.warnings.iter().for_each(|warning| warn!("{warning}"));
        Box::pin(Self::make(prepared, instance, bus)).await
    }

    async fn make(prepared: Prepared, instance: Instance, bus: Arc<dyn Bus>) -> Result<Self, Error> {
        let Prepared {
            config,
            users,
            policy,
            certificates,
            issuers,
            fetchers,
            asking,
            plan,
            ..
        } = prepared;
        let header_limits = header_limits(&config);
        let metrics = Metrics::new().map_err(|error| Error::Failure(format!("metrics: {error}")))?;
        let (tracer, exporter) = start_tracing(&config, &plan, &instance, &metrics)?;
        let trail = Arc::new(Recorder::new(metrics.clone(), tracer.clone()));
        let kept = bus.history().map(History::kept).unwrap_or_default();
        let registry = Registry::start(&config.delivery, registry_settings(&config, kept), trail)
            .map_err(|error| Error::Failure(format!("shards: {error}")))?;
        for kind in Kind::ALL {
            if let Some(history) = bus.history() {
                registry.passed(kind, history.base(kind));
            }
        }
        let presence = Arc::new(Presence::new(
            instance.clone(),
            bus.clone(),
            registry.clone(),
            config.presence.clone(),
        ));
        let (audit, audit_guard) = Audit::start(&config.audit, &instance.name)
            .map_err(|error| Error::Config(format!("audit.file: {error}")))?;
        audit.started(&config.digest());
        let asked = asking.callout(&config, &instance, &bus)?;
        let (login, meters) = (&config.login, metrics.clone());
        let authenticator = Authenticator::of(users, &issuers, asked, login, meters, audit.clone())
            .map_err(|error| Error::Failure(error.to_string()))?;
        let recent = Arc::new(Recent::new(settings::recent(&config)));
        let tap = Tap::new(config.api.taps, config.api.tap_destinations);
        let baggage = BrowserBaggage::new(&config.tracing.baggage_to_browsers);
        let (phase, phase_seen) = watch::channel(Phase::Starting);
        let (sessions, draining) = (TaskTracker::new(), CancellationToken::new());

        let keeper = Keeper::open(&config.auth, authenticator.revoked())
            .map_err(|error| Error::Config(format!("auth.revoked_file: {error}")))?;
        let revocations = desk::revocations(
            &authenticator,
            &bus,
            &instance,
            &metrics,
            &audit,
            &presence,
            keeper,
        );
        let unconfirmed = Unconfirmed::default();
        let bound = Bound::bind(&config.http)?;
        let (most, meters) = (config.limits.body_bytes.0, metrics.clone());
        let permissions = permissions(&config)?;
        let publisher = Publisher::new(bus.clone(), tracer.clone(), meters, most);
        let state = http::api::State {
            publisher: publisher.clone(),
            bus: bus.clone(),
            presence: presence.clone(),
            registry: registry.clone(),
            authenticator: authenticator.clone(),
            prefixes: Arc::new(config.destinations.clone()),
            instance: instance.clone(),
            permissions: permissions.clone(),
            policy: policy.clone(),
            metrics: metrics.clone(),
            tracer: tracer.clone(),
            phase: phase_seen,
            readiness: Readiness::new(&config.readiness, config.bus.url.is_some()),
            header_limits,
            time_zone: config.application.time_zone.0.clone(),
            tap: tap.clone(),
            audit: audit.clone(),
            unconfirmed: unconfirmed.clone(),
            revocations: revocations.clone(),
            list_destination: config.presence.list_destination.clone(),
        };
        let explainer = Explainer::of(&state);
        let per_user = PerUser::new(&config.limits);
        let cluster = Arc::new(Cluster::new(
            per_user.clone(),
            bus.clone(),
            presence.clone(),
            instance.id,
            metrics.clone(),
        ));
        let context = Arc::new(Context {
            instance: instance.clone(),
            registry: registry.clone(),
            bus: bus.clone(),
            publisher,
            presence: presence.clone(),
            rules: rules(&config, &authenticator, permissions, &metrics, header_limits),
            application: Application {
                routes: config.application.routes.clone(),
                errors: config.application.errors.clone(),
                time_zone: config.application.time_zone.0.clone(),
                recent: recent.clone(),
                baggage: baggage.clone(),
            },
            metrics: metrics.clone(),
            audit: audit.clone(),
            tracer: tracer.clone(),
            heartbeat: config.heartbeat,
            rates: Rates::new(&config.limits),
            per_user,
            anonymous: AnonymousPlaces::new(&config.limits),
            cluster: cluster.clone(),
            incoming: Total::new(config.limits.incoming_total_bytes.0),
            limits: connection_limits(&config),
            refused_frames: SomePerSecond::default(),
            resumes: Semaphore::new(RESUMES_AT_ONCE),
            draining: draining.clone(),
        });
        let connect = Arc::new(move |connection| {
            Box::pin(driver::serve(context.clone(), connection))
                as futures_util::future::BoxFuture<'static, ()>
        });
        let upgrade = UpgradeState::new(config.http.origins.clone(), connect, sessions.clone(), &metrics)
            .with_admission(Admission::new(&config.limits, &metrics))
            .with_headers(config.auth.callout.headers.iter().map(ToString::to_string))
            .with_cookie(config.auth.cookie.name.as_ref().map(CookieName::as_str));
        let routers =
            http::router::router(state, &config.http, routes(config.http.ws_path.as_str(), upgrade));
        let options = listener::Options::new(&config.http, &config.limits).with_tls(
            certificates.main.as_ref().map(Certificate::options),
            certificates.admin.as_ref().map(Certificate::options),
        );
        let core = Core {
            drain: config.drain,
            otlp: config.metrics,
            plan,
            instance,
            bus,
            presence,
            registry,
            recent,
            audit,
            _audit_guard: audit_guard,
            baggage,
            tap,
            cluster,
            authenticator,
            unconfirmed,
            revocations,
            policy,
            explainer,
            fetchers,
            metrics,
            tracer,
            exporter,
            phase,
            sessions,
            draining,
        };
        let listening = bound.serve(routers, options, certificates);
        Ok(Self { listening, core })
    }

    /// The address that it listens on, with the port chosen by the kernel if the configuration says 0.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listening.address()
    }

    /// Serves until `stop` says how to end, then drains within `drain.timeout`.
    ///
    /// # Errors
    /// [`Error::Failure`] with its name, as soon as an essential task or a shard ends. Sessions are cut off, and clients
    /// reconnect to another instance.
    pub async fn run(self, stop: impl Future<Output = Stop>) -> Result<(), Error> {
        let Self { listening, core } = self;
        let (address, admin_address) = (listening.address()?, listening.admin_address());
        let (accepting, background) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = core.start_tasks(&background)?;
        for task in listening.start(&core.metrics, &core.audit, &accepting, &background) {
            tasks.watch(task);
        }
        core.phase.send_replace(Phase::Running);
        let admin_address = admin_address.map(tracing::field::display);
        info!(instance = %core.instance.name, id = %core.instance.id, %address, admin_address, "serving");
        let stop = tokio::select! {
            stop = stop => stop,
            failure = tasks.failed() => return Err(failure),
            () = core.registry.failed() => return Err(Error::Failure("a shard has failed".into())),
        };
        let drained = task::caught(Box::pin(core.drain(stop, tasks, accepting, background)));
        let panicked = |_| Error::Failure("the drain has panicked".into());
        drained.await.map_err(panicked)
    }
}

impl Core {
    async fn drain(
        self,
        stop: Stop,
        mut tasks: Tasks,
        accepting: CancellationToken,
        background: CancellationToken,
    ) {
        let deadline = Instant::now() + self.drain.timeout.0;
        // The last seconds are for the bus and the logs.
        let close_by = deadline - self.drain.timeout.0.min(Duration::from_secs(3));
        info!(timeout = %self.drain.timeout, "draining");
        #[cfg(test)]
        assert!(task::faults::meant_for("drain").is_none(), "on purpose");
        self.phase.send_replace(Phase::NotReady);
        drain::wait_for_balancer(stop, &self.drain, close_by).await;
        self.phase.send_replace(Phase::Draining);
        accepting.cancel();
        self.draining.cancel();
        drain::close_sessions(&self.registry, &self.drain, close_by).await;
        self.sessions.close();
        let sessions_by = deadline - Duration::from_secs(1).min(self.drain.timeout.0);
        if timeout_at(sessions_by, self.sessions.wait()).await.is_err() {
            warn!(
                connections = self.sessions.len(),
                "connections left at drain.timeout"
            );
        }
        background.cancel();
        // Presence says goodbye, so that other instances remove this instance's users at once.
        let _ = timeout_at(deadline, tasks.ended(background::PRESENCE)).await;
        let _ = timeout_at(deadline, self.bus.drain()).await;
        // This writes the last revocations from other instances to the file.
        let _ = timeout_at(deadline, tasks.ended(background::REVOCATIONS)).await;
        let _ = timeout_at(deadline, tasks.ended(push::PUSH)).await;
        self.exporter.shutdown(deadline).await;
        info!("drained");
    }
}

#[cfg(test)]
mod tests;
