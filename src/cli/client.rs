//! The commands that talk to a running Herald from outside, as any client would: REST through [`rest`], STOMP over
//! WebSocket through [`session`]. They know nothing of the server's internals and read no configuration.

use std::path::PathBuf;

use clap::Args;

use crate::cli::paint;
use crate::setting::Secret;
use endpoint::Endpoint;

pub(in crate::cli) use credentials::Environment;
pub use failure::ClientError;

pub mod bench;
pub mod body;
pub mod bundle;
mod connection;
pub mod context;
mod credentials;
pub mod disconnect;
mod endpoint;
pub mod explain;
mod failure;
pub mod instances;
pub mod log_level;
pub mod permission;
pub mod probe;
pub mod publish;
mod reconnect;
mod refusal;
mod renewal;
mod rest;
mod resume;
pub mod revoke;
pub mod send;
pub mod senders;
mod session;
pub mod shed;
mod show;
pub mod subscribe;
pub mod tap;
pub mod users;

/// The address of Herald, and the credentials. Secrets come from the environment or from files, never from the command
/// line, which every user of the machine can read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The context with the address and the credentials (herald context). Default: $HERALD_CONTEXT, then the selected
    /// context, unless --url or a variable gives an address or credentials.
    #[arg(long, value_name = "NAME")]
    pub context: Option<context::Name>,
    /// The address of Herald, with http.base_path if it is set. Default: $HERALD_URL, then http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The user who logs in. The password comes from $HERALD_PASSWORD or --password-file. Default: $HERALD_LOGIN.
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// A file with the password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A file with a token to log in with. Default: $HERALD_TOKEN.
    #[arg(long, value_name = "FILE", conflicts_with = "login")]
    pub token_file: Option<PathBuf>,
    /// A file with an API key. Default: $HERALD_KEY.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A PEM file of certificate authorities to trust for https, in addition to the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// A user's name and password, or a token.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name. `None`: the secret is a token.
    pub user: Option<String>,
    /// The password, or the token.
    pub secret: Secret,
    /// The file from which the secret was read, and will be read again.
    pub file: Option<PathBuf>,
}

/// What a command needs to reach Herald.
#[derive(Debug, Clone)]
pub struct Server {
    endpoint: Endpoint,
    /// The address of `http.admin_listen`, if a context names it.
    admin: Option<Endpoint>,
    login: Option<Login>,
    key: Option<Secret>,
    ca_file: Option<PathBuf>,
}

impl Server {
    /// Reads `args`, and takes what they leave open from the environment.
    ///
    /// # Errors
    /// [`ClientError::Usage`]: an invalid address, a file that cannot be read, or a name without a password.
    pub fn new(args: &ServerArgs) -> Result<Self, ClientError> {
        Self::from(args, &|name| std::env::var_os(name))
    }

    fn from(args: &ServerArgs, env: credentials::Environment<'_>) -> Result<Self, ClientError> {
        if let Some((name, context)) = context::in_force(args, env)? {
            let server = Self::of_context(args, &context, env);
            return server.map_err(|error| error.reworded(|words| format!("context {name}: {words}")));
        }
        let url = match &args.url {
            Some(url) => Some(url.clone()),
            None => credentials::variable(env, "HERALD_URL")?,
        };
        Ok(Self {
            endpoint: endpoint_of(url.as_deref().unwrap_or("http://127.0.0.1:8080"))?,
            admin: None,
            login: credentials::login(args, env)?,
            key: credentials::key(args, env)?,
            ca_file: args.ca_file.clone(),
        })
    }

    /// The command line takes precedence over the context. If it names a credential, only credentials from there are
    /// used.
    fn of_context(
        args: &ServerArgs,
        context: &context::Context,
        env: credentials::Environment<'_>,
    ) -> Result<Self, ClientError> {
        let files = [&args.password_file, &args.token_file, &args.key_file];
        let (login, key) = match args.login.is_some() || files.iter().any(|file| file.is_some()) {
            true => (credentials::login(args, env)?, credentials::key(args, env)?),
            false => context.credentials(env)?,
        };
        // With another address, the context's port for operators may belong to another Herald.
        let admin = context.admin_url.as_ref().filter(|_| args.url.is_none());
        Ok(Self {
            endpoint: endpoint_of(args.url.as_deref().unwrap_or(&context.url))?,
            admin: admin.map(|url| endpoint_of(url)).transpose()?,
            login,
            key,
            ca_file: args.ca_file.as_ref().or(context.ca_file.as_ref()).cloned(),
        })
    }

    /// The same for `/metrics`, health and the debug routes: at `admin_url` of the command line, else where the context
    /// says, else at the address of everything else.
    fn of_operators(&self, admin_url: Option<&str>) -> Result<Self, ClientError> {
        let named = admin_url.map(endpoint_of).transpose()?;
        let known = named.or_else(|| self.admin.clone());
        Ok(Self {
            endpoint: known.unwrap_or_else(|| self.endpoint.clone()),
            ..self.clone()
        })
    }

    /// The login, which STOMP requires.
    fn require_login(&self) -> Result<&Login, ClientError> {
        self.login.as_ref().ok_or_else(|| {
            ClientError::Usage(
                "who logs in? --login NAME (or HERALD_LOGIN) and HERALD_PASSWORD or --password-file FILE, or HERALD_TOKEN or \
                 --token-file FILE, or a --context with one of these"
                    .into(),
            )
        })
    }
}

/// The address in `url`.
///
/// # Errors
/// What was expected; a password in it is not repeated.
pub(in crate::cli) fn endpoint_of(url: &str) -> Result<Endpoint, ClientError> {
    Endpoint::parse(url).map_err(|why| {
        // The text before an @ may be a password.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        ClientError::Usage(format!("{shown:?}: {why}"))
    })
}

/// Runs a command to its end on a separate runtime. An output that nobody reads any more is not an error.
///
/// # Errors
/// The command's own error.
pub fn block_on<T: Default>(command: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| ClientError::Failure(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    // Does not wait for what still runs, such as an unneeded connection.
    runtime.shutdown_background();
    match outcome {
        Err(ClientError::OutputClosed) => Ok(T::default()),
        outcome => outcome,
    }
}
