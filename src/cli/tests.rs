//! The promise of the command line's definition as a whole. Runs no command.

use clap::CommandFactory;

use super::*;

/// Every command, such as `herald api-key` and `herald api-key new`, with its definition.
fn commands_and_parents() -> Vec<(String, clap::Command)> {
    fn collect(name: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        all.push((name.to_owned(), command.clone()));
        for inner in command.get_subcommands() {
            collect(&format!("{name} {}", inner.get_name()), inner, all);
        }
    }
    let mut all = Vec::new();
    for command in Cli::command().get_subcommands() {
        collect(&format!("herald {}", command.get_name()), command, &mut all);
    }
    all
}

/// Those that can be run.
fn commands() -> Vec<(String, clap::Command)> {
    let all = commands_and_parents().into_iter();
    let all: Vec<_> = all
        .filter(|(_, command)| !command.is_subcommand_required_set())
        .collect();
    assert!(all.len() > 20, "{}", all.len());
    all
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn exit_codes_are_sysexits() {
    let check = |line: &str, expected: u8| {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(exit_code(&error), expected, "{line}");
    };
    check("herald --help", 0);
    check("herald --version", 0);
    check("herald serve --help", 0);
    check("herald", exit::USAGE);
    check("herald serve --lisen x", exit::USAGE);
    check("herald serve --listen", exit::USAGE);
    check("herald dance", exit::USAGE);
    check("herald explain", exit::USAGE);
    check("herald log-level --all", exit::USAGE);
    check("herald send /app/x --timeout 1s", exit::USAGE);
}

#[test]
fn flags_become_arguments() {
    let line = "herald serve --config a.toml --demo --listen [::]:80";
    let Command::Serve(flags) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
        panic!("not serve");
    };
    let expected = Arguments {
        config: Some("a.toml".into()),
        listen: Some("[::]:80".into()),
        demo: true,
    };
    assert_eq!(Arguments::from(flags), expected);
}

#[test]
fn a_destination_and_a_permission_are_explained_by_one_command() {
    let parse = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
        Command::Explain(args) => args,
        _ => panic!("{line}"),
    };
    let args = parse("herald explain /queue/a --user alice --json --url http://x");
    assert_eq!(args.recipients.destination.as_deref(), Some("/queue/a"));
    assert!(args.command.is_none() && args.recipients.server.url.is_some());
    let args = parse("herald explain permission --demo --user test1 --subscribe /queue/a");
    assert!(args.command.is_some());
}

/// As every other command finds its Herald; a named configuration and what only a configuration knows count before that.
#[test]
fn a_permission_is_asked_of_the_herald_that_everything_else_is_asked_of() {
    use super::client::context::{Context, Contexts};
    let home = tempfile::tempdir().unwrap();
    let check = |what: &str, pairs: &[(&str, &str)], expected: bool| {
        let line = format!("herald explain permission {what} --subscribe /queue/a");
        let Command::Explain(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}")
        };
        let Some(explain::Explain::Permission(args)) = args.command else {
            panic!("{line}")
        };
        let env = |wanted: &str| match pairs.iter().find(|(name, _)| *name == wanted) {
            Some((_, value)) => Some(value.into()),
            None => (wanted == "XDG_CONFIG_HOME").then(|| home.path().as_os_str().to_owned()),
        };
        let asked = args.running(&env).unwrap();
        assert_eq!(asked.is_some(), expected, "{what} {pairs:?}");
    };
    check("--user a", &[], false);
    check("--user a", &[("HERALD_URL", "")], false);
    for options in ["--running", "--url http://a", "--key-file f", "--login b"] {
        check(&format!("--user a {options}"), &[("HERALD_CONFIG", "f")], true);
    }
    let variables = [
        ("HERALD_URL", "http://a"),
        ("HERALD_KEY", "k"),
        ("HERALD_CONTEXT", "a"),
    ];
    let contexts = |env: &dyn Fn(&str) -> Option<std::ffi::OsString>| Contexts::of(&env).unwrap();
    let contexts = contexts(&|name| (name == "XDG_CONFIG_HOME").then(|| home.path().as_os_str().to_owned()));
    let name = "a".parse().unwrap();
    let context = Context {
        url: "http://a".into(),
        ..Context::default()
    };
    contexts.write(&name, &context, false).unwrap();
    for variable in variables {
        check("--user a", &[variable], true);
        for options in ["--config f", "--demo", "--listen 127.0.0.1:1"] {
            check(&format!("--user a {options}"), &[variable], false);
        }
        for whom in ["--anonymous", "--token-file f"] {
            check(whom, &[variable], false);
        }
        check("--user a", &[variable, ("HERALD_CONFIG", "f")], false);
    }
    check("--user a", &[], false);
    contexts.select(Some(&name)).unwrap();
    check("--user a", &[], true);
    check("--user a --config f", &[], false);
}

#[test]
fn every_command_shows_examples_of_itself() {
    for (name, command) in commands_and_parents() {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let examples = help.strip_prefix("Examples:\n").unwrap_or_default();
        assert!(
            examples.contains(&name),
            "{name} has no example in --help: {help:?}"
        );
    }
}

#[test]
fn every_command_that_answers_can_do_so_in_json() {
    // What prints a file, a secret or a script, and what runs until it is ended.
    let others = ["serve", "health", "hash-password", "token", "completions", "man"];
    for (name, command) in commands() {
        let is_other = others.iter().any(|other| name.split(' ').nth(1) == Some(other));
        let has_json = command
            .get_arguments()
            .any(|argument| argument.get_id() == "json");
        assert_eq!(has_json, !is_other, "{name}");
    }
}

#[test]
fn the_documentation_has_every_command() {
    let page = include_str!("../../docs/cli.md");
    for (name, _) in commands() {
        // A page's section may be about several, such as `token`.
        let parent = name.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let has =
            |name: &str| page.contains(&format!("`{name}`](#")) || page.contains(&format!("`{name}`, `"));
        assert!(
            has(&name) || has(&parent) || page.contains(&format!(", `{name}`](#")),
            "{name}"
        );
    }
}
