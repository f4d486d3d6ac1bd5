//! The system under test: instances, the NATS servers that they share, and the proxies in between. Knows Herald only by
//! its settings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};

use crate::Outcome;
use crate::options::Options;
use crate::process::{Process, Readiness, free_port, herald, nats_server};
use crate::proxy::Proxy;

/// Every user's password.
pub const PASSCODE: &str = "test";

/// One instance of Herald.
#[derive(Debug)]
pub struct Instance {
    /// `herald serve`.
    pub process: Process,
    /// Clients and publishers come through it.
    pub door: Proxy,
    /// It reaches each NATS server through one of them.
    pub to_nats: Vec<Proxy>,
}

/// All of it.
#[derive(Debug)]
pub struct Plant {
    /// The instances.
    pub instances: Vec<Instance>,
    /// The NATS servers; none: the embedded bus.
    pub servers: Vec<Process>,
    /// Where each of them stores, and where a copy of it is kept.
    stores: Vec<Store>,
}

/// The folder of a server's streams.
#[derive(Debug)]
struct Store {
    path: PathBuf,
    copy: PathBuf,
}

impl Plant {
    /// Starts all, and waits until all is ready.
    pub async fn start(options: &Options, users: &[String], folder: &Path) -> Outcome<Self> {
        let (mut servers, stores, addresses) = nats(options, folder)?;
        for server in &mut servers {
            server.start()?;
        }
        for server in &mut servers {
            server.ready().await?;
        }
        let program = herald(options.herald.as_ref())?;
        let users_file = folder.join("users.toml");
        std::fs::write(&users_file, users_text(users)?)?;
        let mut instances = Vec::new();
        for number in 1..=options.instances {
            let mut to_nats = Vec::new();
            for address in &addresses {
                to_nats.push(Proxy::to(*address).await?);
            }
            let (listen, admin) = (free_port()?, free_port()?);
            let name = format!("herald-{number}");
            let mut environment = vec![
                ("HERALD_INSTANCE__NAME", name.clone()),
                ("HERALD_HTTP__LISTEN", listen.to_string()),
                ("HERALD_HTTP__ADMIN_LISTEN", admin.to_string()),
                ("HERALD_LOG__LEVEL", "info".into()),
                ("HERALD_API__ACCESS", "open".into()),
                ("HERALD_AUTH__USERS_FILE", users_file.display().to_string()),
                ("HERALD_HISTORY__ENABLED", "true".into()),
            ];
            if let Some(bytes) = &options.tail_bytes {
                environment.push(("HERALD_HISTORY__TAIL_BYTES", bytes.clone()));
            }
            if !to_nats.is_empty() {
                let urls = to_nats.iter().map(|proxy| format!("nats://{}", proxy.address));
                environment.push(("HERALD_BUS__URL", urls.collect::<Vec<_>>().join(",")));
                environment.push(("HERALD_HISTORY__REPLICAS", replicas(options.servers).to_string()));
            }
            let environment = environment
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value));
            let given = options.set.iter().filter_map(|setting| setting.split_once('='));
            let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let mut process = Process::new(
                name,
                &program,
                vec!["serve".into()],
                environment.chain(given).collect(),
                folder,
                Readiness::Readyz(admin),
            );
            process.start()?;
            let door = Proxy::to(listen).await?;
            instances.push(Instance {
                process,
                door,
                to_nats,
            });
        }
        let mut plant = Self {
            instances,
            servers,
            stores,
        };
        plant.ready().await?;
        Ok(plant)
    }

    /// Waits until all is ready.
    pub async fn ready(&mut self) -> Outcome<()> {
        for server in &mut self.servers {
            server.ready().await?;
        }
        for instance in &mut self.instances {
            instance.process.ready().await?;
        }
        Ok(())
    }

    /// Ends all NATS servers.
    pub async fn stop_nats(&mut self, signal: Signal) -> Outcome<()> {
        for server in &mut self.servers {
            server.end(signal).await?;
        }
        Ok(())
    }

    /// Starts them again.
    pub fn start_nats(&mut self) -> Outcome<()> {
        for server in &mut self.servers {
            server.start()?;
        }
        Ok(())
    }

    /// Copies what the servers have stored. They must not run.
    pub fn keep_stores(&self) -> Outcome<()> {
        for store in &self.stores {
            remove(&store.copy)?;
            copy(&store.path, &store.copy)?;
        }
        Ok(())
    }

    /// Puts the copies in the place of what the servers have stored.
    pub fn put_back_stores(&self) -> Outcome<()> {
        self.empty_stores()?;
        for store in &self.stores {
            std::fs::rename(&store.copy, &store.path)?;
        }
        Ok(())
    }

    /// Deletes what the servers have stored.
    pub fn empty_stores(&self) -> Outcome<()> {
        for store in &self.stores {
            remove(&store.path)?;
        }
        Ok(())
    }

    /// Where clients and publishers come in.
    pub fn doors(&self) -> Vec<SocketAddr> {
        self.instances
            .iter()
            .map(|instance| instance.door.address)
            .collect()
    }
}

/// A stream has as many replicas as there are servers, up to three.
fn replicas(servers: usize) -> usize {
    if servers >= 3 { 3 } else { 1 }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match folder.exists() {
        true => std::fs::remove_dir_all(folder),
        false => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The servers, where they store, and where clients reach them.
#[allow(clippy::type_complexity, reason = "read once")]
fn nats(options: &Options, folder: &Path) -> Outcome<(Vec<Process>, Vec<Store>, Vec<SocketAddr>)> {
    let mut ports = Vec::new();
    for _ in 0..options.servers {
        ports.push((free_port()?, free_port()?, free_port()?));
    }
    let routes: Vec<_> = ports
        .iter()
        .map(|(_, _, route)| format!("nats://{route}"))
        .collect();
    let (mut servers, mut stores) = (Vec::new(), Vec::new());
    for (number, (client, monitor, route)) in ports.iter().enumerate() {
        let name = format!("nats-{}", number + 1);
        let store = folder.join(format!("{name}-store"));
        let mut text = format!(
            "server_name: {name}\nlisten: \"{client}\"\nhttp: \"{monitor}\"\nmax_payload: 8MB\n\
             jetstream {{ store_dir: \"{}\", max_mem: 256MB, max_file: 8GB }}\n",
            store.display()
        );
        if options.servers > 1 {
            // Clients stay on the addresses that they were given: those of the proxies.
            text.push_str(&format!(
                "cluster {{ name: check, listen: \"{route}\", no_advertise: true, routes: [{}] }}\n",
                routes.join(", ")
            ));
        }
        stores.push(Store {
            path: store,
            copy: folder.join(format!("{name}-copy")),
        });
        let file = folder.join(format!("{name}.conf"));
        std::fs::write(&file, text)?;
        servers.push(Process::new(
            name,
            &nats_server(),
            vec!["-c".into(), file.display().to_string()],
            Vec::new(),
            folder,
            Readiness::Healthz(*monitor),
        ));
    }
    let addresses = ports.into_iter().map(|(client, _, _)| client).collect();
    Ok((servers, stores, addresses))
}

/// All users, with a password that costs next to nothing to check.
fn users_text(users: &[String]) -> Outcome<String> {
    let params = Params::new(8, 1, 1, None).map_err(|error| error.to_string())?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(PASSCODE.as_bytes())
        .map_err(|error| error.to_string())?;
    let of = |user| format!("[[users]]\nname = \"{user}\"\npassword = \"{hash}\"\nroles = [\"ROLE_USER\"]\n");
    Ok(users.iter().map(of).collect())
}
