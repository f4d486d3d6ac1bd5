//! Explains in terms of the settings why NATS cannot be reached: the client's errors name neither a setting nor the
//! server's requirement. Knows no connection.

use super::credentials::Credentials;
use crate::bus::Config;

/// The settings that a failure may be blamed on.
#[derive(Default)]
pub(super) struct Causes {
    credentials: Option<&'static str>,
    files: Vec<(&'static str, String)>,
    has_certificate: bool,
    tls_first: bool,
}

impl Causes {
    /// According to `[bus]`.
    pub(super) fn of(config: &Config) -> Self {
        let files = [
            ("bus.ca_file", &config.ca_file),
            ("bus.cert_file", &config.cert_file),
            ("bus.key_file", &config.key_file),
        ];
        Self {
            credentials: Credentials::of(config).setting(),
            files: files
                .into_iter()
                .filter_map(|(setting, path)| Some((setting, path.clone()?)))
                .collect(),
            has_certificate: config.cert_file.is_some(),
            tls_first: config.tls_first,
        }
    }

    /// The cause of the client's `error`, without a secret or a path. `None`: the error itself is clear enough, or says
    /// too little.
    pub(super) fn of_error(&self, error: &str) -> Option<String> {
        let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
        // An error about a setting's file repeats the setting or the path.
        let blamed = self
            .files
            .iter()
            .find(|(_, path)| error.contains(&format!("{path}: ")))
            .map(|(setting, _)| *setting)
            .or_else(|| {
                self.credentials
                    .filter(|setting| error.contains(&format!("{setting}: ")))
            });
        if let Some(setting) = blamed {
            return Some(format!(
                "{setting} cannot be read, or does not hold what it should"
            ));
        }
        if has(&["authorization violation"]) {
            return Some(match self.credentials {
                Some(setting) => format!("NATS does not accept the credentials of {setting}"),
                None => {
                    "NATS asks for credentials: set bus.user, bus.token, bus.nkey or bus.credentials_file"
                        .into()
                }
            });
        }
        if has(&["KeyMismatch", "could not add certificate or key"]) {
            return Some("bus.key_file does not belong to bus.cert_file".into());
        }
        if has(&["CertificateRequired"]) || (!self.has_certificate && has(&["alert: BadCertificate"])) {
            return Some(match self.has_certificate {
                true => "NATS does not accept the certificate of bus.cert_file".into(),
                false => "NATS asks for a client's certificate: set bus.cert_file and bus.key_file".into(),
            });
        }
        if has(&["invalid peer certificate"]) {
            let by = match self.files.iter().any(|(setting, _)| *setting == "bus.ca_file") {
                true => "the authorities of bus.ca_file",
                false => "the system's authorities (bus.ca_file names others)",
            };
            return Some(format!("the certificate of NATS is not one that {by} vouch for"));
        }
        if self.has_certificate && has(&["received fatal alert"]) {
            return Some("NATS does not accept the certificate of bus.cert_file".into());
        }
        if self.tls_first && has(&["InvalidContentType", "corrupt message"]) {
            return Some(
                "NATS does not begin with TLS: it has no handshake_first, which bus.tls_first needs".into(),
            );
        }
        if !self.tls_first && has(&["timed out", "got nothing"]) {
            return Some("NATS says nothing: it hangs, or it begins with TLS (handshake_first), which needs bus.tls_first".into());
        }
        None
    }
}

/// The client's `error` if no setting is to blame: how it failed, without the servers' addresses, which not everybody
/// may read.
pub(super) fn unreachable(error: &str) -> String {
    let known = [
        ("Connection refused", "the connection was refused"),
        ("DNS error", "a name was not found"),
        ("timed out", "no answer in time"),
        ("nreachable", "there is no route"),
        ("No route", "there is no route"),
        ("reset", "the connection was closed"),
        ("roken pipe", "the connection was closed"),
        ("closed", "the connection was closed"),
    ];
    let mut reasons: Vec<&str> = Vec::new();
    for (words, reason) in known {
        if error.contains(words) && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let reasons = match reasons.is_empty() {
        true => String::new(),
        false => format!(": {}", reasons.join(", ")),
    };
    format!("NATS cannot be reached{reasons} (bus.url; the log names each server that was tried)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_be_reached_is_not_named() {
        for (error, expected) in [
            (
                "nats://10.0.0.7:4222: IO error: Connection refused (os error 111)",
                "NATS cannot be reached: the connection was refused (bus.url",
            ),
            (
                "nats://a:1: IO error: Connection refused; nats://b:1: DNS error: failed to lookup",
                "NATS cannot be reached: the connection was refused, a name was not found (bus.url",
            ),
            ("nats://a:1: oh", "NATS cannot be reached (bus.url"),
        ] {
            let words = unreachable(error);
            assert!(words.starts_with(expected), "{error}: {words}");
            assert!(!words.contains("nats://"), "{words}");
        }
    }

    #[test]
    fn errors_are_put_down_to_settings() {
        let none = Causes::default();
        let all = Causes {
            credentials: Some("bus.password_file"),
            files: vec![
                ("bus.ca_file", "/etc/ca.pem".into()),
                ("bus.cert_file", "/etc/cert.pem".into()),
                ("bus.key_file", "/etc/key.pem".into()),
            ],
            has_certificate: true,
            tls_first: true,
        };
        for (causes, error, expected) in [
            (
                &all,
                "TLS error: /etc/key.pem: No such file or directory (os error 2)",
                "bus.key_file",
            ),
            (&all, "TLS error: /etc/ca.pem: no certificate", "bus.ca_file"),
            (
                &all,
                "failed signing nonce: AuthError(bus.password_file: cannot read \"/x\": gone)",
                "bus.password_file",
            ),
            (
                &all,
                "authorization violation: nats: authorization violation",
                "bus.password_file",
            ),
            (
                &none,
                "authorization violation: nats: authorization violation",
                "bus.token",
            ),
            (
                &all,
                "IO error: received fatal alert: CertificateRequired",
                "bus.cert_file",
            ),
            (
                &none,
                "IO error: received fatal alert: CertificateRequired",
                "bus.cert_file and bus.key_file",
            ),
            (
                &none,
                "IO error: received fatal alert: BadCertificate",
                "bus.cert_file and bus.key_file",
            ),
            (
                &all,
                "IO error: received fatal alert: DecryptError",
                "bus.cert_file",
            ),
            (
                &all,
                "IO error: invalid peer certificate: UnknownIssuer",
                "bus.ca_file",
            ),
            (
                &none,
                "IO error: invalid peer certificate: UnknownIssuer",
                "system's",
            ),
            (
                &all,
                "IO error: received corrupt message of type InvalidContentType",
                "handshake_first",
            ),
            (&none, "timed out", "bus.tls_first"),
        ] {
            let found = causes.of_error(error).unwrap_or_default();
            assert!(found.contains(expected), "{error}: {found:?} lacks {expected:?}");
            assert!(!found.contains('/'), "{found}");
        }
        assert_eq!(none.of_error("IO error: Connection refused (os error 111)"), None);
    }
}
