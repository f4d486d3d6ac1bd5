//! The promise: a client that returns in time misses nothing that was accepted, and nobody is told that a gap was
//! closed unless it was. Here on the embedded bus, in memory except for `file`.

use std::collections::BTreeMap;

use herald::config::Config;
use serde_json::{Value, json};

use crate::support::app::{App, User};
use crate::support::client::{Client, Message};

mod file;
mod load;
mod local;
mod reasons;
mod receipts;
mod resume;
mod room;
mod slow;

/// A broadcast destination that is kept.
const NEWS: &str = "/queue/news";
/// A user destination that is kept.
const ORDERS: &str = "/user/queue/orders";

/// A frame of the server, taken apart. Values are as on the wire.
#[derive(Debug, Clone, Default)]
struct Frame {
    command: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Frame {
    #[track_caller]
    fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// `recovered`, `replayed` or `reason` of a RECEIPT.
    fn outcome(&self) -> (Option<&str>, Option<&str>) {
        let more = self.find("replayed").or_else(|| self.find("reason"));
        (self.find("recovered"), more)
    }
}

async fn frame(client: &mut Client) -> Frame {
    let text = match client.next().await {
        Message::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    };
    let (head, body) = text.split_once("\n\n").expect("a blank line");
    let mut lines = head.lines();
    let command = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    Frame {
        command,
        headers: headers.map(|(name, value)| (name.into(), value.into())).collect(),
        body: body.trim_end_matches('\0').to_owned(),
    }
}

/// The next frame must be a MESSAGE.
async fn message(client: &mut Client) -> Frame {
    let frame = frame(client).await;
    assert_eq!(frame.command, "MESSAGE", "{frame:?}");
    frame
}

/// The bodies of the next MESSAGEs.
async fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(message(client).await.body);
    }
    bodies
}

/// Subscribes, behind `after` if it is given, and gives the RECEIPT, which is the next frame. `more`: further headers.
async fn subscribe(
    client: &mut Client,
    id: &str,
    destination: &str,
    after: Option<&str>,
    more: &str,
) -> Frame {
    let after = after
        .map(|after| format!("last-message-id:{after}\n"))
        .unwrap_or_default();
    client
        .say(format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:r-{id}\n{after}{more}\n\0"
        ))
        .await;
    let receipt = frame(client).await;
    let named = (receipt.command.as_str(), receipt.find("receipt-id"));
    assert_eq!(named, ("RECEIPT", Some(&*format!("r-{id}"))), "{receipt:?}");
    receipt
}

/// Publishes one notification and gives the answer. `more` is added to the object.
async fn publish(app: &App, destination: &str, user: Option<User>, body: &str, more: Value) -> Value {
    let mut object = json!({"destination": destination, "payload": body});
    if let Some(user) = user {
        object["user"] = user.0.into();
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    post(app, &object).await
}

/// The same of any body of `POST /api/v1/notifications`.
async fn post(app: &App, body: &Value) -> Value {
    let headers = [("Content-Type", "application/json")];
    let body = body.to_string();
    let answer = app
        .request("POST", "/api/v1/notifications", &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

/// Publishes a broadcast on [`NEWS`]. Gives its position.
async fn news(app: &App, body: &str) -> String {
    let answer = publish(app, NEWS, None, body, json!({})).await;
    answer["position"].as_str().expect("a position").to_owned()
}

/// A payload is JSON, so a text has quotes.
fn quoted<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.iter().map(|text| format!("\"{text}\"")).collect()
}

async fn app() -> App {
    app_with(|_| {}).await
}

async fn app_with(configure: impl FnOnce(&mut Config)) -> App {
    App::keeping(configure).await
}
