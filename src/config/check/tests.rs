//! The promise: each rule refuses its bad configurations. One line per rule: a text of the file, and the keys that are
//! named. Whether a type or a check refuses it does not matter.

use std::io::Write;

use crate::config::{Arguments, Problem, load};

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

/// A rule for an attribute that nobody can have lets in nobody: most often it is mistyped.
#[test]
fn rules_ask_for_attributes_that_somebody_can_have() {
    let issuer = "[[auth.issuers]]\nissuer = 'https://a/'\naudience = ['a']\nuser_prefix = 'a:'\njwks_uri = 'https://a/'\n\
                  attributes = ['tenant', 'plan=https://a/plan']\n";
    let rule = |destination: &str, more: &str| {
        format!("[[permissions.subscribe]]\ndestination = '{destination}'\n{more}\n")
    };
    let meant = |text: &str| {
        let (errors, mut warnings) = found(text, false);
        assert_eq!(errors, [""; 0], "{text}");
        warnings.retain(|key| key.starts_with("permissions"));
        warnings
    };
    let typo = rule("/queue/{claim.tennant}/**", "");
    let found = meant(&format!("{typo}{issuer}"));
    assert_eq!(found, ["permissions.subscribe[0].destination"]);
    let claims = rule("/queue/x", "claims = { plan = ['a'], region = ['b'] }");
    let found = meant(&format!("{claims}{issuer}"));
    assert_eq!(found, ["permissions.subscribe[0].claims"]);
    for text in [
        format!("{}{issuer}", rule("/queue/{claim.tenant}/{claim.plan}", "")),
        format!("[auth]\nusers_file = '/nowhere'\n{typo}{issuer}"),
        format!(
            "[auth]\norder = ['token', 'callout']\n{typo}{issuer}[auth.callout]\ntarget = 'https://a/'\nuser_prefix = 'b:'\n"
        ),
    ] {
        assert_eq!(meant(&text), [""; 0], "{text}");
    }
}

