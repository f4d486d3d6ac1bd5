//! The promise: a support bundle has what support needs, says what is missing, and contains none of the secrets of the
//! configuration or of the caller. (That no part of it contains a secret whatever was sent is the promise of
//! `secrets`.)

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::command::Cli;
use super::{USAGE, demo_with, json};
use crate::support::process::{Herald, Launch};

/// The files of an archive.
pub fn unpack(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name.strip_prefix("herald-support/").unwrap().to_owned(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

#[tokio::test]
async fn a_bundle_has_what_is_configured_and_what_runs() {
    let (folder, herald) = demo_with(&[]).await;
    let path = folder.path().join("bundle.tar.gz");
    let config = folder.path().join("herald.toml");
    let log = folder.path().join("old.log");
    std::fs::write(&log, "a line of the last run\n").unwrap();
    let run = || {
        let cli = Cli::of_operator(&herald, "support-bundle --json --demo --config")
            .argument(config.to_str().unwrap());
        let cli = cli.argument("--log").argument(log.to_str().unwrap());
        cli.argument("--output").argument(path.to_str().unwrap())
    };
    // A password that this command has for its configuration, as `serve` would.
    let ended = run().set("HERALD_BUS__TOKEN", "hush-hush-hush").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let manifest = json(&ended.out);
    assert_eq!(manifest["missing"], json!([]), "{manifest}");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let files = unpack(&path);
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    assert_eq!(json(&text("manifest.json")), manifest);
    assert!(
        text("configuration.toml").contains("token = \"***\""),
        "{}",
        text("configuration.toml")
    );
    assert!(
        text("doctor.jsonl")
            .lines()
            .any(|line| json(line)["check"] == "bus")
    );
    assert_eq!(json(&text("readyz.json"))["status"], "UP");
    assert_eq!(json(&text("instances.json"))["instances"][0]["name"], "cli");
    assert!(text("metrics.txt").contains("herald_sessions"));
    assert!(
        text("log.txt").contains("listening") || text("log.txt").contains("serving"),
        "{}",
        text("log.txt")
    );
    assert_eq!(text("log-file-1.txt"), "a line of the last run\n");
    for (name, content) in &files {
        let content = String::from_utf8_lossy(content);
        assert!(
            !content.contains("hush") && !content.contains("the-clusters-own-key"),
            "{name}"
        );
    }
    // What is there is not replaced.
    let again = run().run().await;
    assert!(
        again.code == Some(1) && again.error.contains("bundle.tar.gz"),
        "{again:?}"
    );
}

/// With a port for operators, a context that knows it is enough; without it the reason names what to say.
#[tokio::test]
async fn a_context_knows_the_port_for_operators() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = taken.local_addr().unwrap();
    drop(taken);
    let folder = tempfile::tempdir().unwrap();
    // Its /readyz is on that port too.
    let launch = Launch::demo().set("HERALD_HTTP__ADMIN_LISTEN", &admin.to_string());
    let herald = Herald::start_unready("cli", &launch).await;
    let at = |line: &str| {
        let home = folder.path().to_str().unwrap();
        let cli = Cli::new(line).set("XDG_CONFIG_HOME", home);
        cli.set("OPS_PASSWORD", "test")
    };
    let (url, admin_url) = (super::url(&herald), format!("http://{admin}"));
    for (name, more) in [("without", ""), ("with", &*format!(" --admin-url {admin_url}"))] {
        let line = format!("context add {name} --url {url} --login admin --password-env OPS_PASSWORD{more}");
        let ended = at(&line).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let bundle = async |context: &str| {
        let line = format!("support-bundle --only-running --json --context {context} --output");
        let path = folder.path().join(format!("{context}.tar.gz"));
        let ended = at(&line).argument(path.to_str().unwrap()).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        json(&ended.out)
    };
    let manifest = bundle("without").await;
    let missing = manifest["missing"].as_array().unwrap();
    let names: Vec<_> = missing
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["readyz.json", "log-level.json", "metrics.txt", "log.txt"],
        "{manifest}"
    );
    for part in missing {
        let why = part["why"].as_str().unwrap();
        assert!(
            why.contains("http.admin_listen") && why.contains("--admin-url"),
            "{why}"
        );
    }
    let manifest = bundle("with").await;
    assert_eq!(manifest["missing"], json!([]), "{manifest}");
    assert_eq!(manifest["asked"], json!({"url": url, "admin_url": admin_url}));
    let ended = at("log-level --context with --json").run().await;
    assert_eq!(
        (ended.code, &json(&ended.out)["level"]),
        (Some(0), &json!("info")),
        "{ended:?}"
    );
    // Beside another address the context's port may be another Herald's.
    let ended = at(&format!("log-level --context with --url {url}")).run().await;
    assert!(
        ended.code == Some(1) && ended.error.contains("--admin-url"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_bundle_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let at = |name: &str, line: &str| {
        Cli::new(line)
            .argument("--output")
            .argument(folder.path().join(name).to_str().unwrap())
            .set("HERALD_URL", &free)
    };
    let ended = at("down.tar.gz", "support-bundle --config /nowhere/herald.toml")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.error.contains("without configuration.toml: ")
            && ended.error.contains("without metrics.txt: cannot reach")
    );
    assert_eq!(
        unpack(&folder.path().join("down.tar.gz"))
            .into_keys()
            .collect::<Vec<_>>(),
        ["manifest.json"]
    );
    let both = at("x", "support-bundle --only-running --demo").run().await;
    assert_eq!(both.code, USAGE, "{both:?}");

    // An instance that keeps no lines.
    let launch = Launch::demo().set("HERALD_LOG__RECENT_BYTES", "0B");
    let herald = Herald::start("brief", &launch).await;
    let cli = at("brief.tar.gz", "support-bundle --only-running --json");
    let ended = cli
        .set("HERALD_URL", &super::url(&herald))
        .set("HERALD_LOGIN", "admin")
        .set("HERALD_PASSWORD", "test")
        .run()
        .await;
    let manifest = json(&ended.out);
    let missing = manifest["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{manifest}");
    assert!(
        missing[0]["name"] == "log.txt" && missing[0]["why"].as_str().unwrap().contains("log.recent_bytes")
    );
}
