//! The promise of the operators' commands: what runs, which sessions would get a notification, ending a user's
//! sessions, the log's level, a SEND by hand, and the subject of a destination.

use serde_json::{Value, json};

use super::command::{Cli, Ended};
use super::{FAILURE, REFUSED, USAGE, demo, json};
use crate::support::cluster::{Cluster, until_online};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

async fn run(herald: &Herald, line: &str) -> Ended {
    Cli::of_operator(herald, line).run().await
}

async fn done(herald: &Herald, line: &str) -> Ended {
    let ended = run(herald, line).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[tokio::test]
async fn instances_says_what_runs_and_which_one_answers() {
    let cluster = Cluster::start(2).await;
    let herald = &cluster.instances[0];
    let _browser = Browser::connect(herald.address, "test1").await;
    let found = json(&done(herald, "instances --json").await.out);
    let own = |instance: &&Value| instance["own"] == true;
    let all = found["instances"].as_array().unwrap();
    let answering = all.iter().find(own).unwrap();
    assert_eq!((all.len(), &answering["sessions"]), (2, &json!(1)), "{found}");
    assert_eq!(found["silent"], json!([]));
    let table = done(herald, "instances").await.out;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("INSTANCE") && lines[0].contains("WAITING BYTES"));
    let marked = format!("{}* ", answering["name"].as_str().unwrap());
    assert_eq!(
        lines.iter().filter(|line| line.starts_with(&marked)).count(),
        1,
        "{table}"
    );
    let refused = Cli::of(herald, "instances").run().await;
    assert_eq!((refused.code, &*refused.out), (REFUSED, ""));
}

#[tokio::test]
async fn explain_says_who_would_get_it_and_why_not_the_others() {
    let (_folder, herald) = demo().await;
    let mut browser = Browser::connect(herald.address, "test7").await;
    browser.subscribe("/user/queue/orders").await;
    until_online(&herald, &["test7"]).await;
    let reached = done(&herald, "explain /queue/orders --user test7").await.out;
    assert!(
        reached
            .starts_with("/user/queue/orders for test7: 1 subscription would get it, 0 sessions would not"),
        "{reached}"
    );
    assert!(
        reached.contains("test7") && reached.contains("at_once"),
        "{reached}"
    );
    // The usual mistake: a broadcast of the same name.
    let missed = run(&herald, "explain /queue/orders").await;
    assert_eq!(missed.code, FAILURE, "{missed:?}");
    assert!(
        missed.out.contains("subscribed to the user destination"),
        "{missed:?}"
    );
    let missed = run(&herald, "explain /queue/orders --json").await;
    assert_eq!(missed.code, FAILURE);
    assert_eq!(json(&missed.out)["missed_count"], 1);
    let gone = run(&herald, "explain /queue/orders --user nobody").await;
    assert!(
        gone.code == FAILURE && gone.out.contains("nobody, who is not online"),
        "{gone:?}"
    );
    let wrong = run(&herald, "explain /nowhere").await;
    assert!(wrong.code == FAILURE && wrong.error.contains("400"), "{wrong:?}");
    assert_eq!(run(&herald, "explain queue").await.code, USAGE);
}

#[tokio::test]
async fn disconnect_ends_the_sessions_of_a_user() {
    let (_folder, herald) = demo().await;
    let mut browser = Browser::connect(herald.address, "test8").await;
    until_online(&herald, &["test8"]).await;
    let ended = done(&herald, "disconnect test8 --json").await;
    assert_eq!(
        json(&ended.out),
        json!({"user": "test8", "disconnected": true, "revoked": false, "told": true})
    );
    assert_eq!(browser.end().await.code, 4403);
    let told = done(&herald, "disconnect test8 --revoke").await.error;
    assert!(
        told.contains("disconnect test8") && told.contains("revoked") && told.contains("note: "),
        "{told}"
    );
    let listed = json(&done(&herald, "revoke --list --json").await.out);
    assert_eq!(listed["revocations"][0]["user"], "test8", "{listed}");
}

#[tokio::test]
async fn log_level_shows_and_changes_how_much_is_logged() {
    let (_folder, herald) = demo().await;
    assert_eq!(done(&herald, "log-level").await.out, "cli logs at info\n");
    let changed = json(&done(&herald, "log-level debug --for 5m --json").await.out);
    assert_eq!(
        (&changed["level"], &changed["configured"]),
        (&json!("debug"), &json!("info"))
    );
    let shown = done(&herald, "log-level").await.out;
    assert!(
        shown.starts_with("cli logs at debug until 20") && shown.ends_with(", then info\n"),
        "{shown}"
    );
    let all = done(&herald, "log-level warn --all").await.error;
    assert!(
        all.contains("every instance") && all.contains("warn for 10m"),
        "{all}"
    );
    let wrong = run(&herald, "log-level herald=loud").await;
    assert!(wrong.code == FAILURE && wrong.error.contains("400"), "{wrong:?}");
}

#[tokio::test]
async fn send_does_what_a_browser_s_send_does_and_prints_the_answer() {
    let (_folder, herald) = demo().await;
    let mut browser = Browser::connect(herald.address, "test2").await;
    browser.subscribe("/queue/message").await;
    let sent = Cli::of(&herald, "send /chat/message --json")
        .argument("hello")
        .run()
        .await;
    assert_eq!(
        json(&sent.out),
        json!({"destination": "/chat/message", "user": "test1", "sent": true})
    );
    assert_eq!(browser.next().await.json()["message"], "hello");

    let online = Cli::of(&herald, "send /chat/init/users --answer")
        .argument("")
        .run()
        .await;
    assert_eq!(
        (online.code, &*online.out),
        (Some(0), "[\"test1\",\"test2\"]\n"),
        "{online:?}"
    );
    let online = Cli::of(
        &herald,
        "send /chat/init/users --answer --json -H correlation-id:7",
    )
    .argument("")
    .run()
    .await;
    let answer = json(&online.out);
    assert_eq!(
        (&answer["destination"], &answer["headers"]["correlation-id"]),
        (&json!("/user/queue/herald-send"), &json!("7"))
    );

    let unheard = Cli::of(&herald, "send /app/nobody x --answer").run().await;
    assert!(
        unheard.code == FAILURE && unheard.error.contains("no_responder"),
        "{unheard:?}"
    );
    let refused = Cli::of(&herald, "send /topic/news x").run().await;
    assert!(
        refused.code == REFUSED && refused.error.contains("/topic/news"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn subject_is_where_a_destination_stands_at_nats() {
    let subject = async |line: &str, destination: &str| Cli::new(line).argument(destination).run().await;
    let found = subject("subject", "/queue/v1.2/ä b").await;
    assert_eq!(
        (found.code, &*found.out),
        (Some(0), "herald.broadcast.queue.v1%2E2.%C3%A4%20b\n")
    );
    let found = Cli::new("subject /queue/orders --user ann --json")
        .set("HERALD_BUS__PREFIX", "prod")
        .run()
        .await;
    let wanted =
        json!({"destination": "/queue/orders", "user": "ann", "subject": "prod.user.ann.queue.orders"});
    assert_eq!(json(&found.out), wanted);
    let wrong = subject("subject", "/user/queue/orders").await;
    assert!(wrong.code == USAGE && wrong.error.contains("--user"), "{wrong:?}");
}
