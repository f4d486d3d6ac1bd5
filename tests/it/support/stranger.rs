//! Connections by hand from other loopback addresses, to an instance in the test's own process.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::app::App;
use super::within;

/// A request that anybody may make.
pub const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

/// How often a limit was hit.
pub async fn hits(app: &App, limit: &str) -> u64 {
    let series = format!("herald_limit_hits_total{{limit=\"{limit}\"}}");
    app.metric(&series).await as u64
}

/// A connection from 127.0.0.`last` that has sent `said`.
pub async fn stranger(app: &App, last: u8, said: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    let mut stream = socket.connect(app.address).await.unwrap();
    stream.write_all(said).await.unwrap();
    stream
}

/// The whole of what comes until the server closes.
pub fn rest(stream: &mut TcpStream) -> impl Future<Output = String> {
    within("the end", async {
        let mut said = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    })
}

/// Whether the server still answers on this connection.
pub async fn is_served(stream: &mut TcpStream, request: &[u8]) -> bool {
    within("an answer", async {
        let mut head = [0; 15];
        let sent = stream.write_all(request).await.is_ok();
        sent && stream.read_exact(&mut head).await.is_ok() && &head == b"HTTP/1.1 200 OK"
    })
    .await
}
