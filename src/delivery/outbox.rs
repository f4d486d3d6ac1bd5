//! The write side of one session. See DESIGN section 3, Outbox.

use std::io;

use bytes::Bytes;

/// The one way from `delivery/` to a socket. Implemented by `ws/writer`.
pub trait TryWrite: Send + Sync + 'static {
    /// Writes as much of `chunks`, in their order, as the kernel takes at once; never blocks. Gives the number of
    /// bytes taken; `WouldBlock` if none.
    fn try_write(&self, chunks: &[Bytes]) -> io::Result<usize>;
}
