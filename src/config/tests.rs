//! The promise of loading: from text and given variables to values, origins and words.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::http::access::Access;
use crate::origins::Origins;
use crate::setting::{ByteSize, HumanDuration};

mod docs;
mod errors;

/// What is loaded from a file with `text`, `variables` and no flags.
fn loaded(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    loaded_with(text, variables, Arguments::default())
}

fn loaded_with(text: &str, variables: &[(&str, &str)], mut flags: Arguments) -> Result<Loaded, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    flags.config = Some(file.path().into());
    load(
        &flags,
        variables.iter().map(|(name, value)| (name.into(), value.into())),
    )
}

fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    loaded(text, variables).unwrap().config
}

/// What is wrong, the file's path shortened to `F`.
fn wrong(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = loaded(text, variables).unwrap_err().problems;
    let shorten = |problem: Problem| {
        let words = problem.to_string();
        match problem
            .origin
            .as_deref()
            .and_then(|origin| origin.rsplit_once(':'))
        {
            Some((path, _)) => words.replace(path, "F"),
            None => words,
        }
    };
    // Which sections there are is no matter here.
    let cut = |text: String| match text.split_once("; known are api, ") {
        Some((text, _)) => format!("{text}; known are …"),
        None => text,
    };
    problems.into_iter().map(shorten).map(cut).collect()
}

#[test]
fn without_sources_the_defaults_are_in_force() {
    let loaded = load(&Arguments::default(), []).unwrap();
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
    assert_eq!(loaded.origins.of("http.listen"), "default");
}

#[test]
fn the_environment_beats_the_file_and_flags_beat_both() {
    let text = "[http]\nlisten = '127.0.0.1:1'\nbase_path = '/file'\n[bus]\nprefix = 'file'";
    let variables = [
        ("HERALD_HTTP__LISTEN", "127.0.0.1:2"),
        ("HERALD_BUS__PREFIX", "env"),
    ];
    let flags = Arguments {
        listen: Some("127.0.0.1:3".into()),
        demo: true,
        ..Arguments::default()
    };
    let loaded = loaded_with(text, &variables, flags).unwrap();
    assert_eq!(loaded.config.http.listen.to_string(), "127.0.0.1:3");
    assert_eq!(loaded.config.bus.prefix.to_string(), "env");
    assert_eq!(loaded.config.http.base_path.as_str(), "/file");
    assert_eq!(loaded.config.api.access, Access::Open);
    let origin = |key| loaded.origins.of(key);
    assert_eq!(origin("http.listen"), "--listen");
    assert_eq!(origin("api.access"), "--demo");
    assert_eq!(origin("bus.prefix"), "HERALD_BUS__PREFIX");
    assert!(
        origin("http.base_path").ends_with(":3"),
        "{}",
        origin("http.base_path")
    );
    assert_eq!(origin("http.ws_path"), "default");
}

/// `--demo` sets what nobody else does: whoever writes a setting down has it.
#[test]
fn what_is_written_down_beats_the_demo() {
    let access = |text: &str, variables: &[(&str, &str)]| {
        let flags = Arguments {
            demo: true,
            ..Arguments::default()
        };
        let loaded = loaded_with(text, variables, flags).unwrap();
        (loaded.config.api.access, loaded.origins.of("api.access"))
    };
    let (found, origin) = access("[api]\naccess = 'keys'", &[]);
    assert!(found == Access::Keys && origin.ends_with(":2"), "{origin}");
    let variable = "HERALD_API__ACCESS";
    assert_eq!(
        access("", &[(variable, "keys")]),
        (Access::Keys, variable.to_owned())
    );
    assert_eq!(
        access("[api]\naccess = 'keys'", &[(variable, "open")]),
        (Access::Open, variable.to_owned())
    );
    assert_eq!(
        access("[http]\npage = 'full'", &[]),
        (Access::Open, "--demo".to_owned())
    );
}

#[test]
fn variables_without_levels_are_not_ours() {
    let variables = [
        ("HERALD_PORT", "tcp://10.0.0.1:80"),
        ("HERALD_SERVICE_HOST", "10.0.0.1"),
        ("XHERALD_HTTP__LISTEN", "x"),
        ("OTHER__KEY", "x"),
    ];
    config("", &variables);
}

