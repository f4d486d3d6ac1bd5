//! The promise: what Herald guarantees beyond the protocol holds on `/ws`: who may use which destination, order under
//! load, what is passed on, what a receipt says, and the answer to what cannot be done.

use herald::bus::{AppReply, AppRequest, RequestError};
use herald::envelope::Headers;
use herald::permissions::Rule;
use herald::setting::HumanDuration;
use serde_json::json;

use crate::support::app::{ADMIN, ANNA, App, BEN, connect};
use crate::support::client::{Client, Message, is_like};

const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];
const MANY: usize = 1_000;

async fn subscribe(client: &mut Client, id: &str, destination: &str) {
    let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:subscribed\n\n\0");
    client.say(frame).await;
    client.expect_receipt("subscribed").await;
}

/// A text MESSAGE on the subscription `0`.
fn message(destination: &str, body: &str) -> String {
    format!(
        "MESSAGE\nsubscription:0\ndestination:{destination}\nmessage-id:*\n\
         content-type:text/plain;charset=UTF-8\ncontent-length:{}\ntimestamp:*\n\n{body}\0",
        body.len()
    )
}

fn is_message(found: &Message, destination: &str, body: &str) -> bool {
    match found {
        Message::Text(text) => is_like(message(destination, body).as_bytes(), text),
        _ => false,
    }
}

