//! A backend that answers application requests, in process and as a plain NATS client: `/echo…` repeats what it
//! received, `/refuse` refuses, `/silent` never answers, and nobody listens to anything else.

use async_nats::header::HeaderName;
use async_nats::{HeaderMap, Message};
use futures_util::StreamExt;
use herald::bus::embedded::EmbeddedBus;
use herald::bus::{AppReply, RequestError};
use herald::envelope::Headers;

use super::LIMITS;
use crate::support::nats::NatsServer;

/// In process, with Herald's own types.
pub fn embed(bus: &EmbeddedBus) {
    bus.respond_to_requests(|request| {
        Box::pin(async move {
            let header = |name| request.headers.get(name).unwrap_or_default().to_owned();
            Ok(match request.path.as_str() {
                "/nobody" => return Err(RequestError::NoResponders),
                "/refuse" => reply(b"", None, &[], Some("not today")),
                "/silent" => std::future::pending().await,
                echo => {
                    let told = [
                        echo,
                        request.user.as_str(),
                        &request.session,
                        &request.instance,
                        request.content_type.as_deref().unwrap_or_default(),
                        &header("correlation-id"),
                        &header("lines"),
                        std::str::from_utf8(&request.body).unwrap(),
                    ]
                    .join(" ");
                    reply(told.as_bytes(), Some("text/x-echo"), &[("kind", "echo")], None)
                }
            })
        })
    });
}

fn reply(body: &[u8], content_type: Option<&str>, headers: &[(&str, &str)], error: Option<&str>) -> AppReply {
    AppReply {
        body: body.to_vec().into(),
        content_type: content_type.map(Into::into),
        headers: Headers::from_publisher(headers.iter().copied(), LIMITS.headers).unwrap(),
        error: error.map(Into::into),
        trace: Default::default(),
    }
}

pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let parsed = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, value.parse().unwrap())
    };
    pairs.iter().map(parsed).collect()
}

pub fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    let name: HeaderName = name.parse().unwrap();
    let value = message.headers.as_ref().and_then(|headers| headers.get(name));
    value.map(|value| value.as_str()).unwrap_or_default()
}

/// As a plain client in a queue group of its own.
pub async fn listen(server: &NatsServer) {
    let client = async_nats::connect(server.url()).await.unwrap();
    for subject in ["herald.app.echo.>", "herald.app.refuse", "herald.app.silent"] {
        let group = "backend".to_owned();
        let mut requests = client.queue_subscribe(subject, group).await.unwrap();
        let client = client.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                answer(&client, request).await;
            }
        });
    }
    // Subscribed, and the server knows it: a request to itself has come back.
    let mut own = client.subscribe("ready").await.unwrap();
    client.publish("ready", "".into()).await.unwrap();
    own.next().await.unwrap();
}

async fn answer(client: &async_nats::Client, request: Message) {
    let to = request.reply.clone().unwrap();
    let (own, body) = match request.subject.as_str() {
        "herald.app.silent" => return,
        "herald.app.refuse" => (headers(&[("Herald-Error", "not today")]), String::new()),
        "herald.app.echo.%C3%A4" => {
            let extra: serde_json::Value = serde_json::from_str(header(&request, "Herald-Headers")).unwrap();
            assert_eq!(header(&request, "Herald-User"), "%C3%A4lice");
            let told = [
                "/echo/ä",
                "älice",
                header(&request, "Herald-Session"),
                header(&request, "Herald-Instance"),
                header(&request, "Content-Type"),
                header(&request, "correlation-id"),
                extra["lines"].as_str().unwrap(),
                std::str::from_utf8(&request.payload).unwrap(),
            ];
            let own = headers(&[("Content-Type", "text/x-echo"), ("kind", "echo")]);
            (own, told.join(" "))
        }
        other => panic!("{other}"),
    };
    client.publish_with_headers(to, own, body.into()).await.unwrap();
}
