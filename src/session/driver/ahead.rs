//! Frames that were read ahead and wait for their turn, in order. Bounded: beyond it, nothing more is read. Knows no
//! session.

use std::collections::VecDeque;

use crate::stomp::Frame;

/// So many bytes may wait. One frame always may.
const BYTES_MAX: usize = 256 << 10;
/// What a frame takes beside its bytes.
const FRAME_BYTES: usize = 256;

/// The frames that wait. Takes no memory of its own while there is none.
#[derive(Default)]
pub(super) struct Ahead(Option<Box<Frames>>);

#[derive(Default)]
struct Frames {
    frames: VecDeque<Box<Frame>>,
    bytes: usize,
}

impl Ahead {
    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether nothing more may be read.
    pub(super) fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.bytes >= BYTES_MAX)
    }

    /// `frame` waits behind the others.
    pub(super) fn push(&mut self, frame: Frame) {
        let waiting = self.0.get_or_insert_default();
        waiting.bytes += weight(&frame);
        waiting.frames.push_back(Box::new(frame));
    }

    /// The one whose turn it is.
    pub(super) fn front(&self) -> Option<&Frame> {
        self.0.as_ref()?.frames.front().map(|frame| &**frame)
    }

    /// Takes it. Boxed: whoever asks keeps room for the answer as long as a session lives.
    pub(super) fn pop(&mut self) -> Option<Box<Frame>> {
        let waiting = self.0.as_mut()?;
        let frame = waiting.frames.pop_front()?;
        waiting.bytes -= weight(&frame);
        if waiting.frames.is_empty() {
            self.0 = None;
        }
        Some(frame)
    }
}

fn weight(frame: &Frame) -> usize {
    let header = |(name, value): (&str, &str)| name.len() + value.len();
    FRAME_BYTES + frame.body.len() + frame.headers.iter().map(header).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stomp::{Command, header::Headers};

    fn frame(bytes: usize) -> Frame {
        Frame {
            command: Command::Send,
            headers: Headers::default(),
            body: Bytes::from(vec![0; bytes]),
        }
    }

    #[test]
    fn frames_wait_in_their_order_and_within_a_bound() {
        let mut ahead = Ahead::default();
        assert!(ahead.is_empty() && !ahead.is_full() && ahead.pop().is_none());
        ahead.push(frame(2 << 20));
        assert!(ahead.is_full(), "one frame always may wait");
        assert_eq!(ahead.pop().map(|frame| frame.body.len()), Some(2 << 20));
        assert!(ahead.is_empty());
        let mut pushed = 0;
        while !ahead.is_full() {
            pushed += 1;
            ahead.push(frame(pushed));
        }
        assert!((500..1_024).contains(&pushed), "{pushed}");
        assert_eq!(ahead.front().map(|frame| frame.body.len()), Some(1));
        for expected in 1..=pushed {
            assert!(!ahead.is_empty());
            assert_eq!(ahead.pop().map(|frame| frame.body.len()), Some(expected));
        }
        assert!(ahead.is_empty() && ahead.0.is_none());
    }
}
