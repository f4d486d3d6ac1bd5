//! One TLS connection as its server sees it: ciphertext in and plaintext out, plaintext in and ciphertext out. Between two
//! calls it holds half a record that came, and what could not be sent; nothing else. Knows no socket, no task and no lock.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

/// The most plaintext of one record.
pub(crate) const RECORD_BYTES: usize = 16 << 10;
/// The most that is kept of what came and is no whole record or message yet: more than the longest record (RFC 8446 section
/// 5.2), and room for a client's certificates.
pub(crate) const HALF_MAX_BYTES: usize = 20 << 10;
/// The least room for plaintext that [`Session::receive`] wants.
pub(crate) const PLAIN_MIN_BYTES: usize = 32 << 10;
/// The most ciphertext that is looked at in one call.
const CIPHER_BYTES: usize = 64 << 10;
/// Room for a record of [`RECORD_BYTES`], and for a key update or an alert in front of it.
const ENCRYPTED_BYTES: usize = RECORD_BYTES + (2 << 10);
/// So much ciphertext may come without a byte of plaintext in it. Empty records cost as much as full ones.
const BARREN_MAX_BYTES: usize = 64 << 10;

thread_local! {
    /// Borrowed only within one call.
    static INCOMING: RefCell<Box<[u8]>> = RefCell::new(vec![0; CIPHER_BYTES].into());
    static ENCRYPTED: RefCell<Box<[u8]>> = RefCell::new(vec![0; ENCRYPTED_BYTES].into());
}

/// One connection.
pub(crate) struct Session {
    connection: UnbufferedServerConnection,
    /// What came and is not a whole record yet.
    half: Vec<u8>,
    /// What is to be sent, of which `sent` bytes are in the kernel.
    unsent: Vec<u8>,
    sent: usize,
    /// How much came since the last plaintext.
    barren_bytes: usize,
    /// Whether the peer has said that it sends no more.
    ended: bool,
    /// Whether it did not keep to TLS.
    failed: bool,
    /// Whether it was told that nothing follows.
    closed: bool,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes of plaintext.
    Plain(usize),
    /// Nothing yet.
    Nothing,
    /// The peer has ended its side in order.
    End,
}

