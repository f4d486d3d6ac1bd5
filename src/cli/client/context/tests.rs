//! The promise of contexts, in a temporary folder. Starts no process, and uses no variables of this one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// An environment with a folder of its own.
fn env<'a>(home: &'a Path, pairs: Pairs<'a>) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |wanted| match pairs.iter().find(|(name, _)| *name == wanted) {
        Some((_, value)) => Some(value.into()),
        None => (wanted == "XDG_CONFIG_HOME").then(|| home.as_os_str().to_owned()),
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn context(url: &str) -> Context {
    Context {
        url: url.into(),
        ..Context::default()
    }
}

#[test]
fn a_name_is_a_file_s_and_nothing_else() {
    for good in ["a", "prod-eu.1", "_x", &"n".repeat(64)] {
        assert!(good.parse::<Name>().is_ok(), "{good}");
    }
    for bad in [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "a/b",
        "a b",
        "ä",
        "a\0",
        &"n".repeat(65),
    ] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_stored_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let env = env(home.path(), &[]);
    let contexts = Contexts::of(&env).unwrap();
    assert!(contexts.names().unwrap().is_empty());
    let stored = Context {
        key: Some(Secret::new("hush")),
        ..context("http://a")
    };
    contexts.write(&name("prod"), &stored, false).unwrap();
    let path = contexts.path(&name("prod"));
    assert_eq!(path, home.path().join("herald/contexts/prod.toml"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(contexts.read(&name("prod")).unwrap(), stored);
    assert!(!toml::to_string(&stored).unwrap().contains("hush"));

    let again = contexts
        .write(&name("prod"), &context("http://b"), false)
        .unwrap_err();
    assert!(again.to_string().contains("--replace"), "{again}");
    contexts.write(&name("test"), &context("http://b"), true).unwrap();
    fs::write(path.with_file_name("not a name.toml"), "").unwrap();
    assert_eq!(contexts.names().unwrap(), [name("prod"), name("test")]);

    // Others may read a file without a secret.
    for file in ["prod", "test"] {
        fs::set_permissions(contexts.path(&name(file)), Permissions::from_mode(0o644)).unwrap();
    }
    let open = contexts.read(&name("prod")).unwrap_err().to_string();
    assert!(open.contains("chmod 600") && !open.contains("hush"), "{open}");
    assert!(contexts.read(&name("test")).is_ok());
    for broken in [
        "url = \"http://a\"\nkey = [\"hush\"]",
        "kez = \"hush\"",
        "key = hush",
        &"#".repeat(1 << 17),
    ] {
        fs::write(&path, broken).unwrap();
        let words = contexts.read(&name("prod")).unwrap_err().to_string();
        assert!(words.contains("prod.toml") && !words.contains("hush"), "{words}");
    }
}

#[test]
fn the_selected_one_goes_with_its_file() {
    let home = tempfile::tempdir().unwrap();
    let env = env(home.path(), &[]);
    let contexts = Contexts::of(&env).unwrap();
    contexts.write(&name("a"), &context("http://a"), false).unwrap();
    assert!(contexts.select(Some(&name("b"))).is_err());
    assert_eq!(contexts.selected().unwrap(), None);
    contexts.select(Some(&name("a"))).unwrap();
    assert_eq!(contexts.selected().unwrap(), Some(name("a")));
    contexts.remove(&name("a")).unwrap();
    assert_eq!(contexts.selected().unwrap(), None);
    assert!(contexts.remove(&name("a")).is_err());
    contexts.select(None).unwrap();
}

/// No secret of a context may go to a Herald that something else names.
#[test]
fn the_selected_one_counts_only_where_nothing_else_says_where_or_who() {
    let home = tempfile::tempdir().unwrap();
    let contexts = Contexts::of(&env(home.path(), &[])).unwrap();
    for one in ["a", "b"] {
        contexts
            .write(&name(one), &context(&format!("http://{one}")), false)
            .unwrap();
    }
    contexts.select(Some(&name("a"))).unwrap();
    let check = |args: ServerArgs, pairs: Pairs<'_>, expected: Option<&str>| {
        let found = in_force(&args, &env(home.path(), pairs)).unwrap();
        assert_eq!(found.map(|(name, _)| name.0).as_deref(), expected, "{pairs:?}");
    };
    let none = ServerArgs::default;
    check(none(), &[], Some("a"));
    check(none(), &[("HERALD_KEY", "")], Some("a"));
    for variable in VARIABLES {
        check(none(), &[(variable, "x")], None);
    }
    let args = ServerArgs {
        url: Some("http://c".into()),
        ..none()
    };
    check(args, &[], None);
    check(none(), &[("HERALD_CONTEXT", "b"), ("HERALD_KEY", "x")], Some("b"));
    let args = ServerArgs {
        context: Some(name("a")),
        ..none()
    };
    check(args, &[("HERALD_CONTEXT", "b")], Some("a"));
    check(none(), &[("XDG_CONFIG_HOME", "relative"), ("HOME", "")], None);
    let missing = in_force(&none(), &env(home.path(), &[("HERALD_CONTEXT", "c")])).unwrap_err();
    assert!(missing.to_string().contains("no context c"), "{missing}");
}

#[test]
fn a_login_without_a_password_is_told_how_to_get_one() {
    let context = Context {
        login: Some("admin".into()),
        ..context("http://a")
    };
    for pairs in [&[][..], &[("HERALD_PASSWORD", "hush")]] {
        let words = context.credentials(&env(Path::new("/nowhere"), pairs));
        let words = words.unwrap_err().to_string();
        for expected in ["--password-file", "--password-env", "does not count"] {
            assert!(words.contains(expected), "{words}");
        }
        assert!(!words.contains("hush"), "{words}");
    }
}

#[test]
fn a_context_s_credentials_are_its_own() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key");
    fs::write(&path, "from-a-file\n").unwrap();
    let env = env(
        home.path(),
        &[
            ("OPS", "from-a-variable"),
            ("HERALD_PASSWORD", "another"),
            ("HERALD_KEY", "another"),
        ],
    );
    let check = |context: Context, login: Option<(&str, &str)>, key: Option<&str>| {
        let (found, found_key) = context.credentials(&env).unwrap();
        let found = found
            .as_ref()
            .map(|login| (login.user.as_deref().unwrap_or("token"), login.secret.expose()));
        assert_eq!((found, found_key.as_ref().map(Secret::expose)), (login, key));
    };
    check(context("http://a"), None, None);
    let by_password = Context {
        login: Some("ops".into()),
        password_env: Some("OPS".into()),
        key_file: Some(path),
        ..context("http://a")
    };
    check(by_password, Some(("ops", "from-a-variable")), Some("from-a-file"));
    let by_token = Context {
        token: Some(Secret::new("a.b.c")),
        key_env: Some("OPS".into()),
        ..context("http://a")
    };
    check(by_token, Some(("token", "a.b.c")), Some("from-a-variable"));
    let gone = Context {
        key_env: Some("NOWHERE".into()),
        ..context("http://a")
    };
    assert!(
        gone.credentials(&env)
            .unwrap_err()
            .to_string()
            .contains("NOWHERE")
    );
}
