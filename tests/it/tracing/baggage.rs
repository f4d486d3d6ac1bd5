//! The promise: a backend's `baggage` reaches a browser only through `tracing.baggage_to_browsers`, whichever way it
//! comes and whether or not anything is traced.

use herald::bus::AppReply;
use herald::envelope::{HeaderLimits, Headers};

use super::JSON;
use crate::support::app::App;
use crate::support::client::Message;
use crate::support::cluster::Cluster;
use crate::support::cluster_client::Browser;
use crate::support::nats;

const GIVEN: &str = "session=s3cr3t,shop=7;tier=1";

/// What a browser gets of [`GIVEN`], published to NATS three times and by REST twice.
async fn seen(settings: &[(&str, &str)]) -> Vec<Option<String>> {
    let cluster = Cluster::start_with(2, settings).await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test1").await;
    browser.subscribe("/queue/x").await;
    browser.subscribe("/user/queue/x").await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut seen = Vec::new();
    for (subject, name) in [
        ("herald.broadcast.queue.x", "baggage"),
        ("herald.broadcast.queue.x", "Baggage"),
        ("herald.user.test1.queue.x", "baggage"),
    ] {
        let headers = nats::headers(&[(name, GIVEN), ("shop", "kept")]);
        backend
            .publish_with_headers(subject, headers, "1".into())
            .await
            .unwrap();
        let message = browser.next().await;
        assert_eq!(message.command, "MESSAGE", "{message:?}");
        assert_eq!(message.header("shop"), Some("kept"));
        seen.push(message.header(name).map(str::to_owned));
    }
    let herald = &cluster.instances[0];
    for body in [
        r#"{"destination":"/queue/x","payload":1}"#,
        r#"{"destination":"/queue/x","user":"test1","payload":1}"#,
    ] {
        let headers = [JSON, ("baggage", GIVEN)];
        let answer = herald
            .request("POST", "/api/v1/notifications", &headers, body.as_bytes())
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        seen.push(browser.next().await.header("baggage").map(str::to_owned));
    }
    seen
}

#[tokio::test]
async fn by_default_no_browser_gets_baggage() {
    assert_eq!(seen(&[]).await, vec![None; 5]);
}

#[tokio::test]
async fn browsers_get_the_members_that_are_listed() {
    let settings = [("HERALD_TRACING__BAGGAGE_TO_BROWSERS", "shop")];
    let seen = seen(&settings).await;
    let shop = Some("shop=7;tier=1".to_owned());
    // Without tracing, the baggage of a REST request is not carried on at all.
    let expected = [shop.clone(), shop.clone(), shop, None, None];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn neither_a_reply_nor_a_send_is_a_way_around() {
    let app = App::with(|config| {
        config.tracing.baggage_to_browsers = vec!["shop".parse().unwrap()];
    })
    .await;
    app.backends.respond_to_requests(|_| {
        Box::pin(async {
            let limits = HeaderLimits {
                count: 8,
                bytes: 1_024,
            };
            let headers = Headers::from_publisher([("baggage", GIVEN), ("x", "kept")], limits);
            Ok(AppReply {
                body: "answer".into(),
                headers: headers.unwrap(),
                ..AppReply::default()
            })
        })
    });
    let mut client = app.session("1.2").await;
    for (subscribed, sent) in [
        ("/user/queue/orders", "/app/orders"),
        ("/queue/x", "/queue/x"),
        ("/user/queue/x", "/user/queue/x"),
    ] {
        client
            .say(format!(
                "SUBSCRIBE\nid:{subscribed}\ndestination:{subscribed}\nreceipt:r\n\n\0"
            ))
            .await;
        client.expect_receipt("r").await;
        client
            .say(format!(
                "SEND\ndestination:{sent}\nbaggage:{GIVEN}\nx:kept\n\nhi\0"
            ))
            .await;
        let Message::Text(message) = client.next().await else {
            panic!("no message")
        };
        let message = String::from_utf8(message).unwrap();
        assert!(message.starts_with("MESSAGE\n"), "{message}");
        assert!(message.contains("\nbaggage:shop=7;tier=1\n"), "{message}");
        assert!(
            message.contains("\nx:kept\n") && !message.contains("s3cr3t"),
            "{message}"
        );
    }
}
