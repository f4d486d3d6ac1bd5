//! The promise: whatever is logged at whatever level, whatever is answered, and every span contain no secret and no body: no
//! password or key of a client, a publisher or the configuration, right or wrong, whole or in a malformed request,
//! plain or encoded. Runs the program itself at log level `trace`, over a real NATS server, beside a collector of spans.

use std::net::SocketAddr;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::bundle::unpack;
use crate::cli::command::Cli;
use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::collector::{Collector, Speaks};
use crate::support::nats::{NatsServer, RawPublisher};
use crate::support::process::{Answer, Herald, Launch};
use crate::support::within;

/// Everything that must not be seen.
#[derive(Default)]
struct Planted(Vec<String>);

impl Planted {
    /// A text that occurs nowhere by accident.
    fn plant(&mut self, kind: &str) -> String {
        let text = format!("{kind}-pl4nt3d-{:02}", self.0.len());
        self.0.push(text.clone());
        text
    }

    /// Fails if a planted text occurs in `said`, plain, in base64, in hex or as a list of bytes.
    #[track_caller]
    fn assert_absent(&self, place: &str, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        for planted in &self.0 {
            for form in forms(planted) {
                if let Some(at) = said.find(&form) {
                    let from = said.floor_char_boundary(at.saturating_sub(300));
                    let to = said.ceil_char_boundary(at + 100);
                    panic!("{planted} as {form} in {place}: …{}…", &said[from..to]);
                }
            }
        }
    }
}

/// The forms that `planted` may take.
fn forms(planted: &str) -> Vec<String> {
    let bytes = planted.as_bytes();
    let join = |write: fn(&u8) -> String, between: &str| -> String {
        bytes.iter().map(write).collect::<Vec<_>>().join(between)
    };
    let mut forms = vec![planted.to_owned()];
    // The ways in which tracing, `Debug` and JSON write bytes.
    forms.extend(["", " "].map(|between| join(|byte| format!("{byte:02x}"), between)));
    forms.extend([", ", ","].map(|between| join(u8::to_string, between)));
    // Within a longer text it may begin at any of three positions; what depends on its neighbours is cut off.
    for before in 0..3 {
        let encoded = BASE64.encode([&vec![b'x'; before][..], bytes].concat());
        let begin = (before * 8).div_ceil(6);
        let end = (before + bytes.len()) * 8 / 6;
        forms.push(encoded[begin..end].to_owned());
    }
    forms
}

#[test]
fn every_form_is_recognised() {
    let mut planted = Planted::default();
    let text = planted.plant("a");
    for said in [
        format!("x{text}y"),
        format!("{:?}", text.as_bytes()),
        format!("{:02x?}", text.as_bytes()).replace(',', ""),
        BASE64.encode(&text),
        BASE64.encode(format!("user:{text}")),
        BASE64.encode(format!("user1:{text}!")),
        BASE64.encode(format!("user12:{text}!!")),
    ] {
        let outcome = std::panic::catch_unwind(|| planted.assert_absent("", said.as_bytes()));
        assert!(outcome.is_err(), "{said}");
    }
    planted.assert_absent("", b"nothing");
}

fn phc(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

/// One connection: an upgrade with `headers`, then WebSocket bytes. Returns everything received until its end.
async fn talk(to: SocketAddr, headers: &str, sent: &[u8]) -> Vec<u8> {
    within("the end of a connection", async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.write_all(sent).await;
        let mut received = Vec::new();
        // A reset after the answer is an end too.
        let _ = stream.read_to_end(&mut received).await;
        assert!(received.starts_with(b"HTTP/1.1 "), "{to} does not answer");
        received
    })
    .await
}

/// A text message, masked with zeros.
fn message(stomp: &[u8]) -> Vec<u8> {
    let head = match stomp.len() {
        short @ 0..126 => vec![0x81, 0x80 | short as u8],
        long => [&[0x81, 0xFE][..], &(long as u16).to_be_bytes()].concat(),
    };
    [&head[..], &[0; 4], stomp].concat()
}

/// CONNECT with these header lines.
fn connect(lines: &str) -> Vec<u8> {
    message(format!("CONNECT\naccept-version:1.2\nhost:a\n{lines}\n\n\0").as_bytes())
}

