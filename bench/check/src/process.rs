//! The processes under test: started, signalled, waited for, and ended with the run. Knows programs only by their
//! paths, environment and exit.

use std::env;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Outcome;

/// The longest time until a process is ready, or has ended: machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// How one is seen to be ready.
#[derive(Debug, Clone, Copy)]
pub enum Readiness {
    /// `/readyz` answers 200 there.
    Readyz(SocketAddr),
    /// `/healthz` answers 200 there, as nats-server's does once JetStream has its streams.
    Healthz(SocketAddr),
}

/// A program that is started again and again. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    /// For people.
    pub name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    readiness: Readiness,
    child: Option<Child>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Process {
    /// Not started yet.
    pub fn new(
        name: String,
        program: &Path,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        folder: &Path,
        readiness: Readiness,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        Self {
            name,
            program: program.to_owned(),
            arguments,
            environment,
            log,
            readiness,
            child: None,
        }
    }

    /// Starts it. Its log goes on where it ended.
    pub fn start(&mut self) -> Outcome<()> {
        let log: File = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        let (address, path) = match self.readiness {
            Readiness::Readyz(address) => (address, "/readyz"),
            Readiness::Healthz(address) => (address, "/healthz"),
        };
        while !matches!(
            timeout(Duration::from_secs(2), get(address, path)).await,
            Ok(Ok(true))
        ) {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                return Err(
                    format!("{} ended by itself: {}{}", self.name, status?, self.last_words()).into(),
                );
            }
            if Instant::now() > deadline {
                return Err(
                    format!("{} was not ready in {PATIENCE:?}{}", self.name, self.last_words()).into(),
                );
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Outcome<()> {
        let child = self
            .child
            .as_ref()
            .ok_or_else(|| format!("{} does not run", self.name))?;
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(process.ok_or("no process")?, signal)?)
    }

    /// Sends SIGKILL or SIGTERM, and waits for the end.
    pub async fn end(&mut self, signal: Signal) -> Outcome<()> {
        self.signal(signal)?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(child) = &mut self.child {
            if child.try_wait()?.is_some() {
                self.child = None;
            } else if Instant::now() > deadline {
                return Err(format!("{} did not end in {PATIENCE:?}{}", self.name, self.last_words()).into());
            } else {
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.iter().rev().map(|line| format!("\n  {line}")).collect()
    }
}

/// Whether a GET is answered 200.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

/// The program that was named, or the `herald` beside this one.
pub fn herald(named: Option<&PathBuf>) -> Outcome<PathBuf> {
    let program = match named {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("herald"),
    };
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("{} is missing: cargo build, or --herald PATH", program.display()).into()),
    }
}

/// The `nats-server` of `HERALD_TOOLS` or `PATH`.
pub fn nats_server() -> PathBuf {
    let tools = env::var_os("HERALD_TOOLS").map(|tools| PathBuf::from(tools).join("bin/nats-server"));
    tools
        .filter(|path| path.is_file())
        .unwrap_or_else(|| "nats-server".into())
}

/// A port that nobody has now.
pub fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
