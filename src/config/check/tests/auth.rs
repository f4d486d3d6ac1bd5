//! The promise: the rules of `[auth]`: users, issuers of tokens, and the backend that decides about logins.

use super::{check, found, user, warns};

/// An issuer of this prefix whose keys are fetched, with more lines.
fn issuer(name: &str, prefix: &str, more: &str) -> String {
    let keys = "jwks_uri = 'https://id.example/keys'";
    let keys = if more.contains("keys") || more.contains("jwks_uri") || more.contains("discovery") {
        ""
    } else {
        keys
    };
    format!(
        "[[auth.issuers]]\nissuer = {name:?}\naudience = ['herald']\nuser_prefix = '{prefix}'\n{keys}\n{more}\n"
    )
}

#[test]
fn issuers_of_tokens_have_names_of_their_own() {
    check(
        &(issuer("a", "a:", "") + &issuer("b", "b:", "") + &issuer("c", "", "")),
        &[],
    );
    check(
        &(issuer("a", "a:", "") + &issuer("a", "b:", "")),
        &["auth.issuers[1].issuer"],
    );
    for (first, second) in [("a:", "a:"), ("a:", "a:b:"), ("a:b:", "a:"), ("", "")] {
        check(
            &(issuer("a", first, "") + &issuer("b", second, "")),
            &["auth.issuers[1].user_prefix"],
        );
    }
    for prefix in ["a", "a:b", "\u{202e}:", "anonymous:", "anonymous:a:"] {
        check(&issuer("a", prefix, ""), &["auth.issuers[0].user_prefix"]);
    }
}

#[test]
fn an_issuer_is_whole_and_safe() {
    let wrong = |more: &str, key: &str| {
        check(
            &issuer("https://id.example", "a:", more),
            &[&*format!("auth.issuers[0].{key}")],
        )
    };
    wrong("roles = ['ROLE_ADMIN']", "roles");
    wrong(
        "roles_claim = 'r'\nroles_allowed = ['ROLE_PUBLISHER']",
        "roles_allowed",
    );
    wrong("role_map = { a = 'ROLE_ADMIN' }", "roles_claim");
    wrong("attributes = ['a/b']", "attributes");
    check(&issuer("a", "a:", "attributes = ['a=https://b/c']"), &[]);
    wrong("types = []", "types");
    wrong("algorithms = ['HS256']", "algorithms");
    wrong("algorithms = []", "algorithms");
    wrong("leeway = '1h'", "leeway");
    wrong("stale = '1m'", "stale");
    wrong("timeout = '1m'", "timeout");
    wrong("jwks_uri = 'http://id.example/keys'", "jwks_uri");
    wrong("jwks_uri = 'https://u:p@id.example/keys'", "jwks_uri");
    wrong("jwks_uri = 'ftp://id.example/keys'", "jwks_uri");
    wrong("jwks_uri = '/keys'", "jwks_uri");
    wrong(
        "jwks_uri = 'https://id.example/keys'\ndiscovery = true",
        "jwks_uri",
    );
    wrong("discovery = false", "jwks_uri");
    wrong(
        "close_on_key_removal = true\n[[auth.issuers.keys]]\nsecret_file = 'a'",
        "close_on_key_removal",
    );
    check(
        &issuer("http://id.example", "a:", "discovery = true"),
        &["auth.issuers[0].issuer"],
    );
    for loopback in ["127.0.0.1:80", "[::1]", "localhost:8080"] {
        check(
            &issuer("a", "a:", &format!("jwks_uri = 'http://{loopback}/keys'")),
            &[],
        );
    }
    wrong("[[auth.issuers.keys]]", "keys[0].secret_file");
    wrong(
        "[[auth.issuers.keys]]\nsecret_file = 'a'\npublic_key_file = 'b'",
        "keys[0].secret_file",
    );
    wrong(
        "[[auth.issuers.keys]]\nsecret_file = 'a'\nalgorithm = 'RS256'",
        "keys[0].algorithm",
    );
    wrong(
        "[[auth.issuers.keys]]\npublic_key_file = 'a'\nalgorithm = 'HS256'",
        "keys[0].algorithm",
    );
    check("auth.token.max_bytes = '1MiB'", &["auth.token.max_bytes"]);
    check("auth.token.inline_percent = 101", &["auth.token.inline_percent"]);
    check(
        "auth.token.cache_entries = 1000001",
        &["auth.token.cache_entries"],
    );
    check("auth.token.waiting = 100001", &["auth.token.waiting"]);
}

