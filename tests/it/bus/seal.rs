//! The promise: signed control messages (docs/nats.md): with `bus.control_unsigned = "refuse"`, instances accept only
//! messages from holders of a key in `bus.control_key_file`, and each message once; with `accept` they accept all, and
//! count. Keys are exchanged without a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use base64::Engine;
use herald::bus::nats::NatsBus;
use herald::bus::{BoxStream, Bus, Config, ControlMessage, Health, RequestError, Unsigned, Unverified};
use herald::envelope::unix_ms;
use herald::instance::{Instance, InstanceId};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tempfile::TempDir;
use ulid::Ulid;

use super::rights::complains;
use super::{LIMITS, config, instance, next, until};
use crate::support::nats::{NatsServer, headers};
use crate::support::within;

const DISCONNECT: &str = "herald.control.all.sessions.disconnect";
const FORGED: &str = r#"{"user":"alice","by":"nobody"}"#;

fn key(letter: &str) -> String {
    letter.repeat(32)
}

/// An instance's bus, its control messages, and the file of its keys.
struct Member {
    bus: Arc<NatsBus>,
    heard: BoxStream<ControlMessage>,
    id: InstanceId,
    folder: TempDir,
}

/// As editors and Kubernetes do it: the file is complete at every moment.
fn write(folder: &Path, keys: &str) {
    std::fs::write(folder.join("new"), keys).unwrap();
    std::fs::rename(folder.join("new"), folder.join("keys")).unwrap();
}

impl Member {
    async fn start(server: &NatsServer, keys: &str, unsigned: Unsigned) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), keys);
        let config = Config {
            control_key_file: (!keys.is_empty())
                .then(|| folder.path().join("keys").to_str().unwrap().to_owned()),
            control_unsigned: unsigned,
            ..config(&server.url())
        };
        let instance: Instance = instance();
        let bus = NatsBus::connect(&config, LIMITS, &instance).await.unwrap();
        until(&*bus, Health::Connected).await;
        Self {
            heard: bus.control_incoming().unwrap(),
            id: instance.id,
            bus,
            folder,
        }
    }

    /// Replaces the keys, and returns when they are in use. A file between without keys tells when it was read.
    async fn exchange(&self, keys: &str) {
        write(self.folder.path(), "none");
        complains(
            &*self.bus,
            "bus.control_key_file cannot be read, or does not hold",
        )
        .await;
        write(self.folder.path(), keys);
        complains(&*self.bus, "").await;
    }

    async fn says(&self, kind: &str) {
        self.bus.control_publish(kind, "{}".into()).await.unwrap();
    }

    async fn hears(&mut self, kind: &str) {
        assert_eq!(next(&mut self.heard).await.kind, kind);
    }

    fn unverified(&self) -> Unverified {
        self.bus.stats().unverified
    }
}

async fn stranger(server: &NatsServer) -> async_nats::Client {
    async_nats::connect(server.url()).await.unwrap()
}

/// Waits until the server has handled what `client` sent before: it handles a connection's messages in order.
async fn handled(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut back = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    next(&mut back).await;
}

/// Publishes, and waits until the server has it.
async fn forge(client: &async_nats::Client, subject: &str, headers: HeaderMap, payload: &str) {
    client
        .publish_with_headers(subject.to_owned(), headers, payload.to_owned().into())
        .await
        .unwrap();
    handled(client).await;
}

/// What another implementation would write into the header: the form that docs/nats.md describes.
fn signature(key: &str, subject: &str, reply: &str, time_ms: u64, payload: &str) -> String {
    let nonce = Ulid::new();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let (time, nonce_bytes) = (time_ms.to_be_bytes(), nonce.to_bytes());
    let parts: [&[u8]; 6] = [
        b"v1",
        subject.as_bytes(),
        reply.as_bytes(),
        &time,
        &nonce_bytes,
        payload.as_bytes(),
    ];
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let mac = base64::engine::general_purpose::STANDARD_NO_PAD.encode(mac.finalize().into_bytes());
    format!("v1 {time_ms} {nonce} {mac}")
}

fn signed(key: &str, time_ms: u64) -> HeaderMap {
    headers(&[(
        "Herald-Signature",
        &signature(key, DISCONNECT, "", time_ms, FORGED),
    )])
}

