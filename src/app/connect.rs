//! Creates the bus that the configuration selects. Knows both buses, but no other part.

use std::sync::Arc;

use super::settings::header_limits;
use super::{Error, Prepared};
use crate::bus::embedded::{EmbeddedBus, Keeping};
use crate::bus::nats::{Keep, NatsBus};
use crate::bus::{self, Bus};
use crate::instance::Instance;

/// Makes it; NATS connects in the background, and a file of history is opened now.
pub(super) async fn connect_bus(prepared: &mut Prepared, instance: &Instance) -> Result<Arc<dyn Bus>, Error> {
    let config = &prepared.config;
    let limits = bus::Limits {
        body_bytes: config.limits.body_bytes,
        headers: header_limits(config),
    };
    match prepared.identity.take() {
        None => {
            let keeping = Keeping::of(&config.history, &config.destinations, config.limits.outbox_bytes);
            let Some(keeping) = keeping else {
                return Ok(EmbeddedBus::new(&config.bus, limits, instance.id));
            };
            let (config, id) = (config.bus.clone(), instance.id);
            let opened =
                tokio::task::spawn_blocking(move || EmbeddedBus::open(&config, limits, id, keeping)).await;
            let opened = opened.map_err(|_| Error::Failure("opening history.path has panicked".into()))?;
            Ok(opened.map_err(|words| Error::Config(format!("history.path: {words}")))?)
        }
        Some(identity) => {
            let keep = Keep::of(&config.history, &config.destinations, config.limits.outbox_bytes);
            let bus = NatsBus::connect_as(identity, &config.bus, limits, instance, keep);
            let bus = Box::pin(bus).await;
            Ok(bus.map_err(|error| Error::Config(error.to_string()))?)
        }
    }
}
