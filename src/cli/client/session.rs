//! One STOMP session over WebSocket as a client: log in, subscribe, receive frames, keep the heart-beat. Knows no
//! command and does not reconnect by itself ([`super::reconnect`] does).

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use beat::{Beat, HEARTBEAT_MS};

use super::connection::{self, Connection};
use super::{Login, Server, refusal};
use crate::stomp::client::{ReceivedFrame, ServerCommand, decode_server, encode_client};
use crate::stomp::{Command, Version};

mod beat;

/// The largest message accepted. Herald's own bound on a body is smaller by default.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// From the upgrade to CONNECTED: a password may wait for its turn.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Where a session presents its credential again.
const RENEWAL: &str = "/app/herald/auth";
/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a session ended, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// No connection, or it broke.
    Lost(String),
    /// The upgrade was refused.
    NoUpgrade {
        /// The answer's status.
        status: StatusCode,
        /// The whole refusal.
        words: String,
    },
    /// Herald closed it.
    Closed {
        /// The Close frame's code.
        code: u16,
        /// The ERROR's words, else the Close frame's.
        words: String,
        /// The ERROR's `herald-reason`.
        reason: Option<String>,
    },
    /// What was received is not STOMP.
    NotStomp(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(words) => f.write_str(words),
            Self::NoUpgrade { words, .. } => write!(f, "no WebSocket: {words}"),
            Self::Closed { code, words, reason } => match reason {
                Some(reason) => write!(f, "{words} ({reason}, close code {code})"),
                None => write!(f, "{words} (close code {code})"),
            },
            Self::NotStomp(words) => write!(f, "not STOMP: {words}"),
        }
    }
}

impl End {
    /// Whether the session lived as long as its credential, and may come back with a new one.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Self::Closed { reason: Some(reason), .. } if reason == "token-expired")
    }
}

/// A WebSocket on which nobody has logged in.
pub(super) struct Upgraded(WebSocketStream<Connection>);

/// An open session.
pub(super) struct Session {
    socket: WebSocketStream<Connection>,
    version: Version,
    /// The user as Herald names it.
    pub user: String,
    /// The instance's name.
    pub instance: String,
    /// How long the session lives, if it ends by itself (CONNECTED's `expires-in`).
    pub lives: Option<Duration>,
    beat: Beat,
    /// The words and the `herald-reason` of an ERROR.
    error: Option<(String, Option<String>)>,
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Why there is no session.
    pub(super) async fn open(server: &Server, ws_path: &str, login: &Login) -> Result<Self, End> {
        let opening = async {
            let upgraded = Self::connect(server, ws_path).await?;
            Self::log_in(upgraded, server, login).await
        };
        match timeout(LOGIN_TIMEOUT, Box::pin(opening)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(End::Lost(format!(
                "no login within {} s",
                LOGIN_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Connects, without a login.
    ///
    /// # Errors
    /// Why there is no connection, or no WebSocket.
    pub(super) async fn connect(server: &Server, ws_path: &str) -> Result<Upgraded, End> {
        let connection = connection::connect(server).await.map_err(End::Lost)?;
        upgrade(server, ws_path, connection).await.map(Upgraded)
    }

    /// Logs in.
    ///
    /// # Errors
    /// Why there is no session.
    pub(super) async fn log_in(
        Upgraded(socket): Upgraded,
        server: &Server,
        login: &Login,
    ) -> Result<Self, End> {
        let now = Instant::now();
        let mut session = Self {
            socket,
            version: Version::V1_0,
            user: String::new(),
            instance: String::new(),
            lives: None,
            beat: Beat::agreed(None, now),
            error: None,
        };
        let heartbeat = format!("{HEARTBEAT_MS},{HEARTBEAT_MS}");
        let mut headers = vec![
            ("accept-version", "1.2"),
            ("host", &*server.endpoint.host),
            ("heart-beat", &*heartbeat),
            ("passcode", login.secret.expose()),
        ];
        if let Some(user) = &login.user {
            headers.push(("login", user));
        }
        session.send(Command::Connect, &headers).await?;
        let connected = session.next().await?;
        if connected.command != ServerCommand::Connected {
            return Err(End::NotStomp(format!(
                "{} instead of CONNECTED",
                connected.command.as_str()
            )));
        }
        let header = |name| connected.headers.get(name).unwrap_or_default().to_owned();
        session.version = Version::V1_2;
        session.user = header("user-name");
        session.instance = header("instance");
        session.lives = expires_in(&connected);
        session.beat = Beat::agreed(connected.headers.get("heart-beat"), Instant::now());
        Ok(session)
    }

    /// Subscribes, behind the position `after` if there is one. The RECEIPT with this id arrives once the subscription is in
    /// force.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn subscribe(
        &mut self,
        id: &str,
        destination: &str,
        ack: &str,
        after: Option<&str>,
    ) -> Result<(), End> {
        let mut headers = vec![
            ("id", id),
            ("destination", destination),
            ("ack", ack),
            ("receipt", id),
        ];
        headers.extend(after.map(|after| ("last-message-id", after)));
        self.send(Command::Subscribe, &headers).await
    }

    /// Publishes, or asks a backend; the RECEIPT with the id of the `receipt` among `headers` follows once Herald has it.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn publish(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Result<(), End> {
        let frame = Bytes::from(encode_client(Command::Send, headers, body, self.version));
        let message = match Utf8Bytes::try_from(frame.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(frame),
        };
        self.write(message).await
    }

    /// Presents a credential again, for a session that ends by itself; the RECEIPT with this id has the new `expires-in`.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn renew(&mut self, login: &Login, receipt: &str) -> Result<(), End> {
        let secret = login.secret.expose();
        let bearer = zeroize::Zeroizing::new(format!("Bearer {secret}"));
        let mut headers = vec![("destination", RENEWAL), ("receipt", receipt)];
        match &login.user {
            Some(user) => headers.extend([("login", &**user), ("passcode", secret)]),
            None => headers.push(("Authorization", &bearer)),
        }
        self.send(Command::Send, &headers).await
    }

    /// Waits for the RECEIPT with this id. Frames in between are lost.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn receipt(&mut self, id: &str) -> Result<ReceivedFrame, End> {
        loop {
            let frame = self.next().await?;
            if frame.command == ServerCommand::Receipt && frame.headers.get("receipt-id") == Some(id) {
                return Ok(frame);
            }
        }
    }

    /// Acknowledges the MESSAGE with this `ack` header.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn acknowledge(&mut self, ack: &str) -> Result<(), End> {
        self.send(Command::Ack, &[("id", ack)]).await
    }

