//! `herald health`: asks the instance that the same configuration would start whether it is ready, or alive, and ends with
//! 0 or 1. For `HEALTHCHECK` in images that hold nothing but the program. Knows where the answer stands, not what makes it.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};

use super::ConfigArgs;
use crate::http::Config;
use crate::http_client::{HttpClient, HttpClientError};
use crate::setting::HumanDuration;

/// The longest answer that is read; Herald's own is some 100 bytes.
const ANSWER_MAX_BYTES: usize = 16 << 10;

/// Whom to ask for what.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Which instance: the one that `serve` would start with these flags and this environment.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Ask this instance instead, such as herald.example:9090; paths are those of the configuration all the same.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Ask /livez, whether the process is alive, instead of /readyz, whether it can serve.
    #[arg(long)]
    pub live: bool,
    /// How long to wait for the whole answer.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub timeout: HumanDuration,
}

/// Why the instance does not count as healthy.
#[derive(Debug)]
pub enum HealthError {
    /// No runtime, or standard output is gone.
    Io(io::Error),
    /// There is no whole answer.
    NoAnswer(String, String),
    /// The answer is not 200.
    Unhealthy(String, StatusCode, String),
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NoAnswer(url, why) => write!(f, "{url}: no answer: {why}"),
            Self::Unhealthy(url, status, body) => write!(f, "{url}: {status}: {}", body.trim_end()),
        }
    }
}

impl std::error::Error for HealthError {}

impl From<io::Error> for HealthError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Asks `address`, else `http.admin_listen` if it is set, else `http.listen`, and prints the answer.
///
/// # Errors
/// Whatever is not a 200 within the time.
pub fn run(
    config: &Config,
    address: Option<String>,
    live: bool,
    timeout: HumanDuration,
) -> Result<(), HealthError> {
    let address = address.unwrap_or_else(|| configured(config).to_string());
    let route = if live { "/livez" } else { "/readyz" };
    let path = format!("{}{route}", config.base_path);
    let url = format!("http://{address}{path}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(get(&url, timeout.0)) {
        Ok((StatusCode::OK, body)) => {
            writeln!(io::stdout().lock(), "{url}: {}", body.trim_end())?;
            Ok(())
        }
        Ok((status, body)) => Err(HealthError::Unhealthy(url, status, body)),
        Err(HttpClientError::Timeout(_)) => Err(HealthError::NoAnswer(url, format!("none within {timeout}"))),
        Err(why) => Err(HealthError::NoAnswer(url, why.to_string())),
    }
}

/// Where the configured instance answers; all interfaces are reached by the loopback.
fn configured(config: &Config) -> SocketAddr {
    let mut address = config.admin_listen.unwrap_or(config.listen);
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// One GET on a connection of its own.
async fn get(url: &str, within: Duration) -> Result<(StatusCode, String), HttpClientError> {
    let broken = |error: &dyn fmt::Display| HttpClientError::Broken(error.to_string());
    let request = Request::get(url)
        .header(header::CONNECTION, "close")
        .body(Bytes::new())
        .map_err(|error| broken(&error))?;
    let client = HttpClient::plain(ANSWER_MAX_BYTES).map_err(|error| broken(&error))?;
    let answer = client.send(request, within).await?;
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    Ok((answer.status(), body))
}

#[cfg(test)]
mod tests;
