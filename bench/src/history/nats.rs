//! `nats-server`s with JetStream: one, or a cluster, each with a folder that is removed with the run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::wire::Wire;
use crate::Outcome;
use crate::process::{Server, free_port};

/// Servers that can be ended and started again one by one.
pub struct Nats {
    servers: Vec<Place>,
    folder: PathBuf,
}

struct Place {
    address: SocketAddr,
    arguments: Vec<String>,
    server: Option<Server>,
}

impl Nats {
    /// Starts so many, as a cluster if there are several.
    pub fn start(count: usize) -> Outcome<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("herald-bench-{}-nats-{number}", std::process::id()));
        let routes = (0..count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<String> = routes.iter().map(|route| format!("nats://{route}")).collect();
        let mut nats = Self {
            servers: Vec::new(),
            folder,
        };
        for (at, route) in all.iter().enumerate() {
            let mut arguments = vec![
                "--jetstream".to_owned(),
                "--store_dir".to_owned(),
                nats.folder.join(name(at)).to_string_lossy().into_owned(),
                "--name".to_owned(),
                name(at),
            ];
            if count > 1 {
                let cluster = ["--cluster_name", "bench", "--cluster", route, "--routes"];
                arguments.extend(cluster.map(str::to_owned));
                arguments.push(all.join(","));
            }
            nats.servers.push(Place {
                address: free_port()?,
                arguments,
                server: None,
            });
            nats.start_again(at)?;
        }
        Ok(nats)
    }

    /// What Herald connects to.
    pub fn url(&self) -> String {
        let urls = self.servers.iter();
        let urls: Vec<String> = urls.map(|place| format!("nats://{}", place.address)).collect();
        urls.join(",")
    }

    /// The CPU time of all servers so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        let servers = self.servers.iter().filter_map(|place| place.server.as_ref());
        servers.map(Server::cpu_of_threads).sum()
    }

    /// A connection to one that runs.
    pub fn wire(&self) -> Outcome<Wire> {
        let mut running = self.servers.iter().filter(|place| place.server.is_some());
        Wire::connect(running.next().ok_or("no NATS server runs")?.address)
    }

    /// The place of the server with this name.
    pub fn place_of(&self, server: &str) -> Outcome<usize> {
        let mut places = 0..self.servers.len();
        let place = places.find(|at| name(*at) == server);
        place.ok_or_else(|| format!("no NATS server is called {server}").into())
    }

    /// Starts it where it does not run, with what it has stored.
    pub fn start_again(&mut self, at: usize) -> Outcome<()> {
        if let Some(place) = self.servers.get_mut(at) {
            place.server = Some(Server::nats_at(place.address, &place.arguments)?);
        }
        Ok(())
    }

    /// Ends it, without a goodbye or in order.
    pub fn end(&mut self, at: usize, in_order: bool) -> Outcome<()> {
        match self.servers.get_mut(at).and_then(|place| place.server.take()) {
            Some(server) if in_order => server.stop(),
            // Dropping kills it.
            _ => Ok(()),
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.servers.clear();
        // What is left there is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn name(at: usize) -> String {
    format!("n{at}")
}
