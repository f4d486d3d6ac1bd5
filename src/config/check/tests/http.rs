//! The promise: the rules of `[http]`, `[api]` and `[demo]`: addresses, paths, origins, keys of the REST interface, and where the demo may
//! listen.

use super::{check, found, key, refused, taken, warns};

/// Everybody knows the demo's passwords: whoever exposes it must say so.
#[test]
fn the_demo_is_for_loopback_alone() {
    for listen in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[2001:db8::1]:80"] {
        let text = format!("http.listen = {listen:?}");
        assert_eq!(found(&text, true).0, ["demo.exposed"], "{text}");
        assert_eq!(found(&text, false).0, [""; 0], "{text}");
    }
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
