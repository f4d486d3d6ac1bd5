//! `limits.sessions_per_user` holds over the whole cluster: the newest sessions stay, or the new one is refused,
//! however many log in at once, while instances die and the bus goes away.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, admin, until};
use crate::support::cluster_client::{Browser, End};
use crate::support::process::Herald;
use crate::support::within;

const NEWEST: &str = "superseded by a newer session: at most 2 sessions a user (limits.sessions_per_user)";
/// Longer than an unfinished count waits.
const SETTLED: Duration = Duration::from_millis(2_500);

async fn cluster(count: usize, most: &str, policy: &str) -> Cluster {
    let settings = [
        ("HERALD_LIMITS__SESSIONS_PER_USER", most),
        ("HERALD_LIMITS__SESSIONS_PER_USER_POLICY", policy),
    ];
    Cluster::start_with(count, &settings).await
}

#[track_caller]
fn ended(end: &End, code: u16, words: &str) {
    assert_eq!((end.code, end.error()), (code, Some(words)), "{end:?}");
}

/// The sessions of test1 that `herald` sees in the whole cluster.
async fn sessions(herald: &Herald) -> usize {
    let answer = admin(herald, "GET", "/api/v1/users/test1").await;
    answer.json()["sessions"].as_array().map_or(0, Vec::len)
}

async fn hits(herald: &Herald) -> u64 {
    let metrics = admin(herald, "GET", "/metrics").await.text();
    let name = "herald_limit_hits_total{limit=\"limits.sessions_per_user\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// None of these has been closed, nor will be.
async fn stay(browsers: impl IntoIterator<Item = &mut Browser>) {
    tokio::time::sleep(SETTLED).await;
    for browser in browsers {
        browser.subscribe(&format!("/queue/{}", ulid::Ulid::new())).await;
    }
}

#[tokio::test]
async fn the_oldest_gives_way_wherever_it_is() {
    let cluster = cluster(2, "2", "newest").await;
    let [here, there] = [0, 1].map(|index: usize| &cluster.instances[index]);
    let mut first = Browser::connect(here.address, "test1").await;
    let mut second = Browser::connect(there.address, "test1").await;
    let mut other = Browser::connect(there.address, "test2").await;
    let mut third = Browser::connect(there.address, "test1").await;
    ended(&first.end().await, 4409, NEWEST);
    // A session that ends makes room on both.
    third.frame("DISCONNECT", &[], b"").await;
    assert_eq!(third.end().await.code, 1000);
    until("the session to be gone", async || sessions(here).await == 1).await;
    let mut fourth = Browser::connect(here.address, "test1").await;
    stay([&mut second, &mut fourth, &mut other]).await;
    assert_eq!((hits(here).await, hits(there).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_the_same_moment_settle() {
    let cluster = cluster(2, "3", "newest").await;
    let open = (0..20).map(|number: usize| {
        let address = cluster.instances[number % 2].address;
        Browser::attempt(address, "test1", "test")
    });
    let _open = futures_util::future::join_all(open).await;
    for herald in &cluster.instances {
        until("the sessions to be three", async || sessions(herald).await == 3).await;
    }
    tokio::time::sleep(SETTLED).await;
    assert_eq!(
        sessions(&cluster.instances[0]).await,
        3,
        "no more than needed give way"
    );
    let closed = hits(&cluster.instances[0]).await + hits(&cluster.instances[1]).await;
    assert_eq!(closed, 17);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_do_not_count_and_a_newcomer_is_counted() {
    let mut cluster = cluster(2, "2", "newest").await;
    let mut first = Browser::connect(cluster.instances[0].address, "test1").await;
    let _second = Browser::connect(cluster.instances[1].address, "test1").await;
    cluster.instances[1].kill();
    let mut third = Browser::connect(cluster.instances[0].address, "test1").await;
    stay([&mut first, &mut third]).await;
    let address = cluster.add("i2").await.address;
    let mut fourth = Browser::connect(address, "test1").await;
    ended(&first.end().await, 4409, NEWEST);
    stay([&mut third, &mut fourth]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_the_bus_was_away_is_counted_afterwards() {
    let mut cluster = cluster(2, "2", "newest").await;
    let [here, there] = [0, 1].map(|index: usize| cluster.instances[index].address);
    let mut first = Browser::connect(here, "test1").await;
    let mut second = Browser::connect(there, "test1").await;
    cluster.nats.kill();
    let mut third = Browser::connect(there, "test1").await;
    let mut fourth = Browser::connect(here, "test1").await;
    first.subscribe("/queue/x").await;
    second.subscribe("/queue/x").await;
    cluster.nats.restart();
    ended(&first.end().await, 4409, NEWEST);
    ended(&second.end().await, 4409, NEWEST);
    stay([&mut third, &mut fourth]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_one_is_refused_wherever_the_others_are() {
    const REFUSED: &str = "at most 1 sessions a user (limits.sessions_per_user)";
    let mut cluster = cluster(2, "1", "refuse").await;
    let [here, there] = [0, 1].map(|index: usize| cluster.instances[index].address);
    let attempt = async |to| Browser::attempt(to, "test1", "test").await;
    let mut first = attempt(here).await.unwrap();
    // Before CONNECTED.
    ended(&attempt(there).await.err().unwrap(), 1008, REFUSED);
    ended(&attempt(here).await.err().unwrap(), 1008, REFUSED);
    assert_eq!(hits(&cluster.instances[1]).await, 1);
    first.frame("DISCONNECT", &[], b"").await;
    assert_eq!(first.end().await.code, 1000);
    within("the place to be free", async {
        while attempt(there).await.is_err() {}
    })
    .await;

    // An instance that is there but does not answer delays a login for a moment.
    cluster.instances[0].pause().await;
    until("the session to be gone", async || {
        sessions(&cluster.instances[1]).await == 0
    })
    .await;
    let begun = Instant::now();
    let mut second = attempt(there).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    cluster.instances[0].signal("CONT");

    // Admitted while the others could not be asked: the newer one leaves afterwards.
    cluster.nats.kill();
    let mut third = attempt(here).await.unwrap();
    cluster.nats.restart();
    ended(&third.end().await, 1008, REFUSED);
    stay([&mut second]).await;
}
