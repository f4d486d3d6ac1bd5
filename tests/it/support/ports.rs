//! Ports for programs that cannot choose for themselves, or must come back on the same one. Knows no program.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel assigns to whoever listens on port 0 or connects: between two starts of a program
/// its port is given to nobody else.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// A port on which nothing listens. Never the same twice in one process.
pub fn free() -> u16 {
    // Other processes begin elsewhere.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..COUNT)));
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
