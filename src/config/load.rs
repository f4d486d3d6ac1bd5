//! Loads one configuration from all sources. The environment is a parameter, so that a load is a function of its
//! arguments and of the one file that they name.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::Config;
use super::origins::{DEFAULT, Origins};
use super::problem::{ConfigError, Problem, expected_text, path_of};
use super::providers::{Source, env, file};
use super::schema::Schema;
use crate::setting::{Finding, Findings};

/// Largest configuration file, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// The variable that names the file where `--config` does not.
const FILE_VARIABLE: &str = "HERALD_CONFIG";

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--config`; without it and without `HERALD_CONFIG` no file is read.
    pub config: Option<PathBuf>,
    /// `--listen`: sets `http.listen`.
    pub listen: Option<String>,
    /// `--demo`: sets `api.access` to `open` where neither the file nor a variable sets it.
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

/// Loads defaults ← `--demo` ← file ← `variables` ← the other flags, and validates what comes out.
///
/// A value that a stronger source overrides must be right all the same: it would come into force when that source goes.
///
/// # Errors
/// Everything that is wrong with keys, types and the file's syntax in one go; if nothing is, everything that
/// [`Config::check`] finds.
pub fn load(
    arguments: &Arguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    gather(arguments, variables)?.finish(arguments.demo, |_| true)
}

/// Loads `[http]` alone, from the same sources and by the same rules as [`load`]. Errors in other sections are ignored:
/// whoever asks an instance for its health needs its address, not its secrets.
///
/// # Errors
/// As those of [`load`], but only about the file as a whole and the keys of `http`.
pub fn load_http(
    arguments: &Arguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<crate::http::Config, ConfigError> {
    let is_http = |key: &str| key == "http" || key.starts_with("http.");
    let mut gathered = gather(arguments, variables)?;
    gathered
        .sources
        .iter_mut()
        .for_each(|source| source.keep_section("http"));
    // An empty key is the file as a whole.
    gathered
        .problems
        .retain(|problem| problem.key.is_empty() || is_http(&problem.key));
    Ok(gathered.finish(arguments.demo, is_http)?.config.http)
}

impl Loaded {
    /// The errors that whoever went on with the configuration has found, each with its origin.
    pub fn refused_by(&self, findings: Findings) -> ConfigError {
        ConfigError {
            problems: self.located(findings.errors),
        }
    }

    /// Adds what looks wrong to whoever went on with the configuration.
    pub fn warn(&mut self, findings: Findings) {
        let warnings = self.located(findings.warnings);
        self.warnings.extend(warnings);
    }

    fn located(&self, findings: Vec<Finding>) -> Vec<Problem> {
        findings
            .into_iter()
            .map(|finding| locate(finding, &self.origins))
            .collect()
    }
}

/// What was read and not yet merged.
struct Gathered {
    schema: Schema,
    /// The weakest first.
    sources: Vec<Source>,
    /// What is wrong with keys and syntax.
    problems: Vec<Problem>,
}

fn gather(
    arguments: &Arguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Gathered, ConfigError> {
    let schema = Schema::new()?;
    let mut problems = Vec::new();
    let mut sources = vec![Source::demo(arguments)];
    let variables: Vec<_> = variables.into_iter().collect();
    if let Some((path, named_by)) = file_name(arguments, &variables) {
        let text = read_file(path, named_by)?;
        sources.push(file::read(&path.to_string_lossy(), &text, &schema, &mut problems));
    }
    sources.push(env::read(variables, &schema, &mut problems));
    sources.push(Source::flags(arguments));
    Ok(Gathered {
        schema,
        sources,
        problems,
    })
}

/// Which file to read, and what names it. An empty variable names none.
fn file_name<'a>(
    arguments: &'a Arguments,
    variables: &'a [(OsString, OsString)],
) -> Option<(&'a Path, &'static str)> {
    if let Some(path) = &arguments.config {
        return Some((path, "--config"));
    }
    variables
        .iter()
        .find(|(name, path)| name == FILE_VARIABLE && !path.is_empty())
        .map(|(_, path)| (Path::new(path), FILE_VARIABLE))
}

impl Gathered {
    /// Merges the sources over the defaults and validates the result. Reports findings only about keys that `counts`
    /// accepts.
    fn finish(self, demo: bool, counts: impl Fn(&str) -> bool) -> Result<Loaded, ConfigError> {
        let Self {
            schema,
            sources,
            mut problems,
        } = self;
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

        let findings = config.check(demo);
        let located = |findings: Vec<Finding>| -> Vec<Problem> {
            findings
                .into_iter()
                .filter(|finding| counts(&finding.key))
                .map(|finding| locate(finding, &origins))
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
}

/// Says where a finding comes from. A default is wrong only because of another key that the finding mentions, so the
/// source of that key is named too.
fn locate(finding: Finding, origins: &Origins) -> Problem {
    // A key has a section. What has none is a variable of somebody else's, and its name is its place.
    if !finding.key.contains('.') {
        return Problem {
            key: finding.key,
            origin: None,
            message: finding.message,
        };
    }
    let origin = origins.of(&finding.key);
    let mut message = finding.message;
    if origin == DEFAULT {
        let is_in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        let causes: Vec<String> = message
            .split(|c| !is_in_key(c))
            .filter(|word| word.contains('.'))
            .map(|key| (key, origins.of(key)))
            .filter(|(_, origin)| origin != DEFAULT)
            .map(|(key, origin)| format!("{key} comes from {origin}"))
            .collect();
        if !causes.is_empty() {
            message = format!("{message}; {}", causes.join(", "));
        }
    }
    Problem::new(finding.key, origin, message)
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

/// Reads the file that `named_by` names, at most [`FILE_MAX_BYTES`].
fn read_file(path: &Path, named_by: &str) -> Result<String, Problem> {
    let problem = |what: String| Problem {
        key: String::new(),
        origin: None,
        // Escaped: a line break in the name must not look like a line of ours.
        message: format!(
            "cannot read {} ({named_by}): {what}",
            path.to_string_lossy().escape_debug()
        ),
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
