//! Promise: whoever guesses passwords waits ever longer, and nobody else does.

use std::net::Ipv4Addr;

use super::*;
use crate::setting::HumanDuration;

fn delays(change: impl FnOnce(&mut LoginConfig)) -> Arc<Delays> {
    let mut config = LoginConfig {
        free_failures: 2,
        free_failures_per_address: 6,
        delay: HumanDuration::secs(1),
        delay_max: HumanDuration::secs(10),
        failures_half_life: HumanDuration::secs(600),
        delayed: 4,
        delayed_per_address: 3,
        ..LoginConfig::default()
    };
    change(&mut config);
    Delays::new(&config)
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// The delay in seconds of a login that then fails.
fn fail(delays: &Arc<Delays>, from: u8, user: &str) -> u64 {
    let attempt = delays.begin(address(from), user).unwrap();
    let delay = attempt.delay().as_secs();
    attempt.failed();
    delay
}

#[tokio::test(start_paused = true)]
async fn a_guesser_waits_ever_longer_and_others_do_not() {
    let delays = delays(|_| {});
    let waited: Vec<u64> = (0..8).map(|_| fail(&delays, 1, "alice")).collect();
    assert_eq!(waited, [0, 0, 1, 2, 4, 8, 10, 10]);
    // The user from elsewhere, which is why a victim is not locked out.
    assert_eq!(fail(&delays, 2, "alice"), 0);
    // Another user from there: of alice's failures only the free ones count for the address.
    assert_eq!(
        [0; 4],
        std::array::from_fn(|n| fail(&delays, 1, ["bob", "bob", "carol", "carol"][n]))
    );
    assert_eq!(fail(&delays, 1, "dave"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_many_users_waits() {
    let delays = delays(|_| {});
    let waited: Vec<u64> = (0..9).map(|n| fail(&delays, 1, &format!("user{n}"))).collect();
    assert_eq!(waited, [0, 0, 0, 0, 0, 0, 1, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_the_users_failures_there_and_time_forgets_all() {
    let delays = delays(|_| {});
    for _ in 0..3 {
        fail(&delays, 1, "alice");
    }
    delays.begin(address(1), "alice").unwrap().succeeded();
    assert_eq!(fail(&delays, 1, "alice"), 0);
    for _ in 0..3 {
        fail(&delays, 1, "alice");
    }
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(fail(&delays, 1, "alice"), 1, "4 of the user became 2");
    tokio::time::advance(Duration::from_secs(6_000)).await;
    assert_eq!(fail(&delays, 1, "alice"), 0);
    assert!(delays.table.lock().len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn logins_at_the_same_time_do_not_slip_through() {
    let delays = delays(|_| {});
    let open: Vec<Attempt> = (0..4)
        .map(|_| delays.begin(address(1), "alice").unwrap())
        .collect();
    let waits: Vec<u64> = open.iter().map(|attempt| attempt.delay().as_secs()).collect();
    assert_eq!(waits, [0, 0, 1, 2]);
    // Given up without an outcome: they count. Not tried: they do not.
    drop(open);
    assert_eq!(fail(&delays, 1, "alice"), 4);
    for _ in 0..5 {
        delays.begin(address(1), "bob").unwrap().not_tried();
    }
    assert_eq!(fail(&delays, 1, "bob"), 0);
}

#[tokio::test(start_paused = true)]
async fn few_may_be_delayed_at_once_and_fewer_of_one_address() {
    let delays = delays(|config| config.free_failures = 0);
    let of_one: Vec<Attempt> = (0..3)
        .map(|n| delays.begin(address(1), &format!("user{n}")).unwrap())
        .collect();
    let refused = |from, user| delays.begin(address(from), user).err();
    assert_eq!(refused(1, "user4"), Some(Limit::LoginDelayedPerAddress));
    let mut other = delays.begin(address(2), "alice").unwrap();
    assert_eq!(refused(3, "bob"), Some(Limit::LoginDelayed));
    // A wait that is over frees its place, and so does one given up.
    other.wait().await;
    assert_eq!(refused(3, "bob"), None);
    drop(of_one);
    assert_eq!(refused(1, "user4"), None);
    assert_eq!(delays.delayed.available_permits(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_delays_where_they_are_switched_off() {
    let delays = delays(|config| config.delay = HumanDuration::secs(0));
    assert!((0..100).all(|_| fail(&delays, 1, "alice") == 0));
    assert_eq!(delays.table.lock().len(), 0);
}
