//! The promise: users are loaded as a whole or not at all; removed and changed ones are named; errors say where and
//! never reveal a secret.

use super::*;
use crate::auth::phc::{cheap, cheap_with};
use crate::principal::{ROLE_ADMIN, ROLE_USER};
use crate::setting::ByteSize;

fn user(name: &str, hash: &str, roles: &str) -> String {
    format!("[[users]]\nname = {name:?}\npassword = {hash:?}\n{roles}\n")
}

fn open(content: &[u8]) -> Result<(UserStore, Option<Watched>), UsersError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let config = Config {
        users_file: Some(file.path().to_str().unwrap().to_owned()),
        users_file_bytes: ByteSize::kib(64),
        users: vec![UserEntry {
            name: "root".parse().unwrap(),
            password: Secret::new(cheap("root")),
            roles: vec!["ROLE_ADMIN".parse().unwrap()],
            attributes: Default::default(),
        }],
        ..Config::default()
    };
    UserStore::open(&config, &LoginConfig::default(), false)
}

#[test]
fn the_file_and_the_configuration_make_the_users() {
    let content =
        user("alice", &cheap("a"), "") + &user("bob", &cheap("b"), "roles = [\"ROLE_A\", \"ROLE_B\"]");
    let (store, watched) = open(content.as_bytes())
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(watched.unwrap().1, content.as_bytes());
    let users = store.current();
    let roles = |name: &str| -> Vec<String> {
        let user = users.get(name).unwrap();
        assert_eq!(user.principal.user().as_str(), name);
        user.principal.roles().map(str::to_owned).collect()
    };
    assert_eq!(roles("alice"), ["ROLE_USER"]);
    assert_eq!(roles("bob"), ["ROLE_A", "ROLE_B"]);
    assert_eq!(roles("root"), ["ROLE_ADMIN"]);
    assert!(users.get("carol").is_none());
    assert!(
        !open(b"")
            .map(|(store, _)| store.current().is_empty())
            .unwrap_or(true)
    );
}

#[test]
fn errors_name_file_user_and_expectation() {
    let check = |content: &str, expected: &[&str]| {
        let error = open(content.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("auth.users_file /"), "{error}");
        for words in expected {
            assert!(error.contains(words), "{words:?} in {error}");
        }
        for secret in ["argon2id$v=19$m=8,", "hunter2"] {
            assert!(!error.contains(secret), "{error}");
        }
    };
    let good = cheap("x");
    let alice = user("alice", &good, "");
    check(&user("a:b", &good, ""), &["line 2", "must not contain ':'"]);
    check(&user("", &good, ""), &["line 2", "empty"]);
    check(
        &format!("{alice}{alice}"),
        &["user number 2 (alice)", "of this name already"],
    );
    check(
        &user("root", &good, ""),
        &["user number 1 (root)", "of this name already"],
    );
    check(
        &user("alice", "hunter2", ""),
        &["(alice)", "password", "argon2id PHC string", "hash-password"],
    );
    let huge = good.replace("m=8,", "m=4194304,");
    check(
        &user("alice", &huge, ""),
        &["(alice)", "4GiB", "login.hash_memory allows 64MiB"],
    );
    check(
        &user("alice", &good, "roles = [\"ADMIN\"]"),
        &["line 4", "ROLE_USER"],
    );
    check(
        &user("alice", &good, "roles = [\"ROLE_\"]"),
        &["line 4", "ROLE_USER"],
    );
    let many = vec!["\"ROLE_X\""; 65].join(",");
    check(
        &user("alice", &good, &format!("roles = [{many}]")),
        &["line 4", "at most 64"],
    );
    check(
        &user("alice", &good, "roles = \"hunter2\""),
        &["line 4", "expected a sequence"],
    );
    check(&user("alice", &good, "hunter2"), &["line 4", "expected `=`"]);
    check(
        &format!("{alice}password = {good:?}"),
        &["line 5", "duplicate key"],
    );
    check(
        &user("alice", &good, "role = []"),
        &["line 4", "unknown field `role`"],
    );
    check("users = 5", &["line 1", "expected"]);
    check("[[users]]\nname = \"x\"", &["missing field `password`"]);
    check(
        &"#".repeat(64 << 10 | 1),
        &["auth.users_file_bytes allows (64KiB)"],
    );
    let error = open(b"\n\n\xff").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("line 3: not UTF-8"), "{error}");
}

/// A users file with this name, which need not exist.
fn named(path: &str) -> SettingsFile {
    let config = Config {
        users_file: Some(path.to_owned()),
        ..Config::default()
    };
    file::named(&config).unwrap()
}

#[test]
fn what_is_no_file_is_not_read() {
    let check = |path: &str, expected: &str| {
        let error = named(path).read().unwrap_err().to_string();
        assert!(
            error.starts_with("auth.users_file ") && error.contains(expected),
            "{error}"
        );
    };
    let folder = tempfile::tempdir().unwrap();
    check(folder.path().to_str().unwrap(), "regular file");
    check("/dev/zero", "regular file");
    check("/nowhere/users.toml", "No such file");
}

