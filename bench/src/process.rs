//! The measured processes: started, waited for, read through `/proc`, and ended with the run.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// The longest time from start to readiness.
const READY: Duration = Duration::from_secs(20);

/// A server under measurement. Killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it exposes its counters. The floor has none.
    admin: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `herald serve --demo` on a free port, and waits until it is ready.
    pub fn herald(binary: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::serving(binary, &["serve", "--demo"], settings)
    }

    /// The same without `--demo`: nobody publishes without a key.
    pub fn guarded(binary: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::serving(binary, &["serve"], settings)
    }

    fn serving(binary: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Outcome<Self> {
        let (address, admin) = (free_port()?, free_port()?);
        let child = Command::new(binary)
            .args(arguments)
            .env("HERALD_HTTP__LISTEN", address.to_string())
            .env("HERALD_HTTP__ADMIN_LISTEN", admin.to_string())
            .env("HERALD_LOG__LEVEL", "error")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut server = Self {
            child,
            address,
            admin,
        };
        let deadline = Instant::now() + READY;
        while !is_ready(admin) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{} ended before it was ready: {status}", binary.display()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{} was not ready in {READY:?}", binary.display()).into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Starts this program as the floor.
    pub fn floor(sessions: usize) -> Outcome<Self> {
        Self::own(&["floor", "--sessions", &sessions.to_string()])
    }

    /// Starts this program as the bare axum handler.
    pub fn bare() -> Outcome<Self> {
        Self::own(&["bare"])
    }

    /// Starts a `nats-server` of HERALD_TOOLS or PATH, on a free port.
    pub fn nats() -> Outcome<Self> {
        Self::nats_at(free_port()?, &[])
    }

    /// The same on a given port, with more arguments.
    pub fn nats_at(address: SocketAddr, more: &[String]) -> Outcome<Self> {
        let tools = env::var_os("HERALD_TOOLS").map(|tools| PathBuf::from(tools).join("bin/nats-server"));
        let program = tools
            .filter(|path| path.is_file())
            .unwrap_or_else(|| "nats-server".into());
        let mut command = Command::new(&program);
        command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string()]);
        let child = command
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error} (scripts/tools gets it)", program.display()))?;
        let server = Self {
            child,
            address,
            admin: address,
        };
        let deadline = Instant::now() + READY;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(format!("nats-server was not ready in {READY:?}").into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Ends it in order, and waits for that.
    pub fn stop(mut self) -> Outcome<()> {
        self.signal(Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    fn own(arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the floor has no output")?;
        let mut server = Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        server.address.set_port(line.trim().parse()?);
        Ok(server)
    }

    /// The CPU time of the process so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// The CPU time of the process's threads so far, by the scheduler's own clock: for turns too short for clock
    /// ticks. A thread that has ended is missing.
    pub fn cpu_of_threads(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread that ends meanwhile has no file.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let first = text.split_whitespace().next();
            nanos += first.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory, in bytes.
    pub fn rss_bytes(&self) -> Outcome<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory since the start, in bytes.
    pub fn peak_rss_bytes(&self) -> Outcome<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.trim().strip_suffix("kB"))
            .ok_or_else(|| format!("no {name} in /proc"))?
            .trim()
            .parse()?;
        Ok(kib * 1024)
    }

    /// One of Herald's metrics, without labels. `name` is what follows `herald_`.
    pub fn metric(&self, name: &str) -> Outcome<f64> {
        let answer = get(self.admin, "/metrics")?;
        let value = answer
            .lines()
            .find_map(|line| {
                line.strip_prefix("herald_")?
                    .strip_prefix(name)?
                    .strip_prefix(' ')
            })
            .ok_or_else(|| {
                format!(
                    "no {name} in /metrics: {}",
                    answer.lines().next().unwrap_or_default()
                )
            })?;
        Ok(value.trim().parse()?)
    }

    /// Waits until a metric is `wanted`, at most `patience`. Returns whether it was.
    pub fn until_metric(
        &self,
        name: &str,
        wanted: impl Fn(f64) -> bool,
        patience: Duration,
    ) -> Outcome<bool> {
        let deadline = Instant::now() + patience;
        while !wanted(self.metric(name)?) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(Duration::from_millis(50));
        }
        Ok(true)
    }
}

/// utime + stime of `/proc/<who>/stat`; in steps of a clock tick.
pub fn cpu_of(who: &str) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{who}/stat"))?;
    // The name in parentheses may contain anything, including blanks.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc stat")?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let user = times.next().ok_or("no utime in /proc stat")??;
    let system = times.next().ok_or("no stime in /proc stat")??;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(
        (user + system) as f64 / ticks_per_second as f64,
    ))
}

/// The program that `--herald` names, or the one beside this.
pub fn herald_binary(named: Option<&PathBuf>) -> Outcome<PathBuf> {
    let binary = match named {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("herald"),
    };
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!(
            "{} is missing: cargo build --release, or --herald PATH",
            binary.display()
        )
        .into())
    }
}

/// A port that was free just now.
pub fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
