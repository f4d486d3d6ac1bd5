//! TLS: the authorities that Herald trusts as a client, and both sides of a server (`server`, `session`). Knows no
//! address and no protocol above TLS.

pub(crate) mod identity;
pub(crate) mod pinned;
pub(crate) mod server;
pub(crate) mod session;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, RootCertStore};

/// The system's authorities. Callers add those of a file that they are told of.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // A certificate of the system's that cannot be read is not trusted; the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// A client that trusts `roots` and shows no certificate of its own.
///
/// # Errors
/// The library's, if it cannot speak any version of TLS; it can.
pub(crate) fn client(roots: RootCertStore) -> Result<ClientConfig, Error> {
    client_with(roots, None)
}

/// A client that trusts `roots` and shows its certificate, with its chain, where the server asks for it.
///
/// # Errors
/// The key is not the certificate's.
pub(crate) fn client_with(
    roots: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots);
    match identity {
        Some((chain, key)) => config.with_client_auth_cert(chain, key),
        None => Ok(config.with_no_client_auth()),
    }
}
