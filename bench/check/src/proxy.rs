//! TCP in between: forwards until it is told to cut its connections or to hang, as networks do. Knows no protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the other side may take to accept.
const DIAL: Duration = Duration::from_secs(5);

/// What connections are to do.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    /// Nothing is forwarded; who waits is cut afterwards.
    hung: bool,
    /// How many of a hundred connections end now.
    percent: u8,
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
        self.orders.send_replace(Order { hung: false, percent });
    }

    /// Forwards nothing for a time, as a network that drops all does, then ends every connection.
    pub async fn hang(&self, time: Duration) {
        self.orders.send_replace(Order {
            hung: true,
            percent: 0,
        });
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
    if orders.wait_for(|order| !order.hung).await.is_err() {
        return;
    }
    let Ok(Ok(mut server)) = timeout(DIAL, TcpStream::connect(target)).await else {
        reset(&client);
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let cut = {
        let mut copying = pin!(copy_bidirectional(&mut client, &mut server));
        loop {
            tokio::select! {
                _ = &mut copying => break false,
                changed = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    if order.hung {
                        let _ = orders.wait_for(|order| !order.hung).await;
                        break true;
                    }
                    if changed.is_err() || fastrand::u8(..100) < order.percent {
                        break true;
                    }
                }
            }
        }
    };
    if cut {
        reset(&client);
        reset(&server);
    }
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
}
