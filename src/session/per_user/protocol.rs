//! What instances ask each other about the sessions of users who are counted, as JSON, and its bounds. Every byte that
//! comes in is hostile: sizes are checked before parsing, names by [`UserName::parse`]. Knows no session.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::principal::{USER_NAME_MAX_BYTES, UserName};

/// Asked of one instance: which sessions do these users have with you? Answered with [`Seats`].
pub const SEATS: &str = "sessions.seats";
/// Asked of one instance: close these sessions, for others of their users' take their places. Answered when it is done.
pub const SUPERSEDE: &str = "sessions.supersede";

/// Most users in one question.
pub(super) const USERS_MAX: usize = 256;
/// Most bytes of one message; [`crate::setting::SESSIONS_PER_USER_MAX`] sessions of one user fit in.
pub(super) const MESSAGE_MAX_BYTES: usize = 128 << 10;
/// A number and its comma, as long as they get before the year 2286.
pub(super) const SEAT_BYTES: usize = 14;
/// What a user adds to a message beside the numbers: the name, escaped, and the form around it.
pub(super) const USER_BYTES: usize = 2 * USER_NAME_MAX_BYTES + 64;

/// The question [`SEATS`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SeatsOf {
    pub users: Vec<Box<str>>,
}

/// Each user's sessions in the order of the question: what orders them and tells them apart on that instance. Users at
/// the end of the question are left out where there is no room for them: they are asked for again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seats {
    pub seats: Vec<Vec<u64>>,
}

/// The order [`SUPERSEDE`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Supersede {
    pub users: Vec<OfUser>,
}

/// Sessions of one user.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfUser {
    pub user: Box<str>,
    pub seats: Vec<u64>,
}

/// Reads one message; none if it is too large or not of this form.
pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    if payload.len() > 2 * MESSAGE_MAX_BYTES {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// Plain structs of texts and numbers serialize into memory without fail; the type asks nevertheless.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The users of a question; none if there are too many or one is no user name.
pub(super) fn users(question: &SeatsOf) -> Option<Vec<UserName>> {
    if question.users.len() > USERS_MAX {
        return None;
    }
    let users = question.users.iter().map(|user| UserName::parse(user).ok());
    users.collect()
}

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
    use crate::setting::SESSIONS_PER_USER_MAX;

    #[test]
    fn hostile_questions_are_not_answered() {
        let read = |payload: &[u8]| decode::<SeatsOf>(payload).and_then(|question| users(&question));
        let text = |names: usize| {
            let users = (0..names).map(|name| name.to_string().into()).collect();
            encode(&SeatsOf { users })
        };
        assert_eq!(read(&text(2)).map(|users| users.len()), Some(2));
        assert_eq!(read(&text(USERS_MAX)).map(|users| users.len()), Some(USERS_MAX));
        assert_eq!(read(&text(USERS_MAX + 1)), None);
        assert_eq!(read(&vec![b' '; 2 * MESSAGE_MAX_BYTES + 1]), None);
        for hostile in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"users":[""]}"#,
            br#"{"users":["a\n"]}"#,
        ] {
            assert_eq!(read(hostile), None, "{}", String::from_utf8_lossy(hostile));
        }
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
        assert!(encode(&answer).len() <= MESSAGE_MAX_BYTES + 64);
        let order = Supersede {
            users: vec![OfUser {
                user: "\"".repeat(USER_NAME_MAX_BYTES).into(),
                seats,
            }],
        };
        assert!(encode(&order).len() <= USER_BYTES + SESSIONS_PER_USER_MAX * SEAT_BYTES);
    }
}
