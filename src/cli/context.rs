//! `herald context`: named addresses of Herald with the credentials for them. `client::context` defines a context and
//! its place.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::context::{Context, Contexts, Name, shadowed_by};
use super::client::{ClientError, endpoint_of};
use super::paint;

/// `herald context …`
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// Stores the address and credentials of a Herald under a name.
    #[command(after_help = "Examples:
  herald context add prod --url https://herald.example.com --key-file ~/.config/herald/prod.key --select
  herald context add eu --url https://herald.example.com --admin-url http://10.0.0.7:9090 --key-file ~/.config/herald/eu.key
  herald context add test --url http://10.0.0.7:8080 --login test1 --password-env TEST_PASSWORD
  herald context add lab --url https://lab.example.com --key-env LAB_KEY --store-secrets

A secret is stored as the path of its file or the name of its variable. --store-secrets stores what these hold now, in a file
that its owner alone may read.")]
    Add(Box<AddArgs>),
    /// Lists the contexts; * marks the selected one.
    #[command(after_help = "Examples:\n  herald context ls\n  herald context ls --json")]
    Ls(LsArgs),
    /// Selects the default context.
    #[command(
        after_help = "Examples:\n  herald context select prod\n  herald context select --none\n\n\
        --context NAME and HERALD_CONTEXT name another for one command. HERALD_URL, HERALD_LOGIN, HERALD_PASSWORD,\n\
        HERALD_TOKEN, HERALD_KEY and --url count before the selected one."
    )]
    Select(SelectArgs),
    /// Shows a context, without secrets.
    #[command(after_help = "Examples:\n  herald context show\n  herald context show prod --json")]
    Show(ShowArgs),
    /// Removes a context.
    #[command(after_help = "Examples:\n  herald context rm lab")]
    Rm(RmArgs),
}

/// The arguments of `herald context add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The name of the context: 1 to 64 letters, digits, '.', '_' and '-'.
    pub name: Name,
    /// The address of Herald, with http.base_path if it is set.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The address of http.admin_listen, for log-level and support-bundle.
    #[arg(long, value_name = "URL")]
    pub admin_url: Option<String>,
    /// The user who logs in.
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// The file with the password.
    #[arg(long, value_name = "FILE", requires = "login")]
    pub password_file: Option<PathBuf>,
    /// The environment variable with the password.
    #[arg(
        long,
        value_name = "VARIABLE",
        requires = "login",
        conflicts_with = "password_file"
    )]
    pub password_env: Option<String>,
    /// The file with a token to log in with.
    #[arg(long, value_name = "FILE", conflicts_with = "login")]
    pub token_file: Option<PathBuf>,
    /// The environment variable with a token to log in with.
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["login", "token_file"])]
    pub token_env: Option<String>,
    /// The file with an API key.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The environment variable with an API key.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_file")]
    pub key_env: Option<String>,
    /// A PEM file of certificate authorities to trust, in addition to the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Stores the secrets themselves, with the current values of the files and variables.
    #[arg(long)]
    pub store_secrets: bool,
    /// Selects the context.
    #[arg(long)]
    pub select: bool,
    /// Replaces a context with this name.
    #[arg(long)]
    pub replace: bool,
    /// Prints the stored context as one line of JSON, without secrets.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `herald context ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Prints them as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `herald context select`.
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// The context.
    #[arg(required_unless_present = "none")]
    pub name: Option<Name>,
    /// Selects no context.
    #[arg(long, conflicts_with = "name")]
    pub none: bool,
    /// Prints the selected context as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `herald context show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The context. Default: the selected one.
    pub name: Option<Name>,
    /// Prints it as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `herald context rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The context.
    pub name: Name,
    /// Prints what was removed as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a Name,
    file: &'a Path,
    selected: bool,
    #[serde(flatten)]
    context: &'a Context,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: Name,
    selected: bool,
    /// `None`: its file cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// A context that does not exist or cannot be used, or an output that fails.
pub fn run(command: &ContextCommand) -> Result<(), ClientError> {
    let env = |name: &str| std::env::var_os(name);
    let contexts = Contexts::required(&env)?;
    match command {
        ContextCommand::Add(args) => add(args, &contexts),
        ContextCommand::Ls(args) => list(args, &contexts),
        ContextCommand::Select(args) => select(args, &contexts),
        ContextCommand::Show(args) => show(args, &contexts),
        ContextCommand::Rm(args) => {
            contexts.remove(&args.name)?;
            if args.json {
                return Ok(paint::json_line(&serde_json::json!({"removed": args.name}))?);
            }
            paint::notice(paint::GOOD, &format!("removed {}", args.name));
            Ok(())
        }
    }
}

