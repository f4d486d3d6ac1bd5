//! `[bus]`: how to reach NATS. No finding repeats a secret.

use serde::{Deserialize, Serialize};

use super::nats::Servers;
use super::subject::Prefix;
use crate::setting::{ByteSize, Findings, HumanDuration, Secret};

const CAPACITY_MAX: usize = 1 << 20;

/// `[bus]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `nats://host:port`, several separated by commas. `None`: the embedded bus.
    pub url: Option<Servers>,
    /// The first token of every subject.
    pub prefix: Prefix,
    /// The user name.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<String>,
    /// The token.
    pub token: Option<Secret>,
    /// A file with the token.
    pub token_file: Option<String>,
    /// A credentials file (JWT and seed).
    pub credentials_file: Option<String>,
    /// An NKey seed.
    pub nkey: Option<Secret>,
    /// A file with the NKey seed.
    pub nkey_file: Option<String>,
    /// A PEM file of the authorities to trust. Setting it requires TLS.
    pub ca_file: Option<String>,
    /// A PEM file of the certificate to show to a server that verifies its clients, with its chain. Setting it requires
    /// TLS.
    pub cert_file: Option<String>,
    /// A PEM file of the private key of `cert_file`.
    pub key_file: Option<String>,
    /// A file with one or two keys, a line each: control messages are signed with the first and believed by either.
    pub control_key_file: Option<String>,
    /// What becomes of control messages without a good signature, once there is a key.
    pub control_unsigned: Unsigned,
    /// Whether to begin with TLS, for a server with `handshake_first`. Setting it requires TLS.
    pub tls_first: bool,
    /// How long a backend may take to answer an application request.
    pub request_timeout: HumanDuration,
    /// The longest pause between attempts to reconnect.
    pub reconnect_delay: HumanDuration,
    /// How often the server is asked whether it is still there.
    pub ping_interval: HumanDuration,
    /// How many messages may wait per subscription in the NATS client until Herald's own tasks take them, which they
    /// always do at once. Large, since the client reads up to 8 MiB from its socket in one go: a burst of small
    /// messages is many.
    pub subscription_capacity: usize,
    /// How many notifications the embedded bus holds for a slow instance before publishers wait.
    pub embedded_capacity: usize,
    /// Bytes of notifications that may wait for this instance's own reader. Beyond it the embedded bus makes
    /// publishers wait, and on NATS new messages are dropped and counted.
    pub incoming_bytes: ByteSize,
}

/// `bus.control_unsigned`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsigned {
    /// They are counted and handled, so that instances with and without a key are one cluster.
    #[default]
    Accept,
    /// They are counted and dropped.
    Refuse,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            prefix: Prefix::default(),
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            credentials_file: None,
            nkey: None,
            nkey_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            control_key_file: None,
            control_unsigned: Unsigned::Accept,
            tls_first: false,
            request_timeout: HumanDuration::secs(5),
            reconnect_delay: HumanDuration::millis(500),
            ping_interval: HumanDuration::secs(5),
            subscription_capacity: 65_536,
            embedded_capacity: 1_024,
            incoming_bytes: ByteSize::mib(64),
        }
    }
}

impl Config {
    /// Checks that there is only one way to authenticate, and that the bounds are sane.
    pub fn check(&self, findings: &mut Findings) {
        one_of_two(
            "password",
            self.password.is_some(),
            self.password_file.is_some(),
            findings,
        );
        one_of_two("token", self.token.is_some(), self.token_file.is_some(), findings);
        one_of_two("nkey", self.nkey.is_some(), self.nkey_file.is_some(), findings);
        // Names the key that is set: one that is not set has no location.
        let either = |key, is_set, file_key, file_is_set: bool| {
            if is_set {
                Some(key)
            } else {
                file_is_set.then_some(file_key)
            }
        };
        let password = either(
            "bus.password",
            self.password.is_some(),
            "bus.password_file",
            self.password_file.is_some(),
        );
        match (&self.user, password) {
            (Some(_), None) => findings.error("bus.user", "expected bus.password or bus.password_file too"),
            (None, Some(key)) => findings.error(key, "expected bus.user too"),
            _ => {}
        }

        let ways: Vec<&str> = [
            self.user.is_some().then_some("bus.user"),
            either(
                "bus.token",
                self.token.is_some(),
                "bus.token_file",
                self.token_file.is_some(),
            ),
            self.credentials_file.is_some().then_some("bus.credentials_file"),
            either(
                "bus.nkey",
                self.nkey.is_some(),
                "bus.nkey_file",
                self.nkey_file.is_some(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let [first, _, ..] = ways[..] {
            findings.error(
                first,
                format!("expected one way to authenticate, got {}", ways.join(" and ")),
            );
        }
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => findings.error("bus.cert_file", "expected bus.key_file too"),
            (None, Some(_)) => findings.error("bus.key_file", "expected bus.cert_file too"),
            _ => {}
        }
        if self.control_unsigned == Unsigned::Refuse && self.control_key_file.is_none() {
            findings.error(
                "bus.control_unsigned",
                "takes effect only with bus.control_key_file; set that too",
            );
        }
        if self.url.is_none() {
            let others = [
                self.control_key_file.is_some().then_some("bus.control_key_file"),
                self.ca_file.is_some().then_some("bus.ca_file"),
                self.cert_file.is_some().then_some("bus.cert_file"),
                self.tls_first.then_some("bus.tls_first"),
            ];
            for key in ways.into_iter().chain(others.into_iter().flatten()) {
                findings.warn(
                    key,
                    "has no effect: bus.url is not set, so the bus is the embedded one",
                );
            }
        }

        findings.positive("bus.request_timeout", self.request_timeout);
        findings.positive("bus.reconnect_delay", self.reconnect_delay);
        findings.positive("bus.ping_interval", self.ping_interval);
        findings.within(
            "bus.subscription_capacity",
            self.subscription_capacity,
            1,
            CAPACITY_MAX,
        );
        findings.within("bus.embedded_capacity", self.embedded_capacity, 1, CAPACITY_MAX);
    }
}

fn one_of_two(name: &str, value: bool, file: bool, findings: &mut Findings) {
    if value && file {
        findings.error(
            format!("bus.{name}"),
            format!("expected this or bus.{name}_file, got both"),
        );
    }
}
