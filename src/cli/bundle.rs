//! `herald support-bundle`: everything that support needs in one archive: the configuration with its secrets hidden,
//! the output of `doctor`, and the answers of a running instance. Knows the parts as bytes; `main` and `client::bundle`
//! collect them.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::client::bundle::{Asked, Part, Running, RunningArgs};
use super::{ConfigArgs, paint};
use crate::setting::Secret;

/// How much of the end of each --log is taken.
const LOG_MAX_BYTES: u64 = 4 << 20;
/// How many logs may be named.
const LOGS_MAX: usize = 16;

/// The arguments of `herald support-bundle`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald support-bundle --config /etc/herald/herald.toml
  herald support-bundle --context prod --only-running --output /tmp/herald.tar.gz
  herald support-bundle --config herald.toml --log /var/log/herald.log --admin-url http://127.0.0.1:9090

manifest.json lists what could not be collected, such as the answers of an instance that is down, with the reason. With
http.admin_listen, metrics and log are on that port: give it with --admin-url, or store it in the context. Look into the archive before you pass it on:
it has no secrets, but names of users, addresses and destinations. Requires the scope admin.")]
pub struct BundleArgs {
    /// The file to create; only its owner can read it. Default: herald-support-TIME.tar.gz in this folder.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Omits the configuration and `doctor`, for a Herald that runs elsewhere.
    #[arg(long, conflicts_with_all = ["config", "demo", "listen"])]
    pub only_running: bool,
    /// Includes the last 4 MiB of this log. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Prints the manifest as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The running Herald.
    #[command(flatten)]
    pub running: RunningArgs,
}

/// The list of its contents.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    /// This program's version; that of the instances is in instances.json.
    herald: &'static str,
    /// When it was made (RFC 3339).
    created: String,
    file: &'a Path,
    /// The address of the running Herald that was asked.
    asked: &'a Asked,
    files: Vec<File<'a>>,
    missing: Vec<Missing<'a>>,
}

#[derive(Debug, Serialize)]
struct File<'a> {
    name: &'a str,
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct Missing<'a> {
    name: &'a str,
    why: &'a str,
}

/// Writes the archive, `parts` first, and says where it is and what is missing.
///
/// # Errors
/// What cannot be written, in words.
pub fn write(
    args: &BundleArgs,
    mut parts: Vec<Part>,
    running: Running,
    now: jiff::Timestamp,
) -> Result<(), String> {
    parts.extend(running.parts);
    if args.log.len() > LOGS_MAX {
        return Err(format!("--log: at most {LOGS_MAX} files"));
    }
    for (number, path) in args.log.iter().enumerate() {
        let content = tail(path).map_err(|error| format!("{}: {error}", path.display()));
        let name = format!("log-file-{}.txt", number + 1);
        parts.push(Part { name, content });
    }
    let file = match &args.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!(
            "herald-support-{}.tar.gz",
            now.strftime("%Y%m%dT%H%M%SZ")
        )),
    };
    for part in &mut parts {
        hide(part, &running.secrets);
    }
    let manifest = Manifest {
        herald: env!("CARGO_PKG_VERSION"),
        created: now.to_string(),
        file: &file,
        asked: &running.asked,
        files: parts.iter().filter_map(in_it).collect(),
        missing: parts.iter().filter_map(not_in_it).collect(),
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| error.to_string())?;
    let mut options = OpenOptions::new();
    let new = options.write(true).create_new(true).mode(0o600).open(&file);
    let packed = new.and_then(|new| pack(new, &text, &parts, now.as_second()));
    packed.map_err(|error| format!("{}: {error}", file.display()))?;
    if args.json {
        return paint::json_line(&manifest).map_err(|error| error.to_string());
    }
    for missing in &manifest.missing {
        paint::notice(paint::WARN, &format!("without {}: {}", missing.name, missing.why));
    }
    let shown = paint::one_line(&file.display().to_string());
    writeln!(io::stdout().lock(), "{shown}").map_err(|error| error.to_string())
}

fn in_it(part: &Part) -> Option<File<'_>> {
    let content = part.content.as_ref().ok()?;
    Some(File {
        name: &part.name,
        bytes: content.len(),
    })
}

fn not_in_it(part: &Part) -> Option<Missing<'_>> {
    let why = part.content.as_ref().err()?;
    let name = &part.name;
    Some(Missing { name, why })
}

/// The credentials that were used for the questions must not be in it, whatever brought them there.
fn hide(part: &mut Part, secrets: &[Secret]) {
    let Ok(content) = &mut part.content else { return };
    for secret in secrets {
        let secret = secret.expose().as_bytes();
        while let Some(at) = memchr::memmem::find(content, secret) {
            content.splice(at..at + secret.len(), *b"***");
        }
    }
}

/// The end of a file.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_MAX_BYTES)))?;
    let mut content = Vec::new();
    file.take(LOG_MAX_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

fn pack(to: std::fs::File, manifest: &[u8], parts: &[Part], seconds: i64) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds.try_into().unwrap_or_default());
        archive.append_data(&mut header, format!("herald-support/{name}"), content)
    };
    add("manifest.json", manifest)?;
    for part in parts {
        if let Ok(content) = &part.content {
            add(&part.name, content)?;
        }
    }
    archive.into_inner()?.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asked_is_hidden_and_what_is_missing_is_said() {
        let mut part = Part {
            name: "a.txt".into(),
            content: Ok(b"key=hush-hush, again hush-hushhush-hush.".to_vec()),
        };
        hide(&mut part, &[Secret::new("hush-hush")]);
        assert_eq!(part.content.as_deref().unwrap(), b"key=***, again ******.");
        let missing = Part {
            name: "b.txt".into(),
            content: Err("down".into()),
        };
        assert!(in_it(&missing).is_none() && not_in_it(&part).is_none());
        assert_eq!(in_it(&part).unwrap().bytes, 22);
        assert_eq!(not_in_it(&missing).unwrap().why, "down");
    }

    #[test]
    fn a_log_s_end_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let long = [vec![b'a'; 100], vec![b'b'; LOG_MAX_BYTES as usize]].concat();
        std::fs::write(&path, long).unwrap();
        let end = tail(&path).unwrap();
        assert!(end.len() as u64 == LOG_MAX_BYTES && end.iter().all(|byte| *byte == b'b'));
    }
}