/// Everybody knows the demo's passwords: whoever exposes it must say so.
#[test]
fn the_demo_is_for_loopback_alone() {
    for listen in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[2001:db8::1]:80"] {
        let text = format!("http.listen = {listen:?}");
        assert_eq!(found(&text, true).0, ["demo.exposed"], "{text}");
        assert_eq!(found(&text, false).0, [""; 0], "{text}");
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
fn addresses_and_paths() {
    let wrong = [
        "8080",
        ":8080",
        "localhost:8080",
        "127.0.0.1",
        "127.0.0.1:99999",
        "::1:80",
    ];
    refused("http.listen", &wrong);
    refused("http.listen", &[""]);
    refused("http.admin_listen", &wrong);
    check("http.admin_listen = '127.0.0.1:8080'", &["http.admin_listen"]);
    check(
        "http.listen = '127.0.0.1:0'\nhttp.admin_listen = '127.0.0.1:0'",
        &[],
    );
    taken("http.listen", &["[::]:80"]);
    let wrong = [
        "/", "backend", "/a/", "/a//b", "/..", "/a b", "/a?b", "/{x}", "/ä",
    ];
    refused("http.base_path", &wrong);
    refused("http.ws_path", &wrong);
    taken("http.base_path", &["/a/b-1.2", ""]);
    refused("http.ws_path", &["", "/api", "/api/ws", "/metrics"]);
    taken("http.ws_path", &["/apis"]);
    refused("http.trace_url", &["javascript:alert({trace_id})", "https://a/"]);
    let wrong = [
        "id.example",
        "http://id.example",
        "https://u:p@id.example",
        "https://id.example/?x",
        "https://id.example/#x",
        "https://a;b.example",
        "https://*.example",
        "https://a'b.example",
    ];
    refused("http.page_oidc.issuer", &wrong);
    refused("http.page_oidc.client_id", &["a b", "ä"]);
    refused("http.page_oidc.audience", &["a b"]);
    check(
        "http.page_oidc.scopes = ['openid', 'a b']",
        &["http.page_oidc.scopes[1]"],
    );
    check("http.page_oidc.scopes = ['email']", &["http.page_oidc.scopes"]);
    check("http.page_oidc.client_id = 'page'", &["http.page_oidc.issuer"]);
    for issuer in [
        "https://id.example:8443/realms/a",
        "http://[::1]:9",
        "http://localhost:9",
    ] {
        let text = format!("http.page_oidc.issuer = '{issuer}'");
        check(&text, &["http.page_oidc.client_id"]);
    }
    let oidc = "http.page_oidc = { issuer = 'https://id.example', client_id = 'page' }\n";
    let taken_by = |issuer: &str| {
        format!(
            "{oidc}[[auth.issuers]]\nissuer = '{issuer}'\naudience = ['a']\nuser_prefix = 'a:'\ndiscovery = true"
        )
    };
    warns(oidc, true, &["http.page_oidc.issuer"]);
    warns(&taken_by("https://id.example/"), true, &["http.page_oidc.issuer"]);
    warns(&taken_by("https://id.example"), true, &[]);
    check("http.max_request_bytes = '65MiB'", &["http.max_request_bytes"]);
    check("http.proxy_protocol = true", &["http.proxy_protocol"]);
    for section in ["http.tls", "http.admin_tls"] {
        let key = |name: &str| format!("{section}.{name}");
        check(&format!("{section}.cert_file = '/a'"), &[&*key("cert_file")]);
        check(&format!("{section}.key_file = '/a'"), &[&*key("key_file")]);
        check(&format!("{section}.handshakes = 0"), &[&*key("handshakes")]);
        check(
            &format!("{section}.client_auth = 'require'"),
            &[&*key("client_auth")],
        );
        check(
            &format!("{section} = {{ client_auth = 'request', client_ca_file = '/c' }}"),
            &[&*key("client_auth")],
        );
        refused(&key("client_auth"), &["yes", ""]);
        refused(&key("min_version"), &["1.1", "TLSv1.3", ""]);
        taken(&key("min_version"), &["1.2", "1.3"]);
    }
    check(
        "http.admin_tls = { cert_file = '/a', key_file = '/b' }",
        &["http.admin_tls"],
    );
}

#[test]
fn origins() {
    for text in [
        "",
        "example.com",
        "https://",
        "https://a/",
        "https://a*.b",
        "https://*.",
        "**",
    ] {
        check(&format!("http.origins = ['*', {text:?}]"), &["http.origins[1]"]);
        check(
            &format!("http.cors_origins = [{text:?}]"),
            &["http.cors_origins[0]"],
        );
    }
    for text in [
        "*",
        "http://localhost:3000",
        "https://*.example.com",
        "http://[::1]:80",
    ] {
        check(&format!("http.origins = [{text:?}]"), &[]);
    }
}

#[test]
fn keys_have_one_name_and_one_hash() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    check(&(key("x", &a) + &key("y", &b)), &[]);
    check(&(key("x", &a) + &key("x", &b)), &["api.keys[1].name"]);
    check(
        &(key("x", &a) + &key("y", &a.to_uppercase())),
        &["api.keys[1].sha256"],
    );
    check(&key("", &a), &["api.keys[0].name"]);
    check(&key("x", &a[1..]), &["api.keys[0].sha256"]);
    check(&key("x", &"g".repeat(64)), &["api.keys[0].sha256"]);
    check(&(key("x", &a) + "scopes = []"), &["api.keys[0].scopes"]);
}

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

