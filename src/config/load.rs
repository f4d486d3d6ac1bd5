//! One configuration from all sources. The environment is given, so that a load is a function of its arguments and of
//! the one file they name.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use super::origin::{Origin, Origins};
use super::problem::{ConfigError, Problem};
use super::schema::{Node, Schema};
use super::setting::Setting;
use super::{Config, env, file};

/// Largest configuration file, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--config`; without it no file is read.
    pub config: Option<PathBuf>,
    /// `--listen`: sets `http.listen`.
    pub listen: Option<String>,
    /// `--demo`: sets `api.access` to `open`.
    pub demo: bool,
}

/// A configuration that is fit to run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values in force.
    pub config: Config,
    /// Where each came from.
    pub origins: Origins,
    /// What looks wrong and is allowed.
    pub warnings: Vec<Problem>,
}

/// Loads defaults ← file ← `variables` ← flags, and validates what comes out.
///
/// A value that a stronger source overrides must be right all the same: it would come into force when that source goes.
///
/// # Errors
/// Everything that is wrong with keys, types and the file's syntax in one go; if nothing is, everything that
/// [`Config::validate`] finds.
pub fn load(
    arguments: &Arguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let schema = Schema::new()?;
    let mut problems = Vec::new();
    let mut settings = Vec::new();
    if let Some(path) = &arguments.config {
        let text = read_file(path)?;
        settings = file::read(&path.to_string_lossy(), &text, &schema, &mut problems);
    }
    settings.extend(env::read(variables, &schema, &mut problems));
    settings.extend(flags(arguments));

    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let (mut figment, mut origins) = (defaults.clone(), Origins::default());
    for setting in settings {
        match fitting(&defaults, &setting) {
            Ok(value) => {
                figment = figment.merge(Serialized::default(&setting.key, value));
                origins.set(&setting.key, setting.origin);
                for (key, origin) in setting.elements {
                    origins.set_element(key, origin);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let config: Config = figment
        .extract()
        .map_err(|error| Problem::from_figment(&error, "", Origin::Default))?;

    let findings = config.validate(arguments.demo);
    let located = |findings: Vec<super::Finding>| -> Vec<Problem> {
        findings
            .into_iter()
            .map(|finding| {
                let origin = origins.of(&finding.key);
                Problem::new(finding.key, origin, finding.message)
            })
            .collect()
    };
    let (errors, warnings) = (located(findings.errors), located(findings.warnings));
    if !errors.is_empty() {
        return Err(ConfigError { problems: errors });
    }
    Ok(Loaded {
        config,
        origins,
        warnings,
    })
}

/// The first candidate that the key's type takes. The problem is the first candidate's, or the last's if that is
/// "none": that one was only tried.
fn fitting<'s>(defaults: &Figment, setting: &'s Setting) -> Result<&'s Value, Problem> {
    let mut first_error = None;
    for value in &setting.candidates {
        match defaults
            .clone()
            .merge(Serialized::default(&setting.key, value))
            .extract::<Config>()
        {
            Ok(_) => return Ok(value),
            Err(_) if matches!(value, Value::Empty(..)) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(match first_error {
        None => Problem::new(&setting.key, setting.origin.clone(), "expected a value"),
        Some(error) => {
            let mut problem = Problem::from_figment(&error, &setting.key, setting.origin.clone());
            let place = setting
                .elements
                .iter()
                .filter(|(key, _)| problem.key.starts_with(key.as_str()))
                .max_by_key(|(key, _)| key.len());
            if let Some((_, origin)) = place {
                problem.origin = Some(origin.clone());
            }
            problem
        }
    })
}

fn flags(arguments: &Arguments) -> Vec<Setting> {
    let flag = |key: &str, flag, text: &str| Setting {
        key: key.into(),
        origin: Origin::Flag(flag),
        candidates: env::candidates(text, Node::Scalar),
        elements: Vec::new(),
    };
    let listen = arguments
        .listen
        .as_deref()
        .map(|address| flag("http.listen", "--listen", address));
    let demo = arguments.demo.then(|| flag("api.access", "--demo", "open"));
    listen.into_iter().chain(demo).collect()
}

/// Reads the file of `--config`, at most [`FILE_MAX_BYTES`].
fn read_file(path: &Path) -> Result<String, Problem> {
    let problem = |what: String| Problem {
        key: String::new(),
        origin: None,
        message: format!("cannot read {} (--config): {what}", path.display()),
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(error.to_string()))?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(problem(format!("larger than {FILE_MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        problem(format!("line {} is not UTF-8", line + 1))
    })
}
