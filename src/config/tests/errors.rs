//! The promise: everything wrong is said at once, with its place and what was expected, and no error shows a secret.

use super::*;

#[test]
fn everything_wrong_is_said_at_once_with_its_place() {
    let text = "[limits]\nbody_bytes = '10kb'\nheaders = 'many'\nbody_byte = '1KiB'\n\n[nope]\nx = 1\n[drain]\n\
                timeout = 25\n";
    let variables = [
        ("HERALD_LIMITS__OUTBOX_BYTES", "2"),
        ("HERALD_HTTP__LISTEM", "x"),
        ("HERALD_API__ACCESS", "opn"),
    ];
    let expected = [
        "limits.body_byte (F:4): unknown key; did you mean limits.body_bytes?",
        "nope (F:6): unknown section; known are …",
        "http.listem (HERALD_HTTP__LISTEM): unknown key; did you mean http.listen?",
        "drain.timeout (F:9): expected a text in quotes, got 25",
        "limits.body_bytes (F:2): expected a size such as 512B, 64KiB or 1MiB, got \"10kb\"",
        "limits.headers (F:3): expected a whole number, got \"many\"",
        "api.access (HERALD_API__ACCESS): expected keys or open, got \"opn\"",
        "limits.outbox_bytes (HERALD_LIMITS__OUTBOX_BYTES): expected a size such as 512B, 64KiB or 1MiB, got \"2\"",
    ];
    assert_eq!(wrong(text, &variables), expected);
}

#[test]
fn a_wrong_element_is_named_by_its_own_line() {
    let hash = "0".repeat(64);
    let text =
        format!("[[api.keys]]\nname = 'a'\nsha256 = '{hash}'\n\n[[api.keys]]\nname = 'b'\nsha265 = 'x'\n");
    assert_eq!(
        wrong(&text, &[]),
        [
            "api.keys[1].sha265 (F:7): unknown key; known here: name, sha256, scopes, destinations, \
             rate, bytes and not_after"
        ]
    );
    let text = format!("[[api.keys]]\nname = 'a'\nsha256 = '{hash}'\n[[api.keys]]\nname = 'b'\nsha256 = 7\n");
    assert_eq!(
        wrong(&text, &[]),
        ["api.keys[1].sha256 (F:6): expected a SHA-256, or a list of two, got 7"]
    );
    let text = "[[api.keys]]\nname = 'a'\n";
    assert_eq!(wrong(text, &[]), ["api.keys[0] (F:1): the key sha256 is missing"]);
    let text =
        format!("[[api.keys]]\nname = 'a'\nsha256 = '{hash}'\n[[api.keys]]\nname = 'b'\nsha256 = 'x'\n");
    assert_eq!(
        wrong(&text, &[]),
        [
            "api.keys[1].sha256 (F:6): expected the 64 hexadecimal digits of the key's SHA-256, got 1 characters"
        ]
    );
}

#[test]
fn other_shapes_are_refused_with_words() {
    let check = |text: &str, variables: &[(&str, &str)], expected: &str| {
        assert_eq!(wrong(text, variables), [expected], "{text}");
    };
    check("http = 5", &[], "http (F:1): expected a section, such as [http]");
    check(
        "[http.listen]\nx = 1",
        &[],
        "http.listen (F:1): expected a text in quotes, got a table",
    );
    check(
        "\nlisten = 'x'",
        &[],
        "listen (F:2): unknown key; did you mean http.listen?",
    );
    check(
        "drain.timeout = 2026-11-24",
        &[],
        "drain.timeout (F:1): no key takes a date: put a text in quotes",
    );
    check(
        "limits.headers = -1",
        &[],
        "limits.headers (F:1): expected a whole number, got -1",
    );
    check(
        "limits.headers = 99999999999999999999",
        &[],
        "limits.headers (F:1): the number is too large",
    );
    check(
        "http.origins = 'x'",
        &[],
        "http.origins (F:1): expected a list, got \"x\"",
    );
    check(
        "\"ht\\ntp\".x = 1",
        &[],
        "\"ht\\ntp\" (F:1): unknown section; known are …",
    );
    check(
        "",
        &[("HERALD_HTTP__LISTEN__X", "1")],
        "http.listen.x (HERALD_HTTP__LISTEN__X): unknown key; did you mean http.listen?",
    );
    check(
        "",
        &[("HERALD_HTTP__listen", "x")],
        "http.listen (HERALD_HTTP__listen): write the variable in capitals: HERALD_HTTP__LISTEN",
    );
    check(
        "",
        &[("HERALD_API__KEYS", "x")],
        "api.keys (HERALD_API__KEYS): can be set in the configuration file only",
    );
    check(
        "",
        &[("HERALD_LIMITS__HEADERS", "")],
        "limits.headers (HERALD_LIMITS__HEADERS): expected a whole number, got \"\"",
    );
}

