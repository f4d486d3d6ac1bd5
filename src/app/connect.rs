//! Which bus the configuration asks for. Knows both, no other part.

use std::sync::Arc;

use super::Error;
use crate::bus::embedded::EmbeddedBus;
use crate::bus::nats::NatsBus;
use crate::bus::{self, Bus};
use crate::config::Config;
use crate::envelope::HeaderLimits;
use crate::instance::Instance;

/// Makes it; NATS connects in the background.
pub(super) async fn connect_bus(
    config: &Config,
    headers: HeaderLimits,
    instance: &Instance,
) -> Result<Arc<dyn Bus>, Error> {
    let limits = bus::Limits {
        body_bytes: config.limits.body_bytes,
        headers,
    };
    match &config.bus.url {
        None => Ok(EmbeddedBus::new(&config.bus, limits, instance.id)),
        Some(_) => {
            let bus = Box::pin(NatsBus::connect(&config.bus, limits, instance)).await;
            Ok(bus.map_err(|error| Error::Config(error.to_string()))?)
        }
    }
}
