//! How long Herald waits for the rest of an incomplete frame. Costs nothing between frames: the clock is read and a
//! timer is created only while one is incomplete. Knows sizes and times, and neither the socket nor the decoder.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A second more for each of these.
const BYTES_A_SECOND: usize = 16 << 10;

/// The patience with one client. Takes no memory of its own between frames.
#[derive(Default)]
pub(super) struct Patience(Option<Box<Clocks>>);

/// Since when which of the two is incomplete.
struct Clocks {
    message: Option<Instant>,
    frame: Option<Instant>,
    /// Since when Herald has not read.
    away: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    /// The message is complete: what is incomplete from now on is another.
    pub(super) fn message_ended(&mut self) {
        if let Some(clocks) = &mut self.0 {
            clocks.message = None;
        }
    }

    /// The STOMP frame is complete, and Herald does not read while it acts on it.
    pub(super) fn frame_ended(&mut self) {
        if let Some(clocks) = &mut self.0 {
            clocks.frame = None;
            clocks.away = Some(Instant::now());
        }
    }

    /// Herald reads again. The time that it did not is not the client's.
    pub(super) fn reads_again(&mut self) {
        if let Some(clocks) = &mut self.0
            && let Some(away) = clocks.away.take()
        {
            clocks.message = clocks.message.map(|began| began + away.elapsed());
        }
    }

    /// Ready once the wait has taken too long. `message` and `frame` are the bytes that have come of an incomplete
    /// WebSocket message and of an incomplete STOMP frame; the time begins with the first call that has one. It is
    /// `timeout` (`limits.frame_timeout`), and a second for each 16 KiB that have come.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        message: Option<usize>,
        frame: Option<usize>,
    ) -> Poll<()> {
        if message.is_none() && frame.is_none() {
            self.0 = None;
            return Poll::Pending;
        }
        let now = Instant::now();
        let clocks = self.0.get_or_insert_with(|| {
            Box::new(Clocks {
                message: None,
                frame: None,
                away: None,
                timer: Box::pin(sleep_until(now + timeout)),
            })
        });
        let message = due(&mut clocks.message, message, now, timeout);
        let frame = due(&mut clocks.frame, frame, now, timeout);
        let Some(at) = message.into_iter().chain(frame).min() else {
            return Poll::Pending;
        };
        if clocks.timer.deadline() != at {
            clocks.timer.as_mut().reset(at);
        }
        clocks.timer.as_mut().poll(cx)
    }
}

/// When what began at `began` is late, of which `received` bytes have come.
fn due(
    began: &mut Option<Instant>,
    received: Option<usize>,
    now: Instant,
    timeout: Duration,
) -> Option<Instant> {
    let Some(received) = received else {
        *began = None;
        return None;
    };
    let seconds = (received / BYTES_A_SECOND) as u64;
    Some(*began.get_or_insert(now) + timeout + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether `patience` is at its end after `after` more.
    async fn is_late(
        patience: &mut Patience,
        after: Duration,
        message: Option<usize>,
        frame: Option<usize>,
    ) -> bool {
        advance(after).await;
        let late = poll_fn(|cx| patience.poll(cx, 30 * SECOND, message, frame));
        timeout(Duration::ZERO, late).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_give_time_and_their_mere_coming_does_not() {
        let mut patience = Patience::default();
        assert!(!is_late(&mut patience, SECOND, Some(1), Some(1)).await);
        assert!(!is_late(&mut patience, 29 * SECOND, Some(2), Some(2)).await);
        assert!(!is_late(&mut patience, SECOND, Some(33 << 10), Some(33 << 10)).await);
        assert!(!is_late(&mut patience, SECOND, Some(33 << 10), None).await);
        assert!(is_late(&mut patience, SECOND, Some(33 << 10), None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_has_its_own_time() {
        let mut patience = Patience::default();
        for _ in 0..10 {
            assert!(!is_late(&mut patience, 20 * SECOND, None, Some(9)).await);
            patience.frame_ended();
            patience.reads_again();
        }
        for _ in 0..10 {
            assert!(!is_late(&mut patience, 20 * SECOND, Some(9), None).await);
            patience.message_ended();
        }
        // A message without an end is not prolonged by the frames in it.
        assert!(!is_late(&mut patience, 20 * SECOND, Some(9), Some(9)).await);
        patience.frame_ended();
        patience.reads_again();
        assert!(is_late(&mut patience, 31 * SECOND, Some(9), Some(9)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_herald_does_not_read_is_not_the_clients() {
        let mut patience = Patience::default();
        assert!(!is_late(&mut patience, SECOND, Some(1), None).await);
        patience.frame_ended();
        advance(1_000 * SECOND).await;
        patience.reads_again();
        assert!(!is_late(&mut patience, 29 * SECOND, Some(1), None).await);
        assert!(is_late(&mut patience, 2 * SECOND, Some(1), None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn between_frames_there_is_no_timer() {
        let mut patience = Patience::default();
        assert!(!is_late(&mut patience, SECOND, Some(1), None).await);
        assert!(patience.0.is_some());
        assert!(!is_late(&mut patience, SECOND, None, None).await);
        assert!(patience.0.is_none());
    }
}
