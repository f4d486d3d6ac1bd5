//! What the tests share.

use std::future::Future;
use std::time::Duration;

pub mod alone;
pub mod app;
pub mod client;
pub mod cluster;
pub mod cluster_client;
pub mod collector;
pub mod cut;
pub mod faulty_bus;
pub mod jaeger;
pub mod nats;
pub mod ports;
pub mod process;
pub mod stranger;
pub mod tls;
pub mod tokens;

/// The output of `future`. Fails the test with `what` if it takes half a minute: the machine may be slow and busy.
#[track_caller]
pub fn within<F: Future>(what: &'static str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(30), future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: {what}: not within 30 s"),
        }
    }
}
