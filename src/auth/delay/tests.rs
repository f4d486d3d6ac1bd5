//! The promise: a client that guesses passwords waits ever longer, and no other client does.

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
        free_failures_per_user: 50,
        unfamiliar_delay: HumanDuration::secs(0),
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
    // The same user from elsewhere: this is why a victim is not locked out.
    assert_eq!(fail(&delays, 2, "alice"), 0);
    // Another user from there: only alice's free failures count for the address.
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
    // Dropped without a result: they count. Not tried: they do not.
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
        .map(|n| delays.begin(address(1), &*format!("user{n}")).unwrap())
        .collect();
    let refused = |from, user| delays.begin(address(from), user).err();
    assert_eq!(refused(1, "user4"), Some(Limit::LoginDelayedPerAddress));
    let mut other = delays.begin(address(2), "alice").unwrap();
    assert_eq!(refused(3, "bob"), Some(Limit::LoginDelayed));
    // A wait that has ended frees its place, and so does a dropped one.
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

fn v6(site: u16, network: u16) -> IpAddr {
    std::net::Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1).into()
}

/// The delay in seconds of a login of `user` that then fails.
fn fail_from(delays: &Arc<Delays>, from: IpAddr, user: &str) -> u64 {
    let attempt = delays.begin(from, user).unwrap();
    let delay = attempt.delay().as_secs();
    attempt.failed();
    delay
}

#[tokio::test(start_paused = true)]
async fn a_48_counts_at_a_tenth() {
    let delays = delays(|_| {});
    // Six free failures of an address are sixty of its /48, from any address in it and for any user.
    let waited: Vec<u64> = (0..81)
        .map(|n| fail_from(&delays, v6(1, n), &format!("user{n}")))
        .collect();
    assert_eq!(waited[..60], [0; 60]);
    assert_eq!(waited[60..70], [1; 10]);
    assert_eq!(waited[70..80], [2; 10]);
    assert_eq!(waited[80], 4);
    // An address of it that has failed by itself waits for the longer of the two; another /48 does not wait.
    assert_eq!(fail_from(&delays, v6(2, 0), "alice"), 0);
    // Failures that are not free for their user do not count for the /48.
    for _ in 0..1_000 {
        delays.failed(delays.keys(v6(3, 0), "bob"));
    }
    assert_eq!(fail_from(&delays, v6(3, 1), "bob"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_48_has_the_places_of_ten_addresses() {
    let delays = delays(|config| {
        config.free_failures = 0;
        config.delayed = 1_000;
    });
    let begin = |site, network| delays.begin(v6(site, network), "alice");
    let held: Vec<Attempt> = (0..30).map(|n| begin(1, n).unwrap()).collect();
    assert_eq!(begin(1, 99).err(), Some(Limit::LoginDelayedPerAddress));
    assert!(begin(2, 0).is_ok());
    drop(held);
    assert!(begin(1, 99).is_ok());
}

fn guarded() -> Arc<Delays> {
    delays(|config| config.unfamiliar_delay = HumanDuration::secs(1))
}

#[tokio::test(start_paused = true)]
async fn guesses_from_everywhere_delay_a_user_where_it_has_never_succeeded() {
    let delays = guarded();
    let home = address(200);
    delays.begin(home, "alice").unwrap().succeeded();
    delays.succeeded(delays.keys(address(201), "alice"));
    let everywhere = |n: u16| v6(n, 0);
    let waited: Vec<u64> = (0..60)
        .map(|n| fail_from(&delays, everywhere(n), "alice"))
        .collect();
    assert_eq!((&waited[..50], &waited[50..]), (&[0; 50][..], &[1; 10][..]));
    // Where the user has succeeded nothing changes, nor for other users.
    assert_eq!(fail_from(&delays, home, "alice"), 0);
    assert_eq!(fail_from(&delays, address(201), "alice"), 0);
    assert_eq!(fail_from(&delays, everywhere(1), "bob"), 0);
    // A right password from elsewhere waits once.
    let mut attempt = delays.begin(address(202), "alice").unwrap();
    assert_eq!(
        (attempt.delay().as_secs(), attempt.limit()),
        (1, Limit::LoginUnfamiliarDelay)
    );
    attempt.wait().await;
    attempt.succeeded();
    assert_eq!(fail_from(&delays, address(202), "alice"), 0);
    // An unknown user is treated in the same way.
    let waited: u64 = (0..51).map(|n| fail_from(&delays, everywhere(n), "nobody")).sum();
    assert_eq!(waited, 1);
    tokio::time::advance(Duration::from_secs(7_200)).await;
    assert_eq!(fail_from(&delays, everywhere(99), "alice"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fail_does_not_count_for_the_user() {
    let delays = guarded();
    for n in 0..100 {
        delays.begin(v6(n, 0), "alice").unwrap().succeeded();
        delays.begin(v6(n, 0), "alice").unwrap().not_tried();
    }
    assert_eq!(fail_from(&delays, address(1), "alice"), 0);
    // Logins at the same time: those in progress count.
    let open: Vec<Attempt> = (0..50)
        .map(|n| delays.begin(v6(n, 1), "carol").unwrap())
        .collect();
    assert!(open.iter().all(|attempt| attempt.delay().is_zero()));
    assert_eq!(fail_from(&delays, address(1), "carol"), 1);
}

/// Whoever has a hundred thousand tokens does not make Herald forget where users have succeeded.
#[tokio::test(start_paused = true)]
async fn tokens_take_no_users_place() {
    let delays = guarded();
    let home = address(200);
    delays.begin(home, "alice").unwrap().succeeded();
    for n in 0..100_000_u32 {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_be_bytes());
        delays.begin(home, Who::Token(&digest)).unwrap().succeeded();
    }
    for n in 0..60 {
        fail_from(&delays, v6(n, 0), "alice");
    }
    assert_eq!(fail_from(&delays, home, "alice"), 0);
    // The same wrong token from everywhere: each address has its free failures, and no more.
    let wrong = Who::Token(&[1; 32]);
    let waited = |from| {
        let attempt = delays.begin(from, wrong).unwrap();
        let waited = attempt.delay().as_secs();
        attempt.failed();
        waited
    };
    assert_eq!((0..60).map(|n| waited(v6(n, 1))).sum::<u64>(), 0);
    assert_eq!([0; 3].map(|_| waited(home)), [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_locked_out_however_many_guess() {
    let delays = guarded();
    for n in 0..50 {
        fail_from(&delays, v6(n, 0), "alice");
    }
    // `login.delayed` of them wait; the next ones do not, and those of other users have separate places.
    let guessers: Vec<Attempt> = (0..100)
        .map(|n| delays.begin(v6(100 + n, 0), "alice").unwrap())
        .collect();
    let waiting = guessers
        .iter()
        .filter(|attempt| !attempt.delay().is_zero())
        .count();
    assert_eq!(waiting, 4);
    assert!(delays.begin(address(1), "alice").is_ok());
    for _ in 0..3 {
        fail(&delays, 9, "bob");
    }
    assert_eq!(delays.delayed.available_permits(), 4);
}