const DISCONNECT: &[u8] = b"DISCONNECT\nreceipt:bye\n\n\0";

/// The surroundings: one instance, its users and keys, and what they must not reveal.
struct World {
    planted: Planted,
    herald: Herald,
    nats: NatsServer,
    collector: Collector,
    folder: tempfile::TempDir,
    password: String,
    key: String,
    secret: String,
}

impl World {
    async fn start() -> Self {
        let mut planted = Planted::default();
        let password = planted.plant("password");
        let key = planted.plant("key");
        let bus_password = planted.plant("bus-password");
        let collector = Collector::start(Speaks::Http);
        let collector_key = planted.plant("collector-key");
        let nats = NatsServer::start_with(&format!(
            "authorization {{ users = [ {{ user: herald, password: \"{bus_password}\" }}, {{ user: backend, password: \
             backend }} ] }}\nno_auth_user: backend\n"
        ));
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let users = format!(
            "[[users]]\nname = \"alice\"\npassword = \"{}\"\nroles = [\"ROLE_USER\", \"ROLE_PUBLISHER\"]\n",
            phc(&password)
        );
        std::fs::write(path("users.toml"), users).unwrap();
        let sha256: String = Sha256::digest(&key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // It is none, but nobody who is shown a configuration has to know it.
        planted.0.push(sha256.clone());
        let config = format!(
            "[[api.keys]]\nname = \"ops\"\nsha256 = \"{sha256}\"\nscopes = [\"admin\"]\n[bus]\nuser = \"herald\"\n\
             password = \"{bus_password}\"\n[auth.cookie]\nname = \"sid\"\n[[auth.issuers]]\nissuer = \"id\"\naudience = [\"herald\"]\nuser_prefix = \"id:\"\n\
             roles_claim = \"roles\"\nrole_map = {{ admin = \"ROLE_ADMIN\" }}\n[[auth.issuers.keys]]\nsecret_file = \"{}\"\n",
            path("secret")
        );
        let secret = planted.plant("secret-of-at-least-32-bytes-for-HS256");
        std::fs::write(path("secret"), &secret).unwrap();
        std::fs::write(path("herald.toml"), config).unwrap();
        let launch = Launch::new(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
            &path("herald.toml"),
        ])
        .set("HERALD_BUS__URL", &nats.url())
        .set("HERALD_AUTH__USERS_FILE", &path("users.toml"))
        .set("HERALD_LIMITS__BODY_BYTES", "1KiB")
        .set("HERALD_HTTP__MAX_REQUEST_BYTES", "4KiB")
        .set("HERALD_DRAIN__BALANCER_WAIT", "0s")
        .set("HERALD_DRAIN__SPREAD", "0s")
        .set("HERALD_AUDIT__LOGINS", "true")
        .set("HERALD_TRACING__ENDPOINT", &collector.url())
        .set("HERALD_TRACING__PROTOCOL", collector.protocol())
        .set("HERALD_TRACING__INTERVAL", "50ms")
        .set("HERALD_TRACING__RATIO", "1.0")
        .set(
            "OTEL_EXPORTER_OTLP_HEADERS",
            &format!("authorization={collector_key}"),
        )
        .set("HERALD_LOG__LEVEL", "trace");
        let herald = Herald::start("secretive", &launch).await;
        Self {
            planted,
            herald,
            nats,
            collector,
            folder,
            password,
            key,
            secret,
        }
    }

    /// A connection none of whose answers may reveal what was planted. Returns the answer.
    async fn talk(&self, headers: &str, messages: &[Vec<u8>]) -> String {
        let received = talk(self.herald.address, headers, &messages.concat()).await;
        self.planted.assert_absent("what a client gets", &received);
        String::from_utf8_lossy(&received).into_owned()
    }

    /// A session of alice that sends `frame`, and says goodbye if it is not closed.
    async fn session(&self, frame: &[u8]) -> String {
        let login = connect(&format!("X-Authorization:{}", basic("alice", &self.password)));
        let answer = self.talk("", &[login, message(frame), message(DISCONNECT)]).await;
        assert!(answer.contains("CONNECTED"), "{answer}");
        answer
    }

