//! A real Jaeger (v2) as a child of the test: OTLP in, its API out, on ports of its own, killed when dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::cluster::until;
use super::ports;
use super::process::{Answer, request};

/// A running Jaeger.
pub struct Jaeger {
    child: Child,
    api: SocketAddr,
    otlp: SocketAddr,
    _directory: TempDir,
}

impl Jaeger {
    /// Ready when this returns.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Jaeger cannot be asked which ports it chose.
        let [api, grpc, otlp] = [(); 3].map(|()| SocketAddr::from(([127, 0, 0, 1], ports::free())));
        let file = directory.path().join("jaeger.yaml");
        std::fs::write(&file, configuration(api, grpc, otlp)).expect("its configuration");
        let child = Command::new(binary())
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start jaeger");
        let jaeger = Self {
            child,
            api,
            otlp,
            _directory: directory,
        };
        until("jaeger answers", async || {
            jaeger.get("/api/services").await.status == 200
        })
        .await;
        jaeger
    }

    /// The endpoint for spans over gRPC.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.otlp)
    }

    /// The answer of its API.
    pub async fn get(&self, path: &str) -> Answer {
        request(self.api, "GET", path, &[], b"").await.unwrap_or_default()
    }
}

impl Drop for Jaeger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(api: SocketAddr, grpc: SocketAddr, otlp: SocketAddr) -> String {
    format!(
        "
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 1000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: '{api}'}}
    grpc: {{endpoint: '{grpc}'}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '{otlp}'}}}}}}
processors:
  batch: {{timeout: 50ms}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"
    )
}

fn binary() -> PathBuf {
    let tools = std::env::var_os("HERALD_TOOLS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools"),
        PathBuf::from,
    );
    let binary = tools.join("bin/jaeger");
    assert!(
        binary.exists(),
        "{} is missing: run scripts/tools, or set HERALD_TOOLS to a directory with bin/jaeger",
        binary.display()
    );
    binary
}