#[test]
fn values_of_variables_become_what_the_key_takes() {
    let variables = [
        ("HERALD_BUS__USER", "0123"),
        ("HERALD_BUS__PASSWORD", " 0123 "),
        ("HERALD_INSTANCE__NAME", "true"),
        ("HERALD_BUS__URL", "nats://n:4222"),
        ("HERALD_LIMITS__HEADERS", "80"),
        ("HERALD_LOGIN__PERMITS", "2"),
        ("HERALD_LIMITS__BODY_BYTES", "64KiB"),
        ("HERALD_DRAIN__TIMEOUT", "30s"),
        ("HERALD_HTTP__ORIGINS", "https://a.example, https://b.example"),
        (
            "HERALD_HTTP__CORS_ORIGINS",
            r#"["https://a.example","https://b.example"]"#,
        ),
        ("HERALD_HISTORY__BROADCAST", "/queue, /topic"),
        ("HERALD_PRESENCE__LIST_DESTINATION", ""),
        ("HERALD_BUS__CA_FILE", ""),
        ("HERALD_HTTP__BASE_PATH", ""),
    ];
    let config = config("bus.ca_file = 'x'\nhttp.base_path = '/x'", &variables);
    assert_eq!(config.bus.user.as_deref(), Some("0123"));
    assert_eq!(config.bus.password.unwrap().expose(), " 0123 ");
    assert_eq!(
        config.instance.name.map(|name| name.to_string()).as_deref(),
        Some("true")
    );
    assert_eq!(config.limits.headers, 80);
    assert_eq!(config.login.permits, Some(2));
    assert_eq!(config.limits.body_bytes, ByteSize::kib(64));
    assert_eq!(config.drain.timeout, HumanDuration::secs(30));
    let origins = Origins::parse(["https://a.example", "https://b.example"]).unwrap();
    assert_eq!(config.http.origins, origins);
    assert_eq!(config.http.cors_origins, origins);
    let kept = config.history.broadcast.unwrap_or_default();
    let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
    assert_eq!(kept, ["/queue", "/topic"]);
    assert_eq!(config.presence.list_destination, None);
    assert_eq!(config.bus.ca_file, None);
    assert_eq!(config.http.base_path.as_str(), "");
}

#[test]
fn lists_by_variable_are_json_or_commas() {
    let check = |text: &str, expected: &[&str]| {
        let config = config("", &[("HERALD_HTTP__CORS_ORIGINS", text)]);
        assert_eq!(
            config.http.cors_origins,
            Origins::parse(expected).unwrap(),
            "{text}"
        );
    };
    check("", &[]);
    check("[]", &[]);
    check("*", &["*"]);
    check("[*]", &["*"]);
    check("http://a,http://b", &["http://a", "http://b"]);
    check(" [ \"http://a\" , 'http://b' ] ", &["http://a", "http://b"]);
}

#[test]
fn an_empty_text_in_the_file_is_none_where_none_is_possible() {
    let config = config("presence.list_destination = ''\nhttp.base_path = ''", &[]);
    assert_eq!(config.presence.list_destination, None);
    assert_eq!(config.http.base_path.as_str(), "");
}

/// A file with `text`, and the variable that names it.
fn named_by_variable(text: &str) -> (tempfile::NamedTempFile, (OsString, OsString)) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variable = ("HERALD_CONFIG".into(), file.path().into());
    (file, variable)
}

#[test]
fn a_variable_names_the_file_and_the_flag_beats_it() {
    let (_file, variable) = named_by_variable("bus.prefix = 'variable'");
    let loaded = load(&Arguments::default(), [variable.clone()]).unwrap();
    assert_eq!(loaded.config.bus.prefix.to_string(), "variable");
    assert!(loaded.origins.of("bus.prefix").to_string().ends_with(":1"));

    let (flag, _) = named_by_variable("bus.prefix = 'flag'");
    let flags = Arguments {
        config: Some(flag.path().into()),
        ..Arguments::default()
    };
    assert_eq!(
        load(&flags, [variable]).unwrap().config.bus.prefix.to_string(),
        "flag"
    );

    let empty = ("HERALD_CONFIG".into(), OsString::new());
    load(&Arguments::default(), [empty]).unwrap();
    let nowhere = ("HERALD_CONFIG".into(), "/nowhere/herald.toml".into());
    let error = load(&Arguments::default(), [nowhere]).unwrap_err().to_string();
    assert!(
        error.contains("cannot read /nowhere/herald.toml (HERALD_CONFIG)"),
        "{error}"
    );
}

#[test]
fn health_needs_http_alone() {
    let (_file, variable) = named_by_variable(
        "nope = 1\n[bus]\nprefix = '!'\npasword = 7\n[limits]\nheaders = 'many'\n[http]\nbase_path = '/backend'\n",
    );
    let with = |name: &str, value: &str| {
        let variables = [
            variable.clone(),
            ("HERALD_BUS__PASSWORD_FILE".into(), "/run/secrets/x".into()),
            (name.into(), value.into()),
        ];
        load_http(&Arguments::default(), variables)
    };
    let http = with("HERALD_HTTP__LISTEN", "0.0.0.0:1").unwrap();
    assert_eq!(http.listen.to_string(), "0.0.0.0:1");
    assert_eq!(http.base_path.as_str(), "/backend");
    let words = |name, value| with(name, value).unwrap_err().to_string();
    assert_eq!(
        words("HERALD_HTTP__LISTEM", "x"),
        "configuration: http.listem (HERALD_HTTP__LISTEM): unknown key; did you mean http.listen?"
    );
    assert!(
        words("HERALD_HTTP__LISTEN", "8080")
            .starts_with("configuration: http.listen (HERALD_HTTP__LISTEN): ")
    );

    let (_file, variable) = named_by_variable("[bus\n");
    let error = load_http(&Arguments::default(), [variable])
        .unwrap_err()
        .to_string();
    assert!(error.contains(":1: not TOML: "), "{error}");
}