#[test]
fn the_way_to_nats() {
    taken("bus.url", &["nats://a", "nats://a:4222,nats://b:4222", "a:4222"]);
    refused(
        "bus.url",
        &["http://a", "nats://", "nats://a,", "tls://u:p@a:4222"],
    );
    refused("bus.prefix", &["", "a.b", "*", "ä", "$SYS"]);
    check("bus.token = 'x'\nbus.token_file = 'x'", &["bus.token"]);
    check("bus.nkey = 'x'\nbus.nkey_file = 'x'", &["bus.nkey"]);
    check(
        "bus.user = 'x'\nbus.password = 'x'\nbus.password_file = 'x'",
        &["bus.password"],
    );
    check("bus.user = 'x'", &["bus.user"]);
    check("bus.password_file = 'x'", &["bus.password_file"]);
    check("bus.password = 'x'", &["bus.password"]);
    check("bus.token = 'x'\nbus.credentials_file = 'x'", &["bus.token"]);
    check("bus.control_unsigned = 'refuse'", &["bus.control_unsigned"]);
    check("bus.control_unsigned = 'drop'", &["bus.control_unsigned"]);
    check("bus.subscription_capacity = 0", &["bus.subscription_capacity"]);
    check("bus.embedded_capacity = 1048577", &["bus.embedded_capacity"]);
}

#[test]
fn prefixes_do_not_overlap() {
    for list in ["'/queue', '/queue/x', '/queues'", "'/queue/x', '/queue'"] {
        check(
            &format!("destinations.broadcast_prefixes = [{list}]"),
            &["destinations.broadcast_prefixes[1]"],
        );
    }
    check(
        "destinations.broadcast_prefixes = ['/queue', '/topic', '/topic']",
        &["destinations.broadcast_prefixes[2]"],
    );
    check(
        "destinations.application_prefixes = ['/chat', '/app', '/topic/app']",
        &["destinations.application_prefixes[2]"],
    );
    check("destinations.user_prefix = '/app'", &["destinations.user_prefix"]);
    check(
        "presence.list_destination = '/app/x'",
        &["presence.list_destination"],
    );
    check("presence.list_destination = ''", &[]);
}

#[test]
fn permissions_are_for_what_there_is() {
    let rule = |list, destination, roles| {
        format!("[[permissions.{list}]]\ndestination = '{destination}'\nroles = [{roles}]")
    };
    check(&rule("send", "/queue/**", "'ROLE_USER'"), &[]);
    for (list, destination) in [
        ("send", "/nowhere/x"),
        ("send", "/queue/**/x"),
        ("subscribe", "/user/queue/x"),
        ("subscribe", "/chat/x"),
    ] {
        let key = format!("permissions.{list}[0].destination");
        check(&rule(list, destination, ""), &[&key]);
    }
    check(
        &rule("send", "/queue/x", "'ROLE_A', 'PUBLISHER'"),
        &["permissions.send[0].roles[1]"],
    );
}

