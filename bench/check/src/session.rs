//! One client that behaves like stompjs: a fixed delay before it reconnects, to any instance, and for each subscription
//! the last position, which is that of the last frame. Records what it sees and judges nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::frame::{Decoder, Frame};
use crate::plant::PASSCODE;
use crate::recorded::{Entry, Event, Position, Subscription};
use crate::world::{BROADCAST, World};

/// For each step of opening a connection, and for each frame that is sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// A RECEIPT that takes longer will not come: the session stands still.
const RECEIPT: Duration = Duration::from_secs(40);
/// Close codes after which a client comes back: going away, overloaded or slow, silence.
const COME_BACK: [u16; 5] = [1000, 1001, 1006, 1013, 4408];

type Socket = WebSocketStream<TcpStream>;

/// How a connection ended.
enum End {
    /// The client comes back.
    Lost(String),
    /// The run is over.
    Over,
}

struct Client {
    world: Arc<World>,
    number: u32,
    user: u32,
    random: fastrand::Rng,
    places: Vec<Place>,
    /// Logged in, on this connection.
    connected: bool,
    live: bool,
    finished: bool,
}

/// One subscription.
struct Place {
    target: u32,
    destination: &'static str,
    /// What the last frame said.
    at: Option<Position>,
    /// What was sent as `last-message-id` on this connection.
    sent: Option<Position>,
    /// When.
    asked_ms: u32,
    /// Its RECEIPT has come on this connection.
    live: bool,
    entries: Vec<Entry>,
}

impl Place {
    fn new(target: u32, destination: &'static str) -> Self {
        Self {
            target,
            destination,
            at: None,
            sent: None,
            asked_ms: 0,
            live: false,
            entries: Vec::new(),
        }
    }
}

/// Runs a session until the run is over. Returns what it has seen.
pub async fn run(world: Arc<World>, number: u32) -> Vec<Subscription> {
    let user = number / 2;
    let mut client = Client {
        random: fastrand::Rng::with_seed(world.seed ^ (u64::from(number) << 20)),
        places: vec![
            Place::new(BROADCAST, "/topic/check"),
            Place::new(1 + user, "/user/queue/check"),
        ],
        world,
        number,
        user,
        connected: false,
        live: false,
        finished: false,
    };
    let mut over = client.world.over.subscribe();
    // Not all in the same moment.
    let window = client.world.options.reconnect_ms.max(1_000);
    sleep(Duration::from_millis(client.random.u64(..window))).await;
    while let End::Lost(how) = client.connection().await {
        client.lost(how);
        tokio::select! {
            () = sleep(client.world.options.reconnect()) => {}
            _ = over.wait_for(|over| *over) => break,
        }
    }
    // Whoever had everything, and lost its connection behind that, does not stand still.
    let live = client.live || client.finished;
    let places = client.places.into_iter();
    let subscriptions = places.map(|place| Subscription {
        session: number,
        target: place.target,
        entries: place.entries,
        live,
    });
    subscriptions.collect()
}

impl Client {
    /// From the dial to the end.
    async fn connection(&mut self) -> End {
        let mut over = self.world.over.subscribe();
        let opening = tokio::select! {
            opened = timeout(PATIENCE, self.open()) => opened,
            _ = over.wait_for(|over| *over) => return End::Over,
        };
        match opening {
            Err(_) => End::Lost("not opened in time".into()),
            Ok(Err(how)) => End::Lost(how),
            Ok(Ok(socket)) => tokio::select! {
                how = self.converse(socket) => End::Lost(how),
                _ = over.wait_for(|over| *over) => End::Over,
            },
        }
    }

