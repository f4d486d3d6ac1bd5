//! What Herald trusts where it is a TLS client itself. Knows no address and no protocol above TLS.

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
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
