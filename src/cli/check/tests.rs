//! The promise of `herald check`: its output.

use std::io::Write;

use super::*;
use crate::config::{Arguments, load};

fn printed(text: &str, variables: &[(&str, &str)]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let flags = Arguments {
        config: Some(file.path().into()),
        listen: Some("127.0.0.1:3".into()),
        demo: false,
    };
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let loaded = load(&flags, variables).unwrap();
    render(&loaded)
        .unwrap()
        .replace(file.path().to_str().unwrap(), "F")
}

/// The line of `text` about `key`, without the padding.
fn line<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let line = text
        .lines()
        .find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ")));
    line.unwrap_or_else(|| panic!("{key} is not in\n{text}"))
        .split_whitespace()
        .collect()
}

#[test]
fn every_value_has_its_source() {
    let text = printed("[http]\nbase_path = '/x'\n", &[("HERALD_DRAIN__TIMEOUT", "30s")]);
    assert_eq!(
        line(&text, "listen"),
        ["listen", "=", "\"127.0.0.1:3\"", "#", "--listen"]
    );
    assert_eq!(line(&text, "base_path"), ["base_path", "=", "\"/x\"", "#", "F:2"]);
    assert_eq!(
        line(text.split_once("[drain]").unwrap().1, "timeout"),
        ["timeout", "=", "\"30s\"", "#", "HERALD_DRAIN__TIMEOUT"]
    );
    assert_eq!(
        line(&text, "ws_path"),
        ["ws_path", "=", "\"/ws\"", "#", "default"]
    );
    assert_eq!(
        line(&text, "url"),
        ["#", "url", "is", "not", "set", "#", "default"]
    );
}

#[test]
fn no_secret_is_printed() {
    let text = "[[auth.users]]\nname = 'a'\npassword = '$argon2id$v=19$m=8,t=1,p=1$8675309AAAA$8675309AAAAAAAAAAAAAAA'\n";
    let variables = [("HERALD_BUS__TOKEN", "8675309")];
    let text = printed(text, &variables);
    assert!(!text.contains("8675309"), "{text}");
    assert_eq!(line(&text, "token")[2], "\"***\"");
    assert!(
        text.contains("{ name = \"a\", password = \"***\", roles = [\"ROLE_USER\"] }"),
        "{text}"
    );
}

#[test]
fn what_is_printed_is_toml_with_every_key() {
    let text = printed("", &[]);
    let parsed: toml::Value = toml::from_str(&text).unwrap();
    assert_eq!(
        parsed,
        Value::try_from({
            let mut config = crate::config::Config::default();
            config.http.listen = "127.0.0.1:3".parse().unwrap();
            config
        })
        .unwrap()
    );
}

#[test]
fn it_notes_that_a_restart_forgets_revoked_tokens() {
    let count = |text: &str| {
        let config: Config = toml::from_str(text).unwrap();
        notes(&config).len()
    };
    let issuer =
        "[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\njwks_uri = 'https://a/'\n";
    assert_eq!(count(""), 0);
    assert_eq!(count(issuer), 1);
    assert_eq!(count(&format!("auth.revoked_file = 'x'\n{issuer}")), 0);
}