#[tokio::test]
async fn a_forged_statement_is_refused_or_counted() {
    let server = NatsServer::start();
    let key = key("a");
    let mut strict = Member::start(&server, &key, Unsigned::Refuse).await;
    let mut lenient = Member::start(&server, &key, Unsigned::Accept).await;
    let stranger = stranger(&server).await;
    // In this order through one connection: without a signature, with a stranger's, and with one of an hour ago.
    let other = "b".repeat(32);
    let unsigned = headers(&[("x", "y")]);
    let forged = [
        unsigned,
        signed(&other, unix_ms()),
        signed(&key, unix_ms() - 3_600_000),
    ];
    for headers in forged {
        forge(&stranger, DISCONNECT, headers, FORGED).await;
        lenient.hears("sessions.disconnect").await;
    }
    strict.says("real").await;
    for member in [&mut strict, &mut lenient] {
        member.hears("real").await;
        let expected = Unverified {
            unsigned: 1,
            signature: 1,
            clock: 1,
            replayed: 0,
        };
        assert_eq!(member.unverified(), expected);
        complains(&*member.bus, "without a signature").await;
        complains(&*member.bus, "is of no key in bus.control_key_file").await;
        complains(&*member.bus, "the clock of another instance is 3600 s behind").await;
    }
    complains(&*strict.bus, "were refused").await;
    complains(&*lenient.bus, "were accepted").await;
    assert_eq!(*strict.bus.health().borrow(), Health::Connected);
}

