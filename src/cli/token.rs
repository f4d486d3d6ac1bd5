//! `herald token`: creates tokens, and shows what an instance would do with one. Knows files and clocks; tokens
//! themselves are in `auth::token`. Prints a token only when it creates one, and never a signature.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::ConfigArgs;
use crate::auth::issuers::{DEMO_AUDIENCE, DEMO_ISSUER, DEMO_SECRET, key_file};
use crate::auth::keys::KeyError;
use crate::auth::token::inspect::Report;
use crate::auth::token::mint::SigningKey;
use crate::setting::{HumanDuration, Secret};

/// The longest text that `inspect` reads.
const TOKEN_MAX_BYTES: u64 = 64 << 10;

/// `herald token …`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Creates a token and prints it.
    #[command(
        after_help = "Examples:\n  HERALD_TOKEN=$(herald token mint --demo --user alice) herald subscribe /queue/message\n  \
        herald token mint --issuer https://id.example --key-file private.pem --kid k1 --user alice --claim tenant=acme --for 10m"
    )]
    Mint(MintArgs),
    /// Checks a token as an instance with this configuration would, and shows each check; exit code 0 if it is
    /// accepted, else 1.
    Inspect(InspectArgs),
    /// Shows the keys of the issuers; fetches those that come from a server. Exit code 1 if any are missing.
    Keys(KeysArgs),
}

/// The arguments of `herald token mint`.
#[derive(Debug, Default, Args)]
pub struct MintArgs {
    /// The user (`sub`).
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// A value of the claim `roles`; may be repeated.
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,
    /// A claim, as JSON or plain text; repeated with the same name, it becomes a list.
    #[arg(long, value_name = "NAME=VALUE")]
    pub claim: Vec<String>,
    /// How long it is valid.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub r#for: String,
    /// The issuer (`iss`); with --demo the demo's issuer.
    #[arg(long, value_name = "ISSUER", required_unless_present = "demo")]
    pub issuer: Option<String>,
    /// The audience (`aud`).
    #[arg(long, value_name = "AUDIENCE", default_value = DEMO_AUDIENCE)]
    pub audience: String,
    /// The name of the key (`kid`).
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
    /// The signing key.
    #[command(flatten)]
    pub by: SignerArgs,
}

/// The signing key: exactly one of these.
#[derive(Debug, Default, Args)]
#[group(required = true, multiple = false)]
pub struct SignerArgs {
    /// A file with a secret of at least 32 bytes: HS256.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<String>,
    /// A file with a private key (PKCS #8, PEM): RS256, ES256, ES384 or EdDSA.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<String>,
    /// The public secret of `serve --demo`.
    #[arg(long)]
    pub demo: bool,
}

/// The arguments of `herald token inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald token inspect --config herald.toml token.txt
  herald token mint --demo --user alice | herald token inspect --demo")]
pub struct InspectArgs {
    /// The file with the token. If it is missing or `-`, standard input.
    #[arg(value_name = "FILE")]
    pub file: Option<std::path::PathBuf>,
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The time of the checks, in Unix seconds, instead of now.
    #[arg(long, value_name = "SECONDS")]
    pub at: Option<u64>,
}

/// The arguments of `herald token keys`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald token keys --config herald.toml
  herald token keys --config herald.toml --issuer https://id.example")]
pub struct KeysArgs {
    /// Only the keys of this issuer.
    #[arg(long, value_name = "ISSUER")]
    pub issuer: Option<String>,
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// A new token, as a line.
///
/// # Errors
/// A file, a claim or a duration that cannot be used; the text names it.
pub fn mint(args: &MintArgs) -> Result<String, String> {
    let key = match (&args.by.secret_file, &args.by.key_file) {
        (Some(path), _) => SigningKey::secret(&key_file(path)?).map_err(|error| match error {
            KeyError::NoSecret(_) => format!("{path}: {error}: a private key belongs in --key-file"),
            _ => format!("{path}: {error}"),
        })?,
        (None, Some(path)) => {
            SigningKey::pem(&key_file(path)?).map_err(|error| format!("{path}: {error}"))?
        }
        (None, None) => SigningKey::secret(DEMO_SECRET.as_bytes()).map_err(|error| error.to_string())?,
    };
    let lasts: HumanDuration = args.r#for.parse().map_err(|words| format!("--for: {words}"))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let token = key.sign(args.kid.as_deref(), &claims(args, now, lasts.0.as_secs())?);
    let token = token.map_err(|error| error.to_string())?;
    Ok(format!("{}\n", token.expose()))
}

fn claims(args: &MintArgs, now: u64, lasts: u64) -> Result<Map<String, Value>, String> {
    let mut claims = Map::new();
    let issuer = args.issuer.as_deref().unwrap_or(DEMO_ISSUER);
    claims.insert("iss".into(), issuer.into());
    claims.insert("aud".into(), args.audience.as_str().into());
    claims.insert("sub".into(), args.user.as_str().into());
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), (now + lasts).into());
    claims.insert("jti".into(), ulid::Ulid::new().to_string().into());
    if !args.role.is_empty() {
        claims.insert("roles".into(), args.role.clone().into());
    }
    let mut given: Vec<(&str, Vec<Value>)> = Vec::new();
    for claim in &args.claim {
        let (name, text) = claim
            .split_once('=')
            .ok_or_else(|| format!("--claim {claim}: expected NAME=VALUE"))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        match given.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => given.push((name, vec![value])),
        }
    }
    for (name, mut values) in given {
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        claims.insert(name.into(), value);
    }
    Ok(claims)
}