    async fn open(&mut self) -> Result<Socket, String> {
        let door = self.world.door(&mut self.random).ok_or("no instance")?;
        let stream = TcpStream::connect(door).await.map_err(|error| short(&error))?;
        let _ = stream.set_nodelay(true);
        let mut request = format!("ws://{door}/ws")
            .into_client_request()
            .map_err(|error| short(&error))?;
        let protocol = HeaderValue::from_static("v12.stomp");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => Err(format!("HTTP {}", answer.status().as_u16())),
            Err(_) => Err("no upgrade".into()),
        }
    }

    /// Everything that is said on one connection. Returns how it ended.
    async fn converse(&mut self, mut socket: Socket) -> String {
        let beat = Duration::from_millis(self.world.options.heartbeat_ms);
        let connect = format!(
            "CONNECT\naccept-version:1.2\nhost:check\nlogin:{}\npasscode:{PASSCODE}\nheart-beat:{beat},{beat}\n\n\0",
            user_name(self.user as usize),
            beat = beat.as_millis(),
        );
        if let Err(how) = send(&mut socket, connect).await {
            return how;
        }
        let mut ticks = interval(beat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ends = self.world.ends.subscribe();
        let (mut decoder, mut heard, opened) = (Decoder::default(), Instant::now(), Instant::now());
        loop {
            self.look_whether_finished();
            tokio::select! {
                message = socket.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => decoder.push(text.as_bytes()),
                        Some(Ok(Message::Binary(bytes))) => decoder.push(&bytes),
                        Some(Ok(Message::Close(frame))) => {
                            let code = frame.as_ref().map_or(1006, |frame| u16::from(frame.code));
                            let reason = frame.map_or_else(String::new, |frame| frame.reason.to_string());
                            // Whom the network held up before CONNECT has taken too long for that.
                            let too_slow = code == 1008 && !self.connected;
                            if !COME_BACK.contains(&code) && !too_slow {
                                self.complain(&format!("closed with {code} {reason}"));
                            }
                            return format!("closed with {code} {reason}");
                        }
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return "cut".into(),
                    }
                    loop {
                        match decoder.take() {
                            Ok(None) => break,
                            Ok(Some(frame)) => {
                                if let Err(how) = self.frame(&mut socket, frame).await {
                                    return how;
                                }
                            }
                            Err(words) => {
                                self.complain(&words);
                                return "a malformed frame".into();
                            }
                        }
                    }
                }
                _ = ticks.tick() => {
                    if heard.elapsed() > beat * 2 {
                        return "silence".into();
                    }
                    if !self.live && opened.elapsed() > RECEIPT {
                        self.complain("a SUBSCRIBE was not answered");
                        return "no RECEIPT".into();
                    }
                    if let Err(how) = send(&mut socket, "\n".into()).await {
                        return how;
                    }
                }
                _ = ends.changed() => {}
            }
        }
    }

    async fn frame(&mut self, socket: &mut Socket, frame: Frame) -> Result<(), String> {
        match frame.command.as_str() {
            "CONNECTED" => {
                self.connected = true;
                for number in 0..self.places.len() {
                    let subscribe = self.subscribe(number);
                    send(socket, subscribe).await?;
                }
                Ok(())
            }
            "RECEIPT" => {
                self.receipt(&frame);
                Ok(())
            }
            "MESSAGE" => {
                self.message(&frame);
                match frame.get("ack") {
                    Some(ack) => send(socket, format!("ACK\nid:{ack}\n\n\0")).await,
                    None => Ok(()),
                }
            }
            // The close code that follows says whether it is one to come back from.
            "ERROR" => Ok(()),
            other => {
                self.complain(&format!("a frame {other}"));
                Ok(())
            }
        }
    }

    /// SUBSCRIBE, from where the last frame said. Every fourth session acknowledges.
    fn subscribe(&mut self, number: usize) -> String {
        let mode = match self.number % 4 {
            3 => "client-individual",
            _ => "auto",
        };
        let asked_ms = self.world.now_ms();
        let Some(place) = self.places.get_mut(number) else {
            return String::new();
        };
        place.asked_ms = asked_ms;
        place.sent = place.at;
        let after = place
            .at
            .map_or_else(String::new, |at| format!("last-message-id:{at}\n"));
        format!(
            "SUBSCRIBE\nid:{number}\ndestination:{}\nack:{mode}\nreceipt:{number}\n{after}\n\0",
            place.destination
        )
    }

    fn receipt(&mut self, frame: &Frame) {
        let position = frame.get("position").and_then(Position::parse);
        let number = frame.number("receipt-id").unwrap_or(u32::MAX) as usize;
        let place = self.places.get(number);
        let asked_ms = place.map_or(0, |place| place.asked_ms);
        let sent = place.and_then(|place| place.sent);
        let event = match (sent, frame.get("recovered"), position) {
            (None, None, Some(position)) => Event::Began { position },
            (Some(from), Some("true"), Some(position)) => Event::Resumed {
                from,
                position,
                replayed: frame.number("replayed").unwrap_or_default(),
                asked_ms,
            },
            (Some(from), Some("false"), position) => Event::Gap {
                from,
                position,
                reason: frame.get("reason").unwrap_or("none").to_owned(),
            },
            _ => {
                self.complain(&format!("a RECEIPT that says no place: {frame:?}"));
                return;
            }
        };
        self.record(number, event);
        if let Some(place) = self.places.get_mut(number) {
            place.at = position;
            place.live = true;
        }
        if !self.live && self.places.iter().all(|place| place.live) {
            self.live = true;
            self.world.live.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn message(&mut self, frame: &Frame) {
        let number = frame.number("subscription").unwrap_or(u32::MAX) as usize;
        let position = frame.get("message-id").and_then(Position::parse);
        let attempt = frame
            .get("herald-id")
            .and_then(|id| id.strip_prefix("a")?.parse().ok());
        let (Some(position), Some(attempt), Some(place)) = (position, attempt, self.places.get(number))
        else {
            self.complain(&format!("a MESSAGE that says no place: {frame:?}"));
            return;
        };
        if frame.body != self.world.body_of(attempt).as_bytes()
            || frame.get("destination") != Some(place.destination)
        {
            self.complain(&format!("a MESSAGE that is not what was sent: {frame:?}"));
        }
        self.record(number, Event::Message { position, attempt });
        if let Some(place) = self.places.get_mut(number) {
            place.at = Some(position);
        }
    }

    fn record(&mut self, number: usize, event: Event) {
        let at_ms = self.world.now_ms();
        if let Some(place) = self.places.get_mut(number) {
            place.entries.push(Entry { at_ms, event });
        }
    }

    fn lost(&mut self, how: String) {
        self.world.closed(&how);
        self.connected = false;
        if std::mem::take(&mut self.live) {
            self.world.live.fetch_sub(1, Ordering::Relaxed);
        }
        for number in 0..self.places.len() {
            if self
                .places
                .get_mut(number)
                .is_some_and(|place| std::mem::take(&mut place.live))
            {
                self.record(number, Event::Lost { how: how.clone() });
            }
        }
    }

    fn look_whether_finished(&mut self) {
        if self.finished || !self.live {
            return;
        }
        let ends = self.world.ends.borrow().clone();
        let ended = |ends: &HashMap<u32, Position>, place: &Place| {
            ends.get(&place.target).is_none_or(|end| place.at >= Some(*end))
        };
        if ends.is_some_and(|ends| self.places.iter().all(|place| ended(&ends, place))) {
            self.finished = true;
            self.world.finished.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn complain(&self, words: &str) {
        self.world.complain(format!("session {}: {words}", self.number));
    }
}

/// The name of a user.
pub fn user_name(number: usize) -> String {
    format!("u{number:05}")
}

async fn send(socket: &mut Socket, text: String) -> Result<(), String> {
    match timeout(PATIENCE, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("cut".into()),
        Err(_) => Err("stuck".into()),
    }
}

/// Without addresses, so that equal causes count as one.
fn short(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split(" (").next().unwrap_or_default().to_owned()
}
