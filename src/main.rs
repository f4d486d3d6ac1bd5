//! The program: arguments, configuration, telemetry, runtime, `app::run`. Exit codes are in `cli::exit`.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use herald::app::{self, Prepared, Subject};
use herald::cli::bundle::{self, BundleArgs};
use herald::cli::client::bundle::{Part, collect};
use herald::cli::client::{self, ClientError};
use herald::cli::{
    Cli, Command, ConfigArgs, DoctorArgs, api_key, check, complain, context, doctor, exit, explain,
    hash_password, health, manual, subject, token,
};
use herald::config::{self, Arguments, ConfigError, Loaded};
use herald::permissions::Decision;
use herald::setting::Findings;
use herald::telemetry;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long blocking work, such as a password hash, may hold up the exit.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

/// `Err`: the exit code; what there was to say is said.
fn run() -> Result<(), u8> {
    // First: rustls cannot choose by itself once a dependency enables a second provider.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| failure(&"a TLS provider was installed before ours"))?;
    match Cli::from_process()?.command {
        Command::Serve(flags) => serve(flags),
        Command::ApiKey(api_key::ApiKey::New(args)) => new_api_key(&args),
        Command::Check(args) => print_check(args),
        Command::Doctor(args) => examine(args),
        Command::Explain(args) => match args.command {
            Some(explain::Explain::Permission(args)) => explain_permission(args),
            None => client(client::explain::run(args.recipients)).and_then(yes),
        },
        Command::Health(flags) => ask_health(flags),
        Command::HashPassword => hash_password::run().map_err(|error| failure(&error)),
        Command::Token(command) => tokens(command),
        Command::Publish(args) => client(client::publish::run(args)),
        Command::Send(args) => client(client::send::run(args)),
        Command::Subscribe(args) => client(client::subscribe::run(args)),
        Command::Users(args) => client(client::users::run(args)),
        Command::Instances(args) => client(client::instances::run(args)),
        Command::Senders(args) => client(client::senders::run(args)),
        Command::Disconnect(args) => client(client::disconnect::run(args)),
        Command::Revoke(args) => client(client::revoke::run(args)),
        Command::Context(command) => client(async move { context::run(&command) }),
        Command::Probe(args) => client(client::probe::run(args)),
        Command::LogLevel(args) => client(client::log_level::run(args)),
        Command::Subject(args) => print_subject(&args),
        Command::Shed(args) => client(client::shed::run(args)),
        Command::Tap(args) => client(client::tap::run(args)),
        Command::Bench(args) => client(client::bench::run(args)),
        Command::SupportBundle(args) => support_bundle(&args),
        Command::Completions(args) => manual::completions(&args).map_err(|error| failure(&error)),
        Command::Man(args) => manual::man(&args).map_err(|error| failure(&error)),
    }
}