#[test]
fn no_secret_is_in_an_error() {
    let check = |text: &str, variables: &[(&str, &str)]| {
        let error = loaded(text, variables).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("8675309"), "{text}");
    };
    check("bus.password = 8675309", &[]);
    check("bus.password = 8675309.5", &[]);
    check("bus.password = 08675309", &[]);
    check("bus.password = hunter8675309", &[]);
    check("bus.password = 'hunter8675309", &[]);
    check("bus.password = \"\\q8675309\"", &[]);
    check("bus.password = ['8675309']", &[]);
    check("bus.password = { x = '8675309' }", &[]);
    check("bus.pasword = '8675309'", &[]);
    check("bus.password = '8675309'\nbus.password_file = 'x'", &[]);
    check("bus.url = 'http://u:8675309@x'", &[]);
    check("[[auth.users]]\nname = 'a'\npassword = 8675309", &[]);
    check("[[auth.users]]\nname = 'a'\npassword = '8675309'", &[]);
    check("", &[("HERALD_BUS__PASSWRD", "8675309")]);
    check("", &[("HERALD_AUTH__USERS", "8675309")]);
    check(
        "",
        &[("HERALD_BUS__TOKEN", "8675309"), ("HERALD_BUS__TOKEN_FILE", "x")],
    );
}

#[test]
fn a_value_that_is_not_utf8_is_refused_unseen() {
    let value = OsString::from_vec(b"8675309\xff".to_vec());
    let error = load(&Arguments::default(), [("HERALD_BUS__PASSWORD".into(), value)]).unwrap_err();
    let expected = "configuration: bus.password (HERALD_BUS__PASSWORD): the value is not UTF-8";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn syntax_errors_name_the_line() {
    let problems = wrong("[http]\nlisten = '127.0.0.1:1'\nbase_path = oops\n", &[]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("F:3: not TOML: "), "{}", problems[0]);
    let problems = wrong("[http]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\n", &[]);
    assert!(problems[0].starts_with("F:3: not TOML: "), "{}", problems[0]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let at = |path: &str| Arguments {
        config: Some(path.into()),
        ..Arguments::default()
    };
    let error = load(&at("/nowhere/herald.toml"), []).unwrap_err().to_string();
    assert!(
        error.contains("cannot read /nowhere/herald.toml (--config)"),
        "{error}"
    );
    let error = load(&at("/dev/zero"), []).unwrap_err().to_string();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"# one\n# \xff\n").unwrap();
    let error = load(&at(file.path().to_str().unwrap()), [])
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2 is not UTF-8"), "{error}");
}

#[test]
fn a_default_is_not_blamed_for_a_variable() {
    let check = |name: &str, value: &str, expected: &str| assert_eq!(wrong("", &[(name, value)]), [expected]);
    check(
        "HERALD_BUS__PASSWORD_FILE",
        "x",
        "bus.password_file (HERALD_BUS__PASSWORD_FILE): expected bus.user too",
    );
    check(
        "HERALD_LIMITS__OUTBOX_BYTES",
        "1GiB",
        "limits.outbox_total_bytes (default): expected at least limits.outbox_bytes (1GiB), got 256MiB; \
         limits.outbox_bytes comes from HERALD_LIMITS__OUTBOX_BYTES",
    );
    let variables = [("HERALD_BUS__TOKEN_FILE", "x"), ("HERALD_BUS__NKEY_FILE", "x")];
    assert_eq!(
        wrong("", &variables),
        [
            "bus.token_file (HERALD_BUS__TOKEN_FILE): expected one way to authenticate, got bus.token_file and bus.nkey_file"
        ]
    );
}