    async fn rest(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.herald.request("POST", path, headers, body.as_bytes()).await;
        self.planted.assert_absent(path, answer.head.as_bytes());
        self.planted.assert_absent(path, &answer.body);
        answer
    }
}

async fn logins(world: &mut World) {
    let right = world.password.clone();
    let wrong = world.planted.plant("wrong");
    for (password, user, is_let_in) in [
        (&right, "alice", true),
        (&wrong, "alice", false),
        (&wrong, "nobody", false),
    ] {
        let value = basic(user, password);
        let bare = value.replace("Basic ", "");
        for lines in [
            format!("X-Authorization:{value}"),
            format!("X-Authorization:{bare}"),
            format!("Authorization:{value}"),
            format!("login:{user}\npasscode:{password}"),
        ] {
            let answer = world.talk("", &[connect(&lines), message(DISCONNECT)]).await;
            assert_eq!(answer.contains("CONNECTED"), is_let_in, "{lines}: {answer}");
            assert_eq!(answer.contains("authentication failed"), !is_let_in, "{answer}");
        }
        let upgrade = format!("Authorization: {value}\r\n");
        let answer = world.talk(&upgrade, &[connect("x:y"), message(DISCONNECT)]).await;
        assert_eq!(answer.contains("CONNECTED"), is_let_in, "{answer}");
    }
    // A password in the field of the name.
    let typed = world.planted.plant("typed");
    let answer = world
        .talk("", &[connect(&format!("login:{typed}\npasscode:x"))])
        .await;
    assert!(answer.contains("authentication failed"), "{answer}");
    let token = world.planted.plant("token");
    for lines in [
        format!("X-Authorization:Bearer {token}"),
        format!("Authorization:{token}"),
        format!("passcode:{token}"),
        // Refused for another reason, each before anybody looks at the password.
        format!("passcode:{token}\nheart-beat:x"),
        format!("passcode {token}"),
        format!("passcode:{token}\nno colon"),
        format!("passcode:{token}\n\ncontent"),
        format!("passcode:{token}\nx:{}", "y".repeat(9_000)),
    ] {
        let answer = world.talk("", &[connect(&lines)]).await;
        assert!(answer.contains("ERROR"), "{lines}: {answer}");
    }
    // Not even a WebSocket.
    let cookie = world.planted.plant("cookie");
    let session = world.planted.plant("session");
    let protocol = world.planted.plant("protocol");
    let bearer = format!("Bearer {cookie}");
    let cookies = format!("{cookie}; sid={session}");
    let protocols = format!("v12.stomp, herald.bearer.{protocol}");
    let headers = [
        ("Cookie", &*cookies),
        ("Authorization", &bearer),
        ("Sec-WebSocket-Protocol", &protocols),
        ("Upgrade", "x"),
    ];
    let answer = world.herald.request("GET", "/ws", &headers, b"").await;
    assert!(answer.status >= 400, "{answer:?}");
    world
        .planted
        .assert_absent("a refused upgrade", answer.head.as_bytes());
    world.planted.assert_absent("a refused upgrade", &answer.body);
    // A stranger's page; a sub-protocol that is none, alone and twice; a version that is none. None gets beyond its upgrade.
    let at = world.herald.address;
    for refused in [
        format!(
            "Origin: https://evil.example\r\nCookie: {cookies}\r\nSec-WebSocket-Protocol: {protocols}\r\n"
        ),
        format!(
            "Origin: http://{at}\r\nCookie: {cookies}\r\nSec-WebSocket-Protocol: herald.bearer.{protocol}\r\n"
        ),
        format!("Sec-WebSocket-Protocol: {protocols}, herald.bearer.{protocol}\r\n"),
        format!("Sec-WebSocket-Protocol: v12.stomp, herald.bearer.{protocol} x\r\n"),
        format!("Sec-WebSocket-Version: 7\r\nSec-WebSocket-Protocol: {protocols}\r\nCookie: {cookies}\r\n"),
        format!(
            "Cookie: {cookies}\r\nCookie: sid={session}\r\nAuthorization: {bearer}\r\nAuthorization: {bearer}\r\n"
        ),
    ] {
        let answer = world.talk(&refused, &[connect("x:y")]).await;
        assert!(!answer.contains("CONNECTED"), "{refused}: {answer}");
    }
    // One that is a token's place, and holds none.
    let own = format!("Origin: http://{at}\r\nCookie: sid={session}\r\n");
    let answer = world.talk(&own, &[connect("x:y")]).await;
    assert!(answer.contains("authentication failed"), "{answer}");
}