fn add(args: &AddArgs, contexts: &Contexts) -> Result<(), ClientError> {
    for url in [Some(&args.url), args.admin_url.as_ref()].into_iter().flatten() {
        endpoint_of(url)?;
    }
    let mut context = Context {
        url: args.url.clone(),
        admin_url: args.admin_url.clone(),
        login: args.login.clone(),
        password_file: absolute(&args.password_file)?,
        password_env: args.password_env.clone(),
        token_file: absolute(&args.token_file)?,
        token_env: args.token_env.clone(),
        key_file: absolute(&args.key_file)?,
        key_env: args.key_env.clone(),
        ca_file: absolute(&args.ca_file)?,
        ..Context::default()
    };
    if args.store_secrets {
        context = context.with_secrets(&|name| std::env::var_os(name))?;
    }
    contexts.write(&args.name, &context, args.replace)?;
    if args.select {
        contexts.select(Some(&args.name))?;
    }
    let file = contexts.path(&args.name);
    if args.json {
        return Ok(paint::json_line(&Shown {
            name: &args.name,
            file: &file,
            selected: args.select,
            context: &context,
        })?);
    }
    paint::notice(
        paint::GOOD,
        &format!("stored {} in {}", args.name, file.display()),
    );
    if args.select {
        warn_of_variables();
    }
    Ok(())
}

/// A context may be used from any folder.
fn absolute(path: &Option<PathBuf>) -> Result<Option<PathBuf>, ClientError> {
    let wrong = |error: std::io::Error| ClientError::Usage(error.to_string());
    path.as_ref().map(std::path::absolute).transpose().map_err(wrong)
}

fn list(args: &LsArgs, contexts: &Contexts) -> Result<(), ClientError> {
    let selected = contexts.selected()?;
    let mut listed = Vec::new();
    for name in contexts.names()? {
        let url = match contexts.read(&name) {
            Ok(context) => Some(context.url),
            Err(error) => {
                paint::notice(paint::WARN, &error.to_string());
                None
            }
        };
        let selected = selected.as_ref() == Some(&name);
        listed.push(Listed { name, selected, url });
    }
    if args.json {
        return Ok(paint::json_line(&listed)?);
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|one| {
            let mark = if one.selected { "*" } else { "" };
            let url = one.url.as_deref().unwrap_or("?");
            vec![format!("{}{mark}", one.name), paint::one_line(url)]
        })
        .collect();
    paint::table(&["CONTEXT", "URL"], &rows)?;
    if selected.is_some() {
        warn_of_variables();
    }
    Ok(())
}

fn select(args: &SelectArgs, contexts: &Contexts) -> Result<(), ClientError> {
    contexts.select(args.name.as_ref())?;
    if args.json {
        return Ok(paint::json_line(&serde_json::json!({"selected": args.name}))?);
    }
    let words = match &args.name {
        Some(name) => format!("{name} is selected"),
        None => "no context is selected".to_owned(),
    };
    paint::notice(paint::GOOD, &words);
    if args.name.is_some() {
        warn_of_variables();
    }
    Ok(())
}

fn show(args: &ShowArgs, contexts: &Contexts) -> Result<(), ClientError> {
    let selected = contexts.selected()?;
    let name = args.name.as_ref().or(selected.as_ref()).ok_or_else(|| {
        ClientError::Usage("no context is selected: say which, as `herald context ls` lists them".into())
    })?;
    let context = contexts.read(name)?;
    let file = contexts.path(name);
    let selected = selected.as_ref() == Some(name);
    if args.json {
        return Ok(paint::json_line(&Shown {
            name,
            file: &file,
            selected,
            context: &context,
        })?);
    }
    let text = toml::to_string(&context).map_err(|error| ClientError::Failure(error.to_string()))?;
    paint::notice(paint::DIM, &file.display().to_string());
    use std::io::Write;
    write!(anstream::stdout().lock(), "{}", paint::printable(&text))?;
    if selected {
        warn_of_variables();
    }
    Ok(())
}

/// Says that a context which seems to be in force is not.
fn warn_of_variables() {
    if let Some(variable) = shadowed_by(&|name| std::env::var_os(name)) {
        let words =
            format!("{variable} is set, so the selected context does not count: unset it, or use --context");
        paint::notice(paint::WARN, &words);
    }
}