#[test]
fn rules_say_what_they_seem_to_say() {
    let text = |list: &str, destination: &str, roles: &str| {
        format!(
            "{}[[permissions.{list}]]\ndestination = '{destination}'\nroles = [{roles}]",
            user("a", "'ROLE_USER', 'ROLE_PUBLISHER'")
        )
    };
    // The default routes: broadcast to /queue/message, users of /queue/users, recent of /queue/message.
    for (list, destination, roles, expected) in [
        ("subscribe", "/queue/message", "", &[2][..]),
        ("subscribe", "/queue/users", "", &[1]),
        ("subscribe", "/queue/**", "", &[1, 2]),
        ("subscribe", "/queue/**", "'ROLE_ADMIN'", &[]),
        ("send", "/queue/*", "", &[0]),
        ("send", "/queue/*", "'ROLE_ADMIN'", &[]),
        ("send", "/topic/*", "", &[]),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|index| format!("application.routes[{index}].path"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        warns(&text(list, destination, roles), false, &expected);
    }
    // With open publishing the rules for SEND keep nobody out.
    for (destination, roles, expected) in [
        ("/queue/x", "'ROLE_ADMIN'", &["permissions.send[0]"][..]),
        ("/queue/x", "'ROLE_ADMIN', 'ROLE_USER'", &[]),
        ("/app/x", "'ROLE_ADMIN'", &[]),
        ("/user/queue/x", "'ROLE_ADMIN'", &[]),
    ] {
        let rule = text("send", destination, roles);
        warns(&format!("api.access = 'open'\n{rule}"), false, expected);
        warns(&rule, true, expected);
        warns(&rule, false, &[]);
    }
}

#[test]
fn rules_let_in_anonymous_sessions_where_there_are_any() {
    let rule = |list: &str, more: &str| {
        format!("[[permissions.{list}]]\ndestination = '/topic/x'\nanonymous = true\n{more}\n")
    };
    let enabled = "auth.anonymous.enabled = true\n";
    check(&rule("publish", ""), &["permissions.publish[0].anonymous"]);
    warns(&rule("subscribe", ""), true, &[]);
    warns(&format!("{enabled}{}", rule("send", "")), true, &[]);
    let theirs = "roles = ['ROLE_USER', 'ROLE_ANONYMOUS']";
    warns(&rule("subscribe", theirs), true, &[]);
    warns(
        &rule("subscribe", "roles = ['ROLE_USER']"),
        true,
        &["permissions.subscribe[0].anonymous"],
    );
    warns(
        &rule("subscribe", "users = ['a']"),
        true,
        &["permissions.subscribe[0].anonymous"],
    );
    warns(enabled, true, &["auth.anonymous.enabled"]);
    check("limits.anonymous_sessions = 0", &["limits.anonymous_sessions"]);
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

#[test]
fn routes_lead_somewhere() {
    refused("application.time_zone", &["Mars/Olympus"]);
    taken("application.time_zone", &["Europe/Berlin"]);
    check(
        "[[application.routes]]\naction = 'broadcast'\npath = '/m'\ndestination = '/user/x'",
        &["application.routes[0].destination"],
    );
    check(
        "[[application.routes]]\naction = 'recent'\npath = '/m'\ndestination = '/queue/x'\ncount = 0\n\
         reply = '/queue/r'",
        &["application.routes[0].count"],
    );
    check(
        &"[[application.routes]]\naction = 'users'\npath = '/m'\nreply = '/q'\n".repeat(2),
        &["application.routes[1].path"],
    );
}

#[test]
fn bounds_fit_each_other() {
    for (text, key) in [
        ("limits.body_bytes = '8001KiB'", "limits.body_bytes"),
        ("limits.body_bytes = '0B'", "limits.body_bytes"),
        ("limits.outbox_bytes = '63KiB'", "limits.outbox_bytes"),
        ("limits.outbox_total_bytes = '1MiB'", "limits.outbox_total_bytes"),
        ("limits.delivery_bytes = '64KiB'", "limits.delivery_bytes"),
        (
            "limits.frame_bytes_before_login = '0B'",
            "limits.frame_bytes_before_login",
        ),
        ("limits.socket_send_bytes = '1B'", "limits.socket_send_bytes"),
        ("limits.connect_timeout = '0s'", "limits.connect_timeout"),
        ("http.head_total_bytes = '15KiB'", "http.head_total_bytes"),
        ("http.unauthenticated = 0", "http.unauthenticated"),
        ("limits.frame_timeout = '0s'", "limits.frame_timeout"),
        ("limits.replay_read_timeout = '0s'", "limits.replay_read_timeout"),
        ("limits.replay_ack_timeout = '0s'", "limits.replay_ack_timeout"),
        (
            "limits.incoming_total_bytes = '7MiB'",
            "limits.incoming_total_bytes",
        ),
        (
            "limits.transaction_total_bytes = '7MiB'",
            "limits.transaction_total_bytes",
        ),
        (
            "limits.send_bytes_per_session = '4MiB'",
            "limits.send_bytes_per_session",
        ),
        (
            "limits.send_bytes_per_user = '1B/s'",
            "limits.send_bytes_per_user",
        ),
        (
            "limits.idle_frames_per_session = '20'",
            "limits.idle_frames_per_session",
        ),
        ("limits.sessions_per_user = 4097", "limits.sessions_per_user"),
        ("heartbeat.send = '999ms'", "heartbeat.send"),
        ("heartbeat.receive = '1ms'", "heartbeat.receive"),
        ("delivery.shards = 0", "delivery.shards"),
        ("delivery.shards = 65", "delivery.shards"),
        ("delivery.mailbox = 0", "delivery.mailbox"),
        ("presence.instance_timeout = '1s'", "presence.instance_timeout"),
        ("drain.timeout = '6s'", "drain.timeout"),
        ("metrics.interval = '0s'", "metrics.interval"),
        ("tracing.ratio = 1.5", "tracing.ratio"),
        ("tracing.queue = 0", "tracing.queue"),
        ("tracing.endpoint = 'localhost:4317'", "tracing.endpoint"),
        ("tracing.trust = ['10.0.0.0/33']", "tracing.trust[0]"),
        ("tracing.trust = ['key:nobody']", "tracing.trust[0]"),
        (
            "tracing.baggage_to_browsers = ['a=1']",
            "tracing.baggage_to_browsers[0]",
        ),
        ("instance.name = \"a\\nb\"", "instance.name"),
        ("log.level = 'inof'", "log.level"),
        ("audit.file = ''", "audit.file"),
        ("audit.groups = 0", "audit.groups"),
        ("audit.names = 'hashed'", "audit.names_key"),
        (
            "[audit]\nnames = 'hashed'\nnames_key = 'short'",
            "audit.names_key",
        ),
        (
            "[audit]\nnames = 'hashed'\nnames_key = '-----BEGIN PUBLIC KEY-----'",
            "audit.names_key",
        ),
    ] {
        check(text, &[key]);
    }
    check("limits.socket_send_bytes = '0B'", &[]);
    check("heartbeat.send = '0s'", &[]);
}

/// History: what cannot be kept, and what could never be replayed.
#[test]
fn history_keeps_what_there_is() {
    const NATS: &str = "bus.url = \"nats://127.0.0.1:4222\"\n";
    check(&format!("{NATS}history.enabled = true"), &[]);
    check(
        &format!("{NATS}history.enabled = true\nhistory.user = false\nhistory.broadcast = []"),
        &["history.enabled"],
    );
    check("history.storage = \"memory\"", &["history.storage"]);
    check("history.index_bytes = \"1MiB\"", &["history.index_bytes"]);
    check(&format!("{NATS}history.index_bytes = \"0B\""), &[]);
    check("history.path = \"history\"\nhistory.user_age = \"7h\"", &[]);
    check(&format!("{NATS}history.path = \"history\""), &["history.path"]);
    check(
        "history.path = \"history\"\nhistory.replicas = 3",
        &["history.replicas"],
    );
    for (key, bad) in [
        ("history.user_age", "\"0s\""),
        ("history.user_bytes", "\"1KiB\""),
        ("history.reads", "0"),
        ("history.index_bytes", "\"257MiB\""),
        ("history.publishes", "65537"),
        ("history.duplicate_window", "\"19s\""),
    ] {
        check(&format!("{NATS}{key} = {bad}"), &[key]);
    }
    check(&format!("{NATS}history.enabled = false"), &[]);
    check(NATS, &[]);
    check("history.enabled = true", &[]);
    check("history.broadcast = []", &[]);
    check("history.broadcast = [\"/topic\"]", &[]);
    check("history.broadcast = [\"/elsewhere\"]", &["history.broadcast[0]"]);
    check(
        "history.broadcast = [\"/queue\", \"/queue\"]",
        &["history.broadcast[1]"],
    );
    for (key, bad) in [
        ("history.tail_bytes", "\"1KiB\""),
        ("history.duplicate_window", "\"999ms\""),
        ("history.duplicate_window", "\"25h\""),
        ("history.keys", "0"),
        ("history.keys", "1000001"),
        ("history.replay_messages", "0"),
        ("history.replay_messages", "100001"),
        ("history.replay_bytes", "\"0B\""),
        ("history.replay_bytes", "\"1GiB\""),
    ] {
        check(&format!("{key} = {bad}"), &[key]);
    }
}
