//! The TLS settings of a listener. Knows the files only by their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::setting::{Findings, as_text};

/// `[http.tls]` and `[http.admin_tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file of the certificate, with its chain. `None`: no TLS.
    pub cert_file: Option<String>,
    /// A PEM file of its private key.
    pub key_file: Option<String>,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
    /// Handshakes at the same time.
    pub handshakes: usize,
    /// A PEM file of the authorities that vouch for clients.
    pub client_ca_file: Option<String>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            min_version: MinVersion::default(),
            handshakes: 256,
            client_ca_file: None,
            client_auth: ClientAuth::None,
        }
    }
}

impl TlsConfig {
    /// Both files, where TLS is spoken.
    pub fn files(&self) -> Option<(&str, &str)> {
        Some((self.cert_file.as_deref()?, self.key_file.as_deref()?))
    }

    /// Checks that the settings of `section` fit each other.
    pub(super) fn check(&self, section: &str, findings: &mut Findings) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => findings.error(
                format!("{section}.cert_file"),
                format!("expected {section}.key_file too"),
            ),
            (None, Some(_)) => findings.error(
                format!("{section}.key_file"),
                format!("expected {section}.cert_file too"),
            ),
            _ => {}
        }
        match (&self.client_ca_file, self.client_auth) {
            (None, ClientAuth::Request | ClientAuth::Require) => findings.error(
                format!("{section}.client_auth"),
                format!("expected {section}.client_ca_file too"),
            ),
            (Some(_), ClientAuth::None) => findings.warn(
                format!("{section}.client_ca_file"),
                format!("no client is asked for a certificate ({section}.client_auth)"),
            ),
            (_, ClientAuth::Request | ClientAuth::Require) if self.files().is_none() => findings.error(
                format!("{section}.client_auth"),
                format!("expected {section}.cert_file too"),
            ),
            _ => {}
        }
        findings.at_least(&format!("{section}.handshakes"), self.handshakes, 1);
    }
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not.
    #[default]
    None,
    /// They are, and may have none.
    Request,
    /// Without one there is no connection.
    Require,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// `1.2`
    #[default]
    Tls12,
    /// `1.3`
    Tls13,
}

impl fmt::Display for MinVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

impl FromStr for MinVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err("expected \"1.2\" or \"1.3\""),
        }
    }
}

as_text!(MinVersion);
