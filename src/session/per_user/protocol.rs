//! The questions and answers of instances about the sessions of counted users, as JSON, and their limits. Every
//! received byte is hostile: sizes are checked before parsing, names as they are read. Knows no session.

use serde::{Deserialize, Serialize};

use crate::control::question::Question;
use crate::principal::{USER_NAME_MAX_BYTES, UserName};

/// The most users in one question.
pub(super) const USERS_MAX: usize = 256;
/// The most bytes of one message. [`crate::setting::SESSIONS_PER_USER_MAX`] sessions of one user fit into it.
pub(super) const MESSAGE_MAX_BYTES: usize = 128 << 10;
/// A number and its comma, as long as they get before the year 2286.
pub(super) const SEAT_BYTES: usize = 14;
/// What a user adds to a message besides the numbers: the escaped name, and the form around it.
pub(super) const USER_BYTES: usize = 2 * USER_NAME_MAX_BYTES + 64;

/// Which sessions do these users have with you?
pub(super) struct CountSeats;

impl Question for CountSeats {
    const KIND: &'static str = "sessions.seats";
    const MAX_BYTES: usize = 2 * MESSAGE_MAX_BYTES;
    type Ask = SeatsOf;
    type Answer = Seats;
}

/// Close these sessions, since others of the same users take their places. Answered when it is done.
pub(super) struct GiveWay;

impl Question for GiveWay {
    const KIND: &'static str = "sessions.supersede";
    const MAX_BYTES: usize = 2 * MESSAGE_MAX_BYTES;
    type Ask = Supersede;
    type Answer = Done;
}

/// The question of [`CountSeats`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SeatsOf {
    pub users: Vec<UserName>,
}

/// Each user's sessions in the order of the question: what orders them and tells them apart on that instance. Users at
/// the end of the question are left out where there is no room for them: they are asked for again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seats {
    pub seats: Vec<Vec<u64>>,
}

/// The order of [`GiveWay`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Supersede {
    pub users: Vec<OfUser>,
}

/// Sessions of one user.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfUser {
    pub user: UserName,
    pub seats: Vec<u64>,
}

/// An order was carried out: `{}`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {}

/// The answer to a question for `users`, as far as it fits.
pub(super) fn answer(users: &[UserName], seats_of: impl Fn(&UserName) -> Vec<u64>) -> Seats {
    let mut left = MESSAGE_MAX_BYTES;
    let fitting = users.iter().map_while(|user| {
        let seats = seats_of(user);
        left = left.checked_sub(seats.len() * SEAT_BYTES + 3)?;
        Some(seats)
    });
    Seats {
        seats: fitting.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::question::{Payload, keeps_the_wire};
    use crate::setting::SESSIONS_PER_USER_MAX;

    #[test]
    fn messages_have_this_form() {
        keeps_the_wire::<SeatsOf>(r#"{"users":["anna","älice"]}"#);
        keeps_the_wire::<Seats>(r#"{"seats":[[1,1795000000000],[]]}"#);
        keeps_the_wire::<Supersede>(r#"{"users":[{"user":"anna","seats":[1,2]}]}"#);
        keeps_the_wire::<Done>("{}");
        assert_eq!(
            (CountSeats::KIND, GiveWay::KIND),
            ("sessions.seats", "sessions.supersede")
        );
    }

    #[test]
    fn an_answer_keeps_its_bound_and_names_at_least_one_user() {
        let users: Vec<UserName> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| UserName::parse(name).unwrap())
            .collect();
        let seats = vec![9_999_999_999_999; SESSIONS_PER_USER_MAX];
        let answer = answer(&users, |_| seats.clone());
        assert!((1..4).contains(&answer.seats.len()));
        assert!(answer.to_payload().len() <= MESSAGE_MAX_BYTES + 64);
        let order = Supersede {
            users: vec![OfUser {
                user: UserName::parse(&"\"".repeat(USER_NAME_MAX_BYTES)).unwrap(),
                seats,
            }],
        };
        assert!(order.to_payload().len() <= USER_BYTES + SESSIONS_PER_USER_MAX * SEAT_BYTES);
    }
}
