//! `herald health`: asks the instance that the same configuration would start whether it is ready, or alive, and ends
//! with 0 or 1. For `HEALTHCHECK` in images that contain only the program. Knows the address of the answer, not what
//! produces it.

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
use crate::tls::pinned;

/// The maximum length of an answer; Herald's own is some 100 bytes.
const ANSWER_MAX_BYTES: usize = 16 << 10;

/// How long it waits before it asks again if the server's certificate is not the one in its file: a server loads a new
/// one 200 ms after the files have changed.
const RETRY: Duration = Duration::from_millis(250);

/// The instance to ask, and the question.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  herald health --config herald.toml
  herald health --live --timeout 5s
  herald health --address 10.0.0.7:8080")]
pub struct HealthArgs {
    /// The instance: the one that `serve` would start with these flags and this environment.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Ask this instance instead, such as herald.example:9090. The paths still come from the configuration.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Requests /livez (whether the process is alive) instead of /readyz (whether it can serve).
    #[arg(long)]
    pub live: bool,
    /// How long to wait for the complete answer.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub timeout: HumanDuration,
}

/// Why the instance does not count as healthy.
#[derive(Debug)]
pub enum HealthError {
    /// No runtime, or standard output is gone.
    Io(io::Error),
    /// There is no complete answer.
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
/// Anything but a 200 within the time.
pub fn run(
    config: &Config,
    address: Option<String>,
    live: bool,
    timeout: HumanDuration,
) -> Result<(), HealthError> {
    let address = address.unwrap_or_else(|| configured(config).to_string());
    let route = if live { "/livez" } else { "/readyz" };
    let path = format!("{}{route}", config.base_path);
    let tls = own_tls(config);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}{path}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(ask(&url, tls.map(|(cert, _)| cert), timeout.0)) {
        Ok((StatusCode::OK, body)) => {
            writeln!(io::stdout().lock(), "{url}: {}", body.trim_end())?;
            Ok(())
        }
        Ok((status, body)) => Err(HealthError::Unhealthy(url, status, body)),
        Err(HttpClientError::Timeout(_)) => Err(HealthError::NoAnswer(url, format!("none within {timeout}"))),
        Err(why) => Err(HealthError::NoAnswer(url, why.to_string())),
    }
}

/// The address at which the configured instance answers; all interfaces are reached through the loopback.
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

/// The files of the listener that answers, if it speaks TLS.
fn own_tls(config: &Config) -> Option<(&str, &str)> {
    match config.admin_listen {
        Some(_) => config.admin_tls.files(),
        None => config.tls.files(),
    }
}

/// Asks until there is an answer, if the certificate may just be changing; otherwise once.
async fn ask(
    url: &str,
    cert_file: Option<&str>,
    within: Duration,
) -> Result<(StatusCode, String), HttpClientError> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let answer = get(url, cert_file, left).await;
        let again = cert_file.is_some() && matches!(answer, Err(HttpClientError::Connect(_)));
        if !again || left <= RETRY {
            return match answer {
                Err(HttpClientError::Timeout(_)) => Err(HttpClientError::Timeout(within)),
                answer => answer,
            };
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One GET on a separate connection. With TLS the certificate has to be the one in `cert_file`.
async fn get(
    url: &str,
    cert_file: Option<&str>,
    within: Duration,
) -> Result<(StatusCode, String), HttpClientError> {
    let broken = |error: &dyn fmt::Display| HttpClientError::Broken(error.to_string());
    let request = Request::get(url)
        .header(header::CONNECTION, "close")
        .body(Bytes::new())
        .map_err(|error| broken(&error))?;
    let client = match cert_file {
        None => HttpClient::plain(ANSWER_MAX_BYTES).map_err(|error| broken(&error))?,
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| broken(&format_args!("{path}: {error}")))?;
            let tls = pinned::client(&pem).map_err(|error| broken(&format_args!("{path}: {error}")))?;
            HttpClient::new(tls, ANSWER_MAX_BYTES)
        }
    };
    let answer = client.send(request, within).await?;
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    Ok((answer.status(), body))
}

#[cfg(test)]
mod tests;
