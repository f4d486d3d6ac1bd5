//! How long the certificates named in the configuration are valid.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Line;
use crate::config::Config;

/// A certificate that expires sooner is reported.
const SOON: Duration = Duration::from_secs(30 * 86_400);
/// The largest file.
const FILE_MAX_BYTES: u64 = 256 << 10;

/// The lines about certificates; empty if the configuration names none.
pub(super) fn look(config: &Config) -> Vec<Line> {
    let files = [
        ("bus.ca_file", &config.bus.ca_file),
        ("bus.cert_file", &config.bus.cert_file),
        ("http.tls.cert_file", &config.http.tls.cert_file),
        ("http.admin_tls.cert_file", &config.http.admin_tls.cert_file),
    ];
    let files = files
        .into_iter()
        .filter_map(|(key, path)| Some((key, path.as_ref()?)));
    files.flat_map(|(key, path)| file(key, path)).collect()
}

fn file(key: &'static str, path: &str) -> Vec<Line> {
    let advice = format!("set {key} to a readable file of certificates in PEM");
    let pem = match read(path) {
        Ok(pem) => pem,
        Err(error) => return vec![Line::fail("certificate", format!("{path}: {error}"), advice)],
    };
    // rustls's reader: x509-cert's own panics on a file without an end of line.
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    if chain.is_empty() {
        return vec![Line::fail(
            "certificate",
            format!("{path} holds no certificate"),
            advice,
        )];
    }
    chain.iter().map(|der| shown(key, der)).collect()
}

fn read(path: &str) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_MAX_BYTES)
        .read_to_end(&mut pem)?;
    Ok(pem)
}

/// The line about a certificate of `place`, a setting or the server that presented it.
pub(super) fn shown(place: &str, der: &[u8]) -> Line {
    match Certificate::from_der(der) {
        Ok(certificate) => judge(place, &certificate, SystemTime::now()),
        Err(error) => Line::fail(
            "certificate",
            format!("{place} has one that cannot be read: {error}"),
            "put an X.509 certificate there",
        ),
    }
}

fn judge(key: &str, certificate: &Certificate, now: SystemTime) -> Line {
    let inner = &certificate.tbs_certificate;
    let (from, until) = (inner.validity.not_before, inner.validity.not_after);
    let name = format!("{} ({key})", inner.subject);
    let advice = format!("a new one is due at {key}");
    if now < from.to_system_time() {
        let detail = format!("{name} holds only from {from} on");
        return Line::fail("certificate", detail, "wait, or set this machine's clock right");
    }
    match until.to_system_time().duration_since(now) {
        Err(_) => Line::fail("certificate", format!("{name} ended {until}"), advice),
        Ok(left) if left < SOON => {
            let days = left.as_secs() / 86_400;
            Line::warn(
                "certificate",
                format!("{name} ends {until}, in {days} days"),
                advice,
            )
        }
        Ok(_) => Line::ok("certificate", format!("{name} holds until {until}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/nats_tls/ca.pem");

    #[test]
    fn dates_are_judged() {
        let pem = std::fs::read(CA).unwrap();
        let certificate = &Certificate::from_der(&CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let validity = &certificate.tbs_certificate.validity;
        let (from, until) = (
            validity.not_before.to_system_time(),
            validity.not_after.to_system_time(),
        );
        let day = Duration::from_secs(86_400);
        let check = |now, expected| {
            assert_eq!(judge("bus.ca_file", certificate, now).status, expected);
        };
        check(from - day, Status::Fail);
        check(from + day, Status::Ok);
        check(until - day, Status::Warn);
        check(until + day, Status::Fail);
    }

    #[test]
    fn what_is_no_certificate_fails() {
        assert_eq!(file("bus.ca_file", "/nowhere.pem")[0].status, Status::Fail);
        let empty = tempfile::NamedTempFile::new().unwrap();
        let path = empty.path().to_str().unwrap();
        assert_eq!(file("bus.ca_file", path)[0].status, Status::Fail);
    }
}
