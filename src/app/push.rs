//! Pushes the metrics to a collector: connects what is read at each push with its owners. Knows no running session.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Core, Error};
use crate::http::health;
use crate::task::Task;
use crate::telemetry::metrics::otlp;

/// The task's name.
pub(super) const PUSH: &str = "metrics push";

impl Core {
    /// Pushes the metrics to a collector until `background` ends, if one is asked for.
    pub(super) fn push_metrics(&self, background: &CancellationToken) -> Result<Option<Task>, Error> {
        let sources = (
            self.registry.clone(),
            self.bus.clone(),
            self.presence.clone(),
            self.audit.clone(),
            self.authenticator.clone(),
            self.instance.clone(),
        );
        let observe = Arc::new(move || {
            let (registry, bus, presence, audit, users, instance) = sources.clone();
            Box::pin(
                async move { health::observe(&registry, &*bus, &presence, &audit, &users, &instance).await },
            ) as futures_util::future::BoxFuture<'static, _>
        });
        let (metrics, background) = (self.metrics.clone(), background.clone());
        let pushing = otlp::start(
            &self.otlp,
            &self.plan,
            &self.instance,
            metrics,
            observe,
            background,
        );
        let pushing = pushing.map_err(Error::Config)?;
        Ok(pushing.map(|pushing| Task::essential(PUSH, pushing)))
    }
}
