//! The wait for room in a shard's mailbox. Knows no command.

use std::pin::Pin;
use std::task::{Context, Poll};

/// A command on its way: sent already unless the mailbox was full, and then waiting for room. Two words, since an idle
/// session keeps the memory of every future that it may ever wait for.
#[must_use = "a full mailbox makes its sender wait"]
pub struct Sending(pub(super) Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            Some(waiting) => waiting.as_mut().poll(cx),
        }
    }
}