    /// The next frame. An ERROR is kept for the words of the end that follows it. Cancel-safe: what has arrived
    /// stays.
    ///
    /// # Errors
    /// The session's end.
    pub(super) async fn next(&mut self) -> Result<ReceivedFrame, End> {
        loop {
            let message = tokio::select! {
                message = self.socket.next() => message,
                () = sleep_until(self.beat.next()) => {
                    self.beat().await?;
                    continue;
                }
            };
            self.beat.heard = Instant::now();
            let bytes = match message {
                Some(Ok(Message::Text(text))) => Bytes::from(text),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = match &frame {
                        Some(frame) => (u16::from(frame.code), frame.reason.as_str()),
                        None => (1005, "closed"),
                    };
                    let (words, reason) = self.error.take().unwrap_or_else(|| (reason.to_owned(), None));
                    return Err(End::Closed { code, words, reason });
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(End::Lost(format!("connection lost: {error}"))),
                None => return Err(End::Lost("connection lost".into())),
            };
            // Herald puts one frame into a message. Of another server's message the first frame counts.
            let frame = decode_server(&mut &*bytes, self.version)
                .map_err(|fault| End::NotStomp(fault.to_string()))?;
            match frame {
                Some(frame) if frame.command == ServerCommand::Error => {
                    let header = |name| frame.headers.get(name).map(str::to_owned);
                    self.error = header("message").map(|words| (words, header("herald-reason")));
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
        }
    }

    /// Sends DISCONNECT and waits for its RECEIPT, within a bounded time. Frames in between are lost.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.send(Command::Disconnect, &[("receipt", "bye")]).await?;
            while self.next().await?.headers.get("receipt-id") != Some("bye") {}
            Ok::<_, End>(())
        };
        // Whatever the outcome, the session ends.
        let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
    }

    async fn beat(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if let Some(expect) = self.beat.expect
            && now >= self.beat.heard + expect
        {
            return Err(End::Lost(format!("nothing heard for {} s", expect.as_secs())));
        }
        self.write(Message::text("\n")).await
    }

    async fn send(&mut self, command: Command, headers: &[(&str, &str)]) -> Result<(), End> {
        let frame = encode_client(command, headers, b"", self.version);
        // Made of texts alone.
        let text =
            Utf8Bytes::try_from(Bytes::from(frame)).map_err(|error| End::NotStomp(error.to_string()))?;
        self.write(Message::Text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        self.beat.sent = Instant::now();
        let sent = self.socket.send(message).await;
        match sent {
            Ok(()) => Ok(()),
            // The server has said goodbye, which has not been read yet.
            Err(SocketError::ConnectionClosed | SocketError::AlreadyClosed | SocketError::Protocol(_)) => {
                Ok(())
            }
            Err(error) => Err(End::Lost(format!("connection lost: {error}"))),
        }
    }
}

/// How long the session lives from now on, where it ends by itself.
pub(super) fn expires_in(frame: &ReceivedFrame) -> Option<Duration> {
    let ms = frame.headers.get("expires-in")?.parse().ok()?;
    Some(Duration::from_millis(ms))
}

async fn upgrade(
    server: &Server,
    ws_path: &str,
    connection: Connection,
) -> Result<WebSocketStream<Connection>, End> {
    let endpoint = &server.endpoint;
    // TLS, if any, is below: for the crate the stream is a socket like any other.
    let url = format!("ws://{}{}{ws_path}", endpoint.authority(), endpoint.base_path);
    let mut request = url
        .into_client_request()
        .map_err(|error| End::Lost(error.to_string()))?;
    let protocol = HeaderValue::from_static("v12.stomp");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX_BYTES))
        .max_frame_size(Some(MESSAGE_MAX_BYTES));
    match client_async_with_config(request, connection, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(SocketError::Http(answer)) => {
            // As much of the body as has come with the head.
            let body = answer.body().as_deref().unwrap_or_default();
            Err(End::NoUpgrade {
                status: answer.status(),
                words: refusal::words(answer.status(), answer.headers(), body),
            })
        }
        Err(error) => Err(End::Lost(format!("no WebSocket: {error}"))),
    }
}
