//! Servers that die, hang, forget and come back.

use super::*;

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_killed_server_on_file_loses_nothing() {
    let mut servers = Servers::single("");
    let herald = Herald::start(&servers, |_, _| {}).await.ready().await;
    let seen = herald.collect(Kind::User);
    let load = Load::start(&herald, 16, Duration::from_millis(2));
    for _ in 0..2 {
        pass(2).await;
        servers.kill(0);
        pass(1).await;
        servers.restart(0);
        herald.until_connected().await;
    }
    pass(2).await;
    load.check(&herald, &seen, "R1 file, kill -9 twice").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_stopped_server_delays_and_loses_nothing() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |_, _| {}).await.ready().await;
    let seen = herald.collect(Kind::User);
    let load = Load::start(&herald, 16, Duration::from_millis(2));
    pass(1).await;
    servers.signal(0, "-STOP");
    pass(6).await;
    servers.signal(0, "-CONT");
    pass(3).await;
    load.check(&herald, &seen, "R1 file, SIGSTOP 6 s").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_memory_stream_that_is_gone_is_made_anew_and_its_loss_is_said() {
    let mut servers = Servers::single("");
    let herald = Herald::start(&servers, |config, _| config.storage = StoredIn::Memory)
        .await
        .ready()
        .await;
    let seen = herald.collect(Kind::User);
    let before = herald.publish("anna", "before").await.unwrap();
    seen.until_position(before.position).await;
    servers.restart(0);
    seen.until(|all| matches!(all.last(), Some(Fed::Broken(_)))).await;
    let broken = seen.broken();
    assert_eq!((broken.len(), broken[0].lost), (1, None));
    let after = herald.publish("anna", "after").await.unwrap();
    assert!(after.position.epoch > before.position.epoch && after.position.sequence == 1);
    seen.until_position(after.position).await;
    let replayed = herald
        .history
        .replay(request("anna", before.position, after.position, CAPS))
        .await;
    assert_eq!(replayed.unwrap_err(), Unrecovered::EpochChanged);
    // The tail is of the new life.
    let more = herald.publish("anna", "more").await.unwrap();
    seen.until_position(more.position).await;
    let replayed = herald
        .history
        .replay(request("anna", after.position, more.position, CAPS))
        .await
        .unwrap();
    assert_eq!(replayed.messages[0].position, Some(more.position));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_restored_backup_raises_the_epoch_for_all() {
    let mut servers = Servers::single("");
    let herald = Herald::start(&servers, |_, _| {}).await.ready().await;
    let second = Herald::start(&servers, |_, _| {}).await.ready().await;
    let (seen, second_seen) = (herald.collect(Kind::User), second.collect(Kind::User));
    for number in 0..10 {
        herald.publish("anna", &number.to_string()).await.unwrap();
    }
    servers.kill(0);
    servers.copy_store(false);
    servers.restart(0);
    herald.until_connected().await;
    let mut last = None;
    for number in 10..20 {
        last = Some(within(herald.publish("anna", &number.to_string())).await.unwrap());
    }
    let last = last.unwrap().position;
    seen.until_position(last).await;
    second_seen.until_position(last).await;
    servers.kill(0);
    servers.copy_store(true);
    servers.restart(0);
    for seen in [&seen, &second_seen] {
        seen.until(|all| matches!(all.last(), Some(Fed::Broken(_)))).await;
        let broken = seen.broken();
        assert_eq!(
            (broken.len(), broken[0].lost, broken[0].base.epoch),
            (1, None, last.epoch + 1)
        );
    }
    let after = within(herald.publish("anna", "after")).await.unwrap();
    assert_eq!(after.position.epoch, last.epoch + 1);
    seen.until_position(after.position).await;
    second_seen.until_position(after.position).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn what_is_gone_before_it_was_read_is_said() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |config, incoming| {
        (*incoming, config.tail_bytes) = (1 << 20, Some(ByteSize::mib(1)));
    })
    .await
    .ready()
    .await;
    let feed = herald.history.feed(Kind::User).unwrap();
    // The relay does not read, so that JetStream stops sending; then the rest is purged.
    let mut last = Position::default();
    for part in 0..40 {
        let envelopes: Vec<Envelope> = (0..1_000)
            .map(|n| to_user("anna", &format!("{part}-{n:<200}")))
            .collect();
        let all: Vec<(&Envelope, String)> = envelopes.iter().map(|e| (e, e.id.to_string())).collect();
        for outcome in herald.history.publish_all(all.clone()).await {
            last = outcome.unwrap().position;
        }
    }
    herald.ask("STREAM.PURGE", json!({})).await;
    let seen = Seen::of(feed);
    seen.until(|all| matches!(all.last(), Some(Fed::Broken(_)))).await;
    let broken = seen.broken();
    assert_eq!(broken[0].base, last);
    let read = seen.bodies().len() as u64;
    assert_eq!(broken[0].lost, Some(last.sequence - read));
    let after = herald.publish("anna", "after").await.unwrap();
    seen.until_position(after.position).await;
    assert_eq!(seen.broken().len(), 1);
}

