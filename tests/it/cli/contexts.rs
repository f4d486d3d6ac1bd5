//! The promise: contexts are stored, listed, selected, used and removed as an operator does, and contain no secret
//! unless that is requested.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::command::{Cli, Ended};
use super::{REFUSED, USAGE, demo, json, url};

/// `herald` with contexts of its own, and with nothing else that says where a Herald is.
fn at(home: &Path, line: &str) -> Cli {
    Cli::new(line).set("XDG_CONFIG_HOME", home.to_str().unwrap())
}

async fn done(cli: Cli) -> Ended {
    let ended = cli.run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[tokio::test]
async fn a_context_says_where_and_who() {
    let (folder, herald) = demo().await;
    let home = folder.path();
    let run = async |line: &str| done(at(home, line)).await;
    let key = home.join("ops.key");
    std::fs::write(&key, "the-clusters-own-key\n").unwrap();
    let url = url(&herald);
    let add = format!("context add ops --url {url} --key-file {} --json", key.display());
    let stored = json(&run(&add).await.out);
    assert_eq!(
        (&stored["name"], &stored["selected"]),
        (&json!("ops"), &json!(false))
    );
    let file = stored["file"].as_str().unwrap().to_owned();
    assert_eq!(file, home.join("herald/contexts/ops.toml").to_str().unwrap());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Named on the command line, by the variable, and selected.
    assert_eq!(run("users --context ops").await.out, "ONLINE (0)\n");
    done(at(home, "users").set("HERALD_CONTEXT", "ops")).await;
    let before = at(home, "instances").set("HERALD_URL", &url).run().await;
    assert_eq!(before.code, REFUSED, "no context: {before:?}");
    run("context select ops").await;
    assert!(run("instances").await.out.contains("cli*"));
    // A variable says otherwise, and the context's key does not go there.
    let elsewhere = at(home, "instances").set("HERALD_URL", &url).run().await;
    assert_eq!(elsewhere.code, REFUSED, "{elsewhere:?}");
    let shadowed = done(at(home, "context ls").set("HERALD_URL", &url)).await;
    assert!(shadowed.error.contains("HERALD_URL is set"), "{shadowed:?}");

    // A login by a variable that the context names; the command line counts before it.
    let add = format!("context add people --url {url} --login test1 --password-env THE_PASSWORD");
    run(&add).await;
    let send = "send --context people /chat/message hello";
    done(at(home, send).set("THE_PASSWORD", "test")).await;
    let unset = at(home, send).run().await;
    assert!(
        unset.code == USAGE && unset.error.contains("context people: THE_PASSWORD"),
        "{unset:?}"
    );
    let other =
        at(home, "send --context people --login test2 /chat/message hello").set("HERALD_PASSWORD", "test");
    done(other).await;

    let listed = json(&run("context ls --json").await.out);
    let wanted = json!([{"name": "ops", "selected": true, "url": url}, {"name": "people", "selected": false, "url": url}]);
    assert_eq!(listed, wanted);
    assert_eq!(run("context ls").await.out.lines().count(), 3);
    run("context rm ops").await;
    let gone = at(home, "context show").run().await;
    assert!(
        gone.code == USAGE && gone.error.contains("no context is selected"),
        "{gone:?}"
    );
    run("context select --none").await;
}

#[tokio::test]
async fn a_secret_is_stored_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let all = || {
        let files = std::fs::read_dir(home.join("herald/contexts")).unwrap();
        let read = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        read.collect::<String>()
    };
    std::fs::write(home.join("key"), "hush-key").unwrap();
    let path = home.join("key");
    let add = |name: &str, more: &str| {
        let line = format!("context add {name} --url http://10.0.0.1 --login ann --password-env PW {more}");
        at(home, &line)
            .argument("--key-file")
            .argument(path.to_str().unwrap())
            .set("PW", "hush-pw")
    };
    done(add("a", "")).await;
    assert!(!all().contains("hush"), "{}", all());
    assert!(all().contains("password_env = \"PW\"") && all().contains("key_file = "));
    let stored = done(add("b", "--store-secrets --json")).await;
    assert!(all().contains("hush-key") && all().contains("hush-pw"));
    // Not shown, neither now nor later.
    let shown = [
        done(at(home, "context show b")).await,
        done(at(home, "context show b --json")).await,
        stored,
    ];
    for ended in &shown {
        assert!(!format!("{ended:?}").contains("hush"), "{ended:?}");
    }
    assert!(shown[0].out.contains("password = \"***\""), "{shown:?}");

    let again = add("a", "").run().await;
    assert!(
        again.code == USAGE && again.error.contains("--replace"),
        "{again:?}"
    );
    done(add("a", "--replace")).await;
    for (line, words) in [
        ("context add ../x --url http://a", "letters"),
        ("context add x --url 10.0.0.1", "http://"),
        ("context add x --url http://ann:hush@a", "HERALD_PASSWORD"),
        ("context add x --url http://a --password-file f", "--login"),
        (
            "context add x --url http://a --key-env NOWHERE --store-secrets",
            "NOWHERE",
        ),
        ("context select nowhere", "no context nowhere"),
        ("context rm nowhere", "no context nowhere"),
        ("users --context nowhere", "no context nowhere"),
    ] {
        let ended = at(home, line).run().await;
        assert!(
            ended.code == USAGE && ended.error.contains(words),
            "{line}: {ended:?}"
        );
        assert!(!ended.error.contains("hush"), "{ended:?}");
    }
    let homeless = Cli::new("context ls").run().await;
    assert!(
        homeless.code == USAGE && homeless.error.contains("XDG_CONFIG_HOME"),
        "{homeless:?}"
    );
}
