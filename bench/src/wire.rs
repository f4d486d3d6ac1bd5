//! A client's connection on an epoll, plain or over TLS. Knows no WebSocket and no STOMP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::Outcome;

/// A connection whose socket does not block.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<ClientConnection>, TcpStream),
}

impl Wire {
    /// Takes over a socket, which may still be connecting.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Outcome<Self> {
        Ok(match tls {
            None => Self::Plain(socket),
            Some(config) => Self::Tls(Box::new(client(config)?), socket),
        })
    }

    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) | Self::Tls(_, socket) => socket,
        }
    }
}

/// The client's side of a connection to this machine.
pub fn client(config: &Arc<ClientConfig>) -> Outcome<ClientConnection> {
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    Ok(ClientConnection::new(Arc::clone(config), name)?)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (tls, socket) = match self {
            Self::Plain(socket) => return socket.read(buffer),
            Self::Tls(tls, socket) => (tls, socket),
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if tls.read_tls(socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            push(tls, socket)?;
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls, socket) => {
                let taken = tls.writer().write(bytes)?;
                push(tls, socket)?;
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what ciphertext there is, as far as the socket takes it: the next read tries again.
fn push(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            written => written?,
        };
    }
    Ok(())
}
