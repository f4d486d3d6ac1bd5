//! How many bytes of request heads hyper may hold that it has not parsed as a request yet: what was read, minus the
//! heads and bodies of parsed requests. Pure. If a body's length is unknown, the count is rather too high than too low.

/// What was read ahead on one connection.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: usize,
    /// What the last read brought beyond a body of known length.
    last_read: usize,
    /// How much of the current request's body is still to come.
    body: usize,
    /// Whether its length is unknown.
    chunked: bool,
    /// How much of the last request's body its client still sends, answered or not; a body of unknown length has no end.
    owed: usize,
}

impl Ahead {
    /// The bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the client still sends the body of a request, as far as can be known.
    pub(super) fn is_owed(&self) -> bool {
        self.owed > 0
    }

    /// So many were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes);
        let body = self.body.min(bytes);
        self.body -= body;
        self.last_read = bytes - body;
        self.bytes = self.bytes.saturating_add(self.last_read);
    }

    /// A head of at least `head` bytes is complete, and a body of `body` bytes follows; `None`: one of unknown length.
    pub(super) fn begin(&mut self, head: usize, body: Option<u64>) {
        // What is behind the head came with the last read.
        self.bytes = self.bytes.saturating_sub(head).min(self.last_read);
        self.chunked = body.is_none();
        self.owed = usize::MAX;
        if let Some(body) = body {
            let body = usize::try_from(body).unwrap_or(usize::MAX);
            self.owed = body.saturating_sub(self.bytes);
        }
        let body = usize::try_from(body.unwrap_or(0)).unwrap_or(usize::MAX);
        let here = body.min(self.bytes);
        self.bytes -= here;
        self.last_read = self.last_read.min(self.bytes);
        self.body = body - here;
    }

    /// The request is answered.
    pub(super) fn end(&mut self) {
        self.body = 0;
        if std::mem::take(&mut self.chunked) {
            self.bytes = self.bytes.min(self.last_read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies_are_taken_off() {
        let mut ahead = Ahead::default();
        ahead.read(60);
        ahead.read(40);
        assert_eq!(ahead.bytes(), 100);
        ahead.begin(100, Some(0));
        ahead.end();
        assert_eq!(ahead.bytes(), 0);
        // A body that comes in parts, and half a head behind it.
        ahead.read(110);
        ahead.begin(100, Some(50));
        ahead.read(30);
        ahead.read(510);
        ahead.end();
        assert_eq!(ahead.bytes(), 500);
        // The rest of it.
        ahead.read(20);
        ahead.begin(520, Some(0));
        assert_eq!(ahead.bytes(), 0);
    }

    #[test]
    fn a_body_is_owed_until_it_has_come_whatever_was_answered() {
        let mut ahead = Ahead::default();
        ahead.read(110);
        ahead.begin(100, Some(50));
        ahead.end();
        assert!(ahead.is_owed());
        ahead.read(39);
        assert!(ahead.is_owed());
        ahead.read(1);
        assert!(!ahead.is_owed());
        // One that came with its head, and one whose length is not known.
        ahead.read(150);
        ahead.begin(100, Some(50));
        assert!(!ahead.is_owed());
        ahead.end();
        ahead.read(100);
        ahead.begin(100, None);
        ahead.end();
        ahead.read(1 << 30);
        assert!(ahead.is_owed());
        ahead.read(100);
        ahead.begin(100, Some(0));
        assert!(!ahead.is_owed());
    }

    #[test]
    fn half_a_head_that_came_with_a_request_counts() {
        let mut ahead = Ahead::default();
        ahead.read(15_000);
        ahead.begin(100, Some(0));
        ahead.end();
        assert_eq!(ahead.bytes(), 14_900);
        // Two requests at once.
        ahead.begin(100, Some(0));
        assert_eq!(ahead.bytes(), 14_800);
    }

    #[test]
    fn what_is_not_known_is_soon_forgotten() {
        let mut ahead = Ahead::default();
        for _ in 0..100 {
            ahead.read(200);
            ahead.begin(90, None);
            ahead.read(16_000);
            ahead.read(100);
            ahead.end();
            assert!(ahead.bytes() <= 100);
        }
        for _ in 0..10 {
            // One space more than need be in each header.
            ahead.read(100);
            ahead.begin(90, Some(0));
            ahead.end();
        }
        assert!(ahead.bytes() <= 100);
    }
}
