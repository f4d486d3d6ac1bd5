//! The promise: a client that violates TLS within a session loses that session and no more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::app::{ANNA, App, connect};
use crate::support::client::{TEXT, UPGRADE, frame};
use crate::support::cluster::until;
use crate::support::tls::{shake, tls_config};
use crate::support::within;

type Stream = TlsStream<TcpStream>;

async fn app() -> App {
    App::with(|config| config.http.tls = tls_config()).await
}

/// A session whose TLS is in the test's hands.
async fn session(app: &App) -> Stream {
    let mut stream = shake(TcpStream::connect(app.address).await.unwrap())
        .await
        .unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    say(&mut stream, &connect(ANNA, "1.2", "")).await;
    until_said(&mut stream, "CONNECTED").await;
    stream
}

async fn say(stream: &mut Stream, text: &str) {
    stream.write_all(&frame(TEXT, text.as_bytes())).await.unwrap();
    stream.flush().await.unwrap();
}

async fn until_said(stream: &mut Stream, words: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(words) {
        let mut piece = [0; 512];
        let read = within("an answer", stream.read(&mut piece)).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..read]);
    }
}

/// The session is gone, and another one is as well as ever.
async fn only_that_one_is_lost(app: &App) {
    until("the end of the session", async || {
        app.metric("herald_sessions").await == 0.0
    })
    .await;
    let mut ben = app.session("1.2").await;
    ben.expect_nothing().await;
}

#[tokio::test]
async fn a_few_new_keys_are_fine_and_a_flood_of_them_is_not() {
    let app = app().await;
    let mut stream = session(&app).await;
    for number in 0..100 {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        say(
            &mut stream,
            &format!("BEGIN\ntransaction:{number}\nreceipt:{number}\n\n\0ABORT\ntransaction:{number}\n\n\0"),
        )
        .await;
        until_said(&mut stream, &format!("receipt-id:{number}\n")).await;
    }
    for _ in 0..100 {
        if stream.get_mut().1.refresh_traffic_keys().is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    let mut rest = Vec::new();
    let ended = within("the end", stream.read_to_end(&mut rest)).await;
    assert!(ended.is_err(), "an alert, or a reset");
    drop(stream);
    only_that_one_is_lost(&app).await;
}

#[tokio::test]
async fn a_record_that_is_cut_off_or_changed_ends_the_session() {
    let app = app().await;
    for cut in [true, false] {
        let mut stream = session(&app).await;
        let mut record = Vec::new();
        let (tcp, tls) = stream.get_mut();
        std::io::Write::write_all(&mut tls.writer(), &frame(TEXT, b"\n")).unwrap();
        tls.write_tls(&mut record).unwrap();
        match cut {
            true => {
                tcp.write_all(&record[..record.len() - 1]).await.unwrap();
                tcp.shutdown().await.unwrap();
            }
            false => {
                *record.last_mut().unwrap() ^= 1;
                tcp.write_all(&record).await.unwrap();
            }
        }
        only_that_one_is_lost(&app).await;
        until("an empty house", async || {
            app.metric("herald_sessions").await == 0.0
        })
        .await;
    }
}

/// Ends its side in order, as a client does that closes its window: nobody is there to be told anything.
#[tokio::test]
async fn who_ends_its_side_ends_the_session() {
    let app = app().await;
    let mut stream = session(&app).await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    // What is missing at the end is no error to who did not wait for it.
    let _ = within("the end", stream.read_to_end(&mut rest)).await;
    only_that_one_is_lost(&app).await;
}
