//! Sessions that subscribe to everything and take nothing, with full sockets from the start.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::Outcome;
use crate::load::read_answers;
use crate::process::Server;
use crate::request::broadcast;
use crate::session::{DESTINATION, Dialogue, connect, connect_from};

/// Where the sockets are filled from.
const FILL: &str = "/queue/fill";
/// More than two socket buffers, less than `limits.outbox_bytes`.
const FILL_BODIES: usize = 64;
const FILL_BODY_BYTES: usize = 16 * 1024;
const RECEIVE_BYTES: usize = 4 * 1024;

/// Stuck sessions; gone when dropped.
pub struct Stuck {
    _sockets: Vec<TcpStream>,
    nibbler: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Drop for Stuck {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.nibbler.take() {
            drop(stop);
            // Its panic would have been printed.
            let _ = thread.join();
        }
    }
}

impl Stuck {
    /// Opens `count` sessions that never read and one that reads a byte a second, and fills their sockets.
    pub fn open(herald: &Server, count: usize) -> Outcome<Self> {
        let mut sockets = Vec::new();
        for number in 0..=count {
            sockets.push(deaf(herald, number, &[DESTINATION, FILL])?);
        }
        let mut publisher = connect(herald.address, 0)?;
        let request = broadcast(herald.address.port(), FILL, &"x".repeat(FILL_BODY_BYTES));
        for _ in 0..FILL_BODIES {
            publisher.write_all(&request)?;
            read_answers(&mut publisher, 1)?;
        }
        let full = (FILL_BODIES * FILL_BODY_BYTES / 8 * (count + 1)) as f64;
        if !herald.until_metric("outbox_bytes", |bytes| bytes > full, Duration::from_secs(5))? {
            return Err("the stuck sessions are not stuck".into());
        }
        let mut slowest = sockets.pop().ok_or("no socket")?;
        let (stop, stopped) = sync_channel(0);
        let nibbler = spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                if slowest.read_exact(&mut [0]).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            _sockets: sockets,
            nibbler: Some((stop, nibbler)),
        })
    }
}

/// A session with a small receive buffer, subscribed to `destinations` under ids of its own, so that its frames are
/// shared with nobody.
pub fn deaf(herald: &Server, number: usize, destinations: &[&str]) -> Outcome<TcpStream> {
    let stream = connect_from(herald.address, Ipv4Addr::new(127, 0, 1, 1), Some(RECEIVE_BYTES))?;
    let mut dialogue = Dialogue::new(stream);
    dialogue.upgrade(herald.address)?;
    dialogue.log_in(1 + number % 10, "0,0")?;
    for (at, destination) in destinations.iter().enumerate() {
        dialogue.subscribe(&format!("{number}-{at}"), destination)?;
    }
    Ok(dialogue.stream)
}
