//! The program itself as a child of the test: on a port of its own, ready when [`Herald::start`] returns, its log
//! kept and shown when the test fails, killed when dropped. Also plain HTTP/1.1 to it, with one connection per
//! request.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cluster::until;
use super::within;

/// How often a child and its log are polled; a process without a runtime has no event to await.
const LOOK: Duration = Duration::from_millis(10);
/// The lines of each log shown when a test fails.
const SHOWN_LINES: usize = 60;

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Run in a shell before the program takes its place, such as `ulimit -n 40`.
    shell: Option<String>,
}

impl Launch {
    /// `herald` with these arguments and nothing in its environment.
    pub fn new(arguments: &[&str]) -> Self {
        Self {
            program: env!("CARGO_BIN_EXE_herald").into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            shell: None,
        }
    }

    /// `herald serve --demo` on a port that the kernel chooses.
    pub fn demo() -> Self {
        Self::new(&["serve", "--demo"]).set("HERALD_HTTP__LISTEN", "127.0.0.1:0")
    }

    /// Another program than the one that was just built.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.into();
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable; a later value wins.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.into());
        self
    }

    fn spawn(&self) -> Running {
        let mut command = match &self.shell {
            None => Command::new(&self.program),
            Some(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{line} && exec \"$0\" \"$@\"")]);
                command.arg(&self.program);
                command
            }
        };
        let mut child = command
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start herald");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let readers = vec![
            keep(child.stderr.take().expect("its log"), log.clone()),
            keep(child.stdout.take().expect("its output"), log.clone()),
        ];
        Running { child, log, readers }
    }

    /// Runs the program where it is expected to end by itself. Returns its exit code and output.
    pub async fn run(&self) -> (Option<i32>, String) {
        let mut running = self.spawn();
        let code = running.exit_code().await;
        (code, running.text())
    }

    /// Starts the program, and sends SIGTERM at the very line that says `serving`, without a pause. Returns exit code
    /// and log.
    pub async fn terminate_at_once(&self) -> (Option<i32>, String) {
        let mut running = self.spawn();
        let pid = rustix::process::Pid::from_child(&running.child);
        let serving = async {
            while !running.log.lock().iter().any(|line| line.contains("\"serving\"")) {
                tokio::task::yield_now().await;
            }
        };
        within("the line `serving`", serving).await;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
        let code = running.exit_code().await;
        (code, running.text())
    }
}

/// Keeps every line to the end, or the program would block on a full pipe.
fn keep(from: impl Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let lines = BufReader::new(from).split(b'\n').map_while(Result::ok);
        for line in lines {
            log.lock().push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

struct Running {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Everything that was said. Ask after the exit.
    fn text(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().expect("its output is read");
        }
        self.log.lock().join("\n")
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("its status") {
                    return status.code();
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        within("the end of herald", ended).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running instance.
pub struct Herald {
    running: Running,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name in the log that a failing test shows.
    pub name: String,
}

impl Herald {
    /// Starts an instance and waits until it is ready.
    pub async fn start(name: &str, launch: &Launch) -> Self {
        let herald = Self::start_unready(name, launch).await;
        herald.until_ready().await;
        herald
    }

    /// Starts an instance and waits until it listens.
    pub async fn start_unready(name: &str, launch: &Launch) -> Self {
        let running = launch.clone().set("HERALD_INSTANCE__NAME", name).spawn();
        let mut herald = Self {
            running,
            address: ([127, 0, 0, 1], 0).into(),
            name: name.into(),
        };
        let line = herald.logged("\"message\":\"serving\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        herald.address = line["address"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("its address");
        if launch
            .environment
            .iter()
            .any(|(name, _)| name == "HERALD_HTTP__TLS__CERT_FILE")
        {
            super::tls::spoken_at(herald.address);
        }
        herald
    }

    pub async fn until_ready(&self) {
        let ready = async {
            while self.get("/readyz").await.status != 200 {
                tokio::time::sleep(LOOK).await;
            }
        };
        within("readiness", ready).await;
    }

    /// Waits for a line of the log that contains `words`, and returns it.
    pub async fn logged(&self, words: &'static str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.lines_with(words).into_iter().next() {
                    return line;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        within(words, found).await
    }

    /// The lines of the log so far that contain `words`.
    pub fn lines_with(&self, words: &str) -> Vec<String> {
        let log = self.running.log.lock();
        log.iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// Sends a signal, such as `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.running.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill").success());
    }

    /// Sends SIGSTOP, and waits until no thread runs any more: on a busy machine they continue for a while.
    pub async fn pause(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.running.child.id());
        until("every thread has stopped", async || {
            std::fs::read_dir(&tasks)
                .expect("its threads")
                .flatten()
                // A thread that has ended does not run either.
                .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
                .all(|stat| {
                    stat.rsplit_once(") ")
                        .is_some_and(|(_, rest)| rest.starts_with('T'))
                })
        })
        .await;
    }

    /// SIGKILL: no goodbye.
    pub fn kill(&mut self) {
        self.running.child.kill().expect("kill");
        self.running.child.wait().expect("wait");
    }

    /// Waits for its end, and returns its exit code.
    pub async fn exit_code(&mut self) -> Option<i32> {
        self.running.exit_code().await
    }

    /// Sends SIGTERM. Returns everything said on standard output and error until the end.
    pub async fn stop(mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.exit_code().await, Some(0));
        self.running.text()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await
    }

    /// POST with a content type.
    pub async fn post(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[("Content-Type", content_type)], body.as_ref())
            .await
    }

    /// Status 0: the connection was refused or lost.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let asked = request(self.address, method, path, headers, body);
        within("an answer over HTTP", asked).await.unwrap_or_default()
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.running.log.lock();
            let shown = log.iter().skip(log.len().saturating_sub(SHOWN_LINES));
            eprintln!("--- log of {}", self.name);
            shown.for_each(|line| eprintln!("{line}"));
        }
    }
}

/// An answer over HTTP.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// One request on a connection of its own.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = super::tls::dressed(TcpStream::connect(to).await?, to).await?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    read_answer(&answer).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The status, head and body of a complete answer that ended with its connection.
pub fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = bytes[end + 4..].to_vec();
    let answer = |body| Answer {
        status,
        head: head.clone(),
        body,
    };
    if answer(Vec::new())
        .header("transfer-encoding")
        .is_some_and(|coding| coding == "chunked")
    {
        body = dechunk(&body)?;
    }
    Some(answer(body))
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 4 + size..)?;
    }
}
