//! The promise: the previous version and this one form one cluster, so that instances can be replaced one after the
//! other: whatever one publishes, asks or orders, the other delivers, answers and obeys. `scripts/previous` builds the
//! older program; `HERALD_PREVIOUS_BIN` names another one.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::cluster::{ADMIN, Cluster, admin, until, until_online};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

const JSON: &str = "application/json";

/// The older program. It is built once; that takes minutes, so `scripts/test` does it before the tests.
async fn previous_program() -> &'static Path {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let find = || {
        if let Some(program) = std::env::var_os("HERALD_PREVIOUS_BIN") {
            return PathBuf::from(program);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/previous");
        let output = Command::new(script).output().expect("scripts/previous");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "no previous version to test with: {said}"
        );
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    };
    let found = async || {
        tokio::task::spawn_blocking(find)
            .await
            .expect("the older program")
    };
    let program = PROGRAM.get_or_init(found).await;
    assert!(
        program.is_file(),
        "HERALD_PREVIOUS_BIN: no file {}",
        program.display()
    );
    program
}

/// An instance of each, known to each other; the older one first.
async fn both(settings: &[(&str, &str)]) -> Cluster {
    let program = previous_program().await;
    let mut cluster = Cluster::start_with(0, settings).await;
    let older = cluster.launch().program(program);
    let newer = cluster.launch();
    let (older, newer) = tokio::join!(Herald::start("old", &older), Herald::start("new", &newer));
    cluster.instances = vec![older, newer];
    cluster.until_known(2).await;
    cluster
}

/// The same while the key of control messages is rolled out: the newer one signs, the older one knows no signatures.
async fn both_and_one_signs() -> (Cluster, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "k".repeat(48)).expect("the key");
    let program = previous_program().await;
    let mut cluster = Cluster::start_with(0, &[]).await;
    let older = cluster.launch().program(program);
    let path = file.path().to_str().expect("UTF-8");
    let newer = cluster.launch().set("HERALD_BUS__CONTROL_KEY_FILE", path);
    let (older, newer) = tokio::join!(Herald::start("old", &older), Herald::start("new", &newer));
    cluster.instances = vec![older, newer];
    cluster.until_known(2).await;
    (cluster, file)
}

/// Each instance with the other one, in both directions.
fn pairs(cluster: &Cluster) -> [(&Herald, &Herald); 2] {
    let [older, newer] = &cluster.instances[..] else {
        panic!("two instances")
    };
    [(older, newer), (newer, older)]
}

#[tokio::test]
async fn the_older_program_is_another_one() {
    let read = |program: &Path| std::fs::read(program).expect("a program");
    let newer = Path::new(env!("CARGO_BIN_EXE_herald"));
    assert!(
        read(previous_program().await) != read(newer),
        "both are the same program"
    );
}

#[tokio::test]
async fn notifications_go_both_ways() {
    let cluster = both(&[]).await;
    for (here, there) in pairs(&cluster) {
        let mut near = Browser::connect(here.address, "test1").await;
        let mut far = Browser::connect(there.address, "test1").await;
        for browser in [&mut near, &mut far] {
            browser.subscribe("/queue/a.b").await;
            browser.subscribe("/user/queue/x").await;
        }
        let headers = json!({"kind": "order", "lines": "one\ntwo", "größe": "XL", "blanks": "  around  "});
        let broadcast =
            json!({"destination": "/queue/a.b", "payload": {"a": "ü\n"}, "headers": headers, "id": "one"});
        let to_user = json!({"destination": "/queue/x", "users": ["test1", "a/b. *%ä"], "payload": 7, "ttl_ms": 60_000,
            "collapse": "k", "id": "two"});
        for (body, id) in [(broadcast, "one"), (to_user, "two")] {
            let answer = here.post("/api/v1/notifications", JSON, body.to_string()).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
            let (near, far) = (near.next().await, far.next().await);
            assert_eq!(near.header("message-id"), Some(id));
            assert_eq!(near, far, "from {} to {}", here.name, there.name);
        }
        // By a client's SEND, through the built-in route.
        far.subscribe("/queue/message").await;
        near.send("/chat/message", &[], "hi").await;
        let message = far.next_on("/queue/message").await.json();
        assert_eq!(
            (&message["message"], &message["user"]),
            (&json!("hi"), &json!("test1"))
        );
    }
}

#[tokio::test]
async fn both_see_who_is_online() {
    let cluster = both(&[]).await;
    for (here, there) in pairs(&cluster) {
        let mut watcher = Browser::connect(there.address, "test2").await;
        watcher.subscribe("/queue/users").await;
        let mut comes = Browser::connect(here.address, "test1").await;
        for herald in [here, there] {
            until_online(herald, &["test1", "test2"]).await;
        }
        let mut told = json!(null);
        while told != json!(["test1", "test2"]) {
            told = watcher.next().await.json();
        }
        comes.frame("DISCONNECT", &[], b"").await;
        watcher.frame("DISCONNECT", &[], b"").await;
        for herald in [here, there] {
            until_online(herald, &[]).await;
        }
    }
}

#[tokio::test]
async fn an_operator_at_either_ends_sessions_at_both() {
    ends_sessions_at_both(&both(&[]).await).await;
}

#[tokio::test]
async fn an_operator_ends_sessions_at_both_while_only_one_signs() {
    let (cluster, _key) = both_and_one_signs().await;
    ends_sessions_at_both(&cluster).await;
}

