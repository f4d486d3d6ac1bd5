//! The promises about logins that a backend decides (`auth.callout`), each with a scripted backend. If it accepts, the
//! client is let in as its user; if it refuses, the client is refused; any other answer lets nobody in and counts
//! against nobody.

use std::net::SocketAddr;
use std::sync::Arc;

use herald::auth::callout::{Source, Target};
use herald::config::Config;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::tokens::attempt;

mod documented;
mod flood;
mod http;
mod https;
mod life;
mod nats;
mod order;

/// What the backend does with a question.
#[derive(Debug, Clone)]
enum Does {
    /// 200 with this body.
    Says(String),
    /// This status with this location and body.
    Answers(u16, &'static str, &'static str),
    /// The end of the connection.
    Leaves,
    /// Nothing, for as long as the other side waits.
    Hangs,
}

/// An HTTP server that decides about logins.
struct Backend {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    questions: Arc<Mutex<Vec<Value>>>,
}

impl Backend {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, questions) = (Arc::new(Mutex::new(does)), Arc::new(Mutex::default()));
        let (told, asked) = (Arc::clone(&does), Arc::clone(&questions));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&told), Arc::clone(&asked)));
            }
        });
        Self {
            address,
            does,
            questions,
        }
    }

    async fn saying(answer: &str) -> Self {
        Self::start(Does::Says(answer.into())).await
    }

    fn now_says(&self, answer: &str) {
        self.now_does(Does::Says(answer.into()));
    }

    fn now_does(&self, does: Does) {
        *self.does.lock() = does;
    }

    fn asked(&self) -> usize {
        self.questions.lock().len()
    }

    fn last_question(&self) -> Value {
        self.questions.lock().last().cloned().unwrap_or_default()
    }

    /// Sets `config` so that this one decides.
    fn set(&self, config: &mut Config) {
        let auth = &mut config.auth;
        auth.order = vec![Source::Token, Source::Password, Source::Callout];
        auth.callout.target = Some(format!("http://{}/login", self.address).parse().unwrap());
        assert!(matches!(auth.callout.target, Some(Target::Http(_))));
        auth.callout.user_prefix = Some("app:".into());
        // A busy machine is slow, and a test that waits for an end says so itself.
        auth.callout.timeout = herald::setting::HumanDuration::secs(20);
    }
}

async fn serve(stream: TcpStream, does: Arc<Mutex<Does>>, asked: Arc<Mutex<Vec<Value>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        asked.lock().push(serde_json::from_slice(&body).unwrap());
        let does = does.lock().clone();
        let (status, location, body) = match &does {
            Does::Says(body) => (200, "", &**body),
            Does::Answers(status, location, body) => (*status, *location, *body),
            Does::Leaves => return,
            Does::Hangs => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
        };
        let location = match location {
            "" => String::new(),
            location => format!("Location: {location}\r\n"),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\n\r\n");
        if stream.write_all(head.as_bytes()).await.is_err()
            || stream.write_all(body.as_bytes()).await.is_err()
        {
            return;
        }
    }
}

/// A user whom Herald does not know, with this password.
async fn log_in(app: &App, user: &str) -> Client {
    attempt(app.address, &format!("login:{user}\npasscode:secret\n")).await
}

/// ERROR and 1013, with a time to come again: nobody's fault.
async fn is_postponed(client: &mut Client, what: &str) {
    let error = client.text().await;
    let head = "ERROR\nmessage:overloaded\nherald-reason:identity-unavailable\nretry-after-ms:";
    let plain = "ERROR\nmessage:overloaded\nretry-after-ms:";
    assert!(
        error.starts_with(head) || error.starts_with(plain) || is_in_another_order(&error),
        "{what}: {error}"
    );
    client.expect_end(1013).await;
}

fn is_in_another_order(error: &str) -> bool {
    let lines: Vec<&str> = error.lines().collect();
    lines.first() == Some(&"ERROR")
        && lines.contains(&"message:overloaded")
        && lines.contains(&"herald-reason:identity-unavailable")
        && lines.iter().any(|line| line.starts_with("retry-after-ms:"))
}

async fn callouts(app: &App, result: &str) -> f64 {
    app.metric(&format!("herald_callouts_total{{result=\"{result}\"}}"))
        .await
}
