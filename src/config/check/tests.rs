//! The promise: each rule refuses its bad configurations. One line per rule: a text of the file, and the keys that are
//! named. Whether a type or a check refuses it does not matter.

use std::io::Write;

use crate::config::{Arguments, Problem, load};

mod auth;
mod bus;
mod http;
mod limits;
mod permissions;

/// What is wrong with `text`, and what looks wrong, with or without the users of `--demo`.
fn found(text: &str, demo: bool) -> (Vec<String>, Vec<String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let arguments = Arguments {
        config: Some(file.path().into()),
        demo,
        ..Arguments::default()
    };
    let keys = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.key).collect();
    match load(&arguments, []) {
        Ok(loaded) => (Vec::new(), keys(loaded.warnings)),
        Err(error) => (keys(error.problems), Vec::new()),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(found(text, false).0, expected, "{text}");
}

#[track_caller]
fn warns(text: &str, demo: bool, expected: &[&str]) {
    let (errors, warnings) = found(text, demo);
    assert_eq!(errors, [""; 0], "{text}");
    assert_eq!(warnings, expected, "{text}");
}

/// Each of `values` for `key` is refused, by its name.
#[track_caller]
fn refused(key: &str, values: &[&str]) {
    for value in values {
        check(&format!("{key} = {value:?}"), &[key]);
    }
}

#[track_caller]
fn taken(key: &str, values: &[&str]) {
    for value in values {
        check(&format!("{key} = {value:?}"), &[]);
    }
}

fn key(name: &str, sha256: &str) -> String {
    format!("[[api.keys]]\nname = {name:?}\nsha256 = {sha256:?}\n")
}

fn user(name: &str, roles: &str) -> String {
    let hash = crate::auth::phc::cheap("x");
    format!("[[auth.users]]\nname = {name:?}\npassword = {hash:?}\nroles = [{roles}]\n")
}

#[test]
fn the_defaults_are_sound() {
    check("", &[]);
}

#[test]
fn what_is_allowed_but_looks_wrong_is_a_warning() {
    warns("", false, &["auth.users_file", "api.access"]);
    warns("", true, &[]);
    warns(&user("a", "'ROLE_USER'"), false, &["api.access"]);
    warns(&user("a", "'ROLE_USER', 'ROLE_PUBLISHER'"), false, &[]);
    warns("auth.users_file = 'x'", false, &[]);
    warns("api.keys_file = 'x'", false, &["auth.users_file"]);
    let issuer =
        "[[auth.issuers]]\nissuer = 'https://a'\naudience = ['a']\nuser_prefix = 'a:'\ndiscovery = true\n";
    warns(issuer, false, &["api.access"]);
    let publishers = format!("{issuer}roles_claim = 'r'\nrole_map = {{ p = 'ROLE_PUBLISHER' }}");
    warns(&publishers, false, &[]);
    warns(
        "http.listen = '0.0.0.0:80'\ndemo.exposed = true",
        true,
        &["api.access", "http.hosts"],
    );
    let known = "http.listen = '0.0.0.0:80'\nhttp.hosts = ['chat.example']\ndemo.exposed = true";
    warns(known, true, &["api.access"]);
    warns("http.listen = '127.0.0.2:80'", true, &[]);
    warns("http.listen = '[::1]:80'", true, &[]);
    warns("limits.body_bytes = '2MiB'", true, &[]);
    warns(
        "limits.transaction_bytes = '999KiB'",
        true,
        &["limits.transaction_bytes"],
    );
    warns(
        "http.max_request_bytes = '999KiB'",
        true,
        &["http.max_request_bytes"],
    );
    warns(
        "limits.body_bytes = '8000KiB'",
        true,
        &["limits.transaction_bytes", "limits.outbox_bytes"],
    );
    warns(
        "limits.body_bytes = '8000KiB'\nlimits.outbox_bytes = '16MiB'\nlimits.transaction_bytes = '16MiB'",
        true,
        &[],
    );
    warns("bus.token_file = 'x'", true, &["bus.token_file"]);
    warns("bus.control_key_file = 'x'", true, &["bus.control_key_file"]);
    warns("http.page = 'small'", true, &["http.page"]);
    warns("log.level = 'info,async_nats=trace'", true, &["log.level"]);
}