/// The same for what one instance asks another: nobody else learns who is connected, or has an answer sent elsewhere.
#[tokio::test]
async fn a_forged_question_is_not_answered() {
    let server = NatsServer::start();
    let key = key("a");
    let mut asked = Member::start(&server, &key, Unsigned::Refuse).await;
    let asker = Member::start(&server, &key, Unsigned::Refuse).await;
    let stranger = stranger(&server).await;
    let mut seen = stranger.subscribe("herald.control.instance.>").await.unwrap();
    handled(&stranger).await;
    let subject = format!("herald.control.instance.{}.sessions.list", asked.id);
    stranger
        .publish_with_reply(subject, "herald.reply.mine.1", "{}".into())
        .await
        .unwrap();
    // It comes before the true one.
    handled(&stranger).await;
    let question = asker
        .bus
        .control_request(asked.id, "real", "?".into(), Duration::from_secs(10));
    let answer = async {
        let message = next(&mut asked.heard).await;
        assert_eq!((&*message.kind, &*message.payload), ("real", &b"?"[..]));
        message.responder.unwrap().respond("!".into());
    };
    let (answer, ()) = tokio::join!(question, answer);
    assert_eq!(answer.unwrap(), "!");
    // What was overheard, as it was and with another place for the answer.
    next(&mut seen).await;
    let overheard = next(&mut seen).await;
    let reply = overheard.reply.clone().unwrap();
    for reply in [reply, "herald.reply.mine.2".into()] {
        let headers = overheard.headers.clone().unwrap();
        stranger
            .publish_with_reply_and_headers(overheard.subject.clone(), reply, headers, "?".into())
            .await
            .unwrap();
    }
    handled(&stranger).await;
    asker.says("last").await;
    asked.hears("last").await;
    let expected = Unverified {
        unsigned: 1,
        signature: 1,
        clock: 0,
        replayed: 1,
    };
    // The two subscriptions are read by two tasks.
    within("all to be counted", async {
        while asked.unverified() != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_forged_answer_is_not_believed_and_the_true_one_is() {
    let server = NatsServer::start();
    let key = key("a");
    for (unsigned, believed) in [(Unsigned::Refuse, "true"), (Unsigned::Accept, "forged")] {
        let mut asked = Member::start(&server, &key, unsigned).await;
        let asker = Member::start(&server, &key, unsigned).await;
        let stranger = stranger(&server).await;
        let mut seen = stranger.subscribe("herald.control.instance.>").await.unwrap();
        handled(&stranger).await;
        let question = asker
            .bus
            .control_request(asked.id, "x", "?".into(), Duration::from_secs(10));
        let answers = async {
            let reply = next(&mut seen).await.reply.unwrap();
            forge(&stranger, &reply, HeaderMap::new(), "forged").await;
            let message = next(&mut asked.heard).await;
            message.responder.unwrap().respond("true".into());
        };
        let (answer, ()) = tokio::join!(question, answers);
        assert_eq!(answer.unwrap(), believed);
        assert_eq!(asker.unverified().unsigned, 1);
    }
}

#[tokio::test]
async fn a_disconnect_that_was_overheard_works_once() {
    let server = NatsServer::start();
    let mut member = Member::start(&server, &key("a"), Unsigned::Refuse).await;
    let stranger = stranger(&server).await;
    let mut seen = stranger.subscribe("herald.control.all.>").await.unwrap();
    handled(&stranger).await;
    member.says("sessions.disconnect").await;
    member.hears("sessions.disconnect").await;
    let overheard = next(&mut seen).await;
    forge(&stranger, DISCONNECT, overheard.headers.unwrap(), "{}").await;
    member.says("real").await;
    member.hears("real").await;
    assert_eq!(member.unverified().replayed, 1);
    complains(
        &*member.bus,
        "repeated control messages (replays) came within the last minute",
    )
    .await;
}

#[tokio::test]
async fn a_clock_half_a_minute_off_is_named_and_believed() {
    let server = NatsServer::start();
    let mut member = Member::start(&server, &key("a"), Unsigned::Refuse).await;
    let stranger = stranger(&server).await;
    for time_ms in [unix_ms() - 45_000, unix_ms() + 45_000] {
        forge(&stranger, DISCONNECT, signed(&key("a"), time_ms), FORGED).await;
        member.hears("sessions.disconnect").await;
    }
    complains(&*member.bus, " s ahead of this one's").await;
    assert_eq!(member.unverified(), Unverified::default());
}

/// A key is exchanged in three steps, at each of which instances before and behind it are one cluster.
#[tokio::test]
async fn two_keys_lead_from_one_to_the_other_without_a_restart() {
    let server = NatsServer::start();
    let (old, new) = (key("a"), key("b"));
    let mut first = Member::start(&server, &old, Unsigned::Refuse).await;
    let mut second = Member::start(&server, &old, Unsigned::Refuse).await;
    for keys in [format!("{old}\n{new}"), format!("{new}\n{old}"), new.clone()] {
        for first_changes in [true, false] {
            let (changed, unchanged) = match first_changes {
                true => (&mut first, &mut second),
                false => (&mut second, &mut first),
            };
            changed.exchange(&keys).await;
            for kind in ["one", "two"] {
                changed.says(kind).await;
                changed.hears(kind).await;
                unchanged.hears(kind).await;
                unchanged.says(kind).await;
                changed.hears(kind).await;
                unchanged.hears(kind).await;
            }
        }
    }
    assert_eq!(first.unverified(), Unverified::default());
    // The old key is worth nothing any more.
    let stranger = stranger(&server).await;
    forge(&stranger, DISCONNECT, signed(&old, unix_ms()), FORGED).await;
    first.says("last").await;
    first.hears("last").await;
    assert_eq!(first.unverified().signature, 1);
}

#[tokio::test]
async fn a_file_without_keys_leaves_those_in_use() {
    let server = NatsServer::start();
    let mut member = Member::start(&server, &key("a"), Unsigned::Refuse).await;
    for broken in ["", "short", &format!("{0}a\n{0}b\n{0}c", key("x"))] {
        write(member.folder.path(), broken);
        complains(
            &*member.bus,
            "bus.control_key_file cannot be read, or does not hold",
        )
        .await;
        member.says("real").await;
        member.hears("real").await;
        write(member.folder.path(), &key("a"));
        complains(&*member.bus, "").await;
    }
}

/// Before everybody has the key, and with an instance that knows no signatures.
#[tokio::test]
async fn with_accept_instances_with_and_without_a_key_are_one_cluster() {
    let server = NatsServer::start();
    let mut with = Member::start(&server, &key("a"), Unsigned::Accept).await;
    let mut without = Member::start(&server, "", Unsigned::Accept).await;
    for kind in ["one", "two"] {
        with.says(kind).await;
        with.hears(kind).await;
        without.hears(kind).await;
        without.says(kind).await;
        with.hears(kind).await;
        without.hears(kind).await;
    }
    let expected = Unverified {
        unsigned: 2,
        ..Unverified::default()
    };
    assert_eq!(
        (with.unverified(), without.unverified()),
        (expected, Unverified::default())
    );
    for (asker, asked) in [(&with, &mut without)] {
        let question = asker
            .bus
            .control_request(asked.id, "x", "".into(), Duration::from_secs(10));
        let answer = async {
            next(&mut asked.heard)
                .await
                .responder
                .unwrap()
                .respond("!".into())
        };
        assert_eq!(tokio::join!(question, answer).0.unwrap(), "!");
    }
}

/// A strict instance takes no answer of one without the key; it is silent.
#[tokio::test]
async fn with_refuse_an_answer_without_a_signature_is_none() {
    let server = NatsServer::start();
    let strict = Member::start(&server, &key("a"), Unsigned::Refuse).await;
    let mut without = Member::start(&server, "", Unsigned::Accept).await;
    let question = strict
        .bus
        .control_request(without.id, "x", "".into(), Duration::from_millis(500));
    let answer = async {
        next(&mut without.heard)
            .await
            .responder
            .unwrap()
            .respond("!".into())
    };
    assert_eq!(tokio::join!(question, answer).0, Err(RequestError::Timeout));
    assert_eq!(strict.unverified().unsigned, 1);
}
