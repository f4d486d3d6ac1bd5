//! The body to publish or send, its content type and its headers, from the command line, a file or standard input.
//! Knows no protocol.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;

use super::{ClientError, paint};

/// The maximum size of a body. Herald's own limit is `limits.body_bytes`.
const BODY_MAX_BYTES: u64 = 64 << 20;

/// A body and what describes it.
#[derive(Debug, Default, Args)]
pub struct BodyArgs {
    /// The body. Without it and without --file, reads standard input.
    #[arg(conflicts_with = "file")]
    pub body: Option<String>,
    /// A file with the body; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The content type. Default: text/plain if the body is UTF-8, otherwise application/octet-stream.
    #[arg(long, short = 't', value_name = "TYPE")]
    pub content_type: Option<String>,
    /// A header of the MESSAGE. Repeatable.
    #[arg(long, short = 'H', value_name = "NAME:VALUE")]
    pub header: Vec<String>,
}

impl BodyArgs {
    /// The headers as names and values.
    ///
    /// # Errors
    /// One has no colon.
    pub(super) fn headers(&self) -> Result<Vec<(&str, &str)>, ClientError> {
        let pairs = self.header.iter().map(|text| {
            let (name, value) = text
                .split_once(':')
                .ok_or_else(|| ClientError::Usage(format!("--header: expected NAME:VALUE, got {text:?}")))?;
            Ok((name, value.trim_start()))
        });
        pairs.collect()
    }

    /// The body.
    ///
    /// # Errors
    /// It cannot be read, or is too large.
    pub(super) fn read(&self) -> Result<Bytes, ClientError> {
        if let Some(text) = &self.body {
            return Ok(Bytes::from(text.clone()));
        }
        match &self.file {
            Some(path) if path != Path::new("-") => {
                let name = path.display().to_string();
                let file = std::fs::File::open(path);
                let mut file = file.map_err(|error| ClientError::Usage(format!("{name}: {error}")))?;
                read(&mut file, &name)
            }
            _ => {
                let stdin = std::io::stdin();
                if stdin.is_terminal() {
                    paint::notice(paint::DIM, "The body, and Ctrl-D behind it:");
                }
                read(&mut stdin.lock(), "standard input")
            }
        }
    }
}

fn read(from: &mut dyn Read, name: &str) -> Result<Bytes, ClientError> {
    let wrong = |why: &dyn std::fmt::Display| ClientError::Usage(format!("{name}: {why}"));
    let mut body = Vec::new();
    let mut bounded = from.take(BODY_MAX_BYTES + 1);
    bounded.read_to_end(&mut body).map_err(|error| wrong(&error))?;
    if body.len() as u64 > BODY_MAX_BYTES {
        return Err(wrong(&"a body has at most 64 MiB"));
    }
    Ok(Bytes::from(body))
}
