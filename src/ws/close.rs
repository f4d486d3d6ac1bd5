//! The control frames that Herald writes, and the graceful shutdown of a socket. Knows the code of a close, but not its
//! reason.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::unix::AsyncFd;

use super::guard::CONTROL_MAX_BYTES;
use super::socket::Socket;
use crate::delivery::wire;

const LINGER: Duration = Duration::from_secs(2);
/// A client that sends a body over the limit sends all of it before it looks at the answer.
const LINGER_MAX_BYTES: usize = 4 << 20;
/// How much is read at once, before a pause. TCP's window then holds back a client that keeps sending, at 6 MiB/s,
/// and it does not cost the others a worker's time: at full speed, sixteen flooding clients sent half a GiB per
/// second into closed sessions.
const LINGER_PIECE_BYTES: usize = 64 << 10;
const LINGER_PAUSE: Duration = Duration::from_millis(10);

/// An unmasked Close frame with `code` and as much of `reason` as fits. A code that must not appear in a frame (RFC
/// 6455 section 7.4.1: 1005, 1006, 1015) yields a frame without payload.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    match may_be_sent(code) {
        true => wire::close_frame(code, reason),
        false => control_frame(0x88, &[]),
    }
}

/// The unmasked answer to a ping, with the ping's payload (RFC 6455 section 5.5.3).
pub fn pong_frame(payload: &[u8]) -> Bytes {
    control_frame(0x8A, payload)
}

/// Whether a Close frame may carry `code`: one of RFC 6455 section 7.4 and its IANA registry, or 3000 to 4999.
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn control_frame(first: u8, payload: &[u8]) -> Bytes {
    let payload = payload.get(..CONTROL_MAX_BYTES).unwrap_or(payload);
    let mut frame = BytesMut::with_capacity(2 + payload.len());
    frame.put_u8(first);
    frame.put_u8(payload.len() as u8);
    frame.put_slice(payload);
    frame.freeze()
}

/// Shuts down the sending side and waits for the peer to do the same, for at most 2 s or 4 MiB, so that what was
/// written last (ERROR, Close) arrives: closing a socket with unread input makes the kernel send RST, which destroys
/// it.
pub async fn linger(socket: &AsyncFd<Socket>) {
    if socket.get_ref().finish().is_err() {
        return; // The peer is gone already.
    }
    // Both outcomes, EOF and a peer that does not end, have the same consequence: the caller drops the socket.
    let _ = tokio::time::timeout(LINGER, discard(socket)).await;
}

async fn discard(socket: &AsyncFd<Socket>) -> io::Result<()> {
    let (mut left, mut piece) = (LINGER_MAX_BYTES, LINGER_PIECE_BYTES);
    while left > 0 {
        if piece == 0 {
            tokio::time::sleep(LINGER_PAUSE).await;
            piece = LINGER_PIECE_BYTES;
        }
        let mut ready = socket.readable().await?;
        let read = ready.try_io(|socket| socket.get_ref().stream().read(&mut [0; 8192]));
        match read {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(read)) => {
                left = left.saturating_sub(read);
                piece = piece.saturating_sub(read);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::upgrade::register;

    /// Both ends of a connection over loopback; the first is the server's.
    async fn pair() -> (AsyncFd<Socket>, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let server = accepted.unwrap().0.into_std().unwrap();
        let server = register(Socket::plain(server)).unwrap();
        (server, client.unwrap())
    }

    /// Promise: a client that floods a closed session is read, so that it hears why, but not as fast as it can write.
    #[tokio::test]
    async fn who_floods_a_closed_session_is_held_back() {
        let (server, mut client) = pair().await;
        let flood = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut reads, mut writes) = client.split();
            let chunk = vec![0; LINGER_PIECE_BYTES];
            let pour = async { while writes.write_all(&chunk).await.is_ok() {} };
            // The end that the server wrote was read, before the reset of a connection dropped with unread input.
            let mut heard = Vec::new();
            tokio::join!(pour, async { reads.read_to_end(&mut heard).await.ok() }).1
        });
        let begun = std::time::Instant::now();
        linger(&server).await;
        let pauses = (LINGER_MAX_BYTES / LINGER_PIECE_BYTES) as u32 - 1;
        assert!(begun.elapsed() >= LINGER_PAUSE * pauses, "{:?}", begun.elapsed());
        drop(server);
        assert_eq!(flood.await.unwrap(), Some(0));
    }

    #[tokio::test]
    async fn who_ends_its_side_is_let_go_at_once() {
        let (server, client) = pair().await;
        drop(client);
        let begun = std::time::Instant::now();
        linger(&server).await;
        assert!(begun.elapsed() < LINGER / 2, "{:?}", begun.elapsed());
    }

    #[test]
    fn close_frames() {
        assert_eq!(&close_frame(1000, "bye")[..], b"\x88\x05\x03\xe8bye");
        assert_eq!(&close_frame(4401, "")[..], b"\x88\x02\x11\x31");
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
            assert_eq!(&close_frame(code, "x")[..], b"\x88\x00", "{code}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = close_frame(1002, &"a".repeat(500));
        assert_eq!((frame.len(), frame[1]), (127, 125));
        // 61 × 2 bytes fit into 123, the 62nd does not.
        let frame = close_frame(1002, &"ä".repeat(100));
        assert_eq!(frame[1], 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn pongs_carry_the_pings_payload() {
        assert_eq!(&pong_frame(b"hi")[..], b"\x8a\x02hi");
        assert_eq!(&pong_frame(b"")[..], b"\x8a\x00");
        assert_eq!(pong_frame(&[7; 125]).len(), 127);
        assert_eq!(pong_frame(&[7; 200]).len(), 127);
    }
}
