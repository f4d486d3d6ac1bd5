//! The server's side of TLS: a certificate and its key, which may be replaced while connections are served, and the one
//! place where a server's configuration is made. Knows no file and no connection.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// A certificate with its chain and its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    key: Arc<CertifiedKey>,
    /// Until when it holds.
    pub(crate) expires: SystemTime,
}

/// What is wrong with a pair, in the words of an error's rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The certificate.
    Certificate(String),
    /// The key.
    Key(String),
}

impl Pair {
    /// From PEM: the certificate first, then its chain; and the key, which must not be encrypted.
    ///
    /// # Errors
    /// Either cannot be read, they do not belong together, or the certificate has expired by `now`.
    pub(crate) fn from_pem(certificate: &[u8], key: &[u8], now: SystemTime) -> Result<Self, Unusable> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.unwrap_or_default();
        let wrong = |words: String| Unusable::Certificate(words);
        let Some(leaf) = chain.first() else {
            return Err(wrong("expected certificates in PEM".into()));
        };
        let leaf = Certificate::from_der(leaf)
            .map_err(|error| wrong(format!("expected an X.509 certificate: {error}")))?;
        let until = leaf.tbs_certificate.validity.not_after;
        let expires = until.to_system_time();
        if expires <= now {
            return Err(wrong(format!(
                "the certificate has expired: it held until {until}"
            )));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| Unusable::Key("expected a private key in PEM, not encrypted".into()))?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
            Unusable::Key(match error {
                rustls::Error::InconsistentKeys(_) => "expected the private key of the certificate".into(),
                other => other.to_string(),
            })
        })?;
        let key = Arc::new(key);
        Ok(Self { key, expires })
    }
}

/// The pair in force. Connections take it when they shake hands, and keep nothing of it.
#[derive(Debug)]
pub(crate) struct InForce(RwLock<Pair>);

impl InForce {
    /// `pair`, until it is replaced.
    pub(crate) fn new(pair: Pair) -> Arc<Self> {
        Arc::new(Self(RwLock::new(pair)))
    }

    /// Handshakes from now on use `pair`.
    pub(crate) fn replace(&self, pair: Pair) {
        *self.0.write() = pair;
    }

    /// Until when it holds.
    pub(crate) fn expires(&self) -> SystemTime {
        self.0.read().expires
    }
}

impl ResolvesServerCert for InForce {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().key))
    }
}

/// Whose certificates are taken from clients.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// The authorities that vouch for them.
    pub(crate) roots: Arc<RootCertStore>,
    /// Whether every client has to show one.
    pub(crate) required: bool,
}

impl Clients {
    /// Those that the authorities in `pem` vouch for.
    ///
    /// # Errors
    /// Words: there is no authority in it.
    pub(crate) fn from_pem(pem: &[u8], required: bool) -> Result<Self, String> {
        let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.unwrap_or_default());
        match roots.is_empty() {
            true => Err("expected certificates in PEM".into()),
            false => Ok(Self {
                roots: Arc::new(roots),
                required,
            }),
        }
    }
}

/// A server that shows what is `in_force` and speaks HTTP/1.1, over TLS 1.3 or, unless `only_13`, 1.2. Who comes again brings a ticket, which this process alone can
/// read; nothing is kept for it, and nothing is read before the handshake is complete. Where `clients` show certificates there are no
/// tickets: who comes again is verified again.
///
/// # Errors
/// The library's: no randomness for the tickets' key.
pub(crate) fn config(
    in_force: Arc<InForce>,
    only_13: bool,
    clients: Option<Clients>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match only_13 {
        false => &[&version::TLS13, &version::TLS12],
        true => &[&version::TLS13],
    };
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
    let are_asked = clients.is_some();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(Clients { roots, required }) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match required {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(in_force);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if are_asked {
        config.send_tls13_tickets = 0;
        return Ok(config);
    }
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}
