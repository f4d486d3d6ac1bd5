//! The program's commands for people, run as people run them: arguments, an environment of their own, input, and the
//! contents of each of the two outputs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::support::process::Herald;

const PATIENCE: Duration = Duration::from_secs(20);

/// The command to run.
pub struct Cli {
    command: Command,
    input: Vec<u8>,
}

/// Its outcome.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Cli {
    /// `herald` with these arguments, separated by blanks, in an empty environment.
    pub fn new(arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.args(arguments.split_whitespace()).env_clear();
        Self {
            command,
            input: Vec::new(),
        }
    }

    /// The same against `herald`, as the user `test1`.
    pub fn of(herald: &Herald, arguments: &str) -> Self {
        Self::new(arguments)
            .set("HERALD_URL", &format!("http://{}", herald.address))
            .set("HERALD_LOGIN", "test1")
            .set("HERALD_PASSWORD", "test")
    }

    /// The same with the operators' key.
    pub fn of_operator(herald: &Herald, arguments: &str) -> Self {
        Self::of(herald, arguments).set("HERALD_KEY", "the-clusters-own-key")
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds one argument, including its blanks.
    pub fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    fn spawn(mut self) -> Child {
        let child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("start herald");
        let mut stdin = child.stdin.take().expect("its input");
        // The command may not read its input, and close it.
        let _ = stdin.write_all(&self.input);
        child
    }

    /// Runs to the end.
    pub async fn run(self) -> Ended {
        let output = tokio::task::spawn_blocking(move || self.spawn().wait_with_output());
        let output = crate::support::within("the command's end", output).await.unwrap();
        let output = output.expect("its output");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended {
            code: output.status.code(),
            out: text(output.stdout),
            error: text(output.stderr),
        }
    }

    /// Runs it concurrently with the test.
    pub fn start(self) -> Started {
        let mut child = self.spawn();
        let out = lines(child.stdout.take().expect("its output"));
        let error = lines(child.stderr.take().expect("its errors"));
        Started { child, out, error }
    }
}

/// A running command, killed when dropped.
pub struct Started {
    child: Child,
    out: Receiver<String>,
    error: Receiver<String>,
}

impl Started {
    /// The next line of standard output.
    pub fn out(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line")
    }

    /// The next line of standard error.
    pub fn error(&self) -> String {
        self.error.recv_timeout(PATIENCE).expect("a line of its errors")
    }

    /// The next line of standard error, where time itself is waited for.
    pub fn error_within(&self, time: Duration) -> String {
        self.error.recv_timeout(time).expect("a line of its errors")
    }

    /// What else is in standard error by now.
    pub fn more_errors(&self) -> Vec<String> {
        self.error.try_iter().collect()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill").success());
    }

    /// Whether it has ended, without waiting.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_some()
    }

    /// Waits for its end.
    pub fn code(mut self) -> Option<i32> {
        // Its outputs end when it does, and not before.
        while self.out.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1_000);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
