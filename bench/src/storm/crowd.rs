//! Thousands of clients that connect, log in and subscribe at the same time, each a small state machine on one epoll.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};

use crate::Outcome;
use crate::session::{DESTINATION, SOURCES, client_frame, header, server_frame, upgrade_request};
use crate::wire::Wire;

/// Who was refused and is stubborn comes again after this, and up to as much later.
const SOON: Duration = Duration::from_millis(500);
/// Who was told nothing waits this and a random part of a ceiling that doubles, as `clients/client` does.
const FLOOR: Duration = Duration::from_millis(200);
const CEILING: Duration = Duration::from_millis(500);
const CEILING_MAX: Duration = Duration::from_secs(30);
/// Connections between two looks at those that can go on: no client waits until all others have come.
const AT_A_TIME: usize = 32;
/// A storm that lasts longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a storm came to.
pub struct Storm {
    /// From the first connection to the last RECEIPT.
    pub took: Duration,
    /// Connections that ended before their login, by ERROR or without a word.
    pub refused: u64,
    /// The last position of each subscription of each client, where there is one.
    pub positions: Vec<[String; 2]>,
    /// Subscriptions whose RECEIPT said `recovered:true`.
    pub recovered: u64,
    /// MESSAGEs that were replayed.
    pub replayed: u64,
}

/// When a client that was refused comes again.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Again {
    /// When the ERROR's `retry-after-ms` says; without it as `clients/client` does: exponential back-off, full jitter.
    Told,
    /// Within half a second to a second, whatever it was told.
    Soon,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Upgrading,
    LoggingIn,
    Subscribing,
    SubscribingAgain,
    In,
}

struct Client {
    stream: Wire,
    stage: Stage,
    unread: Vec<u8>,
    /// What its ERROR told.
    told: Option<Duration>,
    /// What its RECEIPTs said.
    positions: [String; 2],
    recovered: u64,
    replayed: u64,
    /// Replayed MESSAGEs that have not come yet.
    owed: u64,
}

/// All clients, and the way to wait for them.
pub struct Crowd<Frame> {
    to: SocketAddr,
    poll: Poll,
    clients: Vec<Option<Client>>,
    /// Who comes again when.
    again: BTreeMap<(Instant, usize), ()>,
    manner: Again,
    /// How often each was refused.
    refusals: Vec<u32>,
    /// Each client's CONNECT.
    frame: Frame,
    /// TLS, where it is spoken.
    tls: Option<Arc<ClientConfig>>,
    /// The positions that the clients come with, if they do.
    from: Vec<[String; 2]>,
    inside: usize,
    refused: u64,
}

impl<Frame: Fn(usize) -> String> Crowd<Frame> {
    /// Lets `count` clients come at once, each with the CONNECT that `frame` gives, over TLS where `tls` is given, and waits
    /// until all are in, and have what is replayed to them if they come with the positions `from`. They leave afterwards.
    pub fn storm(
        to: SocketAddr,
        count: usize,
        manner: Again,
        frame: Frame,
        tls: Option<Arc<ClientConfig>>,
        from: Vec<[String; 2]>,
    ) -> Outcome<Storm> {
        let mut crowd = Self {
            to,
            poll: Poll::new()?,
            clients: (0..count).map(|_| None).collect(),
            again: BTreeMap::new(),
            manner,
            refusals: vec![0; count],
            frame,
            tls,
            from,
            inside: 0,
            refused: 0,
        };
        let began = Instant::now();
        let mut events = Events::with_capacity(1_024);
        for number in 0..count {
            crowd.connect(number)?;
            if number % AT_A_TIME == 0 {
                crowd.go_on(&mut events, Duration::ZERO)?;
            }
        }
        while crowd.inside < count {
            if began.elapsed() > PATIENCE {
                return Err(format!("only {} of {count} are in after {PATIENCE:?}", crowd.inside).into());
            }
            crowd.go_on(&mut events, Duration::from_millis(20))?;
            let now = Instant::now();
            while let Some(entry) = crowd.again.first_entry().filter(|entry| entry.key().0 <= now) {
                let ((_, number), ()) = entry.remove_entry();
                crowd.connect(number)?;
            }
        }
        let took = began.elapsed();
        let inside = || crowd.clients.iter().flatten();
        Ok(Storm {
            took,
            refused: crowd.refused,
            recovered: inside().map(|client| client.recovered).sum(),
            replayed: inside().map(|client| client.replayed).sum(),
            positions: inside().map(|client| client.positions.clone()).collect(),
        })
    }

