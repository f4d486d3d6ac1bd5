//! A way to an instance that a test can cut: connections break, and new ones are closed at once until it is mended.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy)]
struct State {
    is_whole: bool,
    cuts: u64,
    open: usize,
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
        }));
        let watched = state.clone();
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let (own, mut state) = (watched.clone(), watched.subscribe());
                let mut begun = 0;
                own.send_modify(|state| {
                    state.open += 1;
                    begun = state.cuts;
                });
                tokio::spawn(async move {
                    let pass_on = async {
                        // Nobody may be there any more.
                        if let Ok(mut inside) = TcpStream::connect(to).await {
                            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
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

    /// Passes on again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_whole = true);
    }
}
