//! The promise: of the waiting connections, the oldest one of the address that has most is closed, and no other.

use futures_util::FutureExt;

use super::*;

const WAITS: Standing = Standing {
    waits: true,
    head_bytes: 0,
    idle: true,
    answers: 0,
};
/// Was answered, and asks for nothing.
const IDLE: Standing = Standing {
    waits: false,
    ..WAITS
};

fn newcomers(unauthenticated: usize, per_address: usize, head_bytes: usize) -> Newcomers {
    Newcomers::new(Bounds {
        unauthenticated,
        per_address,
        head_bytes,
    })
}

fn stand(newcomers: &Newcomers, address: &str, head_bytes: usize) -> Newcomer {
    let mut newcomer = newcomers.arrived(address.parse().unwrap(), true);
    newcomer.stand(Standing { head_bytes, ..WAITS });
    newcomer
}

/// Why each has to go.
fn evicted<const N: usize>(all: &[&Newcomer; N]) -> [Option<Limit>; N] {
    all.map(|newcomer| newcomer.evicted().now_or_never())
}

#[test]
fn the_oldest_of_the_address_that_has_most_goes() {
    let newcomers = newcomers(3, 0, 100);
    let lonely = stand(&newcomers, "192.0.2.1", 0);
    let first = stand(&newcomers, "2001:db8::1", 0);
    let second = stand(&newcomers, "2001:db8::2", 0);
    assert_eq!(evicted(&[&lonely, &first, &second]), [None; 3]);
    let third = stand(&newcomers, "192.0.2.2", 0);
    let gone = Some(Limit::Unauthenticated);
    assert_eq!(
        evicted(&[&lonely, &first, &second, &third]),
        [None, gone, None, None]
    );
    assert_eq!(
        newcomers.words(Limit::Unauthenticated),
        "more than 3 connections without a request or a login (http.unauthenticated)"
    );
}

#[test]
fn heads_are_weighed() {
    let newcomers = newcomers(100, 0, 1_000);
    let many = [(); 4].map(|()| stand(&newcomers, "192.0.2.1", 1));
    let mut large = stand(&newcomers, "192.0.2.2", 900);
    assert_eq!(evicted(&[&many[0], &large]), [None; 2]);
    let small = stand(&newcomers, "192.0.2.3", 200);
    let gone = Some(Limit::HeadTotalBytes);
    assert_eq!(evicted(&[&many[0], &large, &small]), [None, gone, None]);
    // It is forgotten, and stays so.
    large.stand(Standing::default());
    drop(large);
    drop((many, small));
    let crowds = newcomers.0.crowds.lock();
    assert_eq!((crowds.waiting.weight(), crowds.heads.weight()), (0, 0));
    assert_eq!(crowds.idle.weight(), 0);
}

#[test]
fn a_place_comes_from_who_has_been_idle_for_longest_of_the_address_that_has_most() {
    let newcomers = newcomers(100, 0, 1_000);
    let lonely = stand(&newcomers, "192.0.2.1", 0);
    let [mut first, mut second, mut busy] = [(); 3].map(|()| stand(&newcomers, "192.0.2.2", 0));
    second.stand(IDLE);
    busy.stand(Standing::default());
    // Asks again, and is answered before anybody looks.
    first.stand(Standing { answers: 1, ..IDLE });
    let gone = Some(Limit::MaxConnections);
    assert!(newcomers.make_room());
    assert_eq!(
        evicted(&[&lonely, &first, &second, &busy]),
        [None, None, gone, None]
    );
    assert!(newcomers.make_room());
    assert_eq!(
        evicted(&[&lonely, &first, &second, &busy]),
        [gone, None, gone, None]
    );
    assert!(newcomers.make_room() && !newcomers.make_room());
    assert_eq!(
        evicted(&[&lonely, &first, &second, &busy]),
        [gone, gone, gone, None]
    );
}

/// Strangers at many addresses, each with as much as the newcomer, whether theirs are the lower or the higher ones.
#[test]
fn of_addresses_that_have_the_same_the_oldest_goes() {
    for (strangers, late) in [([1, 2, 3], 9), ([7, 8, 9], 1), ([9, 7, 8], 1)] {
        let at = |last: u8| format!("192.0.2.{last}");
        let newcomers_by_number = newcomers(3, 0, 1_000);
        let all = strangers.map(|last| stand(&newcomers_by_number, &at(last), 0));
        let newcomer = stand(&newcomers_by_number, &at(late), 0);
        let gone = Some(Limit::Unauthenticated);
        let expected = [gone, None, None, None];
        assert_eq!(evicted(&[&all[0], &all[1], &all[2], &newcomer]), expected);
        let newcomers_by_head = newcomers(100, 0, 1_000);
        let all = strangers.map(|last| stand(&newcomers_by_head, &at(last), 300));
        let newcomer = stand(&newcomers_by_head, &at(late), 300);
        let gone = Some(Limit::HeadTotalBytes);
        let expected = [gone, None, None, None];
        assert_eq!(evicted(&[&all[0], &all[1], &all[2], &newcomer]), expected);
    }
}

#[test]
fn one_address_may_have_so_many() {
    let newcomers = newcomers(100, 2, 1_000);
    let all = [(); 3].map(|()| stand(&newcomers, "192.0.2.1", 0));
    let gone = Some(Limit::UnauthenticatedPerAddress);
    assert_eq!(evicted(&[&all[0], &all[1], &all[2]]), [gone, None, None]);
    // Not a proxy, which is no client.
    let proxied = [(); 4].map(|()| {
        let mut newcomer = newcomers.arrived("192.0.2.9".parse().unwrap(), false);
        newcomer.stand(WAITS);
        newcomer
    });
    assert_eq!(evicted(&[&proxied[0]]), [None]);
}

#[test]
fn who_has_come_to_an_end_of_waiting_stays() {
    let newcomers = newcomers(1, 0, 1_000);
    let settled = stand(&newcomers, "192.0.2.1", 0);
    settled.settle();
    let first = stand(&newcomers, "192.0.2.1", 0);
    assert_eq!(evicted(&[&settled, &first]), [None; 2]);
    // Even where it was evicted a moment before.
    let second = stand(&newcomers, "192.0.2.1", 0);
    first.settle();
    assert_eq!(evicted(&[&settled, &first, &second]), [None; 3]);
}
