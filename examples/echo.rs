//! An echo at `ws://<ECHO_LISTEN>/echo` through Herald's own upgrade, guard and reader, for conformance suites from
//! outside. `ECHO_LISTEN` (127.0.0.1:9001) and `ECHO_MAX_MESSAGE_BYTES` (16777216) configure it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use bytes::{BufMut, Bytes, BytesMut};
use herald::close_reason::CloseReason;
use herald::http::listener::{self, Options};
use herald::origins::Origins;
use herald::telemetry::metrics::Metrics;
use herald::ws::close::{close_frame, linger, pong_frame};
use herald::ws::reader::{Event, Reader};
use herald::ws::socket::Socket;
use herald::ws::upgrade::{Connect, Connection, UpgradeState, register, upgrade};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variable = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let address = variable("ECHO_LISTEN", "127.0.0.1:9001").parse()?;
    let max_message_bytes = variable("ECHO_MAX_MESSAGE_BYTES", "16777216").parse()?;
    let listener = listener::bind(address)?;
    println!("ws://{}/echo", listener.local_addr()?);
    Ok(serve(listener, max_message_bytes, CancellationToken::new()).await?)
}

/// Echoes on `listener` until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    max_message_bytes: usize,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let metrics = Metrics::new().map_err(io::Error::other)?;
    let origins = Origins::parse(["*"]).map_err(io::Error::other)?;
    let tasks = TaskTracker::new();
    let connect: Connect = Arc::new(move |connection| {
        Box::pin(async move {
            if let Err(error) = echo(connection, max_message_bytes).await {
                eprintln!("{error}");
            }
        })
    });
    let state = UpgradeState::new(origins, connect, tasks.clone(), &metrics);
    let router = Router::new().route("/echo", any(upgrade)).with_state(state);
    let options = Options::new(&Default::default(), &Default::default());
    listener::serve(listener, router, options, metrics, shutdown, &tasks).await;
    Ok(())
}

/// Sends every message back as one frame, and answers pings and closes.
async fn echo(connection: Connection, max_message_bytes: usize) -> io::Result<()> {
    let socket = register(connection.socket)?;
    let mut reader = Reader::new(&socket, connection.leftover, max_message_bytes, &|| {});
    let mut message = BytesMut::new();
    let close = loop {
        match reader.next().await {
            Ok(Event::Data(payload)) => {
                message.extend_from_slice(&payload);
                if payload.last {
                    let whole = std::mem::take(&mut message);
                    write_all(&socket, frame(payload.text, &whole)).await?;
                }
            }
            Ok(Event::Ping(payload)) => write_all(&socket, pong_frame(&payload)).await?,
            Ok(Event::Pong) => {}
            Ok(Event::Close(code)) => break close_frame(code.unwrap_or(1005), ""),
            Ok(Event::Eof) => return Ok(()),
            Err(error) if error.close_reason() == CloseReason::PeerGone => return Ok(()),
            Err(error) => break close_frame(error.close_reason().code(), &error.to_string()),
        }
    };
    write_all(&socket, close).await?;
    linger(&socket).await;
    Ok(())
}

/// RFC 6455 section 5.2, from a server: final, unmasked.
fn frame(text: bool, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(if text { 0x81 } else { 0x82 });
    match payload.len() {
        short @ 0..126 => frame.put_u8(short as u8),
        long @ 126..0x1_0000 => {
            frame.put_u8(126);
            frame.put_u16(long as u16);
        }
        longer => {
            frame.put_u8(127);
            frame.put_u64(longer as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

async fn write_all(socket: &AsyncFd<Socket>, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = socket.writable().await?;
        let written = ready.try_io(|socket| socket.get_ref().writer().try_write(&[io::IoSlice::new(&bytes)]));
        if let Ok(written) = written {
            let _ = bytes.split_to(written?.bytes());
        }
    }
    Ok(())
}
