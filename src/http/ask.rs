//! One question to every other live instance, over the bus's control channel, all at once and in bounded time. Knows no
//! question by name.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use crate::bus::Bus;
use crate::instance::InstanceId;
use crate::presence::InstanceView;

/// How long other instances may take to answer (docs/rest.md).
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// What one other instance said; none: nothing within [`ASK_TIMEOUT`], or nothing that can be read.
pub struct Asked<'a, T> {
    /// Who.
    pub instance: &'a InstanceView,
    /// What.
    pub answer: Option<T>,
}

/// Asks all of `instances` but `own`.
pub async fn ask_others<'a, T: DeserializeOwned>(
    bus: &dyn Bus,
    own: InstanceId,
    instances: &'a [InstanceView],
    kind: &str,
    question: Bytes,
) -> Vec<Asked<'a, T>> {
    let asks = instances
        .iter()
        .filter(|instance| instance.id != own)
        .map(|instance| {
            let question = question.clone();
            async move {
                let asked = bus.control_request(instance.id, kind, question, ASK_TIMEOUT);
                // The bus keeps the time too; this holds even where it does not.
                let answer = match tokio::time::timeout(ASK_TIMEOUT, asked).await {
                    Ok(Ok(payload)) => serde_json::from_slice(&payload).ok(),
                    Ok(Err(_)) | Err(_) => None,
                };
                Asked { instance, answer }
            }
        });
    join_all(asks).await
}
