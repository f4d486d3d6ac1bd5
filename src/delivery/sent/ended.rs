//! What users have SENT in sessions of one shard that have ended, so that whoever reconnects after every few SENDs is still counted.
//! Bounded: the users who sent most recently, for some minutes. A shard changes it when a session ends, never for a SEND or a
//! delivery. Knows no session and no clock: time is a parameter, in ticks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use super::users::UserSent;
use super::{Counts, LATELY_TICKS, Sent};
use crate::principal::UserName;

/// The most users of whom a shard keeps what their ended sessions have sent: some 200 KiB. Beyond that, it forgets those who have
/// not sent for the longest time.
const ENDED_USERS_MAX: usize = 1_024;

/// For how many spans of ten seconds after a user's last SEND the sum is kept: five minutes.
const KEPT_SPANS: u32 = 30;

/// The sums of one shard.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Ended {
    users: HashMap<UserName, Sum>,
    /// How many sessions have been added, to put those of one span in order.
    turn: u64,
}

#[derive(Debug)]
struct Sum {
    counts: Counts,
    sessions: u64,
    /// Of the session that ended last.
    address: IpAddr,
    turn: u64,
}

impl Counts {
    fn last_span(&self) -> u32 {
        self.span.load(Ordering::Relaxed)
    }

    /// Whether the last SEND is not older than a sum may be.
    fn is_kept(&self, now: u32) -> bool {
        (now / LATELY_TICKS).saturating_sub(self.last_span()) <= KEPT_SPANS
    }
}

impl Ended {
    /// Adds what a session of `user` has sent, which ends at tick `now`.
    pub(in crate::delivery) fn add(&mut self, user: &UserName, address: IpAddr, sent: &Sent, now: u32) {
        let Some(counts) = sent.counts().filter(|counts| counts.is_kept(now)) else {
            return;
        };
        self.turn += 1;
        let turn = self.turn;
        if let Some(sum) = self.users.get_mut(user).filter(|sum| sum.counts.is_kept(now)) {
            sum.counts.fold(counts);
            sum.sessions += 1;
            (sum.address, sum.turn) = (address, turn);
            return;
        }
        if self.users.len() >= ENDED_USERS_MAX && !self.users.contains_key(user) {
            self.forget_half();
        }
        let sum = Sum {
            counts: Counts::default(),
            sessions: 1,
            address,
            turn,
        };
        sum.counts.fold(counts);
        self.users.insert(user.clone(), sum);
    }

    /// Forgets the half that has not sent for longer than the other. Half at once, so that it costs little for each session.
    fn forget_half(&mut self) {
        let order = |sum: &Sum| (sum.counts.last_span(), sum.turn);
        let mut all: Vec<_> = self.users.values().map(order).collect();
        let half = all.len() / 2;
        let (_, first_kept, _) = all.select_nth_unstable(half);
        let first_kept = *first_kept;
        self.users.retain(|_, sum| order(sum) >= first_kept);
    }

    /// The sums that are kept at tick `now`.
    pub(in crate::delivery) fn at(&self, now: u32) -> impl Iterator<Item = UserSent> {
        let kept = self.users.iter().filter(move |(_, sum)| sum.counts.is_kept(now));
        kept.map(move |(user, sum)| UserSent {
            user: user.clone(),
            address: sum.address,
            sessions: 0,
            ended: sum.sessions,
            sent: sum.counts.view(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn user(name: impl ToString) -> UserName {
        UserName::parse(&name.to_string()).unwrap()
    }

    fn add(ended: &mut Ended, name: impl ToString, tick: u32, sends: usize) {
        let sent = Sent::default();
        (0..sends).for_each(|_| sent.count(tick, 10));
        ended.add(&user(name), Ipv4Addr::LOCALHOST.into(), &sent, tick);
    }

    /// Sessions, SENDs, bytes and SENDs lately, by user.
    fn at(ended: &Ended, tick: u32) -> Vec<(String, [u64; 4])> {
        let of = |sum: UserSent| {
            let sent = sum.sent;
            (
                sum.user.to_string(),
                [sum.ended, sent.frames, sent.bytes, sent.recent_frames],
            )
        };
        let mut all: Vec<_> = ended.at(tick).map(of).collect();
        all.sort();
        all
    }

    #[test]
    fn the_sessions_of_a_user_are_summed_for_five_minutes_after_the_last_send() {
        let mut ended = Ended::default();
        add(&mut ended, "listener", 40, 0);
        for tick in (40..80).step_by(4) {
            add(&mut ended, "loud", tick, 3);
        }
        assert_eq!(at(&ended, 79), [("loud".into(), [10, 30, 300, 30])]);
        assert_eq!(
            at(&ended, 100),
            [("loud".into(), [10, 30, 300, 15])],
            "it fades as that of a session"
        );
        let last = 79 + LATELY_TICKS * KEPT_SPANS;
        assert_eq!(at(&ended, last), [("loud".into(), [10, 30, 300, 0])]);
        assert_eq!(at(&ended, last + 1), []);
        // The sum begins anew.
        add(&mut ended, "loud", last + 1, 1);
        assert_eq!(at(&ended, last + 1), [("loud".into(), [1, 1, 10, 1])]);
    }

    #[test]
    fn a_session_whose_last_send_is_long_ago_is_not_kept() {
        let (mut ended, sent) = (Ended::default(), Sent::default());
        sent.count(0, 10);
        let last = LATELY_TICKS * (KEPT_SPANS + 1) - 1;
        ended.add(&user("idle"), Ipv4Addr::LOCALHOST.into(), &sent, last + 1);
        assert_eq!(at(&ended, last + 1), []);
        ended.add(&user("idle"), Ipv4Addr::LOCALHOST.into(), &sent, last);
        assert_eq!(at(&ended, last), [("idle".into(), [1, 1, 10, 0])]);
    }

    #[test]
    fn whoever_sent_most_recently_is_kept_among_any_number_of_users() {
        let mut ended = Ended::default();
        for number in 0..20 * ENDED_USERS_MAX {
            if number % 100 == 0 {
                add(&mut ended, "loud", 40, 2);
            }
            add(&mut ended, number, 40, 1);
            assert!(ended.users.len() <= ENDED_USERS_MAX);
        }
        let all = at(&ended, 40);
        let rounds = 20 * ENDED_USERS_MAX as u64 / 100 + 1;
        assert!(all.contains(&("loud".into(), [rounds, 2 * rounds, 20 * rounds, 2 * rounds])));
        assert!(all.len() >= ENDED_USERS_MAX / 2);
        assert!(
            all.iter()
                .any(|(name, _)| *name == (20 * ENDED_USERS_MAX - 1).to_string())
        );
    }
}
