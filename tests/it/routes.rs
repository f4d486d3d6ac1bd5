//! The promise: no built-in route bypasses a rule of `[permissions]`: a client that may not SUBSCRIBE or SEND gets the
//! same bodies, names and broadcasts through no other destination, whatever the route is called.

use herald::permissions::Rule;

use crate::support::app::{ADMIN, App};
use crate::support::client::{Client, Message};

fn for_admins(destination: &str) -> Rule {
    Rule::new(destination.parse().unwrap()).for_roles(vec!["ROLE_ADMIN".parse().unwrap()])
}

/// A route beside the default ones.
fn route(text: &str) -> herald::config::Config {
    toml::from_str(&format!("[[application.routes]]\n{text}")).unwrap()
}

async fn start() -> App {
    App::with(|config| {
        config.permissions.subscribe = ["/queue/message", "/queue/users", "/queue/staff/**"]
            .map(for_admins)
            .into();
        config.permissions.send = ["/queue/message", "/topic/staff/*"].map(for_admins).into();
        for text in [
            "action = 'recent'\npath = '/news'\ndestination = '/queue/staff/news'\ncount = 5\nreply = '/queue/news'",
            "action = 'broadcast'\npath = '/tell'\ndestination = '/topic/staff/all'",
            "action = 'broadcast'\npath = '/free'\ndestination = '/topic/free'",
        ] {
            config.application.routes.extend(route(text).application.routes);
        }
    })
    .await
}

async fn subscribe(client: &mut Client, id: &str, destination: &str) {
    let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0");
    client.say(frame).await;
    client.expect_receipt(id).await;
}

/// The next MESSAGE.
async fn message(client: &mut Client) -> String {
    match client.next().await {
        Message::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_rule_holds_for_every_route_to_its_destination() {
    let app = start().await;
    let mut admin = app.session_of(ADMIN, "1.2").await;
    subscribe(&mut admin, "message", "/queue/message").await;
    subscribe(&mut admin, "staff", "/topic/staff/all").await;

    for (text, needed) in [
        ("/chat/init/messages", "SUBSCRIBE to /queue/message"),
        ("/app/init/messages", "SUBSCRIBE to /queue/message"),
        ("/chat/init/users", "SUBSCRIBE to /queue/users"),
        ("/app/init/users", "SUBSCRIBE to /queue/users"),
        ("/chat/message", "SEND to /queue/message"),
        ("/app/message", "SEND to /queue/message"),
        ("/chat/news", "SUBSCRIBE to /queue/staff/news"),
        ("/app/tell", "SEND to /topic/staff/all"),
    ] {
        let error = format!(
            "message:SEND to {text} is not permitted\\c it needs {needed}, which requires ROLE_ADMIN\nreceipt-id:r"
        );
        for transaction in ["", "transaction:t\n"] {
            let mut anna = app.session("1.2").await;
            if !transaction.is_empty() {
                anna.say("BEGIN\ntransaction:t\n\n\0").await;
            }
            anna.say(format!(
                "SEND\ndestination:{text}\n{transaction}receipt:r\n\nanna\0"
            ))
            .await;
            anna.expect_error(&error, 1008).await;
        }
    }

    // Nothing of Anna's went out: the first that comes is the admin's own.
    for (route, destination) in [
        ("/chat/message", "/queue/message"),
        ("/chat/tell", "/topic/staff/all"),
    ] {
        admin.say(format!("SEND\ndestination:{route}\n\nadmin\0")).await;
        let text = message(&mut admin).await;
        assert!(text.contains(&format!("destination:{destination}\n")), "{text}");
        assert!(text.contains(r#"{"message":"admin","user":"admin""#), "{text}");
    }
}

#[tokio::test]
async fn who_holds_the_role_and_routes_without_a_rule_are_served() {
    let app = start().await;
    let mut admin = app.session_of(ADMIN, "1.2").await;
    subscribe(&mut admin, "m", "/user/queue/init/messages").await;
    subscribe(&mut admin, "u", "/user/queue/init/users").await;
    subscribe(&mut admin, "n", "/user/queue/news").await;
    for (route, destination) in [
        ("/chat/init/messages", "/user/queue/init/messages"),
        ("/chat/init/users", "/user/queue/init/users"),
        ("/chat/news", "/user/queue/news"),
    ] {
        admin.say(format!("SEND\ndestination:{route}\n\n\0")).await;
        let text = message(&mut admin).await;
        assert!(text.contains(&format!("destination:{destination}\n")), "{text}");
    }

    let mut anna = app.session("1.2").await;
    subscribe(&mut anna, "f", "/topic/free").await;
    anna.say("SEND\ndestination:/app/free\n\nanna\0").await;
    assert!(message(&mut anna).await.contains(r#"{"message":"anna""#));
}
