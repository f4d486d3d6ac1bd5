//! TLS to the NATS server according to the settings: which authorities to trust, and which certificate to present. The
//! client reads the files again for each connection. Knows no connection.

use std::path::PathBuf;

use async_nats::ConnectOptions;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::options::{ConnectError, read};
use crate::bus::Config;
use crate::tls;

/// Adds the TLS settings of `[bus]` to `options`. Blocks on the files, which it reads so that a start can fail.
///
/// # Errors
/// A file cannot be read or has the wrong content; the error names its setting.
pub(super) fn apply(mut options: ConnectOptions, config: &Config) -> Result<ConnectOptions, ConnectError> {
    if let Some(path) = &config.ca_file {
        certificates("bus.ca_file", path)?;
        options = options
            .add_root_certificates(PathBuf::from(path))
            .require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&config.cert_file, &config.key_file) {
        client_config(config)?;
        options = options
            .add_client_certificate(PathBuf::from(certificate), PathBuf::from(key))
            .require_tls(true);
    }
    if config.tls_first {
        options = options.tls_first();
    }
    Ok(options)
}

/// The client side of TLS according to the settings.
///
/// # Errors
/// As [`apply`].
pub(super) fn client_config(config: &Config) -> Result<ClientConfig, ConnectError> {
    let mut roots = tls::system_roots();
    if let Some(path) = &config.ca_file {
        roots.add_parsable_certificates(certificates("bus.ca_file", path)?);
    }
    let identity = match (&config.cert_file, &config.key_file) {
        (Some(certificate), Some(key)) => Some((
            certificates("bus.cert_file", certificate)?,
            PrivateKeyDer::from_pem_slice(read("bus.key_file", key)?.as_bytes()).map_err(|_| {
                ConnectError::Content {
                    setting: "bus.key_file",
                    expected: "a private key in PEM, not encrypted",
                }
            })?,
        )),
        _ => None,
    };
    tls::client_with(roots, identity).map_err(|_| ConnectError::Content {
        setting: "bus.key_file",
        expected: "the private key of the certificate in bus.cert_file",
    })
}

fn certificates(setting: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let pem = read(setting, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConnectError::Content {
            setting,
            expected: "certificates in PEM",
        }),
    }
}
