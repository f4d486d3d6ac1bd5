//! The promise: every byte is sent once and in order, whichever side writes; bounds hold; a close cuts only frames that
//! are not begun.

use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use super::*;

mod pipe;

pub(in crate::delivery) use pipe::Pipe;

struct Fixture {
    pipe: Arc<Pipe>,
    ledger: Arc<Ledger>,
    outbox: Outbox,
}

fn fixture(limit_bytes: usize, total_bytes: usize) -> Fixture {
    let pipe = Arc::new(Pipe::default());
    let ledger = Arc::new(Ledger::new(total_bytes, Arc::new(())));
    let outbox = Outbox::new(pipe.clone(), limit_bytes, ledger.clone());
    Fixture { pipe, ledger, outbox }
}

impl Fixture {
    fn next(&self) -> Poll<Next> {
        self.outbox.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    /// The kernel has room for `n` more bytes; the task writes what it can.
    fn write(&self, n: usize) {
        self.pipe.room.store(n, Ordering::Relaxed);
        while self.outbox.write_waiting().is_ok() && !self.outbox.is_drained() {}
    }

    fn taken(&self) -> String {
        String::from_utf8(self.pipe.taken.lock().clone()).unwrap()
    }
}

fn message(text: &'static str, subscription: u32) -> Outgoing {
    Outgoing {
        subscription: Some(subscription),
        ..Outgoing::plain(Bytes::from_static(text.as_bytes()))
    }
}

#[test]
fn a_short_write_is_finished_before_later_frames() {
    let f = fixture(100, 1_000);
    let chained = Outgoing {
        rest: Bytes::from_static(b"34"),
        ..message("12", 0)
    };
    assert_eq!(
        f.outbox
            .push_blocked([message("ab", 0), chained, message("cd", 0)], 3),
        Pushed::Queued
    );
    assert!(matches!(f.next(), Poll::Ready(Next::Write)));
    f.write(2);
    assert_eq!(f.taken(), "23");
    f.write(100);
    assert_eq!(f.taken(), "234cd");
    assert!(
        matches!(f.next(), Poll::Ready(Next::Drained)),
        "the shard gets the socket back"
    );
    assert!(f.next().is_pending(), "once");
    assert_eq!(f.ledger.queued_bytes(), 0);
}

#[test]
fn what_the_task_pushes_itself_owes_no_drained() {
    let f = fixture(100, 1_000);
    f.outbox.push_own(Outgoing::plain(Bytes::from_static(b"x")));
    f.write(1);
    assert!(f.next().is_pending());
}

#[test]
fn an_empty_queue_takes_any_one_frame_and_then_the_bound_holds() {
    let f = fixture(4, 1_000);
    assert_eq!(
        f.outbox.push_blocked([message("0123456789", 0)], 0),
        Pushed::Queued
    );
    assert_eq!(f.outbox.push_blocked([message("x", 0)], 0), Pushed::Overflow);
    assert_eq!(f.outbox.passed(), (Limit::OutboxBytes, 4));
}

#[test]
fn many_who_never_read_leave_room_for_who_falls_behind() {
    let f = fixture(200, 40_000);
    let deaf: Vec<Outbox> = (0..100)
        .map(|_| Outbox::new(f.pipe.clone(), 200, f.ledger.clone()))
        .collect();
    let mut over = 0;
    for _ in 0..20 {
        for outbox in &deaf {
            if outbox.push_blocked([message("0123456789", 0)], 0) == Pushed::Overflow {
                outbox.close(CloseReason::SlowConsumer, []);
                over += 1;
            }
        }
    }
    assert!(over > 40, "{over} of them are closed");
    let waiting = f.ledger.queued_bytes();
    assert!(
        (4_000..=10_000).contains(&waiting),
        "{waiting} of the quarter are used all the same"
    );
    for _ in 0..5 {
        assert_eq!(
            f.outbox.push_blocked([message("0123456789", 0)], 0),
            Pushed::Queued
        );
    }
}

/// Whatever they hold, and however many of them there are.
#[test]
fn the_sessions_of_one_user_take_no_room_of_others() {
    let f = fixture(2_000, 8_000);
    let account = |user: u32| f.ledger.queued.account(&user);
    let (one, other) = (1, (2..).find(|other| account(*other) != account(1)).unwrap());
    f.outbox.belong_to(&other);
    let deaf: Vec<Outbox> = (0..1_000)
        .map(|_| Outbox::new(f.pipe.clone(), 2_000, f.ledger.clone()))
        .collect();
    for outbox in &deaf {
        outbox.belong_to(&one);
        while outbox.push_blocked([message("0123456789", 0)], 0) == Pushed::Queued {}
        assert_eq!(outbox.passed(), (Limit::OutboxTotalBytes, 8_000));
    }
    assert_eq!(f.ledger.queued_bytes(), 2_000, "a quarter");
    // A quarter of what is left, and half of it.
    for _ in 0..75 {
        assert_eq!(
            f.outbox.push_blocked([message("0123456789", 0)], 0),
            Pushed::Queued
        );
    }
    assert_eq!(
        f.outbox.push_blocked([message("0123456789", 0)], 0),
        Pushed::Overflow
    );
    drop(deaf);
    assert_eq!(f.ledger.queued_bytes(), 750);
}

#[test]
fn what_waits_moves_with_its_outbox_to_another_user() {
    let f = fixture(1_000, 800);
    let account = |user: u32| f.ledger.queued.account(&user);
    let other = (2..).find(|other| account(*other) != account(1)).unwrap();
    f.outbox.belong_to(&1);
    f.outbox.push_blocked([message("0123456789", 0)], 0);
    assert_eq!(f.outbox.hold(30), Pushed::Queued);
    assert_eq!(f.ledger.queued.left(account(1)), 160);
    f.outbox.belong_to(&other);
    assert_eq!(f.ledger.queued.left(account(1)), 190);
    assert_eq!(f.ledger.queued.left(account(other)), 160);
    // When it has been handed back it is still the same user's.
    f.write(100);
    assert!(matches!(f.next(), Poll::Ready(Next::Drained)));
    f.outbox.release(10);
    f.outbox.push_blocked([message("0123456789", 0)], 0);
    assert_eq!(f.ledger.queued.left(account(other)), 170);
    drop(f.outbox);
    assert_eq!(f.ledger.queued.left(account(other)), 200);
}

#[test]
fn the_process_wide_bound_holds_whatever_the_session_has() {
    let f = fixture(100, 16);
    assert_eq!(f.outbox.push_blocked([message("012", 0)], 0), Pushed::Queued);
    let other = Outbox::new(f.pipe.clone(), 100, f.ledger.clone());
    assert_eq!(other.push_blocked([message("01", 0)], 0), Pushed::Overflow);
    assert_eq!(other.passed(), (Limit::OutboxTotalBytes, 16));
    drop(f.outbox);
    assert_eq!(
        f.ledger.queued_bytes(),
        0,
        "a dropped outbox gives its share back"
    );
    assert_eq!(other.push_blocked([message("01", 0)], 0), Pushed::Queued);
}

#[test]
fn a_slow_consumer_is_cut_behind_the_frame_already_begun() {
    let f = fixture(100, 1_000);
    f.outbox
        .push_blocked([message("begun", 0), message("never", 0)], 1);
    f.outbox.close(
        CloseReason::SlowConsumer,
        [Bytes::from_static(b"ERROR"), Bytes::from_static(b"CLOSE")],
    );
    assert!(matches!(
        f.next(),
        Poll::Ready(Next::Closing(CloseReason::SlowConsumer))
    ));
    assert_eq!(f.outbox.push_blocked([message("late", 0)], 0), Pushed::Closed);
    f.write(100);
    assert_eq!(f.taken(), "egunERRORCLOSE");
    assert_eq!(f.ledger.dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn any_other_close_writes_what_waits_first_and_the_first_reason_counts() {
    let f = fixture(100, 1_000);
    f.outbox.push_blocked([message("first", 0)], 0);
    f.outbox
        .close(CloseReason::Draining, [Bytes::from_static(b"CLOSE")]);
    f.outbox
        .close(CloseReason::Silence, [Bytes::from_static(b"again")]);
    assert_eq!(f.outbox.closing(), Some(CloseReason::Draining));
    f.write(100);
    assert_eq!(f.taken(), "firstCLOSE");
}

#[test]
fn unsubscribed_and_stale_messages_are_dropped_while_they_wait() {
    let f = fixture(100, 1_000);
    let stale = Outgoing {
        expires_at_ms: Some(1),
        ..message("stale", 3)
    };
    f.outbox
        .push_blocked([message("a", 1), message("b", 2), stale, message("c", 1)], 0);
    f.outbox.prune(2);
    f.write(100);
    assert_eq!(f.taken(), "ac");
    assert_eq!(f.ledger.dropped.load(Ordering::Relaxed), 1);
    assert_eq!(f.ledger.expired.load(Ordering::Relaxed), 1);
    assert_eq!(f.ledger.queued_bytes(), 0);
}

#[test]
fn a_begun_message_is_finished_even_if_stale_or_unsubscribed() {
    let f = fixture(100, 1_000);
    let stale = Outgoing {
        expires_at_ms: Some(1),
        ..message("begun", 1)
    };
    f.outbox.push_blocked([stale], 2);
    f.outbox.prune(1);
    f.write(100);
    assert_eq!(f.taken(), "gun");
}

#[test]
fn a_close_wakes_a_task_that_waits_for_a_full_socket() {
    use std::task::Wake;
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let f = fixture(100, 1_000);
    f.outbox.push_blocked([message("a", 0)], 0);
    assert!(matches!(
        f.outbox.poll_next(&mut Context::from_waker(&waker)),
        Poll::Ready(Next::Write)
    ));
    f.outbox.push_blocked([message("b", 0)], 0);
    assert_eq!(count.0.load(Ordering::Relaxed), 0, "more to write is no news");
    f.outbox.close(CloseReason::Silence, []);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

/// A socket that encrypts: it takes everything, and holds what the kernel has no room for.
struct Holding {
    pipe: Pipe,
    held: Mutex<Vec<u8>>,
}

impl TryWrite for Holding {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        let mut held = self.held.lock();
        if !held.is_empty() {
            let sent = self.pipe.try_write(&[IoSlice::new(&held)])?.bytes();
            held.drain(..sent);
            if !held.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let taken: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
        let sent = match taken.is_empty() {
            true => 0,
            false => self
                .pipe
                .try_write(&[IoSlice::new(&taken)])
                .map_or(0, Written::bytes),
        };
        held.extend_from_slice(&taken[sent..]);
        Ok(Written::taken(taken.len()).with_unsent(held.len()))
    }
}

#[test]
fn what_the_socket_holds_back_waits_as_what_is_queued() {
    let socket = Arc::new(Holding {
        pipe: Pipe {
            room: AtomicUsize::new(2),
            ..Pipe::default()
        },
        held: Mutex::default(),
    });
    let ledger = Arc::new(Ledger::new(1_000, Arc::new(())));
    let outbox = Outbox::new(socket.clone(), 100, ledger.clone());
    let next = || outbox.poll_next(&mut Context::from_waker(Waker::noop()));
    // As the shard does: all is taken, and three bytes of it are not in the kernel.
    let written = socket.try_write(&[IoSlice::new(b"first")]).unwrap();
    assert!(!written.is_all_of(5) && written.bytes() == 5);
    assert_eq!(
        outbox.push_blocked([message("first", 0)], written),
        Pushed::Queued
    );
    assert!(!outbox.is_drained(), "the shard does not write yet");
    assert_eq!((outbox.waiting().0, ledger.queued_bytes()), (3, 3));
    assert!(matches!(next(), Poll::Ready(Next::Write)));
    assert!(outbox.write_waiting().is_err(), "no room");
    socket.pipe.room.store(1, Ordering::Relaxed);
    assert!(outbox.write_waiting().is_err(), "not for all of it");
    // Another frame comes behind it.
    outbox.push_blocked([message("second", 0)], 0);
    socket.pipe.room.store(100, Ordering::Relaxed);
    outbox.write_waiting().unwrap();
    assert!(matches!(next(), Poll::Ready(Next::Drained)));
    assert_eq!(socket.pipe.taken.lock().as_slice(), b"firstsecond");
    assert_eq!((outbox.waiting().0, ledger.queued_bytes()), (0, 0));
    // What is held counts until it is gone, also when the session is.
    socket.pipe.room.store(0, Ordering::Relaxed);
    let written = socket.try_write(&[IoSlice::new(b"third")]).unwrap();
    outbox.push_blocked([message("third", 0)], written);
    assert_eq!(ledger.queued_bytes(), 5);
    drop(outbox);
    assert_eq!(ledger.queued_bytes(), 0);
}
