//! The promise: a token may be in each of its places, the first that is filled decides, and a bad one never falls
//! through to the next.

use super::Taking;
use crate::support::client::{Client, Socket};
use crate::support::tokens::{self, attempt};

// base64 of test1:test, a user of the demo.
const TEST1: &str = "dGVzdDE6dGVzdA==";

async fn is(mut client: Client, user: &str) {
    tokens::is(&mut client, user).await;
}

async fn is_refused(mut client: Client) {
    client.expect_error("message:authentication failed", 4401).await;
}

#[tokio::test]
async fn of_a_connect() {
    let Taking { app, key, _file } = Taking::start().await;
    let (token, to) = (key.token("alice"), app.address);
    for headers in [
        format!("X-Authorization:Bearer {token}\n"),
        format!("Authorization:bearer {token}\n"),
        format!("passcode:{token}\n"),
        format!("login:\npasscode:{token}\n"),
        format!("X-Authorization:\nAuthorization:Bearer {token}\nlogin:test1\npasscode:test\n"),
    ] {
        is(attempt(to, &headers).await, "id:alice").await;
    }
    is(
        attempt(
            to,
            &format!("X-Authorization:{TEST1}\nAuthorization:Bearer {token}\n"),
        )
        .await,
        "test1",
    )
    .await;
    is(
        attempt(to, &format!("Authorization:Basic {TEST1}\npasscode:{token}\n")).await,
        "test1",
    )
    .await;
    for headers in [
        format!("X-Authorization:Bearer x\nAuthorization:Bearer {token}\n"),
        format!("Authorization:{token}\n"),
        format!("Authorization:Token {token}\n"),
        "Authorization:Bearer x\nlogin:test1\npasscode:test\n".into(),
        format!("login:alice\npasscode:{token}\n"),
        format!("login:{token}\n"),
        "passcode:test\n".into(),
    ] {
        is_refused(attempt(to, &headers).await).await;
    }
}

#[tokio::test]
async fn of_the_request_before_it() {
    let Taking { app, key, _file } =
        Taking::with(|config| config.auth.cookie.name = Some("herald".parse().unwrap())).await;
    let token = key.token("alice");
    let open = async |headers: &[(&str, &str)]| {
        let mut socket = Socket::at(app.address);
        for (name, value) in headers {
            socket = socket.header(name, value);
        }
        let (client, head) = socket.open().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // Whatever it is: it is not repeated.
        assert!(
            !head.contains(&token) && !head.contains("herald.bearer"),
            "{head}"
        );
        client
    };
    let connect = async |headers: &[(&str, &str)], more: &str| {
        let mut client = open(headers).await;
        let frame = format!("CONNECT\naccept-version:1.2\nhost:herald\n{more}\n\0");
        client.say(frame).await;
        client
    };
    let bearer = format!("Bearer {token}");
    let protocols = format!("v12.stomp, herald.bearer.{token}");
    let cookie = format!("other=1; herald={token}");
    let own = format!("http://{}", app.address);
    let authorization = ("Authorization", &*bearer);
    let protocol = ("Sec-WebSocket-Protocol", &*protocols);
    let cookie = ("Cookie", &*cookie);
    let (own, foreign) = (("Origin", &*own), ("Origin", "https://evil.example"));

    is(connect(&[authorization], "").await, "id:alice").await;
    is(connect(&[protocol], "").await, "id:alice").await;
    is(connect(&[protocol, foreign], "").await, "id:alice").await;
    is(connect(&[cookie, own], "").await, "id:alice").await;
    // CONNECT comes first.
    is(
        connect(
            &[authorization, protocol, cookie, own],
            &format!("Authorization:Basic {TEST1}\n"),
        )
        .await,
        "test1",
    )
    .await;
    // A page that nobody knows has no use of what a browser adds, and who is no browser has no cookie.
    is_refused(connect(&[authorization, foreign], "").await).await;
    is_refused(connect(&[cookie, foreign], "").await).await;
    is_refused(connect(&[cookie], "").await).await;
    is_refused(connect(&[cookie, ("Origin", "null")], "").await).await;
    // The first that is there counts, right or wrong.
    is_refused(connect(&[("Authorization", "Bearer x"), protocol], "").await).await;
    let wrong = ("Sec-WebSocket-Protocol", "v12.stomp, herald.bearer.x");
    is_refused(connect(&[wrong, cookie, own], "").await).await;
    let query = Socket::at(app.address).path(&format!("/ws?access_token={token}"));
    let (mut client, _) = query.open().await;
    client.say("CONNECT\naccept-version:1.2\nhost:herald\n\n\0").await;
    is_refused(client).await;
}
