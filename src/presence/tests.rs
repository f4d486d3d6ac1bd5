//! The promise of presence as a whole: several instances over a bus in memory, in paused time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::*;
use crate::destination::Target;
use crate::setting::ByteSize;

mod cluster;

use cluster::{Node, TestCluster};

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

async fn secs(secs: u64) {
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

/// Waits until `node` sees exactly `names`, at most `limit`.
async fn sees(node: &Node, names: &[&str], limit: Duration) {
    let expected: Vec<UserName> = names.iter().map(|name| user(name)).collect();
    let mut changes = node.presence.changes();
    let seen = timeout(limit, changes.wait_for(|_| node.presence.users() == expected)).await;
    assert!(seen.is_ok(), "{:?} is not {names:?}", node.presence.users());
}

const SOON: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn users_are_seen_everywhere_and_told_once() {
    let cluster = Arc::new(TestCluster::default());
    let (a, b) = (
        cluster.start("a", Config::default()),
        cluster.start("b", Config::default()),
    );
    secs(2).await;
    a.presence.opened(&user("bob"));
    b.presence.opened(&user("alice"));
    assert_eq!(a.presence.users(), [user("bob")], "one's own at once");
    sees(&a, &["alice", "bob"], SOON).await;
    sees(&b, &["alice", "bob"], SOON).await;
    b.presence.opened(&user("bob"));
    secs(2).await;
    a.presence.closed(&user("bob"));
    secs(2).await;
    assert!(a.presence.is_online(&user("bob")));
    assert_eq!(a.presence.list(), r#"["alice","bob"]"#);
    let mut told = cluster.told();
    told.sort();
    assert_eq!(told, ["+alice@b", "+bob@a"]);
    let instances = a.presence.instances();
    let held: Vec<usize> = instances.iter().map(|instance| instance.users).collect();
    assert_eq!((instances.len(), held.iter().sum::<usize>()), (2, 2));
    assert!(instances.is_sorted_by(|a, b| a.id < b.id));
}

#[tokio::test(start_paused = true)]
async fn the_watch_wakes_only_when_the_set_changes() {
    let cluster = Arc::new(TestCluster::default());
    let (a, b) = (
        cluster.start("a", Config::default()),
        cluster.start("b", Config::default()),
    );
    a.presence.opened(&user("bob"));
    secs(2).await;
    let mut changes = b.presence.changes();
    changes.mark_unchanged();
    a.presence.opened(&user("bob"));
    b.presence.opened(&user("bob"));
    a.presence.closed(&user("bob"));
    a.presence.closed(&user("bob"));
    secs(5).await;
    assert!(!changes.has_changed().unwrap());
    b.presence.closed(&user("bob"));
    assert!(changes.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_reads_a_snapshot_of_many_pages() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    for n in 0..30_000 {
        a.presence
            .opened(&user(&format!("a-user-with-a-longer-name-{n}")));
    }
    secs(2).await;
    let b = cluster.start("b", Config::default());
    let mut changes = b.presence.changes();
    let all = changes.wait_for(|_| b.presence.users().len() == 30_000);
    assert!(timeout(Duration::from_secs(2), all).await.is_ok());
    assert_eq!(a.presence.users(), b.presence.users());
    assert_eq!(b.presence.refused() + a.presence.refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_piles_up_in_an_outage_is_said_after_it() {
    let cluster = Arc::new(TestCluster::default());
    let (a, b) = (
        cluster.start("a", Config::default()),
        cluster.start("b", Config::default()),
    );
    a.presence.opened(&user("bob"));
    b.presence.opened(&user("eve"));
    secs(2).await;
    a.bus.cut();
    b.bus.cut();
    secs(30).await;
    a.presence.closed(&user("bob"));
    a.presence.opened(&user("alice"));
    for n in 0..100 {
        a.presence.opened(&user(&format!("passing{n}")));
        a.presence.closed(&user(&format!("passing{n}")));
    }
    secs(30).await;
    assert_eq!(cluster.told().len(), 2);
    assert_eq!(
        b.presence.users(),
        [user("bob"), user("eve")],
        "the last view stands"
    );
    a.bus.mend();
    b.bus.mend();
    secs(5).await;
    sees(&b, &["alice", "eve"], SOON).await;
    assert_eq!(cluster.told().split_off(2).last().unwrap(), "-bob@a");
    assert!(
        !cluster
            .told()
            .iter()
            .any(|event| event.contains("passing") || event.contains("-eve"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_bus_refuses_is_said_later() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    secs(2).await;
    a.bus.refuses.store(true, Ordering::Relaxed);
    a.presence.opened(&user("bob"));
    secs(2).await;
    assert_eq!(cluster.told(), [""; 0]);
    a.bus.refuses.store(false, Ordering::Relaxed);
    secs(4).await;
    assert_eq!(cluster.told().first().unwrap(), "+bob@a");
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_says_goodbye() {
    let cluster = Arc::new(TestCluster::default());
    let (a, b) = (
        cluster.start("a", Config::default()),
        cluster.start("b", Config::default()),
    );
    a.presence.opened(&user("bob"));
    a.presence.opened(&user("eve"));
    secs(2).await;
    b.presence.opened(&user("eve"));
    secs(1).await;
    a.shutdown.cancel();
    a.run.await.unwrap();
    sees(&b, &["eve"], SOON).await;
    assert_eq!(b.presence.instances().len(), 1);
    secs(20).await;
    assert_eq!(cluster.told().split_off(2), ["-bob@a"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_bus_does_not_wait() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    secs(1).await;
    a.bus.cut();
    a.shutdown.cancel();
    assert!(timeout(SOON, a.run).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_counted_and_dropped() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    secs(1).await;
    let id = InstanceId::random();
    let changes = |more: &str| format!(r#"{{"instance":"{id}","name":"x","number":1,{more}}}"#);
    let bad = [
        (Changes::KIND, "".into()),
        (Changes::KIND, "\u{0}".into()),
        (Changes::KIND, "[".repeat(100_000)),
        (Changes::KIND, changes(r#""came":["a\u200bb"]"#)),
        (Changes::KIND, changes(r#""came":[""]"#)),
        (
            Changes::KIND,
            changes(&format!(r#""came":["{}"]"#, "x".repeat(256))),
        ),
        (
            Changes::KIND,
            changes(&format!(r#""pad":"{}""#, "x".repeat(300 << 10))),
        ),
        (Digest::KIND, r#"{"instance":"nobody"}"#.into()),
        (Snapshot::KIND, r#"{"at_least":0}"#.into()),
        ("presence.evil", "{}".into()),
    ];
    let count = bad.len() as u64;
    for (kind, payload) in bad {
        let message = ControlMessage {
            kind: kind.into(),
            payload: payload.into(),
            responder: None,
        };
        a.presence.handle(message);
    }
    assert_eq!(a.presence.refused(), count);
    assert_eq!(a.presence.instances().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_sense_gets_an_answer_without_a_page() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    let (answer, answered) = oneshot::channel();
    let cursor = format!(
        r#"{{"at_least":1,"cursor":{{"number":{0},"offset":{0}}}}}"#,
        u64::MAX
    );
    let message = ControlMessage {
        kind: Snapshot::KIND.into(),
        payload: cursor.into(),
        responder: Some(Responder(answer)),
    };
    a.presence.handle(message);
    assert_eq!(answered.await.unwrap(), Bytes::from(r#"{"page":null}"#));
}

#[tokio::test(start_paused = true)]
async fn an_idle_cluster_says_one_digest_a_second() {
    let cluster = Arc::new(TestCluster::default());
    let nodes: Vec<Node> = (0..3).map(|_| cluster.start("x", Config::default())).collect();
    nodes[0].presence.opened(&user("bob"));
    secs(3).await;
    let before = cluster.messages.load(Ordering::Relaxed);
    for _ in 0..1_000 {
        nodes[0].presence.opened(&user("bob"));
    }
    secs(10).await;
    let said = cluster.messages.load(Ordering::Relaxed) - before;
    assert!(
        (27..=33).contains(&said),
        "{said} messages in ten seconds of three instances"
    );
}

/// The lists so far: seconds after `start`, rounded down to tenths, and the names.
fn lists(node: &Node, start: Instant) -> Vec<(u64, String)> {
    let got = node.listeners.got.lock();
    let lists = got.iter().map(|(at, envelope)| {
        assert_eq!(
            envelope.target,
            Target::Broadcast(Path::parse("/queue/users").unwrap())
        );
        assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
        let body = String::from_utf8(envelope.body.to_vec()).unwrap();
        (at.duration_since(start).as_millis() as u64 / 100, body)
    });
    lists.collect()
}

#[tokio::test(start_paused = true)]
async fn the_list_follows_changes_at_most_once_a_second_and_ends_true() {
    let cluster = Arc::new(TestCluster::default());
    let a = cluster.start("a", Config::default());
    secs(2).await;
    a.presence.opened(&user("nobody-listens"));
    secs(2).await;
    assert!(a.listeners.got.lock().is_empty());
    a.listeners.count.store(1, Ordering::Relaxed);
    let start = Instant::now();
    for n in 0..8 {
        a.presence.opened(&user(&format!("u{n}")));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    secs(5).await;
    let lists = lists(&a, start);
    let times: Vec<u64> = lists.iter().map(|(tenths, _)| *tenths).collect();
    assert_eq!(times, [0, 10, 20]);
    assert_eq!(lists[2].1, a.presence.list());
    assert!(lists[2].1.contains("u7"));
}

#[tokio::test(start_paused = true)]
async fn a_long_list_to_many_goes_more_seldom() {
    let cluster = Arc::new(TestCluster::default());
    let config = Config {
        list_bytes_per_second: ByteSize(10),
        ..Config::default()
    };
    let a = cluster.start("a", config);
    secs(1).await;
    a.listeners.count.store(10, Ordering::Relaxed);
    let start = Instant::now();
    a.presence.opened(&user("u1"));
    secs(1).await;
    a.presence.opened(&user("u2"));
    secs(30).await;
    let lists = lists(&a, start);
    // ["u1"] is 6 bytes: to ten subscribers at 10 bytes a second, six seconds.
    assert_eq!(lists[0], (0, r#"["u1"]"#.into()));
    assert_eq!(lists[1], (60, r#"["u1","u2"]"#.into()));
    assert_eq!(lists.len(), 2);
}
