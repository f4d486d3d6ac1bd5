//! The promise: each user is news once in the cluster, and nobody leaves because the bus failed. Time is simulated.

use super::*;

mod properties;
mod simulation;

use simulation::{Sim, TICK, Wire, user};

#[test]
fn a_user_is_news_once_in_the_cluster_however_many_sessions() {
    let mut sim = Sim::new(3);
    sim.run_secs(2);
    sim.open(0, "alice");
    assert!(
        sim.node(0).view.is_online(&user("alice")),
        "at once where the user is"
    );
    sim.run_secs(1);
    assert_eq!(sim.told(), ["+alice@node0"]);
    sim.check_views();
    let said = sim.said;
    sim.open(0, "alice");
    sim.close(0, "alice");
    sim.run_secs(1);
    assert_eq!(sim.said, said, "a second session is published");
    sim.open(2, "alice");
    sim.run_secs(1);
    sim.close(0, "alice");
    sim.run_secs(20);
    assert_eq!(sim.told(), [""; 0], "a user who moves is no news");
    sim.close(2, "alice");
    sim.run_secs(20);
    assert_eq!(sim.told(), ["-alice@node2"]);
    sim.check_views();
}

#[test]
fn the_lowest_survivor_speaks_for_a_silent_instance_and_no_other() {
    let mut sim = Sim::new(3);
    sim.open(1, "bob");
    sim.open(1, "alice");
    sim.run_secs(2);
    sim.open(2, "alice");
    sim.run_secs(1);
    sim.told();
    sim.nodes[1] = None;
    sim.run_secs(4);
    assert!(sim.node(0).view.is_online(&user("bob")), "gone before its time");
    sim.run_secs(20);
    assert_eq!(sim.told(), ["-bob@node1"]);
    sim.check_views();
}

#[test]
fn should_the_first_in_line_die_the_next_speaks() {
    let mut sim = Sim::new(3);
    sim.open(1, "bob");
    sim.run_secs(2);
    sim.told();
    // Node 0 would speak for node 1, and dies a moment after it.
    sim.nodes[1] = None;
    sim.run_secs(1);
    sim.nodes[0] = None;
    sim.run_secs(20);
    assert_eq!(sim.told(), ["-bob@node1"]);
    sim.check_views();
}

#[test]
fn a_goodbye_is_heard_at_once() {
    let mut sim = Sim::new(2);
    sim.open(1, "bob");
    sim.run_secs(2);
    sim.told();
    sim.leave(1);
    sim.run(TICK);
    sim.check_views();
    sim.run_secs(20);
    assert_eq!(sim.told(), ["-bob@node1"]);
}

#[test]
fn an_outage_of_the_bus_makes_nobody_leave() {
    for wire in [Wire::Down, Wire::HalfOpen] {
        let mut sim = Sim::new(3);
        (0..3).for_each(|node| sim.open(node, &format!("user{node}")));
        sim.run_secs(4);
        sim.told();
        (0..3).for_each(|node| sim.wire(node, wire));
        sim.run_secs(60);
        // One of them moves meanwhile.
        sim.close(1, "user1");
        sim.open(2, "user1");
        for node in [0, 2] {
            assert_eq!(sim.node(node).view.users().len(), 3, "the last view stands");
        }
        for node in 0..3 {
            sim.wire(node, Wire::Up);
            sim.run(TICK * 3);
        }
        sim.run_secs(20);
        assert_eq!(sim.told(), [""; 0], "{wire:?}");
        sim.check_views();
    }
}

#[test]
fn one_instance_cut_off_is_taken_out_and_comes_back() {
    for wire in [Wire::Down, Wire::HalfOpen] {
        let mut sim = Sim::new(3);
        (0..3).for_each(|node| sim.open(node, &format!("user{node}")));
        sim.run_secs(4);
        sim.told();
        sim.wire(1, wire);
        sim.run_secs(10);
        assert_eq!(sim.told(), ["-user1@node1"], "{wire:?}");
        assert_eq!(sim.node(1).view.users().len(), 3, "its last view stands");
        sim.wire(1, Wire::Up);
        sim.run_secs(20);
        assert_eq!(sim.told(), ["+user1@node1"], "{wire:?}");
        sim.check_views();
    }
}

#[test]
fn an_instance_that_stood_still_blames_nobody() {
    let mut sim = Sim::new(2);
    sim.open(1, "bob");
    sim.run_secs(2);
    sim.told();
    sim.node(0).awake = false;
    sim.wire(0, Wire::HalfOpen);
    sim.run_secs(30);
    sim.node(0).awake = true;
    sim.step();
    assert!(sim.node(0).view.is_online(&user("bob")));
    sim.wire(0, Wire::Up);
    sim.run_secs(20);
    assert_eq!(sim.told(), [""; 0]);
    sim.check_views();
}

#[test]
fn two_who_go_at_the_same_time_do_not_rely_on_each_other() {
    let mut sim = Sim::new(2);
    sim.open(0, "alice");
    sim.open(1, "alice");
    sim.run_secs(2);
    sim.told();
    sim.close(0, "alice");
    sim.close(1, "alice");
    sim.delay_ms = 150;
    sim.run_secs(10);
    sim.check_views();
    assert!(sim.told().iter().any(|event| event.starts_with("-alice")));
}

#[test]
fn a_move_that_looks_like_leaving_is_corrected() {
    let mut sim = Sim::new(2);
    sim.open(0, "alice");
    sim.run_secs(2);
    // Node 1 knows of alice at node 0 when she comes; node 0 does not hear it before she has left there.
    sim.open(1, "alice");
    sim.delay_ms = 400;
    sim.seed = 3;
    sim.close(0, "alice");
    sim.run_secs(10);
    sim.check_views();
    sim.check_told();
}

#[test]
fn a_newcomer_learns_all_within_a_second() {
    let mut sim = Sim::new(2);
    (0..100).for_each(|n| sim.open(n % 2, &format!("user{n}")));
    sim.run_secs(2);
    sim.start();
    sim.run_secs(3);
    sim.check_views();
}

#[test]
fn an_absurd_number_of_instances_is_refused() {
    let mut sim = Sim::new(1);
    let digest = |n: usize| Digest {
        instance: InstanceId::parse(&format!("1{n:025}")).unwrap(),
        name: InstanceName::clean("x"),
        beat: 0,
        number: 0,
        summary: Summary::default(),
    };
    let max = super::super::protocol::MAX_INSTANCES;
    for n in 0..max {
        sim.node(0).view.on_digest(Duration::ZERO, &digest(n)).unwrap();
    }
    assert!(sim.node(0).view.on_digest(Duration::ZERO, &digest(max)).is_err());
    sim.run_secs(10);
    assert_eq!(sim.node(0).view.instances().len(), 1);
    assert!(sim.node(0).view.departed.len() <= max);
}

#[test]
fn nothing_is_remembered_for_ever() {
    let mut sim = Sim::new(3);
    for n in 0..200 {
        sim.open(n % 3, &format!("user{n}"));
        sim.step();
        sim.close(n % 3, &format!("user{n}"));
    }
    sim.run_secs(20);
    for node in sim.nodes.iter().flatten() {
        assert!(node.view.words.is_empty() && node.view.unacked.is_empty());
        assert!(node.view.peers.values().all(|peer| peer.users().is_empty()));
    }
}
