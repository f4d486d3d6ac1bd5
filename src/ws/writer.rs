//! The task's part of the writing: writes what waits in an outbox whenever the socket accepts more. Knows no frame.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::socket::Socket;
use crate::close_reason::CloseReason;
use crate::delivery::outbox::{Next, Outbox};

/// A larger send buffer is not grown further: Linux takes twice what is asked for, up to twice `net.core.wmem_max`,
/// and might make it smaller.
const GROWN_MAX_BYTES: usize = 512 << 10;

/// Writes what waits in `outbox` whenever something does, and calls `drained` whenever the shard may write again.
/// Ends with the reason as soon as the outbox is closed ([`flush`] writes the rest), or with the error of the socket.
///
/// Cancel-safe: what the kernel has accepted is taken off the outbox under its lock, so a dropped future loses and
/// repeats nothing.
pub fn write_outbox<Handed: Future<Output = ()> + Send>(
    socket: &AsyncFd<Socket>,
    outbox: &Outbox,
    drained: impl Fn() -> Handed + Send,
) -> impl Future<Output = io::Result<CloseReason>> + Send {
    // A block rather than an async function, which would keep its arguments twice in every idle session.
    let mut step = move |cx: &mut Context<'_>| poll_step(socket, outbox, cx);
    async move {
        loop {
            match poll_fn(&mut step).await? {
                Step::Drained => drained().await,
                Step::Closing(reason) => return Ok(reason),
            }
        }
    }
}

enum Step {
    Drained,
    Closing(CloseReason),
}

fn poll_step(socket: &AsyncFd<Socket>, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
    loop {
        match ready!(outbox.poll_next(cx)) {
            Next::Write => {
                let mut ready = ready!(socket.poll_write_ready(cx))?;
                // WouldBlock clears the readiness that a shard's own short write left behind; then the loop waits.
                if let Ok(written) = ready.try_io(|_| outbox.write_waiting()) {
                    written?;
                }
            }
            Next::Drained => return Poll::Ready(Ok(Step::Drained)),
            Next::Closing(reason) => return Poll::Ready(Ok(Step::Closing(reason))),
        }
    }
}

/// Writes everything that waits, including the last frames of a session. It enlarges the kernel's buffer for them, so
/// that the kernel takes them although the peer does not read: a client that reads late, after Herald has let go of
/// the connection, still learns why it was closed. The caller bounds the time.
pub async fn flush_last(socket: &AsyncFd<Socket>, outbox: &Outbox) -> io::Result<()> {
    if !outbox.is_drained() {
        let options = SockRef::from(socket.get_ref().stream());
        let bytes = options.send_buffer_size()?;
        if bytes <= GROWN_MAX_BYTES {
            // Linux reports twice what was set, so setting this value doubles the buffer.
            options.set_send_buffer_size(bytes)?;
        }
        // At once: readiness does not know of the new room yet.
        match outbox.write_waiting() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    flush(socket, outbox).await
}

/// Writes everything that waits now. The caller bounds the time.
pub async fn flush(socket: &AsyncFd<Socket>, outbox: &Outbox) -> io::Result<()> {
    while !outbox.is_drained() {
        socket
            .async_io(Interest::WRITABLE, |_| outbox.write_waiting())
            .await?;
    }
    Ok(())
}