async fn ends_sessions_at_both(cluster: &Cluster) {
    for (asked, _) in pairs(cluster) {
        let mut ended = Vec::new();
        for herald in &cluster.instances {
            ended.push(Browser::connect(herald.address, "test1").await);
        }
        let answer = admin(asked, "DELETE", "/api/v1/users/test1/sessions").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        for mut browser in ended {
            let end = browser.end().await;
            assert_eq!(
                (end.code, end.error()),
                (4403, Some("disconnected by an operator"))
            );
        }
    }
}

#[tokio::test]
async fn either_answers_for_both() {
    answers_for_both(&both(&[]).await).await;
}

#[tokio::test]
async fn either_answers_for_both_while_only_one_signs() {
    let (cluster, _key) = both_and_one_signs().await;
    answers_for_both(&cluster).await;
}

async fn answers_for_both(cluster: &Cluster) {
    let mut browsers = Vec::new();
    for herald in &cluster.instances {
        let mut browser = Browser::connect(herald.address, "test1").await;
        browser.subscribe("/queue/a").await;
        browser.subscribe("/user/queue/b").await;
        browsers.push(browser);
    }
    for herald in &cluster.instances {
        let ask = async |path: &str| {
            let answer = admin(herald, "GET", path).await;
            assert_eq!(answer.status, 200, "{path} at {}: {}", herald.name, answer.text());
            let answer = answer.json();
            assert_eq!(answer["silent"], json!([]), "{path} at {}", herald.name);
            answer
        };
        let instances = |list: &Value, member: &str| {
            let items = list.as_array().expect("a list").iter();
            let mut names: Vec<String> = items
                .map(|item| item[member].as_str().unwrap_or_default().into())
                .collect();
            names.sort_unstable();
            names
        };
        let sessions = ask("/api/v1/users/test1").await;
        assert_eq!(instances(&sessions["sessions"], "instance"), ["new", "old"]);
        for session in sessions["sessions"].as_array().expect("sessions") {
            assert_eq!(session["subscriptions"], json!(["/queue/a", "/user/queue/b"]));
        }
        for query in ["destination=/queue/a", "destination=/queue/b&user=test1"] {
            let explanation = ask(&format!("/api/v1/explain?{query}")).await;
            assert_eq!(explanation["reached_count"], 2, "{query}: {explanation}");
            assert_eq!(instances(&explanation["reached"], "instance"), ["new", "old"]);
        }
        let running = ask("/api/v1/instances").await;
        assert_eq!(instances(&running["instances"], "name"), ["new", "old"]);
        for instance in running["instances"].as_array().expect("instances") {
            assert_eq!(
                (&instance["sessions"], &instance["subscriptions"]),
                (&json!(1), &json!(2)),
                "{instance}"
            );
        }
    }
}

#[tokio::test]
async fn the_logs_level_is_set_at_both_from_either() {
    let cluster = both(&[]).await;
    for ((asked, _), level) in pairs(&cluster).into_iter().zip(["debug", "warn"]) {
        let body = json!({"level": level, "for": "1h", "instances": "all"}).to_string();
        let headers = [ADMIN, ("Content-Type", JSON)];
        let answer = asked
            .request("PUT", "/api/v1/debug/log", &headers, body.as_bytes())
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        for herald in &cluster.instances {
            until("the new level", async || {
                admin(herald, "GET", "/api/v1/debug/log").await.json()["level"] == level
            })
            .await;
        }
    }
}

#[tokio::test]
async fn sessions_of_a_user_are_counted_over_both() {
    let settings = [("HERALD_LIMITS__SESSIONS_PER_USER", "1")];
    let cluster = both(&settings).await;
    for (here, there) in pairs(&cluster) {
        let mut older = Browser::connect(here.address, "test1").await;
        let mut newer = Browser::connect(there.address, "test1").await;
        assert_eq!(older.end().await.code, 4409, "at {}", here.name);
        newer.subscribe("/queue/x").await;
        newer.frame("DISCONNECT", &[], b"").await;
        assert_eq!(newer.end().await.code, 1000);
        for herald in [here, there] {
            until_online(herald, &[]).await;
        }
    }
}

#[tokio::test]
async fn a_newcomer_of_either_kind_learns_the_newest_messages() {
    let program = previous_program().await;
    for newcomer_is_newer in [true, false] {
        let mut cluster = Cluster::start_with(0, &[]).await;
        let launches = [cluster.launch().program(program), cluster.launch()];
        let [first, second] = if newcomer_is_newer { [0, 1] } else { [1, 0] };
        cluster
            .instances
            .push(Herald::start("first", &launches[first]).await);
        let body = r#"{"message":"m","user":"x"}"#;
        let answer = cluster.instances[0].post("/api/v1/message", JSON, body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        cluster
            .instances
            .push(Herald::start("second", &launches[second]).await);
        let mut browser = Browser::connect(cluster.instances[1].address, "test2").await;
        browser.subscribe("/user/queue/init/messages").await;
        let mut messages = json!([]);
        // It asks a moment after its start.
        until("the newest messages", async || {
            browser.send("/chat/init/messages", &[], "").await;
            messages = browser.next().await.json();
            messages != json!([])
        })
        .await;
        assert_eq!(messages[0]["message"], "m");
    }
}
