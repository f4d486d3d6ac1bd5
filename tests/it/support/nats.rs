//! A real `nats-server` as a child of the test: on a free port, ready when `start` returns, killed when dropped; and
//! publishers that are no Herald.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ports, within};

/// A running server; [`NatsServer::kill`] and [`NatsServer::restart`] make an outage.
pub struct NatsServer {
    child: Option<Child>,
    port: u16,
    directory: TempDir,
}

impl NatsServer {
    /// A server with its defaults.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// A server with these lines of configuration in addition to its address.
    pub fn start_with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self {
            child: None,
            port: ports::free(),
            directory,
        };
        server.configure(configuration);
        server.restart();
        server
    }

    /// A server with JetStream, which keeps its files until this is dropped, and with these lines in addition.
    pub fn start_with_jetstream(configuration: &str) -> Self {
        let mut server = Self::start_with("");
        server.grant(configuration);
        server
    }

    /// A server as docs/nats.md describes it, with JetStream: the user `herald` has the password `h`, `orders` has `o`.
    pub fn start_documented() -> Self {
        Self::start_with_jetstream(&Self::documented())
    }

    /// The lines of configuration for that.
    pub fn documented() -> String {
        let page = std::fs::read_to_string(format!("{}/docs/nats.md", env!("CARGO_MANIFEST_DIR")))
            .expect("docs/nats.md");
        let (_, rest) = page
            .split_once("```conf\n")
            .expect("the permissions in docs/nats.md");
        let (permissions, _) = rest.split_once("```").expect("their end");
        let permissions = permissions.replace("$HERALD_PASSWORD", "h");
        let permissions = permissions.replace("$LOGINS_PASSWORD", "l");
        permissions.replace("$ORDERS_PASSWORD", "o")
    }

    /// Starts again with JetStream and these lines.
    pub fn grant(&mut self, configuration: &str) {
        self.configure_jetstream(configuration);
        self.restart();
    }

    fn configure_jetstream(&self, configuration: &str) {
        let store = self.directory.path().join("jetstream");
        self.configure(&format!(
            "jetstream {{ store_dir: {store:?}, max_mem: 256MB, max_file: 4GB }}\n{configuration}"
        ));
    }

    /// Replaces the lines that `start_with` was given; from the next start or [`NatsServer::reload`] on.
    pub fn configure(&self, configuration: &str) {
        std::fs::write(self.directory.path().join("nats.conf"), configuration).expect("the configuration");
    }

    /// Tells the running server to read its configuration again, which it does a moment later.
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL: no goodbye.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill nats-server");
            child.wait().expect("wait for nats-server");
        }
    }

    /// Starts the server again on the same port, and waits until it is ready.
    pub fn restart(&mut self) {
        self.kill();
        let mut child = Command::new(binary())
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--config",
            ])
            .arg(self.directory.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start nats-server");
        let log = BufReader::new(child.stderr.take().expect("its log"));
        self.child = Some(child);
        let (ready, wait) = mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end, or the server would block on a full pipe.
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Server is ready") {
                    // Nobody waits any more if it took too long.
                    let _ = ready.send(());
                }
            }
        });
        wait.recv_timeout(Duration::from_secs(30))
            .expect("nats-server did not become ready");
    }

    /// Copies what the stopped server with JetStream has stored.
    pub fn keep_store(&self) {
        self.copy("jetstream", "copy");
    }

    /// Puts that copy in the place of what the stopped server has stored since.
    pub fn put_back_store(&self) {
        self.copy("copy", "jetstream");
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.directory.path().join(name));
        if to.exists() {
            std::fs::remove_dir_all(&to).expect("the old files");
        }
        let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
        assert!(copied.expect("cp").success());
    }

    /// Stops the process as if the machine hung (`true`), or lets it continue.
    pub fn set_frozen(&self, frozen: bool) {
        self.signal(if frozen { "-STOP" } else { "-CONT" });
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("running");
        let status = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    let tools = std::env::var_os("HERALD_TOOLS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools"),
        PathBuf::from,
    );
    let binary = tools.join("bin/nats-server");
    assert!(
        binary.exists(),
        "{} is missing: run scripts/tools, or set HERALD_TOOLS to a directory with bin/nats-server",
        binary.display()
    );
    binary
}

/// Headers as a backend's client writes them.
#[expect(clippy::disallowed_methods, reason = "the texts are the tests' own")]
pub fn headers(all: &[(&str, &str)]) -> async_nats::HeaderMap {
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in all {
        headers.insert(*name, *value);
    }
    headers
}

/// A publisher that writes the protocol itself, and so can send what no client would.
pub struct RawPublisher {
    stream: tokio::io::BufReader<TcpStream>,
}

impl RawPublisher {
    pub async fn connect(server: &NatsServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .expect("connect");
        let mut publisher = Self {
            stream: tokio::io::BufReader::new(stream),
        };
        let mut info = String::new();
        publisher.stream.read_line(&mut info).await.expect("INFO");
        publisher
            .write(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n")
            .await;
        publisher
    }

    /// `headers` is the whole block: version line, line ends and the empty line.
    pub async fn publish(&mut self, subject: &[u8], headers: &[u8], body: &[u8]) {
        let mut frame = if headers.is_empty() {
            [b"PUB ", subject, format!(" {}\r\n", body.len()).as_bytes()].concat()
        } else {
            let sizes = format!(" {} {}\r\n", headers.len(), headers.len() + body.len());
            [b"HPUB ", subject, sizes.as_bytes(), headers].concat()
        };
        frame.extend_from_slice(body);
        frame.extend_from_slice(b"\r\n");
        self.write(&frame).await;
        self.settle().await;
    }

    /// Waits until the server has handled what was written.
    async fn settle(&mut self) {
        self.write(b"PING\r\n").await;
        loop {
            let mut answer = [0; 6];
            within("PONG", self.stream.read_exact(&mut answer))
                .await
                .expect("an answer");
            match &answer {
                b"PONG\r\n" => return,
                // The server looks whether we are alive.
                b"PING\r\n" => self.write(b"PONG\r\n").await,
                other => panic!("{}", other.escape_ascii()),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("write");
    }
}
