//! The socket of a WebSocket, with or without TLS, shared by `delivery/` and the session's task: one descriptor, with
//! one writer at a time (see `delivery/outbox`). **The writer encrypts**, so that a shard remains the only writer.
//! Knows no frame and no HTTP.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::delivery::outbox::{CHUNKS_PER_CALL, TryWrite, Written};
use crate::tls::session::{RECORD_BYTES, Received, Session};

/// DONTWAIT: a shard never blocks. NOSIGNAL: a peer that is gone causes an error, not SIGPIPE.
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// The most records that one call encrypts: about 30 µs of work under the lock.
const RECORDS_PER_CALL: usize = 8;

thread_local! {
    /// What goes into one record, where it comes in several chunks. Borrowed only within one call.
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(RECORD_BYTES));
}

/// A plain TCP connection in non-blocking mode.
#[derive(Debug)]
pub struct PlainSocket(pub TcpStream);

impl TryWrite for PlainSocket {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        let sent = match chunks {
            [one] => rustix::net::send(&self.0, one, SEND)?,
            many => {
                let many = &many[..many.len().min(CHUNKS_PER_CALL)];
                rustix::net::sendmsg(&self.0, many, &mut SendAncillaryBuffer::default(), SEND)?
            }
        };
        Ok(Written::taken(sent))
    }
}

/// A TCP connection in non-blocking mode whose TLS handshake is complete. The lock is held for one read or write that does
/// not block, and for the cryptography of what that brings.
pub struct TlsSocket {
    stream: TcpStream,
    session: Mutex<Session>,
}

impl TryWrite for TlsSocket {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        let mut session = self.session.lock();
        let send = |bytes: &[u8]| Ok(rustix::net::send(&self.stream, bytes, SEND)?);
        // What is left goes first, or the records would be out of order.
        if !session.push(send)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        let mut rest = Chunks::new(chunks);
        for _ in 0..RECORDS_PER_CALL {
            let length = rest.next_record(|plain| session.encrypt(plain, send).map(|()| plain.len()))?;
            taken += length;
            if length == 0 || session.unsent_bytes() > 0 {
                break;
            }
        }
        Ok(Written::taken(taken).with_unsent(session.unsent_bytes()))
    }
}

/// Chunks, of which records are made from the front.
struct Chunks<'a> {
    chunks: &'a [IoSlice<'a>],
    /// How much of the first one is done.
    done: usize,
}

impl<'a> Chunks<'a> {
    fn new(chunks: &'a [IoSlice<'a>]) -> Self {
        Self { chunks, done: 0 }
    }

    /// Gives the next record's content to `take`, which is not called if there is none. Several chunks are copied into one
    /// record: one that is long costs less than two that are short.
    fn next_record(&mut self, take: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
        let Some((first, others)) = self.chunks.split_first() else {
            return Ok(0);
        };
        let first = first.get(self.done..).unwrap_or_default();
        if first.len() >= RECORD_BYTES || others.is_empty() {
            let length = first.len().min(RECORD_BYTES);
            self.done += length;
            if length == first.len() {
                (self.chunks, self.done) = (others, 0);
            }
            return match length {
                0 => Ok(0),
                _ => take(first.get(..length).unwrap_or_default()),
            };
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            while let Some((first, others)) = self.chunks.split_first()
                && gathered.len() < RECORD_BYTES
            {
                let first = first.get(self.done..).unwrap_or_default();
                let length = first.len().min(RECORD_BYTES - gathered.len());
                gathered.extend_from_slice(first.get(..length).unwrap_or_default());
                self.done += length;
                if length == first.len() {
                    (self.chunks, self.done) = (others, 0);
                }
            }
            match gathered.is_empty() {
                true => Ok(0),
                false => take(gathered),
            }
        })
    }
}

/// What one read brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Got {
    /// The bytes of plaintext; none: the peer has ended its side.
    pub(crate) bytes: usize,
    /// Whether the kernel had no more than that. That the peer has closed stays known to epoll, whatever is cleared.
    pub(crate) drained: bool,
}

/// The socket of one WebSocket. The session's task registers it as `AsyncFd<Socket>`. Cheap to clone.
#[derive(Clone)]
pub enum Socket {
    /// Without TLS.
    Plain(Arc<PlainSocket>),
    /// With TLS.
    Tls(Arc<TlsSocket>),
}

impl Socket {
    /// `stream`, which does not block.
    pub fn plain(stream: TcpStream) -> Self {
        Self::Plain(Arc::new(PlainSocket(stream)))
    }

    /// `stream`, which does not block, with TLS.
    pub(crate) fn tls(stream: TcpStream, session: Session) -> Self {
        let session = Mutex::new(session);
        Self::Tls(Arc::new(TlsSocket { stream, session }))
    }

    /// Its side for whoever writes.
    pub fn writer(&self) -> Arc<dyn TryWrite> {
        match self {
            Self::Plain(socket) => socket.clone(),
            Self::Tls(socket) => socket.clone(),
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => &socket.0,
            Self::Tls(socket) => &socket.stream,
        }
    }

    /// Reads at once what is there. With TLS, `into` has room for [`crate::tls::session::PLAIN_MIN_BYTES`] at least.
    ///
    /// # Errors
    /// The kernel's; `Interrupted`: nothing came of what was there, and there may be more; those of TLS.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Got> {
        match self {
            Self::Plain(socket) => {
                let bytes = (&socket.0).read(into)?;
                let drained = bytes < into.len();
                Ok(Got { bytes, drained })
            }
            Self::Tls(socket) => socket.read(into),
        }
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&self) -> io::Result<()> {
        if let Self::Tls(socket) = self {
            let mut session = socket.session.lock();
            session.close();
            // Nobody waits for a peer that does not take these few bytes; it sees the end all the same.
            let _ = session.push(|bytes| Ok(rustix::net::send(&socket.stream, bytes, SEND)?));
        }
        self.stream().shutdown(Shutdown::Write)
    }
}

impl TlsSocket {
    fn read(&self, into: &mut [u8]) -> io::Result<Got> {
        let mut session = self.session.lock();
        let mut drained = false;
        let fill = |room: &mut [u8]| {
            let came = (&self.stream).read(room)?;
            drained = came < room.len();
            Ok(came)
        };
        let received = session.receive(fill, into);
        match received {
            Ok(Received::Plain(bytes)) => Ok(Got { bytes, drained }),
            Ok(Received::End) => Ok(Got { bytes: 0, drained }),
            Ok(Received::Nothing) => Err(io::ErrorKind::Interrupted.into()),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    // The alert that tells why, as far as the peer takes it.
                    let _ = session.push(|bytes| Ok(rustix::net::send(&self.stream, bytes, SEND)?));
                }
                Err(error)
            }
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream().as_raw_fd()
    }
}
