//! `[bus]` as options of the NATS client, and the pauses between attempts. Reads the files that the settings name; its
//! errors name setting and file, never a secret. Knows no connection.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_nats::ConnectOptions;

use super::credentials::Credentials;
use super::seal::ControlKeys;
use super::tls;
use crate::bus::Config;

/// How long one attempt to connect may take, including name resolution and TLS.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Publishes on their way from callers to the connection. Few, since those that are still there when a connection is
/// lost are sent late.
const CLIENT_CAPACITY: usize = 64;
/// The maximum size of a file that a setting may name.
const FILE_MAX_BYTES: usize = 256 << 10;
/// The first pause before connecting again is between 5 and 45 ms.
const FIRST_PAUSE_MS: (u64, u64) = (5, 40);
/// The second pause is at most this; each later one is at most twice the previous.
const SECOND_PAUSE: Duration = Duration::from_millis(100);

/// Why a connection with this `[bus]` section is not possible. A server that is down is no such error: Herald waits for
/// it.
#[derive(Debug)]
pub enum ConnectError {
    /// A file cannot be read.
    File {
        /// The setting that names it.
        setting: &'static str,
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A setting, or the file that it names, has the wrong content.
    Content {
        /// The setting.
        setting: &'static str,
        /// What it should contain.
        expected: &'static str,
    },
    /// The client refused to start.
    Client(async_nats::ConnectError),
    /// The client stopped before its subscriptions were made.
    Stopped,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                setting,
                path,
                source,
            } => write!(f, "{setting}: cannot read {path:?}: {source}"),
            Self::Content { setting, expected } => write!(f, "{setting}: expected {expected}"),
            Self::Client(error) => write!(f, "the NATS client refused to begin: {error}"),
            Self::Stopped => f.write_str("the NATS client stopped"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Client(error) => Some(error),
            _ => None,
        }
    }
}

impl ConnectError {
    /// The setting to blame, if there is one.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::File { setting, .. } | Self::Content { setting, .. } => Some(setting),
            Self::Client(_) | Self::Stopped => None,
        }
    }
}

/// Everything except the callbacks for events.
pub(super) fn options(identity: Identity, config: &Config, instance_name: &str) -> ConnectOptions {
    let longest = config.reconnect_delay.0;
    identity
        .options
        .name(format!("herald {instance_name}"))
        .retry_on_initial_connect()
        .reconnect_delay_callback(move |attempt| pause(attempt, longest, random()))
        .ping_interval(config.ping_interval.0.max(Duration::from_millis(100)))
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(config.subscription_capacity.max(1))
}

/// Herald's identity for the server and for other instances, and the certificates that the server may have: the content
/// of the files that the settings name.
pub struct Identity {
    pub(super) options: ConnectOptions,
    pub(super) control_keys: Option<ControlKeys>,
}

impl Identity {
    /// Reads the files that `[bus]` names. Blocks on them; opens no connection.
    ///
    /// # Errors
    /// A file cannot be read or has the wrong content; the error names its setting.
    pub fn read(config: &Config) -> Result<Self, ConnectError> {
        let credentials = Credentials::of(config);
        // For its errors only: the answer to a server is made for each connection.
        credentials.auth(b"")?;
        let options = credentials.options().connection_timeout(ATTEMPT_TIMEOUT);
        Ok(Self {
            options: tls::apply(options, config)?,
            control_keys: ControlKeys::read(config)?,
        })
    }
}

/// The text of the file that `setting` names.
pub(super) fn read(setting: &'static str, path: &str) -> Result<String, ConnectError> {
    use std::io::Read;

    let error = |source| ConnectError::File {
        setting,
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(error)?;
    let mut text = String::new();
    let mut bounded = file.take(FILE_MAX_BYTES as u64 + 1);
    bounded.read_to_string(&mut text).map_err(error)?;
    if text.len() > FILE_MAX_BYTES {
        return Err(error(std::io::Error::other("over 256 KiB")));
    }
    Ok(text)
}

/// The pause before attempt `attempt` (from 1; the client counts anew after each success): short at first, since a
/// connection is most often lost because of a message that the client cannot read; random, since the whole cluster
/// reconnects at once after an outage.
fn pause(attempt: usize, longest: Duration, random: u64) -> Duration {
    let (least, spread) = FIRST_PAUSE_MS;
    if attempt <= 1 {
        return Duration::from_millis(least + random % spread);
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(16);
    let bound = (SECOND_PAUSE * 2_u32.pow(doublings)).min(longest);
    let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(2);
    Duration::from_millis(bound_ms / 2 + random % (bound_ms / 2 + 1))
}

fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests;
