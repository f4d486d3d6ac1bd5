//! Promise: what instances ask and tell each other about sessions survives the way, and nothing else is believed.

use super::*;
use crate::http::tests::RecordingBus;
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
