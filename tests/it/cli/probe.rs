//! The promise: a probe goes through all stages once, and its exit code says which stage failed.

use serde_json::json;

use super::command::Cli;
use super::{USAGE, demo, json};
use crate::support::process::{Herald, Launch};

#[tokio::test]
async fn a_probe_goes_the_whole_way() {
    let (_folder, herald) = demo().await;
    let ended = Cli::of(&herald, "probe").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .out
            .starts_with("ok test1 at cli: what was published came after "),
        "{ended:?}"
    );
    for destination in ["/user/queue/a b", "/topic/probe"] {
        let ended = Cli::of_operator(&herald, "probe --json --destination")
            .argument(destination)
            .run()
            .await;
        let probed = json(&ended.out);
        assert_eq!((ended.code, &probed["ok"]), (Some(0), &json!(true)), "{ended:?}");
        assert_eq!(
            (&probed["user"], &probed["destination"]),
            (&json!("test1"), &json!(destination))
        );
        for stage in ["connect", "login", "subscribe", "publish", "receive"] {
            assert!(
                probed["stages_ms"][stage].as_f64().is_some_and(|ms| ms > 0.0),
                "{stage}: {probed}"
            );
        }
        assert_eq!(probed["latency_ms"], probed["stages_ms"]["receive"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stage_that_fails_has_its_exit_code() {
    let (_folder, herald) = demo().await;
    let check = async |cli: Cli, code: i32, stage: &str, words: &str| {
        let ended = cli.argument("--json").run().await;
        assert_eq!(ended.code, Some(code), "{stage}: {ended:?}");
        let probed = json(&ended.out);
        assert_eq!(
            (&probed["ok"], &probed["failed"]),
            (&json!(false), &json!(stage)),
            "{probed}"
        );
        assert!(probed["error"].as_str().unwrap().contains(words), "{probed}");
        assert!(ended.error.contains(&format!("herald: {stage}: ")), "{ended:?}");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let of = |line: &str| Cli::of(&herald, line);
    check(
        of("probe").set("HERALD_URL", &free),
        10,
        "connect",
        "cannot reach",
    )
    .await;
    check(of("probe --ws-path /elsewhere"), 10, "connect", "404").await;
    // Somebody who takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    check(
        of("probe --timeout 300ms").set("HERALD_URL", &url),
        10,
        "connect",
        "not within 300ms",
    )
    .await;
    check(of("probe").set("HERALD_PASSWORD", "wrong"), 11, "login", "4401").await;
    check(of("probe --destination /nowhere"), 12, "subscribe", "/nowhere").await;
    // One's own, where Herald alone publishes.
    let reserved = "probe --destination /user/queue/herald/probe";
    check(of(reserved), 13, "publish", "400").await;
    assert_eq!(of("probe --destination queue").run().await.code, USAGE);
    assert_eq!(Cli::new("probe").run().await.code, USAGE);

    // It is published, and nothing comes: what this user subscribes to is not what it publishes to.
    let rules = tempfile::tempdir().unwrap();
    let path = rules.path().join("herald.toml");
    std::fs::write(
        &path,
        "[destinations]\nuser_prefix = \"/me\"\nbroadcast_prefixes = [\"/user\", \"/topic\", \"/queue\"]\n",
    )
    .unwrap();
    let launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap());
    let other = Herald::start("other", &launch).await;
    check(Cli::of(&other, "probe"), 14, "receive", "not within 10s").await;
}