fn serve(flags: ConfigArgs) -> Result<(), u8> {
    let demo = flags.demo;
    let (Loaded { config, warnings, .. }, prepared) = prepare(flags)?;
    // Last to go: what ends the program is logged as well.
    let _log = telemetry::start(&config.log).map_err(|error| failure(&error))?;
    if demo {
        let publishing = match config.api.is_open() {
            true => format!(", and anyone who reaches {} may publish", config.http.listen),
            false => String::new(),
        };
        tracing::warn!(
            "--demo: users test1 to test10 and admin can log in with a known password{publishing}; not for production"
        );
    }
    for warning in warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("herald")
        .build()
        .map_err(|error| failure(&format_args!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(Box::pin(app::run(prepared)));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    result.map_err(|error| {
        tracing::error!("{error}");
        match error {
            app::Error::Config(_) => exit::CONFIG,
            app::Error::Failure(_) => exit::FAILURE,
        }
    })
}

fn print_check(args: check::CheckArgs) -> Result<(), u8> {
    let demo = args.config.demo;
    let (loaded, _) = prepare(args.config)?;
    for warning in &loaded.warnings {
        complain(&format_args!("warning: {warning}"));
    }
    for note in check::notes(&loaded.config) {
        complain(&format_args!("note: {note}"));
    }
    if args.production {
        let lines = check::production::walk(&loaded, demo);
        let text = match args.json {
            true => check::production::as_json(&lines).map_err(|error| failure(&error))?,
            false => check::production::as_text(&lines),
        };
        print(&text)?;
        return yes(check::production::passes(&lines));
    }
    print(&check::render(&loaded).map_err(|error| failure(&error))?)
}

fn new_api_key(args: &api_key::NewArgs) -> Result<(), u8> {
    api_key::run(args).map_err(|error| {
        complain(&error);
        match error {
            api_key::ApiKeyError::Usage(_) => exit::USAGE,
            _ => exit::FAILURE,
        }
    })
}

fn explain_permission(args: explain::PermissionArgs) -> Result<(), u8> {
    let running = args.running(&|name| std::env::var_os(name)).map_err(|error| {
        complain(&error);
        error.exit_code()
    })?;
    if let Some(server) = running {
        let answer = client(client::permission::run(&args, server))?;
        let decision = explain::read(&answer)
            .ok_or_else(|| failure(&"the answer is not Herald's: is this its address?"))?;
        return print_decision(&decision, args.json);
    }
    explain::say_by_configuration(&args.config);
    let (_, prepared) = prepare(args.config)?;
    let subject = match (args.who.user, args.who.key) {
        _ if args.who.anonymous => Subject::Anonymous,
        _ if args.who.token_file.is_some() => {
            let token = token::read(args.who.token_file.as_deref());
            Subject::Token(token.map_err(|error| failure(&error))?)
        }
        _ if args.who.certificate.is_some() => Subject::Certificate(args.who.certificate.unwrap_or_default()),
        (Some(user), _) => Subject::User(user),
        (None, key) => Subject::Key(key.unwrap_or_default()),
    };
    let (action, destination) = args.what.action().ok_or(exit::USAGE)?;
    let decision = block_on(Box::pin(prepared.explain(&subject, action, destination)))?;
    let decision = decision.map_err(|error| failure(&error))?;
    print_decision(&decision, args.json)
}

fn print_decision(decision: &Decision, as_json: bool) -> Result<(), u8> {
    explain::print(decision, as_json).map_err(|error| failure(&error))?;
    yes(decision.permitted)
}

fn tokens(command: token::Token) -> Result<(), u8> {
    let text = match command {
        token::Token::Mint(args) => token::mint(&args).map_err(|error| {
            complain(&error);
            exit::USAGE
        })?,
        token::Token::Inspect(args) => {
            let (_, prepared) = prepare(args.config.clone())?;
            let token = token::read(args.file.as_deref()).map_err(|error| failure(&error))?;
            let (report, taken) = block_on(Box::pin(prepared.inspect(&token, args.at)))?;
            print(&token::render(&report))?;
            return yes(taken);
        }
        token::Token::Keys(args) => {
            let (_, prepared) = prepare(args.config.clone())?;
            let (text, all) = block_on(Box::pin(prepared.keys(args.issuer.as_deref())))?;
            print(&text)?;
            return yes(all);
        }
    };
    print(&text)
}

fn print(text: &str) -> Result<(), u8> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(|error| failure(&error))
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(&format_args!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(work))
}

fn ask_health(flags: health::HealthArgs) -> Result<(), u8> {
    let http = config::load_http(&Arguments::from(flags.config), std::env::vars_os())
        .map_err(|error| misconfigured(&error))?;
    health::run(&http, flags.address, flags.live, flags.timeout).map_err(|error| failure(&error))
}

fn load(flags: ConfigArgs) -> Result<Loaded, u8> {
    config::load(&Arguments::from(flags), std::env::vars_os()).map_err(|error| misconfigured(&error))
}

/// All that `check` and `serve` have in common: everything up to the first socket.
fn prepare(flags: ConfigArgs) -> Result<(Loaded, Prepared), u8> {
    let demo = flags.demo;
    let mut loaded = load(flags)?;
    let (prepared, findings) = Prepared::new(loaded.config.clone(), demo)
        .map_err(|findings| misconfigured(&loaded.refused_by(findings)))?;
    loaded.warn(findings);
    Ok((loaded, prepared))
}

fn misconfigured(error: &ConfigError) -> u8 {
    complain(error);
    exit::CONFIG
}

fn examine(args: DoctorArgs) -> Result<(), u8> {
    let demo = args.config.demo;
    let loaded = load(args.config)?;
    yes(diagnose(loaded, demo, &mut |line| line.print(args.json))?)
}

/// What `doctor` finds; whether nothing fails.
fn diagnose(
    mut loaded: Loaded,
    demo: bool,
    printer: &mut impl FnMut(&doctor::Line) -> std::io::Result<()>,
) -> Result<bool, u8> {
    let (prepared, refused) = match Prepared::new(loaded.config.clone(), demo) {
        Ok((prepared, findings)) => {
            loaded.warn(findings);
            (Some(prepared), Findings::default())
        }
        Err(findings) => (None, findings),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(&format_args!("cannot start the runtime: {error}")))?;
    let examined = async {
        let issuers = match &prepared {
            Some(prepared) => prepared.look_at_issuers().await,
            None => Vec::new(),
        };
        doctor::run(&loaded, refused, &issuers, demo, printer).await
    };
    runtime
        .block_on(Box::pin(examined))
        .map_err(|error| failure(&error))
}

/// Runs a client's command.
fn client<T: Default>(command: impl Future<Output = Result<T, ClientError>>) -> Result<T, u8> {
    client::block_on(command).map_err(|error| {
        complain(&error);
        error.exit_code()
    })
}

/// The exit code of a question that is answered by yes or no.
fn yes(answer: bool) -> Result<(), u8> {
    match answer {
        true => Ok(()),
        false => Err(exit::FAILURE),
    }
}

/// What cannot be had does not keep the rest away: a bundle is wanted most where something does not work.
fn support_bundle(args: &BundleArgs) -> Result<(), u8> {
    let running = client(collect(&args.running))?;
    let parts = match args.only_running {
        true => Vec::new(),
        false => configured(&args.config),
    };
    let now = SystemTime::now().try_into();
    let now = now.map_err(|error: jiff::Error| failure(&error))?;
    bundle::write(args, parts, running, now).map_err(|words| failure(&words))
}

/// The configuration with its secrets hidden, and what `doctor` finds.
fn configured(flags: &ConfigArgs) -> Vec<Part> {
    let part = |name: &str, content| {
        let name = name.to_owned();
        Part { name, content }
    };
    let loaded = config::load(&Arguments::from(flags.clone()), std::env::vars_os());
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return vec![part("configuration.toml", Err(error.to_string()))],
    };
    let text = check::render(&loaded).map(String::into_bytes);
    let mut lines = String::new();
    let mut print = |line: &doctor::Line| {
        lines += &serde_json::to_string(line)?;
        lines.push('\n');
        Ok(())
    };
    let diagnosed = diagnose(loaded, flags.demo, &mut print);
    let doctor = diagnosed
        .map(|_| lines.into_bytes())
        .map_err(|code| format!("it ended with {code}"));
    vec![
        part("configuration.toml", text.map_err(|error| error.to_string())),
        part("doctor.jsonl", doctor),
    ]
}

fn print_subject(args: &subject::SubjectArgs) -> Result<(), u8> {
    let config = load(args.config.clone())?.config;
    let line = subject::line(args, &config.bus.prefix, &config.destinations).map_err(|words| {
        complain(&words);
        exit::USAGE
    })?;
    print(&line)
}

fn failure(message: &dyn std::fmt::Display) -> u8 {
    complain(message);
    exit::FAILURE
}
