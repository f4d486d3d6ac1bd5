//! The listeners: bound before anything is served, served as tasks. Knows the router, not its routes.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Error;
use super::prepare::Certificates;
use crate::http::certificate::Certificate;
use crate::http::listener::descriptors::OpenFiles;
use crate::http::listener::{self, Options};
use crate::http::{self, router::Routers};
use crate::task::Task;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;

/// Ports that are taken, with nothing yet to serve on them.
pub(super) struct Bound {
    main: TcpListener,
    admin: Option<TcpListener>,
}

/// Ports with what is served on them.
pub(super) struct Listening {
    bound: Bound,
    routers: Routers,
    options: Options,
    certificates: Certificates,
}

impl Bound {
    /// Binds `http.listen` and, where it is set, `http.admin_listen`.
    pub(super) fn bind(config: &http::Config) -> Result<Self, Error> {
        let main = bind(config.listen, "http.listen")?;
        let admin = match config.admin_listen {
            Some(address) => Some(bind(address, "http.admin_listen")?),
            None => None,
        };
        Ok(Self { main, admin })
    }

    /// What is to be served on them.
    pub(super) fn serve(self, routers: Routers, options: Options, certificates: Certificates) -> Listening {
        Listening {
            bound: self,
            routers,
            options,
            certificates,
        }
    }
}

/// Raises this process's limit of open files as far as it may, and logs what is in force and what it is for.
pub(super) fn raise_open_files(config: &http::Config) {
    let before = OpenFiles::now();
    let files = OpenFiles::raise().unwrap_or_else(|error| {
        warn!(%error, "the limit of open files cannot be raised");
        before
    });
    let shares = files.shares(config.max_connections, config.admin_listen.is_some());
    let (limit, was) = (files.soft.unwrap_or(u64::MAX), before.soft.unwrap_or(u64::MAX));
    info!(
        limit,
        was,
        connections = shares.main,
        admin_connections = shares.admin,
        "open files"
    );
    if shares.main < config.max_connections {
        warn!(
            "http.max_connections is {}, but the limit of open files ({limit}) leaves room for {} connections; raise it \
             (LimitNOFILE, ulimit -n)",
            config.max_connections, shares.main
        );
    }
}

fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Error> {
    listener::bind(address)
        .map_err(|error| Error::Failure(format!("{key}: cannot listen on {address}: {error}")))
}

impl Listening {
    /// The address of `http.listen`.
    pub(super) fn address(&self) -> Result<SocketAddr, Error> {
        let address = self.bound.main.local_addr();
        address.map_err(|error| Error::Failure(format!("http.listen: {error}")))
    }

    /// The address of `http.admin_listen`, for the log.
    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        self.bound.admin.as_ref()?.local_addr().ok()
    }

    /// Accepts on `http.listen` until `accepting` ends, and on `http.admin_listen` until `background` does: health and
    /// metrics are served to the very end.
    pub(super) fn start(
        self,
        metrics: &Metrics,
        audit: &Audit,
        accepting: &CancellationToken,
        background: &CancellationToken,
    ) -> Vec<Task> {
        let connections = TaskTracker::new();
        let serve = |name, listener, router, options, until: &CancellationToken| {
            let (metrics, until, connections) = (metrics.clone(), until.clone(), connections.clone());
            Task::essential(name, async move {
                listener::serve(listener, router, options, metrics, until, &connections).await;
            })
        };
        let Self {
            bound,
            routers,
            options,
            certificates,
        } = self;
        let watch = |name, certificate: Option<Certificate>| {
            certificate
                .map(|certificate| Task::essential(name, certificate.watch(metrics.clone(), audit.clone())))
        };
        let watches = [
            watch("certificate", certificates.main),
            watch("admin certificate", certificates.admin),
        ];
        let admin_options = options.clone().for_admin();
        let main = serve("listener", bound.main, routers.main, options, accepting);
        let admin = bound.admin.zip(routers.admin);
        let admin = admin
            .map(|(listener, router)| serve("admin listener", listener, router, admin_options, background));
        std::iter::once(main)
            .chain(admin)
            .chain(watches.into_iter().flatten())
            .collect()
    }
}