    /// Lets those go on that can, after a wait for the first of them.
    fn go_on(&mut self, events: &mut Events, wait: Duration) -> Outcome<()> {
        self.poll.poll(events, Some(wait))?;
        for event in &*events {
            self.on_ready(event.token().0)?;
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) -> Outcome<()> {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        match socket.connect(&self.to.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error.into());
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(
            &mut stream,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        if let Some(place) = self.clients.get_mut(number) {
            *place = Some(Client {
                stream: Wire::new(stream, self.tls.as_ref())?,
                stage: Stage::Connecting,
                unread: Vec::new(),
                told: None,
                positions: Default::default(),
                recovered: 0,
                replayed: 0,
                owed: 0,
            });
        }
        Ok(())
    }

    fn on_ready(&mut self, number: usize) -> Outcome<()> {
        let Some(place) = self.clients.get_mut(number) else {
            return Ok(());
        };
        let Some(client) = place else { return Ok(()) };
        let was_in = client.is_in();
        match client.advance(self.to, number, &self.frame, self.from.get(number)) {
            Ok(true) => {
                self.inside += usize::from(!was_in && client.is_in());
                Ok(())
            }
            Ok(false) if was_in => Err("a session ended during the storm".into()),
            Ok(false) => {
                let told = client.told;
                *place = None;
                self.refused += 1;
                let wait = self.wait(number, told);
                self.again.insert((Instant::now() + wait, number), ());
                Ok(())
            }
            Err(error) => Err(format!("client {number}: {error}").into()),
        }
    }
}

impl<Frame> Crowd<Frame> {
    fn wait(&mut self, number: usize, told: Option<Duration>) -> Duration {
        let refusals = self.refusals.get_mut(number).map_or(0, |refusals| {
            *refusals += 1;
            *refusals - 1
        });
        // Spread without a generator of random numbers: by a prime.
        let part = (number as u32).wrapping_mul(7_919).wrapping_add(refusals * 127) % 1_000;
        match (self.manner, told) {
            (Again::Soon, _) => SOON + SOON * part / 1_000,
            (Again::Told, Some(told)) => told,
            (Again::Told, None) => {
                let ceiling = CEILING.saturating_mul(1 << refusals.min(10)).min(CEILING_MAX);
                FLOOR + ceiling * part / 1_000
            }
        }
    }
}

impl Client {
    fn is_in(&self) -> bool {
        self.stage == Stage::In && self.owed == 0
    }

    /// Does what can be done; false: the connection ended.
    fn advance(
        &mut self,
        to: SocketAddr,
        number: usize,
        frame: &impl Fn(usize) -> String,
        from: Option<&[String; 2]>,
    ) -> Outcome<bool> {
        if self.stage == Stage::Connecting {
            match self.stream.socket().peer_addr() {
                Ok(_) => {
                    self.stream.write_all(upgrade_request(to).as_bytes())?;
                    self.stage = Stage::Upgrading;
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => {
                    return Ok(self.stream.socket().take_error()?.is_none());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(length) => self
                    .unread
                    .extend_from_slice(chunk.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        if self.stage == Stage::Upgrading {
            let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") else {
                return Ok(true);
            };
            if !self.unread.starts_with(b"HTTP/1.1 101") {
                return Ok(false);
            }
            self.unread.drain(..end + 4);
            self.say(&frame(number))?;
            self.stage = Stage::LoggingIn;
        }
        while let Some((start, end)) = server_frame(&self.unread) {
            let payload = self.unread.get(start..end).unwrap_or_default();
            if payload.starts_with(b"MESSAGE\n") {
                self.owed = self.owed.saturating_sub(1);
                self.unread.drain(..end);
                continue;
            }
            if let (true, Some(place)) = (
                payload.starts_with(b"RECEIPT\n"),
                self.positions
                    .get_mut(usize::from(self.stage == Stage::SubscribingAgain)),
            ) {
                *place = header(payload, "position").unwrap_or_default().to_owned();
                self.recovered += u64::from(header(payload, "recovered") == Some("true"));
                let replayed = header(payload, "replayed").and_then(|text| text.parse().ok());
                self.replayed += replayed.unwrap_or(0);
                self.owed += replayed.unwrap_or(0);
            }
            let (stage, subscription) = match self.stage {
                Stage::LoggingIn if payload.starts_with(b"CONNECTED\n") => {
                    (Stage::Subscribing, Some(("0", "/queue/storm".to_owned())))
                }
                Stage::Subscribing if payload.starts_with(b"RECEIPT\n") => (
                    Stage::SubscribingAgain,
                    Some(("1", format!("/user{DESTINATION}"))),
                ),
                Stage::SubscribingAgain if payload.starts_with(b"RECEIPT\n") => (Stage::In, None),
                // ERROR, or the Close behind it.
                _ => {
                    self.told = retry_after(payload);
                    return Ok(false);
                }
            };
            self.unread.drain(..end);
            self.stage = stage;
            if let Some((id, destination)) = subscription {
                let last = from.and_then(|from| from.get(usize::from(id == "1")));
                let last = last.map_or(String::new(), |last| format!("last-message-id:{last}\n"));
                self.say(&format!(
                    "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:joined\n{last}\n\0"
                ))?;
            }
        }
        Ok(true)
    }

    fn say(&mut self, frame: &str) -> Outcome<()> {
        Ok(self.stream.write_all(&client_frame(frame.as_bytes()))?)
    }
}

/// What an ERROR tells.
fn retry_after(frame: &[u8]) -> Option<Duration> {
    let ms = header(frame, "retry-after-ms")?.parse().ok()?;
    Some(Duration::from_millis(ms))
}
