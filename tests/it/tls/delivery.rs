//! The promise: a client that reads slowly gets everything, in order and once, however much waits; one that never reads
//! is closed and, when it reads at last, learns why.

use herald::setting::ByteSize;

use crate::support::app::App;
use crate::support::client::Message;
use crate::support::tls::tls_config;

const MESSAGES: usize = 16;
const BYTES: usize = 1_000 << 10;

fn body(number: usize) -> Vec<u8> {
    let mut body = vec![b'a' + number as u8; BYTES];
    // Something by which a byte out of its place is seen.
    body.iter_mut()
        .step_by(1_009)
        .enumerate()
        .for_each(|(at, byte)| *byte = b'0' + (at % 10) as u8);
    body
}

async fn subscribed(app: &App) -> crate::support::client::Client {
    let mut anna = app.session("1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
    anna
}

async fn publish(app: &App, body: &[u8]) {
    let headers = [("Content-Type", "text/plain")];
    let answer = app
        .request("POST", "/api/v1/broadcast/queue/a", &headers, body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test]
async fn sixteen_mebibytes_wait_for_a_slow_reader() {
    let app = App::with(|config| {
        config.http.tls = tls_config();
        config.limits.outbox_bytes = ByteSize::mib(64);
        config.limits.outbox_total_bytes = ByteSize::mib(1_024);
        // So that what waits does not wait in the kernel.
        config.limits.socket_send_bytes = ByteSize::kib(16);
    })
    .await;
    let mut anna = subscribed(&app).await;
    for number in 0..MESSAGES {
        publish(&app, &body(number)).await;
    }
    assert!(app.metric("herald_outbox_bytes").await > 8e6);
    for number in 0..MESSAGES {
        let Message::Text(text) = anna.next().await else {
            panic!("no text")
        };
        let begin = text.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
        assert!(text[begin..text.len() - 1] == body(number), "{number}");
    }
    // And then it is the shard that writes again.
    publish(&app, b"small").await;
    anna.expect("MESSAGE\n…").await;
    crate::support::cluster::until("nothing waits", async || {
        app.metric("herald_outbox_bytes").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn who_never_reads_is_closed_and_told() {
    let app = App::with(|config| {
        config.http.tls = tls_config();
        config.limits.outbox_bytes = ByteSize::mib(2);
        config.limits.socket_send_bytes = ByteSize::kib(16);
    })
    .await;
    let mut anna = subscribed(&app).await;
    let mut number = 0;
    crate::support::cluster::until("an overflow", async || {
        publish(&app, &body(number % MESSAGES)).await;
        number += 1;
        app.metric("herald_outbox_overflows_total").await == 1.0
    })
    .await;
    // Whole messages, the reason, and the end.
    loop {
        match anna.next().await {
            Message::Text(text) if text.starts_with(b"MESSAGE\n") => assert!(text.len() > BYTES),
            Message::Text(text) => {
                assert!(text.starts_with(b"ERROR\n"), "{}", String::from_utf8_lossy(&text));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    anna.expect_end(1013).await;
}