/// Tokens, right and wrong, in each of their places: neither what they say nor what signs them is seen.
async fn tokens(world: &mut World) {
    use herald::auth::token::mint::SigningKey;
    use serde_json::json;
    let claim = world.planted.plant("claim");
    let key = SigningKey::secret(world.secret.as_bytes()).unwrap();
    let other = SigningKey::secret(&[7; 32]).unwrap();
    let now = crate::support::tokens::now();
    let claims = |changes: serde_json::Value| {
        let mut claims = json!({"iss": "id", "aud": "herald", "sub": "tom", "iat": now, "exp": now + 600, "jti": claim,
            "roles": ["admin"]});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object().unwrap().clone()
    };
    for (key, changes, is_let_in) in [
        (&key, json!({}), true),
        (&other, json!({}), false),
        (&key, json!({"exp": now - 300, "iat": now - 600}), false),
        (&key, json!({"aud": claim}), false),
        (&key, json!({"sub": ""}), false),
        (&key, json!({"iss": claim}), false),
    ] {
        let token = key.sign(None, &claims(changes)).unwrap();
        let token = token.expose();
        world
            .planted
            .0
            .extend(token.split('.').skip(1).map(str::to_owned));
        for (headers, lines) in [
            (String::new(), format!("Authorization:Bearer {token}")),
            (String::new(), format!("passcode:{token}")),
            (format!("Authorization: Bearer {token}\r\n"), "x:y".into()),
            (
                format!("Sec-WebSocket-Protocol: v12.stomp, herald.bearer.{token}\r\n"),
                "x:y".into(),
            ),
            (
                format!(
                    "Origin: http://{}\r\nCookie: a=b; sid={token}\r\n",
                    world.herald.address
                ),
                "x:y".into(),
            ),
        ] {
            let answer = world
                .talk(&headers, &[connect(&lines), message(DISCONNECT)])
                .await;
            assert_eq!(answer.contains("CONNECTED"), is_let_in, "{answer}");
        }
        let bearer = format!("Bearer {token}");
        for path in ["/api/v1/users", "/api/v1/instances"] {
            let answer = world
                .herald
                .request("GET", path, &[("Authorization", &bearer)], b"")
                .await;
            world.planted.assert_absent(path, answer.head.as_bytes());
            world.planted.assert_absent(path, &answer.body);
            assert_eq!(
                answer.status,
                if is_let_in { 200 } else { 401 },
                "{}",
                answer.text()
            );
        }
    }
}