impl Session {
    /// A connection whose client has said nothing yet.
    ///
    /// # Errors
    /// The library's, of a configuration that does not fit together.
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config).map_err(broken)?,
            half: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            barren_bytes: 0,
            ended: false,
            failed: false,
            closed: false,
        })
    }

    /// The client's certificate, if it has shown one. It is verified once the handshake is complete.
    pub(crate) fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The bytes that it holds besides its keys.
    pub(crate) fn held_bytes(&self) -> usize {
        self.half.len() + self.unsent.len()
    }

    /// Has `fill` read from the socket, and puts the plaintext of what came into `plain`, which has room for
    /// [`PLAIN_MIN_BYTES`] at least. May have something to send afterwards, also where it fails: an alert.
    ///
    /// # Errors
    /// Those of `fill`; `UnexpectedEof`: the peer is gone without a word; `InvalidData`: it does not keep to TLS.
    pub(crate) fn receive(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        plain: &mut [u8],
    ) -> io::Result<Received> {
        if self.ended {
            return Ok(Received::End);
        }
        if self.failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        INCOMING.with_borrow_mut(|incoming| {
            let (held, most) = (self.half.len(), plain.len().min(incoming.len()));
            let (half, room) = incoming
                .get_mut(..most)
                .and_then(|incoming| incoming.split_at_mut_checked(held))
                .ok_or(io::ErrorKind::OutOfMemory)?;
            half.copy_from_slice(&self.half);
            let came = fill(room)?;
            if came == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let cipher = incoming.get_mut(..held + came).unwrap_or_default();
            let (used, got) = self.open(cipher, plain)?;
            let rest = cipher.get(used..).unwrap_or_default();
            if rest.len() > HALF_MAX_BYTES {
                return Err(invalid("a TLS message is too long"));
            }
            // Most often nothing is left, and nothing was.
            if !rest.is_empty() || held > 0 {
                self.half = rest.to_vec();
            }
            self.barren_bytes = match got {
                0 => self.barren_bytes.saturating_add(came),
                _ => 0,
            };
            match got {
                0 if self.ended => Ok(Received::End),
                0 if self.barren_bytes > BARREN_MAX_BYTES => Err(invalid("TLS records without content")),
                0 => Ok(Received::Nothing),
                got => Ok(Received::Plain(got)),
            }
        })
    }

    /// Opens the records of `cipher`. Gives how much of it is done with, and the bytes of plaintext.
    fn open(&mut self, cipher: &mut [u8], plain: &mut [u8]) -> io::Result<(usize, usize)> {
        let (mut used, mut got) = (0, 0);
        loop {
            let input = cipher.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(input);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(broken)?.payload;
                        // There is less plaintext than ciphertext.
                        let into = plain.get_mut(got..got + record.len());
                        into.ok_or(io::ErrorKind::OutOfMemory)?.copy_from_slice(record);
                        got += record.len();
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => keep_encoded(data, &mut self.unsent)?,
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(_) => return Ok((used, got)),
                Err(error) => {
                    self.failed = true;
                    // Once more, for the alert that tells of it, and never again: the library is not made for that.
                    let input = cipher.get_mut(used..).unwrap_or_default();
                    let status = self.connection.process_tls_records(input);
                    if let Ok(ConnectionState::EncodeTlsData(data)) = status.state {
                        keep_encoded(data, &mut self.unsent)?;
                    }
                    return Err(broken(error));
                }
            }
        }
    }

    /// Encrypts `plain`, of [`RECORD_BYTES`] at most, and has `send` send the record. What it does not take is kept, to be
    /// sent first; there must be nothing of that kind yet.
    ///
    /// # Errors
    /// Those of `send` but `WouldBlock`; `NotConnected`: there is no handshake, or the connection has been closed.
    pub(crate) fn encrypt(
        &mut self,
        plain: &[u8],
        send: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        debug_assert!(self.unsent.is_empty() && plain.len() <= RECORD_BYTES);
        if self.closed || self.failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        ENCRYPTED.with_borrow_mut(|record| {
            let mut filled = 0;
            loop {
                let room = record.get_mut(filled..).unwrap_or_default();
                // The library may still have its finger in what is half there.
                match self.connection.process_tls_records(&mut self.half).state {
                    Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                        filled += traffic.encrypt(plain, room).map_err(io::Error::other)?;
                        break;
                    }
                    Ok(ConnectionState::EncodeTlsData(mut data)) => {
                        filled += data.encode(room).map_err(io::Error::other)?;
                    }
                    Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                    Ok(ConnectionState::PeerClosed) => self.ended = true,
                    Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
                    Err(error) => return Err(broken(error)),
                }
            }
            let record = record.get(..filled).unwrap_or_default();
            let sent = match send(record) {
                Err(error) if is_full(&error) => 0,
                sent => sent?,
            };
            if sent < record.len() {
                self.unsent = record.get(sent..).unwrap_or_default().to_vec();
            }
            Ok(())
        })
    }

    /// Whether there is ciphertext that has not been sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Has `send` send what is left, once. Gives whether everything is sent.
    ///
    /// # Errors
    /// Those of `send`, `WouldBlock` among them.
    pub(crate) fn push(&mut self, send: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        self.sent += send(self.unsent.get(self.sent..).unwrap_or_default())?;
        let all = self.sent >= self.unsent.len();
        if all {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Ok(all)
    }

    /// Says, behind what is left to be sent, that nothing follows.
    pub(crate) fn close(&mut self) {
        if self.closed || self.failed || self.is_handshaking() {
            return;
        }
        self.closed = true;
        let mut alert = [0; 1 << 10];
        loop {
            let said = match self.connection.process_tls_records(&mut self.half).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    // If it does not fit, the peer sees the connection end without it.
                    let length = traffic.queue_close_notify(&mut alert).unwrap_or(0);
                    self.unsent
                        .extend_from_slice(alert.get(..length).unwrap_or_default());
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let length = data.encode(&mut alert).unwrap_or(0);
                    self.unsent
                        .extend_from_slice(alert.get(..length).unwrap_or_default());
                    length == 0
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    false
                }
                _ => true,
            };
            if said {
                return;
            }
        }
    }
}

/// Keeps what the library says itself, such as an alert or its part of a handshake, to be sent.
fn keep_encoded<Data>(mut data: EncodeTlsData<'_, Data>, unsent: &mut Vec<u8>) -> io::Result<()> {
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        let at = unsent.len();
        unsent.resize(at + size.required_size, 0);
        let into = unsent.get_mut(at..).unwrap_or_default();
        data.encode(into).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

#[cfg(test)]
mod tests;
