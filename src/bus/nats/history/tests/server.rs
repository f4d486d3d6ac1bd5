//! Real servers with JetStream, alone or three in a cluster, on free ports of the loopback; killed when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(super) struct Servers {
    all: Vec<Server>,
    directory: TempDir,
}

struct Server {
    child: Option<Child>,
    port: u16,
}

impl Servers {
    /// One server, with these lines of configuration in addition.
    pub(super) fn single(lines: &str) -> Self {
        Self::start(1, lines)
    }

    /// Three servers.
    pub(super) fn cluster() -> Self {
        Self::start(3, "")
    }

    /// One server without JetStream.
    pub(super) fn without_jetstream() -> Self {
        let mut servers = Self::start(1, "");
        let conf = servers.directory.path().join("n0.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("jetstream"))
            .collect();
        std::fs::write(conf, kept.join("\n")).unwrap();
        servers.restart(0);
        servers
    }

    /// One server with too little room for what the defaults ask.
    pub(super) fn small() -> Self {
        let mut servers = Self::start(1, "");
        let conf = servers.directory.path().join("n0.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(conf, text.replace("max_file: 4G", "max_file: 100M")).unwrap();
        servers.restart(0);
        servers
    }

    /// One server with a JetStream domain.
    pub(super) fn in_domain(domain: &str) -> Self {
        let mut servers = Self::start(1, "");
        let conf = servers.directory.path().join("n0.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(
            conf,
            text.replace("max_mem", &format!("domain: {domain}, max_mem")),
        )
        .unwrap();
        servers.restart(0);
        servers
    }

    fn start(count: usize, lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let held: Vec<TcpListener> = (0..2 * count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = held
            .iter()
            .map(|held| held.local_addr().unwrap().port())
            .collect();
        drop(held);
        let routes: Vec<String> = ports[count..]
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        for index in 0..count {
            let store = directory.path().join(format!("store{index}"));
            let mut text = format!(
                "listen: 127.0.0.1:{}\nserver_name: n{index}\njetstream {{ store_dir: {store:?}, max_mem: 4G, max_file: 4G }}\n{lines}\n",
                ports[index],
            );
            if count > 1 {
                text += &format!(
                    "cluster {{ name: c, listen: 127.0.0.1:{}, routes: [{}] }}\n",
                    ports[count + index],
                    routes.join(", ")
                );
            }
            std::fs::write(directory.path().join(format!("n{index}.conf")), text).unwrap();
        }
        let all = ports[..count]
            .iter()
            .map(|port| Server {
                child: None,
                port: *port,
            })
            .collect();
        let mut servers = Self { all, directory };
        for index in 0..count {
            servers.restart(index);
        }
        servers
    }

    pub(super) fn urls(&self) -> String {
        let urls: Vec<String> = self
            .all
            .iter()
            .map(|server| format!("nats://127.0.0.1:{}", server.port))
            .collect();
        urls.join(",")
    }

    pub(super) fn port(&self) -> u16 {
        self.all[0].port
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.all[index].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn restart(&mut self, index: usize) {
        self.kill(index);
        let log = std::fs::File::create(self.directory.path().join(format!("n{index}.log"))).unwrap();
        let child = Command::new(binary())
            .arg("--config")
            .arg(self.directory.path().join(format!("n{index}.conf")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.all[index].child = Some(child);
    }

    /// The index of the server with this name.
    pub(super) fn index(name: &str) -> usize {
        name.trim_start_matches('n').parse().unwrap()
    }

    /// SIGSTOP and SIGCONT.
    pub(super) fn signal(&self, index: usize, signal: &str) {
        let id = self.all[index].child.as_ref().unwrap().id();
        assert!(
            Command::new("kill")
                .args([signal, &id.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Copies what the stopped server has stored, or puts the copy back.
    pub(super) fn copy_store(&self, back: bool) {
        let (store, copy) = (
            self.directory.path().join("store0"),
            self.directory.path().join("copy"),
        );
        let (from, to) = if back { (&copy, &store) } else { (&store, &copy) };
        let _ = std::fs::remove_dir_all(to);
        let run = |from: &Path, to: &Path| {
            Command::new("cp")
                .arg("-r")
                .arg(from)
                .arg(to)
                .status()
                .unwrap()
                .success()
        };
        assert!(run(from, to));
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for index in 0..self.all.len() {
            self.kill(index);
        }
    }
}

fn binary() -> PathBuf {
    let tools = std::env::var_os("HERALD_TOOLS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools"),
        PathBuf::from,
    );
    let binary = tools.join("bin/nats-server");
    assert!(binary.exists(), "{} is missing", binary.display());
    binary
}
