//! The promise: a collector behind TLS: `https://` works over gRPC and over HTTP, and only with an authority that
//! Herald is configured to trust.

use crate::support::cluster::until;
use crate::support::collector::{Collector, Speaks};
use crate::support::process::{Herald, Launch};
use crate::support::tls::{tls_file, tls_proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_over_tls_by_grpc_and_by_http() {
    for speaks in [Speaks::Grpc, Speaks::Http] {
        let collector = Collector::start(speaks);
        let url = format!("https://{}", tls_proxy(collector.address).await);
        let launch = || {
            Launch::demo()
                .set("HERALD_TRACING__ENDPOINT", &url)
                .set("HERALD_TRACING__PROTOCOL", collector.protocol())
                .set("HERALD_TRACING__INTERVAL", "20ms")
        };
        let publish = async |herald: &Herald| {
            let path = "/api/v1/broadcast/queue/x";
            let answer = herald.post(path, "text/plain", "x").await;
            assert_eq!(answer.status, 202);
        };
        let stranger = Herald::start("stranger", &launch()).await;
        publish(&stranger).await;
        until("its refusal of an authority unknown to it", async || {
            stranger.lines_with("the collector takes no spans").len() == 1
        })
        .await;
        assert!(collector.spans().is_empty(), "{speaks:?}");

        let knows = launch().set("OTEL_EXPORTER_OTLP_CERTIFICATE", &tls_file("ca.pem"));
        let herald = Herald::start("knows", &knows).await;
        // Twice: the second export uses the existing connection.
        for count in [2, 4] {
            publish(&herald).await;
            until("its spans", async || collector.spans().len() == count).await;
        }
        assert_eq!(herald.lines_with("the collector takes no spans").len(), 0);
    }
}
