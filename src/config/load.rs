//! One configuration from all sources. The environment is given, so that a load is a function of its arguments and of
//! the one file they name.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::Config;
use super::origins::Origins;
use super::problem::{ConfigError, Problem, expected_text, path_of};
use super::providers::{Source, env, file};
use super::schema::Schema;

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
    let mut sources = Vec::new();
    if let Some(path) = &arguments.config {
        let text = read_file(path)?;
        sources.push(file::read(&path.to_string_lossy(), &text, &schema, &mut problems));
    }
    sources.push(env::read(variables, &schema, &mut problems));
    sources.push(Source::flags(arguments));

    let defaults = Figment::from(Source::defaults(schema.defaults()));
    let mut figment = defaults.clone();
    for mut source in sources {
        check_types(&defaults, &mut source, &schema, &mut problems);
        figment = figment.merge(source);
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let config: Config = figment
        .extract()
        .map_err(|error| Problem::from_figment(&error, &path_of(&error)))?;
    let origins = Origins::of_all(&figment, schema.all_keys());

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

/// Reads every value of `source` as its key's type. Figment stops at the first error: what is wrong is noted and taken
/// out, and what is left is read anew, until nothing is wrong.
fn check_types(defaults: &Figment, source: &mut Source, schema: &Schema, problems: &mut Vec<Problem>) {
    while let Err(error) = defaults.clone().merge(&*source).extract::<Config>() {
        let path = path_of(&error);
        let key = schema.key_of(&path);
        if source.read_again(&key, expected_text(&error)) {
            continue;
        }
        problems.push(Problem::from_figment(&error, &path));
        if !source.remove(&key) {
            return;
        }
    }
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