/// The token in `file`, or on standard input.
///
/// # Errors
/// It cannot be read.
pub fn read(file: Option<&Path>) -> Result<Secret, String> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(TOKEN_MAX_BYTES).read_to_string(&mut text))
            .map_err(|error| format!("{}: {error}", path.display())),
        None => std::io::stdin()
            .lock()
            .take(TOKEN_MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| format!("standard input: {error}")),
    };
    read.map(|_| Secret::new(text.trim()))
}

/// What must hold so that a token is not refused for `reason`.
fn condition(reason: &str) -> &str {
    match reason {
        "malformed" => "well-formed",
        "expired" => "not expired",
        "not_yet" => "already valid",
        "unknown_key" => "key known",
        "revoked" => "not revoked",
        "blocked" => "user not blocked",
        other => other,
    }
}

/// A moment in Unix seconds, also as a date.
fn moment(seconds: u64) -> String {
    let date = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    match date {
        Some(date) => format!("{date} ({seconds} in Unix seconds, leeway included)"),
        None => format!("{seconds} (Unix seconds, leeway included)"),
    }
}

/// A report as text: the parts that can be read, each check with ✓ or its reason, and the user whom the token proves.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (name, part) in [("header", &report.header), ("claims", &report.claims)] {
        if let Some(part) = part {
            let _ = writeln!(text, "{name} {}", Value::Object(part.clone()));
        }
    }
    for (reason, outcome) in &report.checks {
        let check = condition(reason);
        let _ = match outcome {
            Some(true) => writeln!(text, "✓ {check}"),
            // The reason, if its name differs, as in the metric.
            Some(false) if check != *reason => writeln!(text, "✗ {check} ({reason})"),
            Some(false) => writeln!(text, "✗ {check}"),
            None => writeln!(text, "- {check}: not checked"),
        };
    }
    match &report.outcome {
        Ok(verified) => {
            let roles: Vec<&str> = verified.roles.iter().map(|role| role.as_str()).collect();
            let _ = writeln!(text, "taken: user {}", verified.user);
            let _ = writeln!(text, "  issuer {}", verified.issuer);
            let _ = writeln!(text, "  roles {}", roles.join(" "));
            let attributes = serde_json::to_string(&verified.attributes).unwrap_or_default();
            let _ = writeln!(text, "  attributes {attributes}");
            let _ = writeln!(text, "  ends at {}", moment(verified.ends_ms / 1_000));
        }
        Err(words) => {
            let _ = writeln!(text, "refused: {words}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_holds_and_an_end_is_a_date() {
        let report = Report {
            header: None,
            claims: None,
            checks: vec![
                ("malformed", Some(true)),
                ("issuer", Some(false)),
                ("expired", Some(false)),
                ("revoked", None),
            ],
            outcome: Err("why".into()),
        };
        assert_eq!(
            render(&report),
            "✓ well-formed\n✗ issuer\n✗ not expired (expired)\n- not revoked: not checked\nrefused: why\n"
        );
        assert!(
            moment(1_795_984_503).starts_with("2026-11-29T20:35:03Z (1795984503 in"),
            "{}",
            moment(1_795_984_503)
        );
        assert!(moment(u64::MAX).starts_with("18446744073709551615 ("));
    }

    #[test]
    fn claims_are_texts_numbers_and_lists() {
        let args = MintArgs {
            user: "alice".into(),
            role: vec!["admin".into()],
            claim: [
                "tenant=acme",
                "level=3",
                "plan=gold",
                "plan=silver",
                "x={\"a\":[1]}",
                "e=",
            ]
            .map(Into::into)
            .into(),
            audience: "herald".into(),
            ..MintArgs::default()
        };
        let mut claims = claims(&args, 1_000, 60).unwrap();
        assert!(claims.remove("jti").is_some());
        assert_eq!(
            Value::Object(claims),
            serde_json::json!({"iss": "herald-demo", "aud": "herald", "sub": "alice", "iat": 1_000, "exp": 1_060,
                "roles": ["admin"], "tenant": "acme", "level": 3, "plan": ["gold", "silver"], "x": {"a": [1]}, "e": ""})
        );
        let wrong = MintArgs {
            claim: vec!["tenant".into()],
            ..MintArgs::default()
        };
        assert!(super::claims(&wrong, 0, 0).unwrap_err().contains("NAME=VALUE"));
    }
}
