//! How much a session's client has SENT: since its login, and within the last ten seconds. The session's task counts
//! and a shard reads, without a lock and without a locked instruction, so that a number may lag by one frame. [`ended`]
//! keeps what ended sessions have sent for some minutes, and [`users`] sums it for each user. Knows no frame and no clock:
//! time is a parameter, in ticks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::heartbeat::TICK_MS;

pub(super) mod ended;
pub mod users;

/// What is called "lately": ten seconds, in ticks.
const LATELY_TICKS: u32 = 10_000 / TICK_MS as u32;

/// One session's counts. Most clients only listen, and cost a pointer.
#[derive(Debug, Default)]
pub struct Sent(OnceLock<Box<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: Count,
    /// The number of the span of ten seconds that `now` counts.
    span: AtomicU32,
    now: Count,
    /// That of the span before it.
    before: Count,
}

#[derive(Debug, Default)]
struct Count {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// What a session's client has sent, as shown to an operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentView {
    /// SENDs since the login.
    pub frames: u64,
    /// Their bytes, headers and bodies.
    pub bytes: u64,
    /// SENDs within about the last ten seconds.
    pub recent_frames: u64,
    /// Their bytes.
    pub recent_bytes: u64,
}

impl Sent {
    /// A SEND of so many bytes arrived at tick `now`. The session's task alone calls this.
    pub fn count(&self, now: u32, bytes: usize) {
        let counts = self.0.get_or_init(Box::default);
        counts.begin(now / LATELY_TICKS);
        counts.all.add(1, bytes as u64);
        counts.now.add(1, bytes as u64);
    }

    /// What has come until tick `now`.
    pub(super) fn view(&self, now: u32) -> SentView {
        self.counts().map(|counts| counts.view(now)).unwrap_or_default()
    }

    /// `None`: nothing has come.
    fn counts(&self) -> Option<&Counts> {
        self.0.get().map(|counts| &**counts)
    }
}

impl Counts {
    /// Begins the span `span`, if it has not begun yet.
    fn begin(&self, span: u32) {
        let held = self.span.load(Ordering::Relaxed);
        if span != held {
            match held.wrapping_add(1) == span {
                true => self.before.set(self.now.get()),
                false => self.before.set((0, 0)),
            }
            self.now.set((0, 0));
            self.span.store(span, Ordering::Relaxed);
        }
    }

    /// What has come within the span `span`, and within the one before it.
    fn lately(&self, span: u32) -> [(u64, u64); 2] {
        match span.wrapping_sub(self.span.load(Ordering::Relaxed)) {
            0 => [self.now.get(), self.before.get()],
            1 => [(0, 0), self.now.get()],
            _ => [(0, 0); 2],
        }
    }

    /// What has come until tick `now`. Of the span before the present one counts the share that is not ten seconds old yet.
    fn view(&self, now: u32) -> SentView {
        let (span, into) = (now / LATELY_TICKS, now % LATELY_TICKS);
        let [present, before] = self.lately(span);
        let share = |count: u64| {
            let left = u64::from(LATELY_TICKS - into);
            count.saturating_mul(left) / u64::from(LATELY_TICKS)
        };
        let (frames, bytes) = self.all.get();
        SentView {
            frames,
            bytes,
            recent_frames: present.0.saturating_add(share(before.0)),
            recent_bytes: present.1.saturating_add(share(before.1)),
        }
    }

    /// Adds what `other` has counted.
    fn fold(&self, other: &Self) {
        let spans = [self, other].map(|counts| counts.span.load(Ordering::Relaxed));
        let span = spans[0].max(spans[1]);
        self.begin(span);
        let [now, before] = other.lately(span);
        let all = other.all.get();
        for (count, (frames, bytes)) in [(&self.all, all), (&self.now, now), (&self.before, before)] {
            count.add(frames, bytes);
        }
    }
}

impl SentView {
    /// What both have sent together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            frames: self.frames.saturating_add(other.frames),
            bytes: self.bytes.saturating_add(other.bytes),
            recent_frames: self.recent_frames.saturating_add(other.recent_frames),
            recent_bytes: self.recent_bytes.saturating_add(other.recent_bytes),
        }
    }
}

impl Count {
    fn get(&self) -> (u64, u64) {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (get(&self.frames), get(&self.bytes))
    }

    fn set(&self, (frames, bytes): (u64, u64)) {
        self.frames.store(frames, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// One writer: no locked instruction.
    fn add(&self, more_frames: u64, more_bytes: u64) {
        let (frames, bytes) = self.get();
        self.set((frames.wrapping_add(more_frames), bytes.wrapping_add(more_bytes)));
    }
}

/// By what senders are put in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// SENDs within the last ten seconds; of those who sent nothing lately, by all.
    #[default]
    Recent,
    /// SENDs since the login.
    Frames,
    /// Their bytes.
    Bytes,
}

impl By {
    /// What the order compares: the greater comes first.
    pub fn key(self, sent: &SentView) -> (u64, u64) {
        match self {
            Self::Recent => (sent.recent_frames, sent.frames),
            Self::Frames => (sent.frames, sent.bytes),
            Self::Bytes => (sent.bytes, sent.frames),
        }
    }
}

/// Keeps of `senders` the `most` that come first.
pub fn keep_first<T>(senders: &mut Vec<T>, by: By, most: usize, sent: impl Fn(&T) -> SentView) {
    // Stable, so that equals stay in their order.
    senders.sort_by_key(|sender| std::cmp::Reverse(by.key(&sent(sender))));
    senders.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(sent: &Sent, tick: u32) -> (u64, u64, u64, u64) {
        let view = sent.view(tick);
        (view.frames, view.bytes, view.recent_frames, view.recent_bytes)
    }

    #[test]
    fn what_is_older_than_ten_seconds_fades() {
        let sent = Sent::default();
        assert_eq!(view(&sent, 7), (0, 0, 0, 0));
        // A whole span, from tick 80 to 119.
        for tick in 80..120 {
            sent.count(tick, 10);
        }
        assert_eq!(view(&sent, 119), (40, 400, 40, 400));
        assert_eq!(view(&sent, 120), (40, 400, 40, 400));
        assert_eq!(view(&sent, 130), (40, 400, 30, 300));
        assert_eq!(view(&sent, 159), (40, 400, 1, 10));
        assert_eq!(view(&sent, 160), (40, 400, 0, 0));
        sent.count(130, 1);
        assert_eq!(view(&sent, 130), (41, 401, 31, 301));
        // Behind a pause nothing of it is left.
        sent.count(400, 5);
        assert_eq!(view(&sent, 400), (42, 406, 1, 5));
    }

    #[test]
    fn the_order_is_by_what_was_asked_for() {
        let of = |frames, bytes, recent_frames| SentView {
            frames,
            bytes,
            recent_frames,
            recent_bytes: 0,
        };
        let all = [of(5, 90, 1), of(9, 10, 0), of(1, 99, 1), of(2, 2, 0)];
        let check = |by, most, expected: &[usize]| {
            let mut places: Vec<usize> = (0..all.len()).collect();
            keep_first(&mut places, by, most, |place| all[*place]);
            assert_eq!(places, expected, "{by:?}");
        };
        check(By::Recent, 4, &[0, 2, 1, 3]);
        check(By::Frames, 2, &[1, 0]);
        check(By::Bytes, 3, &[2, 0, 1]);
    }

    #[test]
    fn who_only_listens_costs_a_pointer() {
        assert!(size_of::<Sent>() <= 16, "{}", size_of::<Sent>());
    }
}
