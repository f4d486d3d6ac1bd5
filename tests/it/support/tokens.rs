//! An identity provider for tests: keys that sign, and a server for their public halves that does what it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use herald::auth::token::config::IssuerConfig;
use herald::auth::token::mint::SigningKey;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::client::{Client, Message, Socket};
use super::within;

/// The issuer of these tests.
pub const ISSUER: &str = "https://id.example";

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims of `user`, good for ten minutes, with these changed.
pub fn claims(user: &str, changes: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": "herald", "sub": user, "iat": now(), "exp": now() + 600});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// An Ed25519 key.
pub struct Signer {
    kid: String,
    key: SigningKey,
    public: Vec<u8>,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(document.as_ref())
        );
        Self {
            kid: kid.into(),
            key: SigningKey::pem(pem.as_bytes()).unwrap(),
            public: pair.public_key().as_ref().into(),
        }
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        // The head of every SubjectPublicKeyInfo of Ed25519 (RFC 8410).
        let head = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        let der = [&head[..], &self.public].concat();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": URL_SAFE_NO_PAD.encode(&self.public)})
    }

    pub fn sign(&self, claims: &Value) -> String {
        let token = self.key.sign(Some(&self.kid), claims.as_object().unwrap());
        token.unwrap().expose().to_owned()
    }

    /// A token of `user` that is good for ten minutes.
    pub fn token(&self, user: &str) -> String {
        self.sign(&claims(user, json!({})))
    }
}

/// A key set of these keys.
pub fn set(keys: &[&Signer]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What the server answers.
#[derive(Clone)]
pub enum Does {
    /// 200 with this body.
    Gives(String),
    /// 200 with this body, and more headers.
    With(String, &'static str),
    /// This, byte for byte, then the end of the connection.
    Says(Vec<u8>),
    /// Nothing at all.
    Hangs,
}

/// A server for key sets.
pub struct KeyServer {
    pub address: SocketAddr,
    does: Arc<Mutex<Does>>,
    asked: watch::Receiver<Vec<String>>,
}

impl KeyServer {
    pub async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, (count, asked)) = (Arc::new(Mutex::new(does)), watch::channel(Vec::new()));
        let (told, count) = (Arc::clone(&does), Arc::new(count));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&told), Arc::clone(&count)));
            }
        });
        Self { address, does, asked }
    }

    pub fn now_does(&self, does: Does) {
        *self.does.lock() = does;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.borrow().len()
    }

    /// The paths that it was asked for.
    pub fn paths(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked so often.
    pub async fn until_asked(&self, times: usize) {
        let mut asked = self.asked.clone();
        within(
            "the key server to be asked",
            asked.wait_for(|paths| paths.len() >= times),
        )
        .await
        .unwrap();
    }

    pub fn uri(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// An issuer whose keys are here.
    pub fn issuer(&self) -> IssuerConfig {
        let mut issuer = IssuerConfig::new(ISSUER, "herald", "id:");
        issuer.jwks_uri = Some(self.uri());
        issuer
    }
}

async fn answer(mut stream: TcpStream, does: Arc<Mutex<Does>>, asked: Arc<watch::Sender<Vec<String>>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        asked.send_modify(|paths| paths.push(path));
        let does = does.lock().clone();
        let answer = |body: &str, more: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n{body}"
            )
        };
        let bytes = match does {
            Does::Gives(body) => answer(&body, "").into_bytes(),
            Does::With(body, more) => answer(&body, more).into_bytes(),
            Does::Says(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Does::Hangs => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                return;
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// A CONNECT with these header lines, on a connection of its own.
pub async fn attempt(to: SocketAddr, headers: &str) -> Client {
    let (mut client, head) = Socket::at(to).open().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
        .say(format!("CONNECT\naccept-version:1.2\nhost:herald\n{headers}\n\0"))
        .await;
    client
}

/// Logs in by `token`, and is `user`.
pub async fn log_in(to: SocketAddr, token: &str, user: &str) -> Client {
    let mut client = attempt(to, &format!("Authorization:Bearer {token}\n")).await;
    is(&mut client, user).await;
    client
}

/// The next frame is CONNECTED, as `user`.
pub async fn is(client: &mut Client, user: &str) {
    let found = client.next().await;
    let Message::Text(frame) = &found else {
        panic!("{found:?} instead of CONNECTED");
    };
    let text = String::from_utf8_lossy(frame);
    let named = text.contains(&format!("\nuser-name:{user}\n"));
    assert!(
        text.starts_with("CONNECTED\n") && named,
        "{text:?}: expected {user}"
    );
}

/// Tries to log in by `token`, and is refused as not authenticated.
pub async fn refused(to: SocketAddr, token: &str) {
    let mut client = attempt(to, &format!("Authorization:Bearer {token}\n")).await;
    client.expect_error("message:authentication failed", 4401).await;
}

/// Tries to log in by `token`, and is to come back.
pub async fn postponed(to: SocketAddr, token: &str) {
    let mut client = attempt(to, &format!("Authorization:Bearer {token}\n")).await;
    client
        .expect("ERROR\nmessage:overloaded\nherald-reason:identity-unavailable\n…")
        .await;
    client.expect_end(1013).await;
}

/// Waits until `look` holds.
pub async fn until<F: Future<Output = bool>>(what: &'static str, look: impl Fn() -> F) {
    within(what, async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
