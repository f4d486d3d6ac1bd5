//! A way to an instance, or to NATS, that a test can cut: connections break, and new ones are closed at once until it
//! is restored. On the way from NATS it can let the server claim another version.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy)]
struct State {
    is_whole: bool,
    cuts: u64,
    open: usize,
    /// The version that NATS says it has.
    version: Option<&'static str>,
}

/// Passes on what comes, both ways, while it is whole.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Proxy {
    /// In front of `to`.
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State {
            is_whole: true,
            cuts: 0,
            open: 0,
            version: None,
        }));
        let watched = state.clone();
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let (own, mut state) = (watched.clone(), watched.subscribe());
                let (mut begun, mut version) = (0, None);
                own.send_modify(|state| {
                    state.open += 1;
                    (begun, version) = (state.cuts, state.version);
                });
                tokio::spawn(async move {
                    let pass_on = async {
                        // Nobody may be there any more.
                        if let Ok(mut inside) = TcpStream::connect(to).await {
                            match version {
                                None => {
                                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                                }
                                Some(version) => with_version(&mut outside, &mut inside, version).await,
                            }
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = state.wait_for(|state| !state.is_whole || state.cuts > begun) => {}
                        () = pass_on => {}
                    }
                    drop(outside);
                    own.send_modify(|state| state.open -= 1);
                });
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection, and every new one. The old ones are broken when it returns.
    pub async fn cut(&self) {
        self.state.send_modify(|state| {
            state.is_whole = false;
            state.cuts += 1;
        });
        let mut state = self.state.subscribe();
        let broken = super::within("the cut", state.wait_for(|state| state.open == 0));
        broken.await.unwrap();
    }

    /// Has NATS say on new connections that it has this version, or its own.
    pub fn say_version(&self, version: Option<&'static str>) {
        self.state.send_modify(|state| state.version = version);
    }

    /// Passes on again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_whole = true);
    }
}

/// Passes on both ways, each INFO of NATS with this version.
async fn with_version(outside: &mut TcpStream, inside: &mut TcpStream, version: &str) {
    let ((mut from_outside, mut to_outside), (from_inside, mut to_inside)) =
        (outside.split(), inside.split());
    let down = async {
        let mut from_inside = BufReader::new(from_inside);
        let mut line = Vec::new();
        while from_inside.read_until(b'\n', &mut line).await? > 0 {
            if let Some(info) = line.strip_prefix(b"INFO ") {
                let mut info: serde_json::Value = serde_json::from_slice(info).expect("INFO is JSON");
                info["version"] = version.into();
                line = format!("INFO {info}\r\n").into_bytes();
            }
            to_outside.write_all(&line).await?;
            line.clear();
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_outside, &mut to_inside) => {}
        _ = down => {}
    }
}
