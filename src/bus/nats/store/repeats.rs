//! Decides the result of a publish: whether it is tried again, and at the end, what is known about it. Pure; time is a
//! parameter.
//!
//! | Answer | Then |
//! |---|---|
//! | stored | done |
//! | no responders: no leader, or no stream | certainly not stored: again after 100 ms, 200, 400, 400 … |
//! | none within 2 s, or the connection lost | again: perhaps stored, and then recognized by its id |
//! | the same id is being stored (10158), too many requests (10167) | again after 50 ms |
//! | a limit of the stream, of the account or of JetStream's storage | full, certainly not stored |
//! | none, and the server said that this user may not publish there | certainly not stored, and a repeat would fail too |
//! | any other temporary refusal (5xx) | certainly not stored: again as without responders |
//! | any other refusal | certainly not stored, and a repeat would fail too |
//! | the connection does not accept it | certainly not sent: again as without responders |
//! | not connected | refused at once the first time; later, again |
//! | the time is over | unknown if an attempt was not answered, else not stored |

use std::fmt;
use std::time::{Duration, Instant};

use super::Stored;
use crate::bus::nats::api::Refusal;

/// How long an attempt waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pauses between attempts that nobody answered.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// The pause if JetStream is busy with the same message, or too busy.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The same id is being stored; the server's queue is full.
const BUSY: [u32; 2] = [10_158, 10_167];
/// The stream's limits with `discard: new`; not enough storage; storage or memory of the account used up.
const FULL: [u32; 5] = [10_077, 10_023, 10_047, 10_028, 10_002];

/// Why a message is not known to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bus::nats) enum StoreError {
    /// Certainly not stored: not connected, no leader in time, or too many publishes wait.
    Unavailable,
    /// Perhaps stored. Repeated with the same id, it is not stored twice.
    Unknown,
    /// Certainly not stored: there is no room.
    Full,
    /// Certainly not stored: larger than the server accepts.
    TooLarge {
        /// The actual number of bytes.
        size: usize,
        /// The number of bytes allowed.
        limit: usize,
        /// Where the limit comes from.
        which: &'static str,
    },
    /// Certainly not stored: some, but not all, messages of the batch were stored before, by their ids.
    Duplicate,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("NATS cannot store it now; it is not stored"),
            Self::Unknown => f.write_str("NATS did not say whether it is stored"),
            Self::Full => f.write_str("there is no room for it; it is not stored"),
            Self::TooLarge { size, limit, which } => {
                write!(f, "it has {size} bytes, at most {limit} are allowed ({which})")
            }
            Self::Duplicate => f.write_str("a part of the batch was stored before; nothing is stored now"),
        }
    }
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// JetStream stored it, or had stored it before.
    Stored(Stored),
    /// Nobody listens.
    NoResponders,
    /// No answer arrived.
    None,
    /// No answer arrived, since the server does not permit this user to publish there.
    Forbidden,
    /// JetStream did not store it.
    Refused(Refusal),
    /// There is no connection.
    NotSent,
    /// The connection is live, and did not accept it in time.
    Stalled,
    /// The connection does not accept it.
    TooLarge {
        size: usize,
        limit: usize,
        which: &'static str,
    },
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// This is the result.
    Done(Result<Stored, StoreError>),
    /// Try again, after this time.
    Again { after: Duration },
}

/// The attempts of one publish so far.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    deadline: Instant,
    attempts: u32,
    /// How many in a row nobody answered.
    untaken: u32,
    /// Whether an attempt was not answered.
    is_unknown: bool,
}

impl Repeats {
    /// No attempts yet; at most `timeout` for all of them.
    pub(super) fn new(now: Instant, timeout: Duration) -> Self {
        Self {
            deadline: now + timeout,
            attempts: 0,
            untaken: 0,
            is_unknown: false,
        }
    }

