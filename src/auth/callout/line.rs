//! Where questions wait for their turn: a bounded number at the same time, and the fair queue of logins in front of
//! them. Knows no question.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::auth::password::queue::{Entered, Full, Kind, Place, Queue, Turn};
use crate::limit::{AddressGroup, Limit};

/// What happens to a waiting login.
type Called = Result<Turn, Full>;

/// The line. Shared as `Arc<Line>`.
pub(super) struct Line(Queue<oneshot::Sender<Called>>);

/// A turn. Dropping it calls the next login.
pub(super) struct Permit {
    line: Arc<Line>,
    turn: Option<Turn>,
    since: Instant,
}

/// A waiting login. Dropping it leaves the line.
struct Waiting {
    line: Arc<Line>,
    place: Place,
    called: oneshot::Receiver<Called>,
    is_over: bool,
}

impl Line {
    /// Grants `at_once` turns at the same time; `length` logins may wait, none for longer than `wait`.
    pub(super) fn new(at_once: usize, length: usize, wait: Duration) -> Arc<Self> {
        Arc::new(Self(Queue::new(at_once, length, wait)))
    }

    /// Waits for a turn among those from `address`.
    ///
    /// # Errors
    /// Too many wait, or for too long.
    ///
    /// # Cancel safety
    /// A dropped future leaves the line, and passes on a turn that has just arrived.
    pub(super) async fn enter(self: &Arc<Self>, address: AddressGroup) -> Result<Permit, Full> {
        let (caller, called) = oneshot::channel();
        let place = match self.0.enter(address, Kind::Callout, caller)? {
            Entered::Turn(turn, _) => return Ok(self.permit(turn)),
            Entered::Waits(place, pushed_out) => {
                if let Some((other, full)) = pushed_out {
                    // An error means that the other side has just left.
                    let _ = other.send(Err(full));
                }
                place
            }
        };
        let waiting = Waiting {
            line: Arc::clone(self),
            place,
            called,
            is_over: false,
        };
        waiting.turn().await
    }

    fn permit(self: &Arc<Self>, turn: Turn) -> Permit {
        Permit {
            line: Arc::clone(self),
            turn: Some(turn),
            since: Instant::now(),
        }
    }

    /// Gives the turn to the next login that still waits.
    fn pass(&self, mut turn: Turn) {
        while let Some((next, caller)) = self.0.next(turn) {
            match caller.send(Ok(next)) {
                Err(Ok(back)) => turn = back,
                Ok(()) | Err(Err(_)) => return,
            }
        }
    }
}

impl Waiting {
    async fn turn(mut self) -> Result<Permit, Full> {
        let called = match timeout_at(self.place.until, &mut self.called).await {
            Ok(called) => called,
            Err(_elapsed) => match self.line.0.late(self.place) {
                Some((_caller, full)) => Ok(Err(full)),
                // It is being called just now.
                None => (&mut self.called).await,
            },
        };
        self.is_over = true;
        match called {
            Ok(Ok(turn)) => Ok(self.line.permit(turn)),
            Ok(Err(full)) => Err(full),
            // A login taken out of the line is notified, or has left by itself.
            Err(_) => Err(Full {
                limit: Limit::LoginQueueTimeout,
                retry_after: Duration::from_secs(1),
            }),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over || self.line.0.leave(self.place).is_some() {
            return;
        }
        self.called.close();
        if let Ok(Ok(turn)) = self.called.try_recv() {
            self.line.pass(turn);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.line.0.computed(Kind::Callout, self.since.elapsed());
            self.line.pass(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn address(last: u8) -> AddressGroup {
        AddressGroup::of([192, 0, 2, last].into())
    }

    #[tokio::test]
    async fn so_many_at_once_and_the_next_when_one_is_done() {
        let line = Line::new(2, 10, LONG);
        let one = line.enter(address(1)).await.unwrap();
        let two = line.enter(address(1)).await.unwrap();
        let mut third = Box::pin(line.enter(address(1)));
        assert!((&mut third).now_or_never().is_none());
        drop(one);
        let third = third.now_or_never().unwrap().unwrap();
        drop((two, third));
        assert_eq!(line.0.taken(), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_the_line_passes_its_turn_on() {
        let line = Line::new(1, 10, LONG);
        let one = line.enter(address(1)).await.unwrap();
        let mut second = Box::pin(line.enter(address(1)));
        let mut third = Box::pin(line.enter(address(1)));
        let mut fourth = Box::pin(line.enter(address(1)));
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(waiting.now_or_never().is_none());
        }
        // One before its turn, and one that has been called but does not know yet.
        drop(third);
        drop(one);
        assert!((&mut fourth).now_or_never().is_none());
        drop(second);
        drop(fourth.now_or_never().unwrap().unwrap());
        assert_eq!(line.0.taken(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_a_full_line_is_named() {
        let line = Line::new(1, 1, Duration::from_secs(8));
        let one = line.enter(address(1)).await.unwrap();
        let (late, full) = tokio::join!(line.enter(address(1)), line.enter(address(1)));
        assert_eq!(late.err().unwrap().limit, Limit::LoginQueueTimeout);
        assert_eq!(full.err().unwrap().limit, Limit::LoginQueue);
        // An address with none takes the place of one that has most.
        let (pushed_out, newcomer) = tokio::join!(line.enter(address(1)), async {
            let newcomer = line.enter(address(2));
            let passing = async {
                tokio::task::yield_now().await;
                drop(one);
            };
            tokio::join!(newcomer, passing).0
        });
        assert_eq!(pushed_out.err().unwrap().limit, Limit::LoginQueue);
        drop(newcomer.unwrap());
        assert_eq!(line.0.taken(), (0, 0));
    }
}