#[test]
fn a_reload_says_what_is_wrong_and_keeps_the_users() {
    let hash = cheap("x");
    let good = user("alice", &hash, "");
    let (store, watched) = open(good.as_bytes()).map_err(|error| error.to_string()).unwrap();
    let users = store.current();
    let file = watched.unwrap().0;
    for (content, expected) in [
        (good.replace("alice", "a:b"), "must not contain ':'"),
        ("[[users]".to_owned(), "line 1"),
        (good.replace("m=8", "m=9999999"), "login.hash_memory"),
        (good.clone() + &good, "there is a user of this name already"),
    ] {
        let Err(NotLoaded::Unusable(words)) = store.reload(&file, content.as_bytes(), &Default::default())
        else {
            panic!("{content} was loaded");
        };
        assert!(words.contains(expected) && !words.contains(&hash), "{words}");
    }
    assert!(Arc::ptr_eq(&users, &store.current()));
    store.reload(&file, b"", &Default::default()).unwrap();
    assert_eq!(store.current().len(), 1);
}

#[test]
fn a_reload_names_who_is_gone_or_changed() {
    let hashes: Vec<String> = (0..4).map(|_| cheap("x")).collect();
    let before = user("stays", &hashes[0], "")
        + &user("gone", &hashes[1], "")
        + &user("rehashed", &hashes[2], "")
        + &user("demoted", &hashes[3], "roles = [\"ROLE_ADMIN\", \"ROLE_USER\"]");
    let after = user("rehashed", &hashes[1], "")
        + &user("demoted", &hashes[3], "")
        + &user("stays", &hashes[0], "")
        + &user("new", &hashes[1], "");
    let (store, _) = open(before.as_bytes())
        .map_err(|error| error.to_string())
        .unwrap();
    let mut withdrawn = store.withdrawn();
    let old = store.current();
    let path = &named("/users.toml");
    assert!(store.replace(path, b"nonsense").is_err());
    assert!(Arc::ptr_eq(&old, &store.current()));
    let replaced = store
        .replace(path, after.as_bytes())
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(
        replaced,
        Replaced {
            users: 5,
            withdrawn: 3
        }
    );
    let mut names = Vec::new();
    while let Ok(name) = withdrawn.try_recv() {
        names.push(name.to_string());
    }
    names.sort();
    assert_eq!(names, ["demoted", "gone", "rehashed"]);
    let new = store.current();
    let same = |name| {
        let (old, new) = (old.get(name).unwrap(), new.get(name).unwrap());
        new.principal.is_clone_of(&old.principal)
    };
    assert!(same("stays") && same("root"));
    assert!(!same("demoted") && !same("rehashed"));
}

#[test]
fn the_decoy_is_as_costly_as_the_costliest() {
    let content = user("cheap", &cheap("x"), "") + &user("costly", &cheap_with("x", 64, 2), "");
    let (store, _) = open(content.as_bytes())
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(store.current().decoy.cost(), 128);
}

#[test]
fn demo_users_have_the_password_test() {
    let users = demo_users();
    assert_eq!(users.len(), 11);
    let numbered = numbered("auth.users", &users);
    let users = Users::check(numbered, &[], LoginConfig::default().hash_memory)
        .map_err(|error| error.to_string())
        .unwrap();
    for number in 1..=10 {
        let user = users.get(&format!("test{number}")).unwrap();
        assert!(user.principal.has_role(ROLE_USER) && !user.principal.has_role(ROLE_ADMIN));
    }
    assert!(users.get("admin").unwrap().principal.has_role(ROLE_ADMIN));
    let memory = &mut crate::auth::phc::Memory::default();
    assert_eq!(users.get("test1").unwrap().hash.matches("test", memory), Ok(true));
    assert_eq!(
        users.get("test1").unwrap().hash.matches("tests", memory),
        Ok(false)
    );
}

#[test]
fn a_user_of_the_demo_gives_way_to_one_who_was_written_down() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let named = |name: &str| user(name, &cheap("own"), "roles = [\"ROLE_OWN\"]");
    std::fs::write(file.path(), named("test1")).unwrap();
    let mut config = Config {
        users_file: Some(file.path().to_str().unwrap().to_owned()),
        ..Config::default()
    };
    config.users.push(UserEntry {
        name: "admin".parse().unwrap(),
        password: Secret::new(cheap("root")),
        roles: vec!["ROLE_OWN".parse().unwrap()],
        attributes: Default::default(),
    });
    let (store, watched) = UserStore::open(&config, &LoginConfig::default(), true)
        .map_err(|error| error.to_string())
        .unwrap();
    let is_own = |name: &str| store.current().get(name).unwrap().principal.has_role("ROLE_OWN");
    assert_eq!(
        ["admin", "test1", "test2"].map(is_own),
        [true, true, false],
        "at the start"
    );
    assert_eq!(store.current().len(), 11);
    let replaced = store.replace(&watched.unwrap().0, named("test2").as_bytes());
    assert_eq!(replaced.unwrap().withdrawn, 2);
    assert_eq!(
        ["admin", "test1", "test2"].map(is_own),
        [true, false, true],
        "after a reload"
    );
}
