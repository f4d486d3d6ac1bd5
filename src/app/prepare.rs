//! Prepares everything that a start needs before the first socket is opened: files that settings name, OpenTelemetry's
//! variables. Both `herald check` and `herald serve` run this code, so that they refuse the same configurations with
//! the same words.

use std::path::Path;

use super::callout::Asking;
use super::fetch::Fetchers;
use crate::auth::issuers::KnownIssuers;
use crate::auth::users::KnownUsers;
use crate::bus;
use crate::bus::nats::{ConnectError, Identity};
use crate::config::Config;
use crate::http::access::Policy;
use crate::http::certificate::Certificate;
use crate::revocation;
use crate::setting::Findings;
use crate::telemetry::plan::{self, Plan};

/// A configuration that an instance can start with.
pub struct Prepared {
    pub(super) config: Config,
    /// `None`: the embedded bus, or one that is there already.
    pub(super) identity: Option<Identity>,
    pub(super) users: KnownUsers,
    pub(super) policy: Policy,
    pub(super) certificates: Certificates,
    pub(super) issuers: KnownIssuers,
    pub(super) fetchers: Fetchers,
    pub(super) asking: Asking,
    pub(super) plan: Plan,
}

/// The certificates of the listeners, where they speak TLS.
pub(super) struct Certificates {
    pub(super) main: Option<Certificate>,
    pub(super) admin: Option<Certificate>,
}

impl Prepared {
    /// Reads the files that `config` names and OpenTelemetry's variables in this process's environment. The configuration
    /// is taken as checked. `demo` adds the users and the issuer of `--demo`; `api.access` is as `config` says.
    /// Blocks on the files. Gives what looks wrong as warnings.
    ///
    /// # Errors
    /// Every file that cannot be used, by the setting that names it.
    pub fn new(config: Config, demo: bool) -> Result<(Self, Findings), Findings> {
        let mut findings = Findings::default();
        let identity = config
            .bus
            .url
            .as_ref()
            .map(|_| Identity::read(&config.bus))
            .transpose();
        if let Err(error) = &identity {
            note_bus(error, &mut findings);
        }
        if let Err(words) = bus::embedded::disk::check(&config.history) {
            findings.error("history.path", words);
        }
        let is_usable = findings.errors.is_empty();
        match (Self::on_a_bus(config, demo, &mut findings), identity) {
            (Some(mut prepared), Ok(identity)) if is_usable => {
                prepared.identity = identity;
                Ok((prepared, findings))
            }
            _ => Err(findings),
        }
    }

    /// The same, whatever `[bus]` says. `None` if an error was noted.
    pub(super) fn on_a_bus(config: Config, demo: bool, findings: &mut Findings) -> Option<Self> {
        let plan = plan::from_process(&config.tracing, &config.metrics);
        for warning in &plan.warnings {
            findings.warn(warning.variable, format!("{}; ignored", warning.message));
        }
        let noted = findings.errors.len();
        config.audit.check_file(findings);
        if let Some(path) = &config.auth.revoked_file
            && let Err(words) = revocation::file::check(Path::new(path), config.auth.revocations)
        {
            findings.error("auth.revoked_file", words);
        }
        let certificates = Certificates {
            main: Certificate::open(&config.http.tls, "http.tls", findings),
            admin: Certificate::open(&config.http.admin_tls, "http.admin_tls", findings),
        };
        let issuers = KnownIssuers::open(&config.auth, demo, findings);
        let fetchers = Fetchers::new(&issuers, findings);
        let asking = Asking::new(&config.auth.callout, findings);
        let users = KnownUsers::open(&config.auth, &config.login, demo)
            .map_err(|error| note_file("auth.users_file", &error, findings));
        let policy = Policy::open(&config.api, &config.destinations, findings)
            .map_err(|error| note_file("api.keys_file", &error, findings));
        let (users, policy) = (users.ok()?, policy.ok()?);
        users.check(&config.auth, findings);
        (findings.errors.len() == noted).then_some(Self {
            config,
            identity: None,
            users,
            policy,
            certificates,
            issuers,
            fetchers,
            asking,
            plan,
        })
    }
}

/// The setting is the finding's key and need not be said twice.
fn note_bus(error: &ConnectError, findings: &mut Findings) {
    let setting = error.setting().unwrap_or("bus.url");
    let words = error.to_string();
    let rest = words.strip_prefix(&format!("{setting}: "));
    findings.error(setting, rest.unwrap_or(&words));
}

/// Likewise.
fn note_file(setting: &str, error: &dyn std::error::Error, findings: &mut Findings) {
    let words = error.to_string();
    let rest = words.strip_prefix(&format!("{setting} "));
    findings.error(setting, rest.unwrap_or(&words));
}
