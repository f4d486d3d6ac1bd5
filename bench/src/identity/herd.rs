//! Sessions with tokens, opened one after the other and read on one epoll.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::process::Server;
use crate::session::{DESTINATION, Dialogue, connect, connect_frame_by, server_frame};

/// The sessions.
pub struct Herd {
    poll: Poll,
    events: Events,
    sessions: Vec<Session>,
    open: usize,
}

struct Session {
    stream: mio::net::TcpStream,
    unread: Vec<u8>,
    is_open: bool,
}

/// What a session was told.
pub enum Told<'f> {
    /// A STOMP frame.
    Frame(&'f [u8]),
    /// Its connection has ended.
    End,
}

impl Herd {
    /// One session for each token, subscribed to its own destination.
    pub fn open(herald: &Server, tokens: &[String]) -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut sessions = Vec::with_capacity(tokens.len());
        for (number, token) in tokens.iter().enumerate() {
            let mut dialogue = Dialogue::new(connect(herald.address, number)?);
            dialogue.upgrade(herald.address)?;
            dialogue.say(&connect_frame_by(token))?;
            dialogue.expect("CONNECTED\n")?;
            dialogue.subscribe("0", &format!("/user{DESTINATION}"))?;
            dialogue.stream.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(dialogue.stream);
            poll.registry()
                .register(&mut stream, Token(number), Interest::READABLE)?;
            sessions.push(Session {
                stream,
                unread: Vec::new(),
                is_open: true,
            });
        }
        Ok(Self {
            open: sessions.len(),
            poll,
            events: Events::with_capacity(1_024),
            sessions,
        })
    }

    /// How many are open.
    pub fn open_count(&self) -> usize {
        self.open
    }

    /// Sends bytes over the `number`th session.
    pub fn say(&mut self, number: usize, bytes: &[u8]) -> Outcome<()> {
        let session = self.sessions.get_mut(number).ok_or("no such session")?;
        Ok(session.stream.write_all(bytes)?)
    }

    /// Reads what comes within `wait`, or has come already.
    pub fn read(&mut self, wait: Duration, mut told: impl FnMut(Told<'_>)) -> Outcome<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        let mut chunk = [0; 4096];
        for event in &self.events {
            let Some(session) = self
                .sessions
                .get_mut(event.token().0)
                .filter(|session| session.is_open)
            else {
                continue;
            };
            loop {
                match session.stream.read(&mut chunk) {
                    Ok(0) => session.is_open = false,
                    Ok(length) => {
                        session
                            .unread
                            .extend_from_slice(chunk.get(..length).unwrap_or_default());
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => session.is_open = false,
                    Err(error) => return Err(error.into()),
                }
                break;
            }
            while let Some((start, end)) = server_frame(&session.unread) {
                told(Told::Frame(session.unread.get(start..end).unwrap_or_default()));
                session.unread.drain(..end);
            }
            if !session.is_open {
                self.open -= 1;
                told(Told::End);
            }
        }
        Ok(())
    }
}
