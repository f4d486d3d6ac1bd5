//! The socket as `delivery/` and the session's task share it: one descriptor, written by one of the two at a time.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::delivery::outbox::TryWrite;

/// Chunks given to the kernel in one call; more than this many wait for the next.
pub const CHUNKS_PER_CALL: usize = 64;

/// A plain TCP connection in non-blocking mode. The session's task registers it as `AsyncFd<Arc<PlainSocket>>`.
#[derive(Debug)]
pub struct PlainSocket(pub TcpStream);

impl AsRawFd for PlainSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl TryWrite for PlainSocket {
    fn try_write(&self, chunks: &[Bytes]) -> io::Result<usize> {
        // DONTWAIT: a shard never blocks. NOSIGNAL: a peer that is gone is an error, not SIGPIPE.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match chunks {
            [one] => rustix::net::send(&self.0, one, flags)?,
            many => {
                let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
                let count = many.len().min(CHUNKS_PER_CALL);
                for (slice, chunk) in slices.iter_mut().zip(many) {
                    *slice = IoSlice::new(chunk);
                }
                rustix::net::sendmsg(
                    &self.0,
                    &slices[..count],
                    &mut SendAncillaryBuffer::default(),
                    flags,
                )?
            }
        };
        Ok(sent)
    }
}
