//! Translates the configuration's sections into the settings of each module. Knows the whole configuration, but no
//! running part.

use std::sync::Arc;

use super::Error;
use crate::auth::Authenticator;
use crate::config::Config;
use crate::delivery::registry;
use crate::destination::Path;
use crate::envelope::{HeaderLimits, Kept};
use crate::instance::Instance;
use crate::interceptor::Chain;
use crate::interceptor::authenticate::Authenticate;
use crate::interceptor::authorize::Authorize;
use crate::interceptor::rate_limit::RateLimit;
use crate::limit::Total;
use crate::permissions::Permissions;
use crate::session::application::Route;
use crate::session::context;
use crate::session::state::{self, Rules};
use crate::setting::Findings;
use crate::stomp;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::plan::Plan;
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::export::{self, Exporter};

pub(super) fn header_limits(config: &Config) -> HeaderLimits {
    HeaderLimits {
        count: config.limits.headers,
        bytes: config.limits.header_bytes.0,
    }
}

pub(super) fn start_tracing(
    config: &Config,
    plan: &Plan,
    instance: &Instance,
    metrics: &Metrics,
) -> Result<(Tracer, Exporter), Error> {
    let prefix = &config.destinations.user_prefix;
    export::start(&config.tracing, plan, instance, prefix, metrics)
        .map_err(|error| Error::Config(error.to_string()))
}

pub(super) fn registry_settings(config: &Config, kept: Kept) -> registry::Settings {
    registry::Settings {
        outbox_bytes: config.limits.outbox_bytes.0,
        outbox_total_bytes: config.limits.outbox_total_bytes.0,
        delivery_bytes: config.limits.delivery_bytes.0,
        hidden_tab_grace: config.heartbeat.hidden_tab_grace.0,
        remind: config.auth.token.remind.0,
        user_prefix: config.destinations.user_prefix.clone(),
        kept,
    }
}

/// The destinations whose newest bodies are kept for the chat's routes, and how many.
pub(super) fn recent(config: &Config) -> impl Iterator<Item = (Path, usize)> {
    config.application.routes.iter().filter_map(|route| match route {
        Route::Recent {
            destination, count, ..
        } => Some((destination.clone(), *count)),
        _ => None,
    })
}

/// `[permissions]`, knowing what the built-in routes do.
pub(super) fn permissions(config: &Config) -> Result<Arc<Permissions>, Error> {
    let mut findings = Findings::default();
    let permissions = Permissions::new(&config.permissions, &config.destinations, &mut findings);
    findings
        .into_result()
        .map_err(|finding| Error::Config(finding.to_string()))?;
    let list = config.presence.list_destination.as_ref();
    let built_in = config.application.built_in(list).flatten().collect();
    Ok(Arc::new(permissions.with_built_in(built_in)))
}

pub(super) fn rules(
    config: &Config,
    authenticator: &Arc<Authenticator>,
    permissions: Arc<Permissions>,
    metrics: &Metrics,
    headers: HeaderLimits,
) -> Rules {
    Rules {
        prefixes: config.destinations.clone(),
        chain: Chain::new(vec![
            Box::new(Authenticate::new(authenticator.clone())),
            Box::new(RateLimit::new(&config.limits)),
            Box::new(Authorize::new(permissions, metrics.clone())),
        ]),
        limits: state::Limits {
            id_bytes: config.limits.id_bytes.0,
            subscriptions: config.limits.subscriptions,
            transactions: config.limits.transactions,
            transaction_actions: config.limits.transaction_actions,
            transaction_bytes: config.limits.transaction_bytes.0,
            transaction_total: Total::new(config.limits.transaction_total_bytes.0),
            body_bytes: config.limits.body_bytes.0,
            unacknowledged: config.limits.unacknowledged,
            headers,
        },
        routes: config.application.body_limits(),
    }
}

pub(super) fn connection_limits(config: &Config) -> context::Limits {
    let limits = &config.limits;
    let before = limits.frame_bytes_before_login.0;
    let decoder = |frame_bytes, body_bytes| stomp::Limits {
        frame_bytes,
        body_bytes,
        headers: limits.headers,
        header_bytes: limits.header_bytes.0,
    };
    context::Limits {
        before_login: decoder(before, before),
        // A frame is its body and as many headers as are allowed, bounded by a quarter of a MiB.
        after_login: decoder(
            limits.body_bytes.0.saturating_add(
                limits
                    .headers
                    .saturating_mul(limits.header_bytes.0)
                    .min(256 << 10),
            ),
            limits.body_bytes.0,
        ),
        connect_timeout: limits.connect_timeout,
        requests_in_flight: limits.requests_in_flight,
        replay_read_timeout: limits.replay_read_timeout,
        replay_ack_timeout: limits.replay_ack_timeout,
    }
}
