//! The names in a client's certificate. Knows no caller.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The names in a certificate that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// The URIs of its subjectAltName, such as SPIFFE's.
    pub(crate) uris: Vec<String>,
    /// The DNS names of its subjectAltName.
    pub(crate) dns: Vec<String>,
    /// Its subject, as RFC 4514 writes it.
    pub(crate) subject: String,
}

impl Names {
    /// Those of `certificate`. What cannot be read names nobody.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = Certificate::from_der(certificate) else {
            return Self::default();
        };
        let inner = &certificate.tbs_certificate;
        let mut names = Self {
            subject: inner.subject.to_string(),
            ..Self::default()
        };
        let Ok(Some((_, alternatives))) = inner.get::<SubjectAltName>() else {
            return names;
        };
        for name in alternatives.0 {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
                GeneralName::DnsName(dns) => names.dns.push(dns.to_string()),
                _ => {}
            }
        }
        names
    }
}
