//! The floor: one thread that blocks on its trigger and does one non-blocking `write(2)` per socket. Its sockets have
//! the same options as Herald's. A trigger is a length (4 bytes, big-endian) and the bytes to write.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use socket2::SockRef;

use crate::Outcome;

/// Herald's `limits.socket_send_bytes`.
const SEND_BYTES: usize = 128 * 1024;
/// No frame of a run is longer.
const FRAME_BYTES: usize = 1024 * 1024;

/// Prints its port on standard output, accepts `sessions` connections and then the trigger's, and writes until that
/// ends.
pub fn serve(sessions: usize) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let mut sockets = Vec::with_capacity(sessions);
    while sockets.len() < sessions {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_send_buffer_size(SEND_BYTES)?;
        sockets.push(socket);
    }
    let (mut trigger, _) = listener.accept()?;
    trigger.set_nodelay(true)?;
    let mut frame = Vec::new();
    while read_trigger(&mut trigger, &mut frame)? {
        for socket in &mut sockets {
            let written = socket.write(&frame)?;
            if written < frame.len() {
                return Err("the floor's socket was full: too fast for the reader".into());
            }
        }
    }
    Ok(())
}

fn read_trigger(trigger: &mut TcpStream, frame: &mut Vec<u8>) -> Outcome<bool> {
    let mut head = [0; 4];
    match trigger.read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    let length = u32::from_be_bytes(head) as usize;
    if length > FRAME_BYTES {
        return Err(format!("a frame of {length} bytes is longer than the floor takes").into());
    }
    frame.resize(length, 0);
    trigger.read_exact(frame)?;
    Ok(true)
}