    /// How long to wait for the answer to the attempt made at `now`.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.left(now).min(PATIENCE)
    }

    /// Whether an attempt was not answered.
    pub(super) fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Whether the stream may not exist, which should be checked.
    pub(super) fn may_be_missing(&self) -> bool {
        self.untaken == 1
    }

    /// What an answer means.
    pub(super) fn answered(&mut self, answer: Answer, now: Instant) -> Next {
        self.attempts += 1;
        let is_first = self.attempts == 1;
        let pause = match answer {
            Answer::Stored(stored) => {
                // After an attempt without an answer, a duplicate is most likely that attempt.
                let is_duplicate = stored.is_duplicate && !self.is_unknown;
                return Next::Done(Ok(Stored {
                    is_duplicate,
                    ..stored
                }));
            }
            Answer::TooLarge { size, limit, which } => {
                return Next::Done(Err(self.surely(StoreError::TooLarge { size, limit, which })));
            }
            Answer::Refused(refusal) if FULL.contains(&refusal.err_code) => {
                return Next::Done(Err(self.surely(StoreError::Full)));
            }
            Answer::Refused(refusal) if BUSY.contains(&refusal.err_code) => {
                self.untaken = 0;
                BUSY_PAUSE
            }
            Answer::Forbidden => return Next::Done(Err(self.surely(StoreError::Unavailable))),
            Answer::Refused(refusal) if refusal.code < 500 => {
                return Next::Done(Err(self.surely(StoreError::Unavailable)));
            }
            Answer::NotSent if is_first => return Next::Done(Err(StoreError::Unavailable)),
            Answer::NoResponders | Answer::Refused(_) | Answer::NotSent | Answer::Stalled => {
                self.untaken += 1;
                let doublings = self.untaken.saturating_sub(1).min(8);
                (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
            }
            Answer::None => {
                self.untaken = 0;
                self.is_unknown = true;
                Duration::ZERO
            }
        };
        match self.left(now) > pause {
            true => Next::Again { after: pause },
            false => Next::Done(Err(self.surely(StoreError::Unavailable))),
        }
    }

    /// Ends the attempts if no other may follow.
    pub(super) fn give_up(&self) -> StoreError {
        self.surely(StoreError::Unavailable)
    }

    /// `error` says that it is not stored; an attempt without an answer makes that uncertain.
    fn surely(&self, error: StoreError) -> StoreError {
        if self.is_unknown {
            StoreError::Unknown
        } else {
            error
        }
    }

    fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn stored(is_duplicate: bool) -> Answer {
        Answer::Stored(Stored {
            epoch: 7,
            sequence: 7,
            is_known: is_duplicate,
            is_duplicate,
            is_misplaced: false,
        })
    }

    fn refused(code: u16, err_code: u32) -> Answer {
        Answer::Refused(Refusal {
            code,
            err_code,
            description: String::new(),
        })
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The pauses that follow these answers, and the end; each answer arrives `step` after the one before.
    fn run(
        answers: impl IntoIterator<Item = Answer>,
        step: Duration,
    ) -> (Vec<u64>, Option<Result<Stored, StoreError>>) {
        let mut now = Instant::now();
        let mut repeats = Repeats::new(now, TIMEOUT);
        let mut pauses = Vec::new();
        for answer in answers {
            now += step;
            match repeats.answered(answer, now) {
                Next::Done(outcome) => return (pauses, Some(outcome)),
                Next::Again { after } => {
                    pauses.push(u64::try_from(after.as_millis()).unwrap());
                    now += after;
                }
            }
        }
        (pauses, None)
    }

    #[test]
    fn each_answer_means_what_the_table_says() {
        let at = |is_duplicate| match stored(is_duplicate) {
            Answer::Stored(stored) => Ok(stored),
            other => panic!("{other:?}"),
        };
        // Recognized, from an earlier attempt.
        let own = at(true).map(|stored| Stored {
            is_duplicate: false,
            ..stored
        });
        let unavailable = || Some(Err(StoreError::Unavailable));
        let unknown = || Some(Err(StoreError::Unknown));
        let cases = [
            (vec![stored(false)], vec![], Some(at(false))),
            (vec![stored(true)], vec![], Some(at(true))),
            (vec![Answer::NotSent], vec![], unavailable()),
            // Its own repeat is not a duplicate; one after a certain refusal is.
            (vec![Answer::None, stored(true)], vec![0], Some(own.clone())),
            (
                vec![Answer::NoResponders, stored(true)],
                vec![100],
                Some(at(true)),
            ),
            (
                vec![Answer::None, Answer::NotSent, stored(true)],
                vec![0, 100],
                Some(own),
            ),
            (
                vec![refused(400, 10_158), refused(429, 10_167), stored(false)],
                vec![50, 50],
                Some(at(false)),
            ),
            (
                vec![refused(503, 10_008), stored(false)],
                vec![100],
                Some(at(false)),
            ),
            (vec![Answer::Stalled, stored(false)], vec![100], Some(at(false))),
            (vec![refused(400, 10_060)], vec![], unavailable()),
            (vec![Answer::None, refused(400, 10_060)], vec![0], unknown()),
            (vec![refused(503, 10_077)], vec![], Some(Err(StoreError::Full))),
            (vec![refused(503, 10_023)], vec![], Some(Err(StoreError::Full))),
            (vec![refused(500, 10_047)], vec![], Some(Err(StoreError::Full))),
            (vec![refused(500, 10_028)], vec![], Some(Err(StoreError::Full))),
            (vec![refused(400, 10_002)], vec![], Some(Err(StoreError::Full))),
            (vec![Answer::Forbidden], vec![], unavailable()),
            (vec![Answer::None, Answer::Forbidden], vec![0], unknown()),
            (vec![Answer::None, refused(503, 10_077)], vec![0], unknown()),
        ];
        for (answers, pauses, end) in cases {
            assert_eq!(run(answers.clone(), ms(1)), (pauses, end), "{answers:?}");
        }
        let many = vec![Answer::NoResponders; 6];
        assert_eq!(run(many, ms(1)).0, [100, 200, 400, 400, 400, 400]);
    }

    #[test]
    fn the_time_is_bounded_and_its_end_says_what_is_known() {
        let (pauses, end) = run(vec![Answer::NoResponders; 99], ms(1));
        let all: u64 = pauses.iter().sum();
        assert!((9_000..10_000).contains(&all), "{pauses:?}");
        assert_eq!(end, Some(Err(StoreError::Unavailable)));
        let (pauses, end) = run(vec![Answer::None; 99], PATIENCE);
        assert_eq!((pauses.len(), end), (4, Some(Err(StoreError::Unknown))));
        let one_unanswered =
            std::iter::once(Answer::None).chain(std::iter::repeat_n(Answer::NoResponders, 99));
        assert_eq!(run(one_unanswered, ms(1)).1, Some(Err(StoreError::Unknown)));
    }

    #[test]
    fn no_attempt_waits_beyond_the_end() {
        let now = Instant::now();
        let repeats = Repeats::new(now, TIMEOUT);
        assert_eq!(repeats.patience(now), PATIENCE);
        assert_eq!(repeats.patience(now + ms(9_500)), ms(500));
        assert_eq!(repeats.patience(now + ms(11_000)), Duration::ZERO);
    }

    #[test]
    fn a_stream_is_looked_for_once_an_outage() {
        let now = Instant::now();
        let mut repeats = Repeats::new(now, TIMEOUT);
        let looks: Vec<bool> = [
            Answer::NoResponders,
            Answer::NoResponders,
            Answer::None,
            Answer::NoResponders,
        ]
        .into_iter()
        .map(|answer| {
            repeats.answered(answer, now);
            repeats.may_be_missing()
        })
        .collect();
        assert_eq!(looks, [true, false, false, true]);
    }
}
