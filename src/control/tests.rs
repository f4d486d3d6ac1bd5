//! The promise: control messages keep their form, so that two versions of Herald run together in one cluster. The texts
//! are what instances sent before the desk existed.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::debug_sampling::{TraceSession, TraceUser};
use super::describe::{Describe, Holdings};
use super::desk::Desk;
use super::explain::{Explain, Notification};
use super::log_level::SetLevel;
use super::question::{ANSWER_MAX_BYTES, Nothing, Question, Statement, keeps_the_wire, read};
use super::senders::{Senders, Top};
use super::session_user::{FindSession, Holder, OfSession};
use super::sessions::{Disconnect, ListSessions, OfUser, Sessions};
use crate::bus::{ControlMessage, Responder};
use crate::delivery::explain::Explained;
use crate::destination::Target;

#[test]
fn statements_keep_their_form() {
    keeps_the_wire::<Disconnect>(r#"{"user":"älice","by":"key:ops"}"#);
    keeps_the_wire::<SetLevel>(r#"{"level":"herald=debug,info","for_ms":600000,"by":"user:admin"}"#);
    keeps_the_wire::<TraceUser>(r#"{"user":"älice","minutes":5,"by":"key:ops"}"#);
    keeps_the_wire::<TraceSession>(
        r#"{"user":"anna","session":"01JDEXAMPRE0000000000000AA","minutes":5,"by":"key:ops"}"#,
    );
    keeps_the_wire::<TraceSession>(
        r#"{"user":null,"session":"01JDEXAMPRE0000000000000AA","minutes":0,"by":"key:ops"}"#,
    );
    let kinds = [
        Disconnect::KIND,
        SetLevel::KIND,
        TraceUser::KIND,
        TraceSession::KIND,
    ];
    assert_eq!(
        kinds,
        [
            "sessions.disconnect",
            "log.level",
            "tracing.user",
            "tracing.session"
        ]
    );
}

#[test]
fn questions_and_answers_keep_their_form() {
    keeps_the_wire::<OfUser>(r#"{"user":"älice"}"#);
    keeps_the_wire::<Sessions>(
        r#"{"sessions":[{"session":"s","since_ms":5,"address":"127.0.0.1","subscriptions":["/queue/message"]}],"truncated":true}"#,
    );
    keeps_the_wire::<Sessions>(
        r#"{"sessions":[{"session":"s","since_ms":5,"address":"127.0.0.1","subscriptions":[],"sent":{"frames":4,"bytes":3,"recent_frames":2,"recent_bytes":1}}],"truncated":false}"#,
    );
    keeps_the_wire::<Top>(r#"{"top":20,"by":"recent"}"#);
    keeps_the_wire::<Senders>(
        r#"{"senders":[{"session":"s","user":"anna","since_ms":5,"address":"127.0.0.1","sent":{"frames":4,"bytes":3,"recent_frames":2,"recent_bytes":1}}]}"#,
    );
    keeps_the_wire::<Senders>(
        r#"{"senders":[],"users":[{"user":"anna","address":"127.0.0.1","sessions":1,"ended":7,"sent":{"frames":4,"bytes":3,"recent_frames":2,"recent_bytes":1}}]}"#,
    );
    keeps_the_wire::<Notification>(r#"{"path":"/queue/x","user":null}"#);
    let one: Target = keeps_the_wire::<Notification>(r#"{"path":"/queue/x","user":"anna"}"#).into();
    assert!(matches!(one, Target::User { .. }));
    keeps_the_wire::<Explained>(
        r#"{"reached":[{"session":"s","user":"anna","subscription":"1","way":"at_once","waiting_bytes":0,"unacknowledged":null}],"reached_count":1,"missed":[{"session":"t","user":"ben","why":"not_subscribed","subscriptions":["/queue/y"]}],"missed_count":1}"#,
    );
    keeps_the_wire::<Nothing>("");
    keeps_the_wire::<Holdings>(r#"{"version":"0.9.0","sessions":1,"subscriptions":2,"outbox_bytes":3}"#);
    keeps_the_wire::<OfSession>(r#"{"session":"01JDEXAMPRE0000000000000AA"}"#);
    keeps_the_wire::<Holder>(r#"{"user":null}"#);
    keeps_the_wire::<Holder>(r#"{"user":"anna"}"#);
    let kinds = [
        ListSessions::KIND,
        Explain::KIND,
        Describe::KIND,
        FindSession::KIND,
    ];
    assert_eq!(
        kinds,
        [
            "sessions.list",
            "sessions.explain",
            "instance.describe",
            "sessions.user"
        ]
    );
}

#[test]
fn names_and_paths_are_checked_as_they_are_read() {
    for hostile in [
        r#"{"user":""}"#,
        r#"{"user":"a\u200bb"}"#,
        r#"{"user":7}"#,
        "{}",
        "[]",
        "",
    ] {
        assert!(read::<OfUser>(hostile.as_bytes(), 100).is_err(), "{hostile}");
    }
    for hostile in [
        r#"{"path":"no slash"}"#,
        r#"{"path":"/queue/x","user":""}"#,
        r#"{"user":"anna"}"#,
    ] {
        assert!(
            read::<Notification>(hostile.as_bytes(), 100).is_err(),
            "{hostile}"
        );
    }
}

#[test]
fn an_operators_name_is_cut_and_forges_no_line() {
    let told = |by: &str| {
        let json = serde_json::json!({ "user": "anna", "by": by }).to_string();
        serde_json::from_str::<Disconnect>(&json).unwrap().by
    };
    assert_eq!(told("key:ops"), "key:ops");
    assert_eq!(told("a\nERROR forged\u{202e}"), "aERROR forged");
    assert_eq!(told(&"ä".repeat(10_000)).chars().count(), 300);
}

/// NATS would lose it without a word, and the asker would know no more than that this instance is silent.
#[tokio::test]
async fn an_answer_that_is_too_large_is_not_sent_but_told() {
    struct Large;
    impl Question for Large {
        const KIND: &'static str = "test.large";
        type Ask = usize;
        type Answer = String;
    }
    let mut desk = Desk::default();
    desk.answer::<Large, _>(|bytes| std::future::ready(Ok("x".repeat(bytes))));
    // With its quotes.
    for (bytes, answered) in [(ANSWER_MAX_BYTES - 2, true), (ANSWER_MAX_BYTES - 1, false)] {
        let (responder, answer) = oneshot::channel();
        desk.handle(ControlMessage {
            kind: Large::KIND.into(),
            payload: Bytes::from(bytes.to_string()),
            responder: Some(Responder(responder)),
        })
        .await;
        assert_eq!(answer.await.is_ok(), answered, "{bytes}");
        assert_eq!(desk.complaints(), u64::from(!answered), "{bytes}");
    }
}
