//! Callers that are identified by their client certificates: `[[api.certificates]]`. Knows no connection; the
//! certificate is already verified.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{Key, KeyDigests, Scope, default_scopes, name, scopes, shown};
use super::key::ApiKey;
use crate::destination::Prefixes;
use crate::permissions::Pattern;
use crate::setting::{ByteRate, Findings};
use crate::tls::identity::Names;

/// One `[[api.certificates]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// Appears in spans and the audit log: 1 to 128 bytes without control characters.
    #[serde(deserialize_with = "name", serialize_with = "shown")]
    pub name: Arc<str>,
    /// A URI of the certificate's subjectAltName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<Box<str>>,
    /// A DNS name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Box<str>>,
    /// Its whole subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<str>>,
    /// What its holder may do; never empty.
    #[serde(default = "default_scopes", deserialize_with = "scopes")]
    pub scopes: Box<[Scope]>,
    /// Where it may publish. None: where `permissions.publish` lets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Pattern>>,
}

impl CertificateConfig {
    /// Whether `names` has the one that this wants.
    fn fits(&self, names: &Names) -> bool {
        let has = |wanted: &Option<Box<str>>, found: &[String]| {
            wanted
                .as_deref()
                .is_some_and(|wanted| found.iter().any(|found| found == wanted))
        };
        has(&self.uri, &names.uris)
            || has(&self.dns, &names.dns)
            || has(&self.subject, std::slice::from_ref(&names.subject))
    }
}

/// Checks that each names one certificate, and each name one of them.
pub(super) fn check(certificates: &[CertificateConfig], findings: &mut Findings) {
    let mut names = std::collections::HashSet::new();
    for (index, certificate) in certificates.iter().enumerate() {
        let CertificateConfig {
            name,
            uri,
            dns,
            subject,
            ..
        } = certificate;
        let wanted: Vec<_> = [uri, dns, subject].into_iter().flatten().collect();
        if !matches!(&wanted[..], [one] if !one.is_empty()) {
            findings.error(
                format!("api.certificates[{index}]"),
                "expected exactly one of uri, dns and subject",
            );
        }
        if !names.insert(name) {
            findings.error(
                format!("api.certificates[{index}].name"),
                format!("{name:?} is another certificate's name too"),
            );
        }
    }
}

/// All of them, ready for use.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<(CertificateConfig, Arc<ApiKey>)>);

impl Certificates {
    /// Destinations that mean nothing under `prefixes` are noted as errors.
    pub(super) fn new(
        configured: &[CertificateConfig],
        prefixes: &Prefixes,
        findings: &mut Findings,
    ) -> Self {
        let ready = configured.iter().enumerate().map(|(index, certificate)| {
            // What a key may do, without what makes it one.
            let rights = Key {
                name: Arc::clone(&certificate.name),
                sha256: KeyDigests([].into()),
                scopes: certificate.scopes.clone(),
                destinations: certificate.destinations.clone(),
                rate: None,
                bytes: ByteRate::OFF,
                not_after: None,
            };
            let place = format!("api.certificates[{index}]");
            let rights = ApiKey::new(&place, &rights, prefixes, None, findings);
            (certificate.clone(), Arc::new(rights))
        });
        Self(ready.collect())
    }

    /// What the holder of the certificate of the entry `name` may do.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<ApiKey>> {
        let mut all = self.0.iter();
        all.find(|(certificate, _)| *certificate.name == *name)
            .map(|(_, rights)| rights)
    }

    /// What the holder of a certificate with these names may do: the first that fits decides.
    pub(super) fn find(&self, names: &Names) -> Option<&Arc<ApiKey>> {
        let mut all = self.0.iter();
        all.find(|(certificate, _)| certificate.fits(names))
            .map(|(_, rights)| rights)
    }
}