/// The JSON body of the next MESSAGE, which must be for `destination`.
async fn json_on(client: &mut Client, destination: &str) -> serde_json::Value {
    let Message::Text(text) = client.next().await else {
        panic!("no text");
    };
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(&format!("\ndestination:{destination}\n")), "{text}");
    let (_, body) = text.split_once("\n\n").unwrap();
    serde_json::from_str(body.trim_end_matches('\0')).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_sessions_messages_come_in_the_order_they_were_sent() {
    let app = App::start().await;
    for destination in ["/queue/a", "/user/queue/a"] {
        let mut readers = Vec::new();
        for version in VERSIONS {
            let mut client = app.session(version).await;
            subscribe(&mut client, "0", destination).await;
            let read = async move {
                for n in 0..MANY {
                    client.expect(message(destination, &n.to_string())).await;
                }
            };
            readers.push(tokio::spawn(read));
        }
        let mut sender = app.session("1.2").await;
        for n in 0..MANY {
            let frame = format!("SEND\ndestination:{destination}\nreceipt:{n}\n\n{n}\0");
            sender.say(frame).await;
        }
        for n in 0..MANY {
            sender.expect_receipt(&n.to_string()).await;
        }
        for reader in readers {
            reader.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_receipt_of_a_subscribe_is_first_also_while_others_publish() {
    let app = App::start().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let mut publishers = Vec::new();
    for destination in ["/queue/a", "/user/queue/a"] {
        let (mut sender, stop) = (app.session("1.2").await, stop.clone());
        publishers.push(tokio::spawn(async move {
            while !stop.is_cancelled() {
                let frame = format!("SEND\ndestination:{destination}\nreceipt:r\n\nhi\0");
                sender.say(frame).await;
                sender.expect_receipt("r").await;
            }
        }));
    }
    let mut client = app.session("1.2").await;
    for round in 0..100 {
        for destination in ["/queue/a", "/user/queue/a"] {
            let frame = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:{round}\n\n\0");
            client.say(frame).await;
            client.expect_receipt(&round.to_string()).await;
            client.expect(message(destination, "hi")).await;
            client.say("UNSUBSCRIBE\nid:0\nreceipt:gone\n\n\0").await;
            // Some more may be in flight; after the RECEIPT there are none.
            loop {
                match client.next().await {
                    Message::Text(text) if text == b"RECEIPT\nreceipt-id:gone\n\n\0" => break,
                    found => assert!(is_message(&found, destination, "hi"), "{found:?}"),
                }
            }
        }
    }
    stop.cancel();
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_sends_before_it_reads_misses_nothing() {
    let app = App::start().await;
    for round in 0..20 {
        let mut client = app.open().await;
        let destination = ["/user/queue/a", "/queue/a"][round % 2];
        client.say(connect(ANNA, "1.2", "")).await;
        client
            .say(format!("SUBSCRIBE\nid:0\ndestination:{destination}\n\n\0"))
            .await;
        client
            .say(format!("SEND\ndestination:{destination}\n\n{round}\0"))
            .await;
        let first = client.next().await;
        assert!(
            matches!(&first, Message::Text(text) if text.starts_with(b"CONNECTED\n")),
            "{first:?}"
        );
        client.expect(message(destination, &round.to_string())).await;
        client.say("DISCONNECT\n\n\0").await;
        client.expect_end(1000).await;
    }
}

#[tokio::test]
async fn a_user_destination_is_the_callers_own_in_all_its_sessions() {
    let app = App::start().await;
    let mut annas = Vec::new();
    for version in VERSIONS {
        let mut client = app.session_of(ANNA, version).await;
        subscribe(&mut client, "0", "/user/queue/a").await;
        annas.push(client);
    }
    let mut ben = app.session_of(BEN, "1.2").await;
    subscribe(&mut ben, "0", "/user/queue/a").await;
    // Whatever follows /user lies below one's own destinations: Ben cannot name Anna's.
    subscribe(&mut ben, "1", "/user/test1/queue/a").await;
    ben.say("SEND\ndestination:/user/test1/queue/a\n\nhi\0").await;
    let expected = message("/user/test1/queue/a", "hi").replace("subscription:0", "subscription:1");
    ben.expect(expected).await;
    annas[0].say("SEND\ndestination:/user/queue/a\n\nhi\0").await;
    for anna in &mut annas {
        anna.expect(message("/user/queue/a", "hi")).await;
        anna.expect_nothing().await;
    }
    ben.expect_nothing().await;
}

#[tokio::test]
async fn permissions_are_asked_for_each_destination() {
    let rule = |destination: &str, roles: &[&str]| {
        let roles = roles.iter().map(|role| role.parse().unwrap());
        Rule::new(destination.parse().unwrap()).for_roles(roles.collect())
    };
    let app = App::with(|config| {
        config.permissions.subscribe = vec![
            rule("/queue/staff/**", &["ROLE_ADMIN"]),
            rule("/topic/closed", &[]),
        ];
        config.permissions.send = vec![rule("/queue/staff/*", &["ROLE_ADMIN"]), rule("/app/closed", &[])];
    })
    .await;
    for (frame, words) in [
        (
            "SUBSCRIBE\nid:0\ndestination:/queue/staff/a\n",
            "SUBSCRIBE to /queue/staff/a is not permitted\\c it requires ROLE_ADMIN",
        ),
        (
            "SUBSCRIBE\nid:0\ndestination:/topic/closed\n",
            "SUBSCRIBE to /topic/closed is not permitted\\c nobody may",
        ),
        (
            "SEND\ndestination:/queue/staff/a\n",
            "SEND to /queue/staff/a is not permitted\\c it requires ROLE_ADMIN",
        ),
        // Application prefixes are aliases: a rule for one applies to all.
        (
            "SEND\ndestination:/chat/closed\n",
            "SEND to /chat/closed is not permitted\\c nobody may",
        ),
        (
            "SEND\ndestination:/app/a\nreply-to:/queue/a\n",
            "SEND\\c header reply-to must be one of the sender's own destinations below /user/",
        ),
    ] {
        let mut client = app.session("1.2").await;
        client.say(format!("{frame}receipt:r\n\n\0")).await;
        let error = format!("message:{words}\nreceipt-id:r");
        client.expect_error(&error, 1008).await;
    }
    let mut admin = app.session_of(ADMIN, "1.2").await;
    subscribe(&mut admin, "0", "/queue/staff/a").await;
    admin.say("SEND\ndestination:/queue/staff/a\n\nhi\0").await;
    admin.expect(message("/queue/staff/a", "hi")).await;
}

#[tokio::test]
async fn a_refused_login_does_not_say_why() {
    let app = App::with(|config| {
        let mut robot = herald::auth::users::demo_users().remove(0);
        robot.name = "robot".parse().unwrap();
        robot.roles = vec!["ROLE_PUBLISHER".parse().unwrap()];
        config.auth.users.push(robot);
    })
    .await;
    let mut ends = Vec::new();
    for (user, password) in [
        ("nobody", "test"),
        ("test1", "wrong"),
        ("robot", "test"),
        ("a:b", ""),
    ] {
        let mut client = app.open().await;
        let frame = format!("CONNECT\naccept-version:1.2\nlogin:{user}\npasscode:{password}\n\n\0");
        client.say(frame).await;
        ends.push([client.next().await, client.next().await, client.next().await]);
    }
    let expected = [
        Message::Text(b"ERROR\nmessage:authentication failed\n\n\0".to_vec()),
        Message::Close(4401, "authentication failed".into()),
        Message::Eof,
    ];
    for end in ends {
        assert_eq!(end, expected);
    }
}

#[tokio::test]
async fn a_commit_that_the_bus_refuses_midway_says_how_many_went() {
    let app = App::start().await;
    let mut client = app.session_of(BEN, "1.2").await;
    subscribe(&mut client, "0", "/queue/a").await;
    let mut sender = app.session("1.2").await;
    sender.say("BEGIN\ntransaction:t\n\n\0").await;
    for body in ["1", "2", "3", "4"] {
        sender
            .say(format!("SEND\ndestination:/queue/a\ntransaction:t\n\n{body}\0"))
            .await;
    }
    sender.expect_nothing().await;
    app.bus.go_down_after(2);
    sender.say("COMMIT\ntransaction:t\nreceipt:c\n\n\0").await;
    let error =
        "message:COMMIT\\c 2 of 4 frames went, then\\c SEND\\c the bus is not connected\nreceipt-id:c";
    sender.expect_error(error, 1013).await;
    client.expect(message("/queue/a", "1")).await;
    client.expect(message("/queue/a", "2")).await;
    app.bus.go_down_after(usize::MAX);
    app.bus.set_down(false);
    client.say("SEND\ndestination:/queue/a\n\nafter\0").await;
    client.expect(message("/queue/a", "after")).await;
}

#[tokio::test]
async fn a_backend_sees_who_asks_and_answers_the_asking_session_alone() {
    let app = App::start().await;
    app.backends.respond_to_requests(|request: AppRequest| {
        Box::pin(async move {
            let headers: Vec<_> = request.headers.iter().collect();
            let seen = json!({
                "path": request.path.as_str(),
                "user": request.user.as_str(),
                "type": request.content_type.as_deref(),
                "headers": headers,
                "body": String::from_utf8_lossy(&request.body),
            });
            Ok(AppReply {
                body: seen.to_string().into(),
                content_type: Some("application/json".into()),
                headers: Headers::default(),
                error: None,
                trace: Default::default(),
            })
        })
    });
    let mut anna = app.session_of(ANNA, "1.2").await;
    let mut elsewhere = app.session_of(ANNA, "1.2").await;
    for client in [&mut anna, &mut elsewhere] {
        subscribe(client, "0", "/user/queue/orders/new").await;
        subscribe(client, "1", "/user/queue/mine").await;
    }
    // The prefixes are aliases, in the request and in the reply.
    for prefix in ["/app", "/chat"] {
        anna.say(format!(
            "SEND\ndestination:{prefix}/orders/new\ncontent-type:text/csv\nx:1\nAuthorization:secret\n\
             receipt:r\n\na,b\0"
        ))
        .await;
        let expected = json!({
            "path": "/orders/new", "user": "test1", "type": "text/csv", "headers": [["x", "1"]], "body": "a,b",
        });
        let mut answered = None;
        for _ in 0..2 {
            let Message::Text(text) = anna.next().await else {
                panic!("no text");
            };
            let text = String::from_utf8(text).unwrap();
            match text.split_once("\n\n") {
                Some((head, body)) if head.starts_with("MESSAGE") => {
                    assert!(head.contains("\nsubscription:0\n"), "{head}");
                    answered = serde_json::from_str(body.trim_end_matches('\0')).ok();
                }
                _ => assert_eq!(text, "RECEIPT\nreceipt-id:r\n\n\0"),
            }
        }
        assert_eq!(answered, Some(expected));
    }
    anna.say("SEND\ndestination:/app/orders/new\nreply-to:/user/queue/mine\ncorrelation-id:c\\c7\n\n\0")
        .await;
    let Message::Text(text) = anna.next().await else {
        panic!("no text");
    };
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("\nsubscription:1\n") && text.contains("\ncorrelation-id:c\\c7\n"),
        "{text}"
    );
    elsewhere.expect_nothing().await;
}

#[tokio::test]
async fn an_ack_of_a_message_id_is_reported_once_per_subscription() {
    let app = App::start().await;
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", "/user/queue/errors").await;
    let with_acks =
        |id: &str, ack: &str| format!("SUBSCRIBE\nid:{id}\ndestination:/queue/{id}\nack:{ack}\n\n\0");
    // Without acknowledgements there is no window that could fill.
    client.say("ACK\nid:01ARZ3NDEKTSV4RRFFQ69G5FAV\n\n\0").await;
    for (id, ack, command) in [
        ("a", "client", "ACK"),
        ("b", "client-individual", "NACK"),
        ("c", "client", "ACK"),
    ] {
        client.say(with_acks(id, ack)).await;
        let ids = ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "1795000000000-7", "a.b"];
        for id in ids {
            client.say(format!("{command}\nid:{id}\n\n\0")).await;
        }
        let expected = json!({
            "code": "unknown_ack",
            "message": format!(
                "{command}: header id must be the MESSAGE's header ack, not its message-id: nothing is acknowledged"
            ),
            "destination": null,
            "correlation_id": null,
        });
        assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_subscription_to_ones_own_name_is_explained() {
    let app = App::start().await;
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", "/user/queue/errors").await;
    for (id, rest) in [("1", "queue/x"), ("2", "topic/a/b"), ("3", "x")] {
        let destination = format!("/user/test1/{rest}");
        subscribe(&mut client, id, &destination).await;
        let said = json_on(&mut client, "/user/queue/errors").await;
        let words = format!(
            "SUBSCRIBE: /user/ is always your own: what is sent to you on /{rest} comes on /user/{rest}, and this \
             subscription gets what is sent to you on /test1/{rest}"
        );
        assert_eq!(
            (&said["code"], &said["message"]),
            (&json!("own_name"), &json!(words))
        );
        assert_eq!(said["destination"], json!(destination));
    }
    for (id, destination) in [
        ("4", "/user/test2/queue/x"),
        ("5", "/user/test1"),
        ("6", "/user/test10/x"),
    ] {
        subscribe(&mut client, id, destination).await;
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_send_that_reaches_nobody_is_reported_on_the_errors_destination() {
    let app = App::with(|config| config.bus.request_timeout = HumanDuration::millis(50)).await;
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", "/user/queue/errors").await;
    let mut elsewhere = app.session("1.2").await;
    subscribe(&mut elsewhere, "0", "/user/queue/errors").await;
    let problem = |code: &str, message: &str, correlation_id: serde_json::Value| {
        json!({
            "code": code, "message": message, "destination": "/app/nobody", "correlation_id": correlation_id,
        })
    };
    client.say("SEND\ndestination:/app/nobody\n\nhi\0").await;
    let expected = problem("no_responders", "nobody answers this destination", json!(null));
    assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);
    // Its correlation id is repeated; its reply-to is not where errors go.
    client
        .say("SEND\ndestination:/app/nobody\ncorrelation-id:7\nreply-to:/user/queue/mine\n\nhi\0")
        .await;
    let expected = problem("no_responders", "nobody answers this destination", json!("7"));
    assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);

    app.backends
        .respond_to_requests(|_| Box::pin(std::future::pending()));
    client.say("SEND\ndestination:/app/nobody\n\nhi\0").await;
    let expected = problem("timeout", "no answer in time", json!(null));
    assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);

    app.backends.respond_to_requests(|_| {
        Box::pin(async {
            Ok::<_, RequestError>(AppReply {
                body: Default::default(),
                content_type: None,
                headers: Headers::default(),
                error: Some("sold out".into()),
                trace: Default::default(),
            })
        })
    });
    client.say("SEND\ndestination:/app/nobody\n\nhi\0").await;
    let expected = problem("backend_error", "sold out", json!(null));
    assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);

    // The bus could not accept it: no receipt, and the session stays.
    app.bus.set_down(true);
    client
        .say("SEND\ndestination:/app/nobody\nreceipt:r\n\nhi\0")
        .await;
    let expected = problem("unavailable", "the bus is not connected", json!(null));
    assert_eq!(json_on(&mut client, "/user/queue/errors").await, expected);
    client.expect_nothing().await;
    elsewhere.expect_nothing().await;
}

#[tokio::test]
async fn the_built_in_routes_answer_as_the_page_expects() {
    let app = App::start().await;
    let mut anna = app.session("1.2").await;
    for (id, destination) in [
        "/queue/message",
        "/user/queue/init/messages",
        "/user/queue/init/users",
    ]
    .iter()
    .enumerate()
    {
        subscribe(&mut anna, &id.to_string(), destination).await;
    }
    anna.say("SEND\ndestination:/chat/message\n\nsay \"hi\"\0").await;
    let said = json_on(&mut anna, "/queue/message").await;
    assert_eq!(
        (&said["message"], &said["user"]),
        (&json!("say \"hi\""), &json!("test1"))
    );
    assert!(
        said["time"]
            .as_str()
            .is_some_and(|time| time.contains('T') && !time.ends_with('Z'))
    );
    anna.say("SEND\ndestination:/chat/init/messages\n\n\0").await;
    assert_eq!(
        json_on(&mut anna, "/user/queue/init/messages").await,
        json!([said])
    );
    anna.say("SEND\ndestination:/chat/init/users\n\n\0").await;
    assert_eq!(
        json_on(&mut anna, "/user/queue/init/users").await,
        json!(["test1"])
    );
}

#[tokio::test]
async fn the_last_frame_comes_before_the_close_also_to_a_slow_reader() {
    let app = App::with(|config| {
        config.limits.outbox_bytes.0 = 64 << 10;
        config.limits.socket_send_bytes.0 = 16 << 10;
    })
    .await;
    let mut slow = app.session("1.2").await;
    subscribe(&mut slow, "0", "/queue/a").await;
    let mut sender = app.session_of(BEN, "1.2").await;
    let body = "x".repeat(60 << 10);
    let closes = "herald_session_closes_total{reason=\"slow_consumer\"}";
    while app.metric("herald_outbox_overflows_total").await == 0.0 {
        sender
            .say(format!("SEND\ndestination:/queue/a\n\n{body}\0"))
            .await;
        sender.expect_nothing().await;
    }
    // It has whole frames left to read, then it is told.
    loop {
        match slow.next().await {
            found if is_message(&found, "/queue/a", &body) => {}
            Message::Text(found) => {
                let words = "slow consumer\\c over 65536 bytes (limits.outbox_bytes)";
                let error = format!("ERROR\nmessage:{words}\nretry-after-ms:");
                assert!(found.starts_with(error.as_bytes()), "{found:?}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    slow.expect_end(1013).await;
    assert_eq!(app.metric(closes).await, 1.0);
}