async fn frames(world: &mut World) {
    let body = world.planted.plant("body");
    for (frame, answer) in [
        (format!("SEND\ndestination:/queue/x\n\n{body}\0"), "ERROR"),
        (format!("SEND\ndestination:/nowhere\n\n{body}\0"), "ERROR"),
        (format!("SEND\ndestination:/chat/message\n\n{body}\0"), "RECEIPT"),
        (format!("SEND\ndestination:/app/nobody\n\n{body}\0"), "RECEIPT"),
        (format!("SEND\n\n{body}\0"), "ERROR"),
        (
            format!("SEND\ndestination:/chat/message\ncontent-length:3\n\n{body}\0"),
            "ERROR",
        ),
        (
            format!("SEND\ndestination:/chat/message\n\n{body}{}\0", "x".repeat(1_024)),
            "ERROR",
        ),
        (
            format!("SUBSCRIBE\nid:0\ndestination:/queue/x\n\n{body}\0"),
            "ERROR",
        ),
        (
            format!("SEND\ndestination:/chat/message\ncookie:{body}\\t\n\n\0"),
            "ERROR",
        ),
        (
            format!("SEND\ndestination:/chat/message\nauthorization:{body}\n\n\0"),
            "RECEIPT",
        ),
        (
            format!(
                "SEND\ndestination:/chat/message\npasscode:{body}{}\n\n\0",
                "x".repeat(9_000)
            ),
            "ERROR",
        ),
        (
            format!("SEND\ndestination:/app/herald/auth\nauthorization:Bearer {body}\n\n{body}\0"),
            "RECEIPT",
        ),
        (
            format!("SEND\ndestination:/app/herald/auth\nlogin:alice\npasscode:{body}\n\n\0"),
            "RECEIPT",
        ),
        (
            format!("SEND\ndestination:/app/herald/auth\npasscode:{body}\ntransaction:t\n\n\0"),
            "ERROR",
        ),
        (
            format!("BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/queue/x\n\n{body}\0"),
            "ERROR",
        ),
        (
            format!("BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/chat/message\n\n{body}\0"),
            "RECEIPT",
        ),
    ] {
        let found = world.session(frame.as_bytes()).await;
        assert!(found.contains(answer), "{frame:?}: {found}");
    }
    // Not UTF-8; not masked; a Close with a body as its reason.
    let login = connect(&format!("X-Authorization:{}", basic("alice", &world.password)));
    let frame = format!("SEND\ndestination:/chat/message\n\n{body}");
    let mut unmasked = message(frame.as_bytes());
    unmasked[1] &= 0x7F;
    for bytes in [
        message(&[frame.as_bytes(), b"\xff\0"].concat()),
        unmasked,
        [
            &[0x88, 0x80 | (2 + body.len() as u8), 0, 0, 0, 0, 3, 232],
            body.as_bytes(),
        ]
        .concat(),
    ] {
        world.talk("", &[login.clone(), bytes]).await;
    }
}