#[test]
fn users_of_the_configuration() {
    check(&(user("a", "") + &user("b", "")), &[]);
    check(&(user("a", "") + &user("a", "")), &["auth.users[1].name"]);
    check(&user("a:b", ""), &["auth.users[0].name"]);
    check(&user("a", "'USER'"), &["auth.users[0].roles[0]"]);
    check(
        "[[auth.users]]\nname = 'a'\npassword = 'test'",
        &["auth.users[0].password"],
    );
    check(
        &format!("login.hash_memory = '1KiB'\n{}", user("a", "")),
        &["auth.users[0].password"],
    );
    check("auth.password_session = '999ms'", &["auth.password_session"]);
    check("auth.revocations = 0", &["auth.revocations"]);
    check("auth.revocations = 1000001", &["auth.revocations"]);
    check("auth.revoked_file = 7", &["auth.revoked_file"]);
    check("auth.revoked_file = 'revoked'", &[]);
    check("login.permits = 0", &["login.permits"]);
    check("login.cache_entries = 1000001", &["login.cache_entries"]);
    check("login.delay = '1m'", &["login.delay_max"]);
}

#[test]
fn a_callout_is_whole_and_its_users_are_nobody_elses() {
    let order = "auth.order = ['token', 'password', 'callout']\n";
    let whole = |more: &str| {
        format!("{order}auth.callout = {{ target = 'https://a.example/', user_prefix = 'app:'{more} }}\n")
    };
    check(&whole(""), &[]);
    warns(&whole(""), false, &["api.access"]);
    let wrong = |more: &str, key: &str| check(&whole(more), &[&*format!("auth.callout.{key}")]);
    wrong(", timeout = '99ms'", "timeout");
    wrong(", timeout = '31s'", "timeout");
    wrong(", at_once = 0", "at_once");
    wrong(", cache = '2h'", "cache");
    wrong(", cache_entries = 0", "cache_entries");
    wrong(", roles = ['ROLE_ADMIN']", "roles");
    wrong(", roles_allowed = ['ROLE_PUBLISHER']", "roles_allowed");
    wrong(", headers = ['Cookie']", "headers[0]");
    check(
        &whole(", role_map = { boss = 'ROLE_ADMIN' }, headers = ['cookie']"),
        &[],
    );
    for target in [
        "http://a.example/",
        "https://u:p@a.example/",
        "ftp://a/",
        "stomp",
        "",
    ] {
        let text = format!("{order}auth.callout = {{ target = {target:?}, user_prefix = 'app:' }}");
        check(&text, &["auth.callout.target"]);
    }
    for prefix in ["app", "anonymous:", "\u{202e}:"] {
        let text =
            format!("{order}auth.callout = {{ target = 'https://a.example/', user_prefix = '{prefix}' }}");
        check(&text, &["auth.callout.user_prefix"]);
    }
    let meets = |other: &str| whole("") + &issuer("a", other, "");
    check(&meets("id:"), &[]);
    for other in ["app:", "app:a:"] {
        check(&meets(other), &["auth.callout.user_prefix"]);
    }
    let prefix = |set: &str| format!("{order}auth.callout = {{ target = 'https://a.example/'{set} }}\n");
    check(&prefix(""), &["auth.callout.user_prefix"]);
    let shared = prefix(", user_prefix = ''");
    warns(&shared, false, &["auth.callout.user_prefix", "api.access"]);
    check(&(shared + &issuer("a", "", "")), &["auth.callout.user_prefix"]);
    // Whoever is there is asked, and whoever is asked is there.
    check(order, &["auth.callout.target"]);
    let target = "auth.callout = { target = 'https://a.example/', user_prefix = 'app:' }\n";
    check(target, &["auth.order"]);
    check(
        &format!("auth.order = ['callout', 'token']\n{target}"),
        &["auth.order"],
    );
    check(&format!("auth.order = ['callout']\n{target}"), &[]);
    assert_eq!(
        found(&format!("auth.order = ['callout']\n{target}"), true).0,
        ["auth.order"]
    );
    check("auth.order = ['token', 'token', 'password']", &["auth.order"]);
    check(
        &(String::from("auth.order = ['token']\n") + &user("a", "")),
        &["auth.order"],
    );
    check(
        &(String::from("auth.order = ['password']\n") + &issuer("a", "a:", "")),
        &["auth.order"],
    );
    let nats =
        |bus: &str| format!("{order}auth.callout = {{ target = 'nats', user_prefix = 'app:' }}\n{bus}");
    check(&nats(""), &["auth.callout.target"]);
    warns(&nats("bus.url = 'nats://127.0.0.1:4222'"), true, &[]);
    warns(&nats("bus.url = 'tls://nats.example'"), true, &[]);
    warns(
        &nats("bus.url = 'nats://nats.example'"),
        true,
        &["auth.callout.target"],
    );
}
