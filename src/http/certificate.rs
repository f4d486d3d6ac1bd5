//! A listener's certificate: read from its files at the start, and again whenever they change. Knows no connection;
//! existing ones are not affected.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::config::{ClientAuth, MinVersion, TlsConfig};
use super::listener::TlsOptions;
use crate::file_watch::FileWatch;
use crate::setting::Findings;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::tls::server::{self, Clients, InForce, Pair, Unusable};

/// The largest file. A chain has a few KiB.
const FILE_MAX_BYTES: u64 = 256 << 10;

/// A listener's certificate, and where it comes from.
pub(crate) struct Certificate {
    /// `http.tls` or `http.admin_tls`
    section: &'static str,
    files: Arc<[Box<Path>; 2]>,
    options: TlsOptions,
    in_force: Arc<InForce>,
    seen: Seen,
}

/// What was last seen of the files, so that each state of them is loaded, or complained about, once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Content([u8; 32]),
    Unreadable(String),
}

impl Certificate {
    /// Reads the files of `config`, which is checked. `None`: the section sets none, or an error was noted. Blocks.
    pub(crate) fn open(config: &TlsConfig, section: &'static str, findings: &mut Findings) -> Option<Self> {
        let (cert, key) = config.files()?;
        let files: Arc<[Box<Path>; 2]> = Arc::new([Path::new(cert).into(), Path::new(key).into()]);
        let (content, read) = read(&files);
        let read = read.map_err(|problem| (problem.key(), problem.words()));
        let made = read.and_then(|pair| {
            let in_force = InForce::new(pair);
            let only_13 = config.min_version == MinVersion::Tls13;
            let clients = clients(config).map_err(|words| ("client_ca_file", words))?;
            let config = server::config(Arc::clone(&in_force), only_13, clients)
                .map_err(|error| ("cert_file", error.to_string()))?;
            Ok((in_force, config))
        });
        match made {
            Ok((in_force, server)) => Some(Self {
                section,
                files,
                options: TlsOptions {
                    config: Arc::new(server),
                    handshakes: config.handshakes,
                },
                in_force,
                seen: content,
            }),
            Err((key, words)) => {
                findings.error(format!("{section}.{key}"), words);
                None
            }
        }
    }

    /// How the listener speaks TLS.
    pub(crate) fn options(&self) -> TlsOptions {
        self.options.clone()
    }

    /// Takes a new pair whenever the files change, until dropped, and tells `metrics` until when it holds. A pair that is not
    /// usable changes nothing.
    ///
    /// # Cancel safety
    /// May be dropped at any await: taking a pair is one step without one.
    pub(crate) async fn watch(self, metrics: Metrics, audit: Audit) {
        let Self {
            section,
            files,
            in_force,
            mut seen,
            ..
        } = self;
        let [cert, key] = &*files;
        let mut watches = [
            FileWatch::new(cert, "the certificate's file"),
            FileWatch::new(key, "the key's file"),
        ];
        loop {
            metrics.certificate_expires(section, in_force.expires());
            let [cert, key] = &mut watches;
            tokio::select! {
                () = cert.changed() => {}
                () = key.changed() => {}
            }
            let (files, in_force) = (Arc::clone(&files), Arc::clone(&in_force));
            let audit = audit.clone();
            let looking = move || look(section, &files, &in_force, seen, &audit);
            match tokio::task::spawn_blocking(looking).await {
                Ok(now) => seen = now,
                // What the files hold must not end the watch: they are read again at the next look.
                Err(error) if error.is_panic() => {
                    tracing::error!("reading the certificate of {section} panicked, the old one stays");
                    seen = Seen::Unreadable("reading it panicked".into());
                }
                // The runtime ends.
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

/// Whose certificates are taken from clients. Blocks.
fn clients(config: &TlsConfig) -> Result<Option<Clients>, String> {
    match (&config.client_ca_file, config.client_auth) {
        (Some(path), ClientAuth::Request | ClientAuth::Require) => {
            let pem = file(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
            Clients::from_pem(&pem, config.client_auth == ClientAuth::Require).map(Some)
        }
        _ => Ok(None),
    }
}

/// Why the files do not make a pair.
#[derive(Debug)]
enum Problem {
    File(&'static str, Box<Path>, io::Error),
    Pair(Unusable),
}

impl Problem {
    /// The setting, within its section.
    fn key(&self) -> &'static str {
        match self {
            Self::File(key, ..) => key,
            Self::Pair(Unusable::Certificate(_)) => "cert_file",
            Self::Pair(Unusable::Key(_)) => "key_file",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::File(_, path, error) => format!("{}: {error}", path.display()),
            Self::Pair(Unusable::Certificate(words) | Unusable::Key(words)) => words.clone(),
        }
    }
}

/// Reads both files. Blocks.
fn read(files: &[Box<Path>; 2]) -> (Seen, Result<Pair, Problem>) {
    let [cert, key] = files;
    let both = file(cert)
        .map_err(|error| Problem::File("cert_file", cert.clone(), error))
        .and_then(|cert| {
            let key = file(key).map_err(|error| Problem::File("key_file", key.clone(), error))?;
            Ok((cert, key))
        });
    match both {
        Err(problem) => (Seen::Unreadable(problem.words()), Err(problem)),
        Ok((cert, key)) => {
            let digest = Sha256::new()
                .chain_update(Sha256::digest(&cert))
                .chain_update(&key);
            let pair = Pair::from_pem(&cert, &key, SystemTime::now()).map_err(Problem::Pair);
            (Seen::Content(digest.finalize().into()), pair)
        }
    }
}

fn file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_MAX_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// Reads the files and takes their pair if they differ from `seen`. Blocks.
fn look(
    section: &'static str,
    files: &[Box<Path>; 2],
    in_force: &InForce,
    seen: Seen,
    audit: &Audit,
) -> Seen {
    let (now, read) = read(files);
    if now == seen {
        return seen;
    }
    match read {
        Ok(pair) => {
            let expires =
                jiff::Timestamp::try_from(pair.expires).map_or_else(|_| String::new(), |at| at.to_string());
            in_force.replace(pair);
            audit.certificate(section, Some(&expires));
            tracing::info!(expires, "{section}: a new certificate is in force");
        }
        Err(problem) => {
            let (key, words) = (problem.key(), problem.words());
            audit.certificate(section, None);
            tracing::error!("{section}.{key}: {words}; the old certificate stays");
        }
    }
    now
}
