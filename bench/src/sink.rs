//! A minimal collector: accepts OTLP over HTTP, examines nothing and says 200. Its CPU counts as load.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::Outcome;

/// The most of a head that is read before its end.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// The collector; ends with the process.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    taken_bytes: Arc<AtomicU64>,
}

impl Sink {
    /// Begins to listen on a free port.
    pub fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let taken_bytes = Arc::new(AtomicU64::new(0));
        let count = taken_bytes.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = count.clone();
                // A connection that breaks is the exporter's to mend.
                thread::spawn(move || serve(stream, &count));
            }
        });
        Ok(Self { address, taken_bytes })
    }

    /// Bytes of all bodies so far.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }
}

/// Answers one request after the other until the connection ends.
fn serve(mut stream: TcpStream, count: &AtomicU64) -> Option<()> {
    let mut unread = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let head_bytes = loop {
            if let Some(at) = memchr::memmem::find(&unread, b"\r\n\r\n") {
                break at + 4;
            }
            if unread.len() > HEAD_MAX_BYTES {
                return None;
            }
            read_more(&mut stream, &mut chunk, &mut unread)?;
        };
        let head = String::from_utf8_lossy(unread.get(..head_bytes)?).into_owned();
        let body_bytes = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())?;
        while unread.len() < head_bytes + body_bytes {
            read_more(&mut stream, &mut chunk, &mut unread)?;
        }
        unread.drain(..head_bytes + body_bytes);
        count.fetch_add(body_bytes as u64, Ordering::Relaxed);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).ok()?;
    }
}

fn read_more(stream: &mut TcpStream, chunk: &mut [u8], unread: &mut Vec<u8>) -> Option<()> {
    let length = stream.read(chunk).ok().filter(|length| *length > 0)?;
    unread.extend_from_slice(chunk.get(..length)?);
    Some(())
}