async fn leader(herald: &Herald) -> usize {
    let info = herald.ask("STREAM.INFO", Value::Null).await;
    Servers::index(info["cluster"]["leader"].as_str().unwrap())
}

async fn in_cluster(servers: &Servers) -> Herald {
    let herald = Herald::start(servers, |config, _| {
        config.replicas = Replicas::try_from(3).unwrap()
    })
    .await;
    herald.ready().await
}

/// An instance beside three servers, what its relay receives, and publishers that have published for two seconds.
async fn loaded(servers: &Servers) -> (Herald, Seen, Load) {
    let herald = in_cluster(servers).await;
    let seen = herald.collect(Kind::User);
    let load = Load::start(&herald, 16, Duration::from_millis(5));
    pass(2).await;
    (herald, seen, load)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_killed_leader_loses_nothing() {
    let mut servers = Servers::cluster();
    let (herald, seen, load) = loaded(&servers).await;
    let leader = leader(&herald).await;
    servers.kill(leader);
    pass(12).await;
    servers.restart(leader);
    pass(4).await;
    load.check(&herald, &seen, "R3 file, kill -9 of the leader").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn killed_followers_delay_the_reader_and_lose_nothing() {
    let mut servers = Servers::cluster();
    let (herald, seen, load) = loaded(&servers).await;
    let leader = leader(&herald).await;
    for index in (0..3).filter(|index| *index != leader) {
        servers.kill(index);
        pass(4).await;
        servers.restart(index);
        pass(6).await;
    }
    load.check(&herald, &seen, "R3 file, kill -9 of both followers in turn")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_leader_that_hangs_stores_nothing_twice() {
    let servers = Servers::cluster();
    let (herald, seen, load) = loaded(&servers).await;
    let leader = leader(&herald).await;
    servers.signal(leader, "-STOP");
    pass(12).await;
    servers.signal(leader, "-CONT");
    pass(6).await;
    load.check(&herald, &seen, "R3 file, SIGSTOP of the leader 12 s")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn all_killed_at_once_lose_nothing() {
    let mut servers = Servers::cluster();
    let (herald, seen, load) = loaded(&servers).await;
    for index in 0..3 {
        servers.kill(index);
    }
    pass(1).await;
    for index in 0..3 {
        servers.restart(index);
    }
    pass(20).await;
    load.check(&herald, &seen, "R3 file, kill -9 of all three").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_replay_is_complete_or_says_so_while_replicas_lag() {
    let servers = Servers::cluster();
    let herald = Herald::start(&servers, |config, _| {
        (config.replicas, config.tail_bytes) = (Replicas::try_from(3).unwrap(), Some(ByteSize::mib(1)));
    })
    .await
    .ready()
    .await;
    let seen = herald.collect(Kind::User);
    let (mut whole, mut reasons) = (0, BTreeMap::new());
    let mut positions: Vec<Position> = Vec::new();
    for _ in 0..40 {
        let envelopes: Vec<Envelope> = (0..500)
            .map(|n| to_user(if n % 50 == 0 { "anna" } else { "ben" }, "x"))
            .collect();
        let all: Vec<(&Envelope, String)> = envelopes.iter().map(|e| (e, e.id.to_string())).collect();
        for (outcome, (envelope, _)) in herald
            .history
            .publish_all(all.clone())
            .await
            .into_iter()
            .zip(&all)
        {
            let position = outcome.unwrap().position;
            if envelope.target == target("anna") {
                positions.push(position);
            }
        }
        let until = *positions.last().unwrap();
        seen.until_position(until).await;
        let after = positions[positions.len().saturating_sub(60)];
        match within(herald.history.replay(request("anna", after, until, CAPS))).await {
            Ok(got) => {
                let got: Vec<Position> = got.messages.iter().map(|e| e.position.unwrap()).collect();
                let expected: Vec<Position> = positions
                    .iter()
                    .copied()
                    .filter(|p| *p > after && *p <= until)
                    .collect();
                assert_eq!(got, expected);
                whole += 1;
            }
            Err(reason) => *reasons.entry(reason.as_str()).or_insert(0) += 1,
        }
    }
    eprintln!("R3 replays beyond the tail while publishing: {whole} whole, otherwise {reasons:?}");
    assert!(whole >= 35, "{reasons:?}");
    let [by_index, in_vain, by_search] = herald.history.resume_reads();
    eprintln!("{by_index} by the index, {in_vain} in vain, {by_search} by a search");
    assert!(by_index > 0 && by_search == 0);
}
