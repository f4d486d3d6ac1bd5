//! A connection while hyper uses it: tokio's TCP stream, with or without TLS. Knows no HTTP. For a WebSocket, the socket is
//! taken out, with its TLS.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::socket::Socket;
use crate::tls::identity::Names;
use crate::tls::session::{PLAIN_MIN_BYTES, RECORD_BYTES, Received, Session, is_full};

thread_local! {
    /// Borrowed only within one poll.
    static PLAIN: RefCell<Box<[u8]>> = RefCell::new(vec![0; PLAIN_MIN_BYTES].into());
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsWire>),
}

/// A connection with TLS.
pub(crate) struct TlsWire {
    stream: TcpStream,
    session: Session,
    /// Plaintext that nobody has taken yet.
    plain: Vec<u8>,
}

impl std::fmt::Debug for TlsWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TlsWire").field(&self.stream).finish()
    }
}

impl TlsWire {
    /// The handshake. The caller bounds the time.
    ///
    /// # Errors
    /// Those of the socket and of TLS.
    pub(crate) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut wire = Self {
            session: Session::new(config)?,
            stream,
            plain: Vec::new(),
        };
        loop {
            std::future::poll_fn(|cx| wire.poll_out(cx)).await?;
            if !wire.session.is_handshaking() {
                return Ok(wire);
            }
            std::future::poll_fn(|cx| wire.poll_in(cx)).await?;
        }
    }

    /// Reads more into `plain`. Ready once something has come, whether it is plaintext or not.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let Self {
                stream,
                session,
                plain,
            } = self;
            let received = PLAIN.with_borrow_mut(|scratch| {
                let received = stream.try_io(Interest::READABLE, || {
                    let fill =
                        |room: &mut [u8]| Ok(rustix::net::recv(&*stream, room, RecvFlags::DONTWAIT)?.0);
                    session.receive(fill, scratch)
                })?;
                if let Received::Plain(bytes) = received {
                    plain.extend_from_slice(scratch.get(..bytes).unwrap_or_default());
                }
                Ok(received)
            });
            match received {
                Err(error) if is_full(&error) => {}
                Err(error) => {
                    // The alert that tells why, as far as the peer takes it.
                    let _ = self.session.push(|bytes| self.stream.try_write(bytes));
                    return Poll::Ready(Err(error));
                }
                Ok(received) => return Poll::Ready(Ok(received)),
            }
        }
    }

    /// Sends what is encrypted and not sent.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.unsent_bytes() > 0 {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.session.push(|bytes| self.stream.try_write(bytes)) {
                Err(error) if is_full(&error) => {}
                pushed => {
                    pushed?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..RECORD_BYTES).unwrap_or(bytes);
        self.session
            .encrypt(bytes, |record| self.stream.try_write(record))?;
        Ok(bytes.len())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.plain.is_empty() {
            match ready!(self.poll_in(cx)) {
                Ok(Received::Plain(_) | Received::Nothing) => {}
                Ok(Received::End) => return Poll::Ready(Ok(())),
                // Requests say how long they are: nothing can be cut off unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let length = self.plain.len().min(buffer.remaining());
        let (taken, rest) = self.plain.split_at(length);
        buffer.put_slice(taken);
        self.plain = match rest {
            [] => Vec::new(),
            rest => rest.to_vec(),
        };
        Poll::Ready(Ok(()))
    }
}

impl Wire {
    /// Whom the client's certificate names, if it has shown one.
    pub(crate) fn client(&self) -> Option<Names> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(wire) => wire.session.client_certificate().map(Names::of),
        }
    }

    /// The socket's options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(self.stream())
    }

    fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(wire) => &wire.stream,
        }
    }

    /// What TLS holds; none: no TLS.
    pub(crate) fn held_bytes(&self) -> Option<usize> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(wire) => Some(wire.session.held_bytes() + wire.plain.len()),
        }
    }

    /// What is encrypted and not sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(wire) => wire.session.unsent_bytes(),
        }
    }

    /// Sends at once what fits, whether or not tokio takes the socket for writable. With TLS that is what is encrypted
    /// already; none of `bytes` is, then.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const AT_ONCE: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        match self {
            Self::Plain(stream) => Ok(rustix::net::send(stream, bytes, AT_ONCE)?),
            Self::Tls(wire) => {
                let before = wire.session.unsent_bytes();
                let TlsWire { stream, session, .. } = &mut **wire;
                session.push(|bytes| Ok(rustix::net::send(stream, bytes, AT_ONCE)?))?;
                Ok(before - session.unsent_bytes())
            }
        }
    }

    /// The socket of a WebSocket, and the plaintext that nobody has taken. It stays non-blocking.
    pub(crate) fn into_socket(self) -> io::Result<(Socket, Vec<u8>)> {
        match self {
            Self::Plain(stream) => Ok((Socket::plain(stream.into_std()?), Vec::new())),
            Self::Tls(wire) => {
                let TlsWire {
                    stream,
                    session,
                    plain,
                } = *wire;
                Ok((Socket::tls(stream.into_std()?, session), plain))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(wire) => wire.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(wire) => {
                ready!(wire.poll_out(cx))?;
                Poll::Ready(wire.encrypt(bytes))
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(wire) => {
                ready!(wire.poll_out(cx))?;
                let first = parts.iter().find(|part| !part.is_empty());
                Poll::Ready(wire.encrypt(first.map_or(&[], |part| part)))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(wire) => wire.poll_out(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(wire) => {
                wire.session.close();
                ready!(wire.poll_out(cx))?;
                Pin::new(&mut wire.stream).poll_shutdown(cx)
            }
        }
    }
}
