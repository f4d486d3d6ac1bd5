//! A TCP proxy: forwards until it is told to cut its connections or to hang, as networks do. Knows no protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the other side may take to accept.
const DIAL: Duration = Duration::from_secs(5);

/// What connections are to do.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    /// What is not forwarded; who waits is cut afterwards.
    hung: Hung,
    /// How many of a hundred connections end now.
    percent: u8,
}

/// What waits in a proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Hung {
    /// Nothing.
    #[default]
    Nothing,
    /// What comes from the server.
    Answers,
    /// All.
    All,
}

/// One address that forwards to another.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    orders: watch::Sender<Order>,
}

impl Proxy {
    /// Listens on a free port. Ends with the runtime.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (orders, order) = watch::channel(Order::default());
        tokio::spawn(accept(listener, target, order));
        Ok(Self { address, orders })
    }

    /// Ends so many of a hundred connections, by RST.
    pub fn cut(&self, percent: u8) {
        let hung = Hung::Nothing;
        self.orders.send_replace(Order { hung, percent });
    }

    /// Forwards to the server, and nothing back, for a time, then ends every connection: what was asked is done, and
    /// nobody is told.
    pub async fn deafen(&self, time: Duration) {
        self.hold(Hung::Answers, time).await;
    }

    /// Forwards nothing for a time, as a network that drops all does, then ends every connection.
    pub async fn hang(&self, time: Duration) {
        self.hold(Hung::All, time).await;
    }

    async fn hold(&self, hung: Hung, time: Duration) {
        self.orders.send_replace(Order { hung, percent: 0 });
        tokio::time::sleep(time).await;
        self.cut(100);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, orders: watch::Receiver<Order>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let mut orders = orders.clone();
                orders.mark_unchanged();
                tokio::spawn(forward(client, target, orders));
            }
            // Descriptors may be short for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut orders: watch::Receiver<Order>) {
    if orders.wait_for(|order| order.hung != Hung::All).await.is_err() {
        return;
    }
    let Ok(Ok(mut server)) = timeout(DIAL, TcpStream::connect(target)).await else {
        reset(&client);
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let cut = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let mut asking = pin!(pass(from_client, to_server));
        let mut answering = pin!(pass(from_server, to_client));
        let (mut asks, mut answers) = (true, true);
        let mut is_deaf = orders.borrow_and_update().hung == Hung::Answers;
        loop {
            if !asks && (!answers || is_deaf) {
                break is_deaf;
            }
            tokio::select! {
                () = &mut asking, if asks => asks = false,
                () = &mut answering, if answers && !is_deaf => answers = false,
                changed = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    if order.hung == Hung::All {
                        let _ = orders.wait_for(|order| order.hung == Hung::Nothing).await;
                        break true;
                    }
                    if changed.is_err() || is_deaf || fastrand::u8(..100) < order.percent {
                        break true;
                    }
                    is_deaf = order.hung == Hung::Answers;
                }
            }
        }
    };
    if cut {
        reset(&client);
        reset(&server);
    }
}

/// One direction, to its end.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Has the connection end by RST when it is dropped: what is under way is gone.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_a_hang_holds_them_first() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut cut = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut cut).await.unwrap(), b'x');
        proxy.cut(100);
        assert!(cut.read_u8().await.is_err());

        let mut hung = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut hung).await.unwrap(), b'x');
        let hanging = proxy.hang(Duration::from_millis(300));
        let (_, answer) = tokio::join!(hanging, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            timeout(Duration::from_millis(100), says(&mut hung)).await
        });
        assert!(answer.is_err(), "an answer came through");
        assert!(hung.read_u8().await.is_err());

        let mut next = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut next).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn who_is_deafened_asks_and_hears_nothing() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(b"a").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        let deaf = proxy.deafen(Duration::from_millis(500));
        let (_, ()) = tokio::join!(deaf, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.write_all(b"c").await.unwrap();
            client.write_all(b"b").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'b');
            let answer = timeout(Duration::from_millis(100), client.read_u8()).await;
            assert!(answer.is_err(), "an answer came through");
        });
        assert!(client.read_u8().await.is_err());
    }
}
