//! The part of a support bundle from a running Herald: its answers, one file each. Knows no archive.

use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ClientError, Server, ServerArgs};
use crate::setting::Secret;

/// Secrets shorter than this are words that may stand anywhere, such as the demo's `test`.
const SECRET_MIN_BYTES: usize = 8;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct RunningArgs {
    /// The address of http.admin_listen, which has /metrics and /api/v1/debug. Default: that of the context.
    #[arg(long, value_name = "URL")]
    pub admin_url: Option<String>,
    /// Where Herald is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A part of the bundle: its file, and what is in it, or why there is nothing.
#[derive(Debug)]
pub struct Part {
    /// The file's name.
    pub name: String,
    /// Its bytes, or why there are none.
    pub content: Result<Vec<u8>, String>,
}

/// What was had of a running Herald.
#[derive(Debug, Default)]
pub struct Running {
    /// One for each route.
    pub parts: Vec<Part>,
    /// What must not stand in any part.
    pub secrets: Vec<Secret>,
    /// Where it was asked.
    pub asked: Asked,
}

/// Where a running Herald was asked.
#[derive(Debug, Default, Serialize)]
pub struct Asked {
    /// For most.
    pub url: String,
    /// For health, metrics and the log: the same, unless `--admin-url` or a context says otherwise.
    pub admin_url: String,
}

#[derive(Deserialize)]
struct LogLines {
    lines: Vec<String>,
}

/// The routes that are asked, and the files that they become; `true`: where the debug routes stand.
const ROUTES: [(&str, &str, bool); 7] = [
    ("readyz.json", "/readyz", true),
    ("instances.json", "/api/v1/instances", false),
    ("senders.json", "/api/v1/senders?top=100", false),
    ("users.json", "/api/v1/users", false),
    ("log-level.json", "/api/v1/debug/log", true),
    ("metrics.txt", "/metrics", true),
    ("openapi.json", "/api/openapi.json", false),
];
const LOG: (&str, &str) = ("log.txt", "/api/v1/debug/log/lines");

/// Asks for everything. What cannot be had does not keep the rest away.
///
/// # Errors
/// The command line is wrong.
pub async fn collect(args: &RunningArgs) -> Result<Running, ClientError> {
    let server = Server::new(&args.server)?;
    let admin = server.of_operators(args.admin_url.as_deref())?;
    let asked = Asked {
        url: server.endpoint.to_string(),
        admin_url: admin.endpoint.to_string(),
    };
    let (mut rest, mut admin_rest) = (Rest::new(&server), Rest::new(&admin));
    let mut parts = Vec::new();
    for (name, path, is_admin) in ROUTES {
        let rest = if is_admin { &mut admin_rest } else { &mut rest };
        let content = get(rest, name, path).await;
        let name = name.to_owned();
        parts.push(Part { name, content });
    }
    let (name, path) = LOG;
    let lines = match admin_rest.get(path, Duration::ZERO).await {
        Ok(answer) => answer.json::<LogLines>().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let content = lines.map(|found| {
        // Of an instance that runs at a terminal they have colours.
        let lines = found
            .lines
            .iter()
            .map(|line| format!("{}\n", anstream::adapter::strip_str(line)));
        lines.collect::<String>().into_bytes()
    });
    let name = name.to_owned();
    parts.push(Part { name, content });
    let secrets = server
        .login
        .into_iter()
        .map(|login| login.secret)
        .chain(server.key);
    let secrets = secrets.filter(|secret| secret.expose().len() >= SECRET_MIN_BYTES);
    let secrets = secrets.collect();
    Ok(Running {
        parts,
        secrets,
        asked,
    })
}

/// An answer's body. That of `/readyz` counts also if it says what is wrong.
async fn get(rest: &mut Rest<'_>, name: &str, path: &str) -> Result<Vec<u8>, String> {
    let answer = rest
        .get(path, Duration::ZERO)
        .await
        .map_err(|error| error.to_string())?;
    let is_down = name == "readyz.json" && answer.status == StatusCode::SERVICE_UNAVAILABLE;
    match answer.require_success() {
        Err(error) if !is_down => Err(error.to_string()),
        _ => Ok(answer.body().to_vec()),
    }
}