async fn rest(world: &mut World) {
    let body = world.planted.plant("rest-body");
    let json = ("Content-Type", "application/json");
    let key = format!("Bearer {}", world.key);
    let wrong_key = format!("Bearer {}", world.planted.plant("wrong-key"));
    let user = basic("alice", &world.password);
    let wrong_user = basic("alice", &world.planted.plant("wrong-rest"));
    let fine = format!("{{\"message\":\"{body}\",\"user\":\"backend\"}}");
    for (authorization, status) in [
        (&key, 202),
        (&user, 202),
        (&wrong_key, 401),
        (&wrong_user, 401),
        (&format!("Basic {body}"), 401),
        (&format!("Digest {body}"), 401),
    ] {
        let headers = [json, ("Authorization", authorization)];
        let answer = world.rest("/api/v1/message", &headers, &fine).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let with_key = [json, ("Authorization", &*key)];
    let to = "\"destination\":\"/queue/x\"";
    for (path, sent) in [
        ("message", format!("{{\"message\":\"{body}\"")),
        ("message", format!("{{\"message\":\"{body}\" \"user\":1}}")),
        ("message", format!("{{\"message\":[\"{body}\"],\"user\":\"x\"}}")),
        ("message", format!("\"{body}\"")),
        ("message", body.clone()),
        ("notifications", format!("{{{to},\"payload\":{body}}}")),
        (
            "notifications",
            format!("{{{to},\"payload\":\"{body}\",\"ttl_ms\":\"{body}\"}}"),
        ),
        (
            "notifications",
            format!("{{{to},\"payload\":\"{body}\",\"users\":\"{body}\"}}"),
        ),
        (
            "notifications",
            format!("{{{to},\"payload\":1,\"headers\":{{\"a\":[\"{body}\"]}}}}"),
        ),
        (
            "notifications",
            format!("{{{to},\"payload\":1,\"headers\":{{\"a\":\"{body}\\u0000\"}}}}"),
        ),
        (
            "notifications",
            format!("[{{{to},\"payload\":\"{body}\"}},{{\"payload\":\"{body}\"}}]"),
        ),
        (
            "notifications",
            format!("{{{to},\"payload\":\"{body}{}\"}}", "x".repeat(1_100)),
        ),
        (
            "notifications",
            format!("{{{to},\"payload\":\"{body}{}\"}}", "x".repeat(9_000)),
        ),
        (
            "notifications?dry_run=true",
            format!("{{\"destination\":\"{body}\",\"payload\":\"{body}\"}}"),
        ),
        (
            "notifications?dry_run=true",
            format!("[{{{to},\"payload\":\"{body}\"}}]"),
        ),
        ("broadcast/nowhere", body.clone()),
        ("broadcast/queue/x", format!("{body}{}", "x".repeat(1_100))),
    ] {
        let answer = world.rest(&format!("/api/v1/{path}"), &with_key, &sent).await;
        assert!(answer.status >= 207, "{path} {sent}: {}", answer.text());
        let content_type = answer.header("content-type").unwrap_or_default();
        assert!(
            answer.status == 207 || content_type == "application/problem+json",
            "{answer:?}"
        );
    }
    for path in ["broadcast/queue/x", "users/alice/queue/x"] {
        let answer = world.rest(&format!("/api/v1/{path}"), &with_key, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    for sent in [
        format!("{{\"level\":\"{body}\"}}"),
        format!("{{\"level\":\"{body}=debug\"}}"),
        format!("{{\"level\":\"info\",\"for\":\"{body}\"}}"),
        format!("{{\"level\":\"info\",\"instances\":\"{body}\"}}"),
        body.clone(),
    ] {
        let put = world
            .herald
            .request("PUT", "/api/v1/debug/log", &with_key, sent.as_bytes());
        let answer = put.await;
        assert!(matches!(answer.status, 400 | 403), "{sent}: {}", answer.text());
        world
            .planted
            .assert_absent("the answer to a log level", &answer.body);
    }
    let secret_query = world.planted.plant("query");
    world
        .herald
        .get(&format!("/ws?access_token={secret_query}"))
        .await;
    world.herald.get(&format!("/nowhere?token={secret_query}")).await;
}

async fn bus(world: &mut World) {
    let body = world.planted.plant("bus-body");
    let mut publisher = RawPublisher::connect(&world.nats).await;
    let headers = |lines: &str| format!("NATS/1.0\r\n{lines}\r\n\r\n");
    let long = format!("{body}{}", "x".repeat(1_100));
    let many = (0..200)
        .map(|n| format!("h{n}: {body}"))
        .collect::<Vec<_>>()
        .join("\r\n");
    for (subject, headers, payload) in [
        ("herald.broadcast.queue.x", String::new(), &body),
        (
            "herald.broadcast.queue.x",
            headers(&format!("Authorization: {body}")),
            &body,
        ),
        (
            "herald.broadcast.queue.x",
            headers(&format!("Herald-Headers: {{\"a\":{body}")),
            &body,
        ),
        (
            "herald.broadcast.queue.x",
            headers(&format!("a: {body}{}", "x".repeat(9_000))),
            &body,
        ),
        ("herald.broadcast.queue.x", headers(&many), &body),
        ("herald.broadcast.queue.x", String::new(), &long),
        ("herald.broadcast.Not%canonical", String::new(), &body),
        ("herald.user.alice", String::new(), &body),
        ("herald.control.all.presence.digest", String::new(), &body),
        (
            "herald.control.all.presence.changes",
            headers("Herald-Id: x"),
            &body,
        ),
        ("herald.control.all.disconnect", String::new(), &body),
        ("herald.control.all.nothing", String::new(), &body),
    ] {
        publisher
            .publish(subject.as_bytes(), headers.as_bytes(), payload.as_bytes())
            .await;
    }
}

/// A broken users file: the messages about it show nothing of it.
async fn users_file(world: &mut World) {
    let hash = world.planted.plant("hash");
    let path = world.folder.path().join("users.toml");
    let old = std::fs::read_to_string(&path).unwrap();
    for (number, broken) in [
        format!("{old}\n[[users]]\nname = \"bob\"\npassword = \"$argon2id${hash}\"\n"),
        format!("{old}\n[[users]]\nname = \"bob\"\npassword = {hash}\n"),
        format!("{old}\n[[users]]\nname = \"bob\"\npassword = [\"{hash}\"]\n"),
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(&path, broken).unwrap();
        until("the broken file is told of", async || {
            world.herald.lines_with("users.toml").len() > number
        })
        .await;
    }
    std::fs::write(&path, old).unwrap();
}

/// What somebody who helps is sent.
async fn bundle(world: &World) {
    let path = |name: &str| world.folder.path().join(name);
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let line = "support-bundle --admin-url";
    let url = format!("http://{}", world.herald.address);
    let cli = Cli::new(line)
        .argument(&url)
        .set("HERALD_URL", &url)
        .set("HERALD_KEY", &world.key);
    let cli = cli.argument("--config").argument(&text("herald.toml"));
    let cli = cli.argument("--output").argument(&text("bundle.tar.gz"));
    let cli = cli
        .set("HERALD_BUS__URL", &world.nats.url())
        .set("HERALD_AUTH__USERS_FILE", &text("users.toml"));
    let ended = cli.run().await;
    assert_eq!((ended.code, &*ended.error), (Some(0), ""), "{ended:?}");
    let files = unpack(&path("bundle.tar.gz"));
    // At this level it has all that was said lately.
    assert!(String::from_utf8_lossy(&files["log.txt"]).contains("\"level\":\"DEBUG\""));
    assert!(files.contains_key("doctor.jsonl") && files.contains_key("configuration.toml"));
    for (name, content) in &files {
        world.planted.assert_absent(name, content);
    }
}

#[tokio::test]
async fn nothing_that_is_said_holds_a_secret_or_a_body() {
    let mut world = World::start().await;
    let mut listener = match Browser::attempt(world.herald.address, "alice", &world.password).await {
        Ok(browser) => browser,
        Err(end) => panic!("alice is not let in: {end:?}"),
    };
    listener.subscribe("/queue/x").await;

    logins(&mut world).await;
    tokens(&mut world).await;
    frames(&mut world).await;
    rest(&mut world).await;
    bus(&mut world).await;
    users_file(&mut world).await;

    // What was sent to be read was read: the bodies did pass through.
    let mut seen = Vec::new();
    while !seen.iter().any(|body: &String| body.starts_with("bus-body")) {
        seen.push(listener.next_on("/queue/x").await.text());
    }
    assert!(seen.iter().any(|body| body.starts_with("rest-body")), "{seen:?}");

    let key = format!("Bearer {}", world.key);
    let metrics = world
        .herald
        .request("GET", "/metrics", &[("Authorization", &key)], b"")
        .await;
    assert_eq!(metrics.status, 200);
    world.planted.assert_absent("/metrics", &metrics.body);
    for path in [
        "/api/v1/users",
        "/api/v1/users/alice",
        "/manage/health",
        "/readyz",
    ] {
        let answer = world
            .herald
            .request("GET", path, &[("Authorization", &key)], b"")
            .await;
        world.planted.assert_absent(path, &answer.body);
    }

    bundle(&world).await;

    let World {
        herald,
        planted,
        collector,
        ..
    } = world;
    let said = herald.stop().await;
    // The last ones come before it exits.
    let spans = collector.spans();
    let names: std::collections::BTreeSet<_> = spans.iter().map(|span| &*span.name).collect();
    for kind in ["server", "producer", "consumer"] {
        assert!(spans.iter().any(|span| span.kind == kind), "no {kind}: {names:?}");
    }
    planted.assert_absent("the spans", &collector.exports());
    planted.assert_absent("the log", said.as_bytes());
    assert!(
        said.contains("\"level\":\"DEBUG\"") && said.contains("alice"),
        "{said}"
    );
}

/// A NATS server that refuses the password: the messages about it show nothing of it.
#[tokio::test]
async fn a_refused_bus_password_is_not_told() {
    let mut planted = Planted::default();
    let nats = NatsServer::start_with("authorization { user: herald, password: \"other\" }");
    let (password, token) = (planted.plant("bus-password"), planted.plant("bus-token"));
    for (name, value) in [("PASSWORD", &password), ("TOKEN", &token)] {
        let mut launch = Launch::demo()
            .set("HERALD_BUS__URL", &nats.url())
            .set("HERALD_LOG__LEVEL", "trace")
            .set("HERALD_DRAIN__BALANCER_WAIT", "0s")
            .set(&format!("HERALD_BUS__{name}"), value);
        if name == "PASSWORD" {
            launch = launch.set("HERALD_BUS__USER", "herald");
        }
        let herald = Herald::start_unready("refused", &launch).await;
        herald.logged("uthorization").await;
        planted.assert_absent("the log", herald.stop().await.as_bytes());
    }
}
