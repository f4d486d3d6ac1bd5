//! The promise: questions and answers about sessions between instances survive the round trip, and nothing else is
//! accepted; a disconnected user's sessions end here whatever the bus, the disk and the caller do.

use axum::body::Body;
use axum::http::Request;

use super::*;
use crate::http::Config;
use crate::http::access::{Access, Config as ApiConfig};
use crate::http::tests::{Fixture, RecordingBus};
use crate::presence::InstanceView;

fn instance(name: &str) -> InstanceView {
    InstanceView {
        id: InstanceId::random(),
        name: name.into(),
        users: 1,
    }
}

fn view(session: &str, since_ms: u64) -> SessionView {
    SessionView {
        session: session.into(),
        since_ms,
        address: [127, 0, 0, 1].into(),
        subscriptions: Vec::new(),
        sent: None,
    }
}

/// Two instances answer or not; this one has a session of its own.
#[tokio::test(start_paused = true)]
async fn sessions_of_all_instances_are_gathered_and_the_silent_are_named() {
    let own = Instance {
        id: InstanceId::random(),
        name: "own".into(),
    };
    let (answering, silent, garbled) = (instance("answering"), instance("silent"), instance("garbled"));
    let bus = RecordingBus::default();
    let answer = Sessions {
        sessions: vec![view("b", 1_000)],
        truncated: true,
    };
    bus.answer(answering.id, serde_json::to_vec(&answer).unwrap());
    bus.answer(garbled.id, b"?".to_vec());
    let others = [answering, silent, garbled];
    let user = UserName::parse("alice").unwrap();
    let question = OfUser { user: user.clone() };
    let started = tokio::time::Instant::now();
    let asked = ask_others::<ListSessions>(&bus, &others, &question).await;
    assert_eq!(started.elapsed(), std::time::Duration::from_millis(500));
    assert_eq!(bus.asked(), 3);

    let held = |truncated| Sessions {
        sessions: vec![view("a", 2_000)],
        truncated,
    };
    let cut = gather(&user, false, &own, held(true), Vec::new());
    assert_eq!(cut.truncated, ["own"]);
    let got = gather(&user, false, &own, held(false), asked);
    let sessions: Vec<_> = got
        .sessions
        .iter()
        .map(|s| (&*s.session, &*s.instance, &*s.since))
        .collect();
    assert_eq!(
        sessions,
        [
            ("b", "answering", "1970-01-01T00:00:01Z"),
            ("a", "own", "1970-01-01T00:00:02Z")
        ]
    );
    assert_eq!(got.silent, ["silent", "garbled"]);
    assert_eq!(got.truncated, ["answering"]);
    assert!(got.online);
}

fn order(query: &str) -> Request<Body> {
    let path = format!("/api/v1/users/u/sessions{query}");
    let request = Request::delete(path).header("authorization", "Bearer admin");
    request.body(Body::empty()).unwrap()
}

/// What this instance has done of it.
fn done(lines: &[serde_json::Value]) -> Vec<&serde_json::Value> {
    let disconnected = lines.iter().filter(|line| line["event"] == "disconnect-user");
    disconnected.filter(|line| line["outcome"] == "done").collect()
}

/// One line says that the key was used, one is of the request, and one of what was done.
fn is_out_here(fixture: &Fixture) {
    let lines = fixture.audited.lines(3);
    let done = done(&lines);
    assert!(done.len() == 1 && done[0]["what"]["user"] == "u", "{lines:?}");
}

fn hung() -> Fixture {
    let api = ApiConfig {
        access: Access::Keys,
        ..ApiConfig::default()
    };
    Fixture::unlearned(api, &Config::default()).0
}

/// It waited for its own word to come back over the bus.
#[tokio::test(start_paused = true)]
async fn a_bus_that_hangs_holds_up_no_end_of_sessions_here() {
    for query in ["", "?revoke=true"] {
        let fixture = Fixture::new(Access::Keys, &Config::default());
        *fixture.bus.swallows.lock() = true;
        let answer = fixture.send(order(query)).await;
        let told = &answer.json()["told"];
        assert_eq!((answer.status.as_u16(), told), (202, &false.into()), "{query}");
        is_out_here(&fixture);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_no_end_of_sessions() {
    let fixture = hung();
    let answer = fixture.send(order("?revoke=true")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("outcome-unknown"), "{}", answer.text);
    is_out_here(&fixture);
    let said = fixture.bus.said.lock();
    assert!(
        said.iter().any(|(kind, _)| kind == "sessions.disconnect"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_up_stops_nothing_half_way() {
    let fixture = hung();
    let asking = fixture.send(order("?revoke=true"));
    let hung_up = tokio::time::timeout(Duration::from_millis(500), asking).await;
    assert!(hung_up.is_err() && done(&fixture.audited.lines(0)).is_empty());
    tokio::time::sleep(Duration::from_secs(6)).await;
    is_out_here(&fixture);
}
