//! Rules H1 to H8: how headers are written.

use super::{ALL, message_with, refuses, subscribe, subscribed};
use crate::support::app::{App, User, connect};
use crate::support::client::{Message, is_like};

#[tokio::test]
async fn h1_escapes_are_read_and_written_by_version() {
    let app = App::start().await;
    let mut v1_2 = subscribed(&app, "1.2", "a\\cb", "/queue/a").await;
    let mut v1_1 = subscribed(&app, "1.1", "a\\cb", "/queue/a").await;
    v1_2.say("SEND\ndestination:/queue/a\nx\\cy\\\\z:a\\nb\\cc\\\\d\\re\n\n\0")
        .await;
    let headers = "x\\cy\\\\z:a\\nb\\cc\\\\d\\re\n";
    v1_2.expect(message_with("a\\cb", "/queue/a", headers, "")).await;
    // 1.1 has no escape for CR, and needs none where only LF ends a line.
    let headers = "x\\cy\\\\z:a\\nb\\cc\\\\d\re\n";
    v1_1.expect(message_with("a\\cb", "/queue/a", headers, "")).await;
    v1_1.say("SEND\ndestination:/queue/a\nx\\c:a\\nb\\cc\\\\d\n\n\0")
        .await;
    v1_1.expect(message_with("a\\cb", "/queue/a", "x\\c:a\\nb\\cc\\\\d\n", ""))
        .await;
    // A character that ends a line cannot stand in a name that is passed on.
    let error = "message:SEND\\c header name \"a\\\\nb\" must not be empty or hold control characters";
    refuses(
        &app,
        "1.2",
        "SEND\ndestination:/queue/a\na\\nb:c\n\n\0",
        error,
        1002,
    )
    .await;
}

#[tokio::test]
async fn h2_any_other_escape_is_an_error() {
    let app = App::start().await;
    let send = |header: &str| format!("SEND\ndestination:/queue/a\n{header}\nreceipt:r\n\n\0");
    for version in ["1.1", "1.2"] {
        let error = format!(
            "message:header \"x\" has the escape '\\\\t', which STOMP {version} does not define\nreceipt-id:r"
        );
        refuses(&app, version, send("x:a\\tb"), &error, 1002).await;
        let error = "message:header \"x\" ends in a lone '\\\\'\nreceipt-id:r";
        refuses(&app, version, send("x:a\\"), error, 1002).await;
        let error = format!(
            "message:header \"x\\\\\\\\0\" has the escape '\\\\0', which STOMP {version} does not define\nreceipt-id:r"
        );
        refuses(&app, version, send("x\\0:a"), &error, 1002).await;
    }
    let error = "message:header \"x\" has the escape '\\\\r', which STOMP 1.1 does not define\nreceipt-id:r";
    refuses(&app, "1.1", send("x:a\\rb"), error, 1002).await;
}

#[tokio::test]
async fn h3_connect_and_connected_are_not_escaped() {
    const NAME: &str = r"back\nslash\t";
    let app = App::with(|config| {
        let mut user = herald::auth::users::demo_users().remove(0);
        user.name = NAME.parse().unwrap();
        config.auth.users.push(user);
    })
    .await;
    for command in ["CONNECT", "STOMP"] {
        for version in ["1.1", "1.2"] {
            let mut client = app.open().await;
            let sent = connect(User(NAME), version, "x:\\t\\\n");
            client.say(sent.replace("CONNECT", command)).await;
            client
                .expect(format!(
                    "CONNECTED\nversion:{version}\nsession:*\nserver:*\nheart-beat:10000,10000\n\
                     user-name:{NAME}\ninstance:*\n\n\0"
                ))
                .await;
        }
    }
}

#[tokio::test]
async fn h4_1_0_has_no_escapes() {
    let app = App::start().await;
    let mut v1_0 = subscribed(&app, "1.0", "0", "/queue/a").await;
    let mut v1_2 = subscribed(&app, "1.2", "0", "/queue/a").await;
    v1_0.say("SEND\ndestination:/queue/a\nx:a\\nb\\t\\\nreceipt:a\\nb\n\n\0")
        .await;
    // The negotiated version of each session decides.
    v1_2.expect(message_with("0", "/queue/a", "x:a\\\\nb\\\\t\\\\\n", ""))
        .await;
    let (mut receipt, mut message) = (false, false);
    for _ in 0..2 {
        match v1_0.next().await {
            Message::Text(text) => {
                receipt |= text == b"RECEIPT\nreceipt-id:a\\nb\n\n\0";
                let expected = message_with("0", "/queue/a", "x:a\\nb\\t\\\n", "");
                message |= is_like(expected.as_bytes(), &text);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(receipt && message);
    // A header that 1.0 cannot carry does not reach it; the message does.
    v1_2.say("SEND\ndestination:/queue/a\nx:a\\nb\ny:1\n\n\0").await;
    v1_0.expect(message_with("0", "/queue/a", "y:1\n", "")).await;
}

#[tokio::test]
async fn h5_blanks_are_kept_since_1_1_and_dropped_before_values_of_1_0() {
    let app = App::start().await;
    for version in ["1.1", "1.2"] {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client
            .say("SEND\ndestination:/queue/a\n x : bar \ny:\tz\t\n\n\0")
            .await;
        client
            .expect(message_with("0", "/queue/a", " x : bar \ny:\tz\t\n", ""))
            .await;
    }
    let mut client = subscribed(&app, "1.0", " 0", " /queue/a").await;
    client
        .say("SEND\ndestination: /queue/a\nx: \tbar \ny:z\n\n\0")
        .await;
    client
        .expect(message_with("0", "/queue/a", "x:bar \ny:z\n", ""))
        .await;
}

#[tokio::test]
async fn h6_the_first_colon_parts_name_and_value() {
    let app = App::start().await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    client
        .say("SEND\ndestination:/queue/a\nempty:\nurl:http://a:1\n\n\0")
        .await;
    client
        .expect(message_with("0", "/queue/a", "empty:\nurl:http\\c//a\\c1\n", ""))
        .await;
    for version in ALL {
        let error = "message:header 2 of the frame has no '\\c'\nreceipt-id:r";
        let error = match version {
            "1.0" => error.replace("\\c", ":"),
            _ => error.to_owned(),
        };
        refuses(&app, version, "SEND\nreceipt:r\ndestination\n\nx\0", &error, 1002).await;
        let error = "message:header 1 of the frame has an empty name";
        refuses(
            &app,
            version,
            "SEND\n:x\ndestination:/queue/a\n\nx\0",
            error,
            1002,
        )
        .await;
    }
}

#[tokio::test]
async fn h7_of_a_repeated_header_the_first_counts() {
    let app = App::start().await;
    for version in ALL {
        let mut client = subscribed(&app, version, "0\nid:1", "/queue/a\ndestination:/queue/b").await;
        client
            .say(
                "SEND\ndestination:/queue/a\ndestination:/queue/b\ncontent-length:1\ncontent-length:2\n\
                 x:1\nx:2\n\na\0",
            )
            .await;
        client.expect(message_with("0", "/queue/a", "x:1\n", "a")).await;
        // The other id is still free.
        subscribe(&mut client, "1", "/queue/b").await;
    }
}

#[tokio::test]
async fn h8_a_backslash_before_n_is_written_as_two_backslashes() {
    let app = App::start().await;
    for version in ["1.1", "1.2"] {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client
            .say("SEND\ndestination:/queue/a\npath:C\\c\\\\new\n\n\0")
            .await;
        client
            .expect(message_with("0", "/queue/a", "path:C\\c\\\\new\n", ""))
            .await;
    }
}
