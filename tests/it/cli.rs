//! The promise: the commands for people do what docs/cli.md says, against a real instance. If they cannot, they say why
//! and what to do, and end with the exit code that scripts rely on.

use serde_json::Value;

use crate::support::cluster::{admin_key, until_online};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::{Herald, Launch};
use crate::support::tls::{tls_file, tls_proxy};

pub mod bundle;
pub mod command;
mod contexts;
mod operators;
mod probe;
mod renewal;

use command::Cli;

const FAILURE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(64);
const UNAVAILABLE: Option<i32> = Some(69);
const TRY_LATER: Option<i32> = Some(75);
const REFUSED: Option<i32> = Some(77);
const CONFIG: Option<i32> = Some(78);

/// A demo instance with the operators' key.
async fn demo() -> (tempfile::TempDir, Herald) {
    demo_with(&[]).await
}

async fn demo_with(settings: &[(&str, &str)]) -> (tempfile::TempDir, Herald) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    std::fs::write(&path, admin_key()).unwrap();
    let mut launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap());
    for (name, value) in settings {
        launch = launch.set(name, value);
    }
    let herald = Herald::start("cli", &launch).await;
    (folder, herald)
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn what_is_published_arrives_as_it_was_given() {
    let (folder, herald) = demo().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.subscribe("/topic/a b").await;
    browser.subscribe("/user/queue/orders").await;

    let ended = Cli::of(&herald, "publish")
        .argument("/topic/a b")
        .argument("grüße")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("published /topic/a b  01"), "{ended:?}");
    assert_eq!(browser.next().await.text(), "grüße");

    let line = "publish /queue/orders --user test1 --user test2 -t application/json -H kind:order -H note:a:b \
                --id order-7 --ttl 1m --collapse orders --json {}";
    let ended = Cli::of(&herald, line).run().await;
    let answers: Vec<Value> = ended.out.lines().map(json).collect();
    for (answer, user) in answers.iter().zip(["test1", "test2"]) {
        let mut answer = answer.clone();
        let position = answer.as_object_mut().unwrap().remove("position");
        assert!(position.is_some_and(|position| position.is_string()), "{ended:?}");
        let wanted = serde_json::json!({"destination": "/queue/orders", "user": user, "id": "order-7"});
        assert_eq!(answer, wanted);
    }
    assert_eq!(answers.len(), 2, "{ended:?}");
    let message = browser.next().await;
    let header = |name| message.header(name).unwrap_or("none");
    assert_eq!((&*message.text(), header("herald-id")), ("{}", "order-7"));
    assert_eq!(
        (header("content-type"), header("kind"), header("note")),
        ("application/json", "order", "a:b")
    );

    let path = folder.path().join("body");
    std::fs::write(&path, b"\xffbytes").unwrap();
    let file = Cli::of(&herald, "publish /queue/orders --user test1 --file").argument(path.to_str().unwrap());
    assert_eq!(file.run().await.code, Some(0));
    assert_eq!(browser.next().await.body, b"\xffbytes");
    let piped = Cli::of(&herald, "publish /queue/orders --user test1").input(b"from a pipe\n");
    assert_eq!(piped.run().await.code, Some(0));
    assert_eq!(browser.next().await.text(), "from a pipe\n");
}

#[tokio::test]
async fn refusals_say_what_to_do_and_end_with_their_code() {
    let (folder, herald) = demo().await;
    let check = async |cli: Cli, code: Option<i32>, words: &[&str]| {
        let ended = cli.run().await;
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(ended.out, "", "a refusal is no output");
        for words in words {
            assert!(ended.error.contains(words), "{words:?} not in {ended:?}");
        }
        assert!(!ended.error.contains("hush"), "{ended:?}");
    };
    let of = |line: &str| Cli::of(&herald, line);
    // Wrong keys and users.
    check(of("users"), REFUSED, &["403", "scope"]).await;
    check(
        of("users").set("HERALD_KEY", "hush"),
        REFUSED,
        &["401", "HERALD_KEY"],
    )
    .await;
    check(of("tap").set("HERALD_KEY", "hush"), REFUSED, &["401"]).await;
    let wrong = of("subscribe /topic/a").set("HERALD_PASSWORD", "hush");
    check(wrong, REFUSED, &["authentication failed", "4401"]).await;
    let wrong = of("bench --sessions 1 --seconds 1").set("HERALD_PASSWORD", "hush");
    check(wrong, REFUSED, &["session 1 of 1", "4401"]).await;
    // Destinations that do not exist.
    check(
        of("publish /nowhere x"),
        FAILURE,
        &["/nowhere", "/queue/, /topic/"],
    )
    .await;
    check(of("subscribe /nowhere"), REFUSED, &["/nowhere", "1008"]).await;
    check(of("publish queue x"), USAGE, &["begins with '/'"]).await;
    check(
        of("bench --destination /nowhere --sessions 1"),
        REFUSED,
        &["/nowhere"],
    )
    .await;
    // Nobody is there, or something else is.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    for line in [
        "publish /topic/a x",
        "subscribe /topic/a",
        "users",
        "instances",
        "disconnect ann",
        "log-level",
        "explain /queue/a",
        "send /app/a x",
        "tap",
        "bench",
    ] {
        check(
            of(line).set("HERALD_URL", &free),
            UNAVAILABLE,
            &["cannot reach Herald", &free],
        )
        .await;
    }
    check(
        of("users")
            .argument("--url")
            .argument(&format!("{}/elsewhere", url(&herald))),
        FAILURE,
        &["404"],
    )
    .await;
    check(of("subscribe /topic/a --ws-path /elsewhere"), FAILURE, &["404"]).await;
    let tls = format!("https://{}", herald.address);
    check(
        of("users").set("HERALD_URL", &tls),
        UNAVAILABLE,
        &["cannot reach Herald", &tls],
    )
    .await;
    // What the command line or its files contain.
    check(of("users").set("HERALD_URL", "127.0.0.1"), USAGE, &["http://"]).await;
    check(
        of("users").set("HERALD_URL", "http://a:hush@x"),
        USAGE,
        &["HERALD_PASSWORD"],
    )
    .await;
    check(of("users --key-file /nowhere/key"), USAGE, &["/nowhere/key"]).await;
    check(
        Cli::new("subscribe /topic/a --login ann"),
        USAGE,
        &["HERALD_PASSWORD"],
    )
    .await;
    check(Cli::new("subscribe /topic/a"), USAGE, &["--login"]).await;
    check(
        of("publish /topic/a --file /nowhere/body"),
        USAGE,
        &["/nowhere/body"],
    )
    .await;
    check(of("publish /topic/a x --ttl soon"), USAGE, &["--ttl"]).await;
    check(of("publish /topic/a x -H nonsense"), USAGE, &["NAME:VALUE"]).await;
    check(of("tap --seconds 31"), USAGE, &["--seconds"]).await;
    check(of("subscribe"), USAGE, &["DESTINATIONS"]).await;
    // A password in a file works as one in the environment does.
    let path = folder.path().join("password");
    std::fs::write(&path, "test\n").unwrap();
    let url = url(&herald);
    let cli = Cli::new("bench --sessions 1 --seconds 1 --rate 1 --login test2 --url")
        .argument(&url)
        .argument("--password-file")
        .argument(path.to_str().unwrap());
    assert_eq!(cli.run().await.code, Some(0));
    // A refused WebSocket says why, as REST does.
    let (_folder, full) = demo_with(&[("HERALD_LIMITS__SESSIONS_PER_ADDRESS", "1")]).await;
    let _first = Browser::connect(full.address, "test1").await;
    let second = Cli::of(&full, "send /app/message x");
    check(
        second,
        TRY_LATER,
        &["429", "limits.sessions_per_address", "Retry-After: 5 s"],
    )
    .await;
}

/// Without its bus a Herald is there and can do nothing: every command says the server's reason and what to do.
#[tokio::test]
async fn a_503_says_why_and_what_to_do() {
    let launch = Launch::demo().set("HERALD_BUS__URL", "nats://127.0.0.1:1");
    let herald = Herald::start_unready("deaf", &launch).await;
    for line in [
        "publish /topic/a x",
        "disconnect ann",
        "publish /queue/a x --user test1",
    ] {
        let cli = Cli::of(&herald, line).set("HERALD_LOGIN", "admin");
        let ended = cli.run().await;
        assert_eq!(ended.code, TRY_LATER, "{line}: {ended:?}");
        for words in [
            "503 Service Unavailable (bus-unavailable)",
            "try again in 1 s",
            "/readyz",
        ] {
            assert!(ended.error.contains(words), "{line}: {words}: {ended:?}");
        }
    }
}

// The proxy runs while the test waits for a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_by_the_authorities_one_names() {
    let (_folder, herald) = demo().await;
    let url = format!("https://{}", tls_proxy(herald.address).await);
    let of = |line: &str| Cli::of_operator(&herald, line).set("HERALD_URL", &url);
    let refused = of("users").run().await;
    assert_eq!(refused.code, UNAVAILABLE);
    assert!(refused.error.contains("UnknownIssuer"), "{refused:?}");
    let (users, subscribe) = (of("users --ca-file"), of("subscribe -n 1 /topic/a --ca-file"));
    let ca = tls_file("ca.pem");
    assert_eq!(users.argument(&ca).run().await.code, Some(0));
    let subscribed = subscribe.argument(&ca).start();
    assert!(subscribed.error().contains("subscribed to /topic/a"));
    herald
        .post("/api/v1/broadcast/topic/a", "text/plain", "by TLS")
        .await;
    let lines = [subscribed.out(), subscribed.out()];
    assert!(lines[0].contains("/topic/a") && lines[1] == "by TLS", "{lines:?}");
    assert_eq!(subscribed.code(), Some(0));
}

fn url(herald: &Herald) -> String {
    format!("http://{}", herald.address)
}

#[tokio::test]
async fn a_subscription_prints_what_comes_and_comes_back_after_a_drain() {
    let (_folder, herald) = demo_with(&[
        ("HERALD_DRAIN__BALANCER_WAIT", "0s"),
        ("HERALD_DRAIN__SPREAD", "0s"),
    ])
    .await;
    let address = herald.address;
    let line = "subscribe --json --ack client-individual -n 2 /topic/news /user/queue/orders";
    let subscribed = Cli::of(&herald, line).start();
    assert_eq!(
        subscribed.error(),
        "test1 at cli: subscribed to /topic/news, /user/queue/orders"
    );
    // What an idle subscription may go on from, for people and for programs.
    for destination in ["/topic/news", "/user/queue/orders"] {
        let stands = json(&subscribed.out());
        let position = stands["position"].as_str().unwrap();
        assert_eq!(
            stands,
            serde_json::json!({"destination": destination, "position": position})
        );
        assert_eq!(subscribed.error(), format!("{destination}: from {position} on"));
    }
    let post = async |herald: &Herald, path: &str, body: &[u8]| {
        let answer = herald
            .request("POST", path, &[("Herald-Headers", r#"{"kind":"x"}"#)], body)
            .await;
        assert_eq!(answer.status, 202);
    };
    post(&herald, "/api/v1/users/test1/queue/orders", b"a\xff").await;
    let shown = json(&subscribed.out());
    assert_eq!(
        (&shown["destination"], &shown["body_base64"]),
        (&"/user/queue/orders".into(), &"Yf8=".into())
    );
    assert_eq!(shown["headers"]["kind"], "x");

    assert!(herald.stop().await.contains("drained"));
    let lost = subscribed.error();
    assert!(lost.contains("1001") && lost.contains("again in"), "{lost}");
    let launch = Launch::new(&["serve", "--demo", "--listen", &address.to_string()]);
    let herald = Herald::start("next", &launch).await;
    // It may have tried before anybody was there.
    let back =
        std::iter::repeat_with(|| subscribed.error()).find(|line| line.contains(" at next: subscribed"));
    assert!(back.is_some());
    // Another process has another history.
    for destination in ["/topic/news", "/user/queue/orders"] {
        let mut told = json(&subscribed.out());
        assert!(told["position"].is_string(), "{told}");
        told.as_object_mut().unwrap().remove("position");
        let wanted =
            serde_json::json!({"destination": destination, "recovered": false, "reason": "epoch-changed"});
        assert_eq!(told, wanted);
    }
    post(&herald, "/api/v1/broadcast/topic/news", b"again").await;
    assert_eq!(json(&subscribed.out())["body"], "again");
    // The second message, which is enough.
    assert_eq!(subscribed.code(), Some(0));
}

#[tokio::test]
async fn a_subscription_says_what_it_missed_and_begins_where_it_is_told() {
    let (_folder, herald) = demo().await;
    let publish = async |body: &str, key: &str| {
        let line = format!("publish /topic/news --json --idempotency-key {key}");
        let ended = Cli::of(&herald, &line).argument(body).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        json(&ended.out)
    };
    let first = publish("one", "1").await;
    let from = first["position"].as_str().unwrap();
    publish("two", "2").await;
    let repeat = publish("two", "2").await;
    assert_eq!(repeat["duplicate"], true, "{repeat}");
    assert_eq!(first.get("duplicate"), None);
    let other = Cli::of(&herald, "publish /topic/news other --idempotency-key 2")
        .run()
        .await;
    assert!(other.code == FAILURE && other.error.contains("422"), "{other:?}");
    publish("three", "3").await;

    let line = format!("subscribe /topic/news --json -n 2 --from {from}");
    let subscribed = Cli::of(&herald, &line).start();
    assert_eq!(subscribed.error(), "/topic/news: recovered, 2 missed while away");
    let resumed = json(&subscribed.out());
    let wanted = serde_json::json!({"destination": "/topic/news", "recovered": true, "replayed": "2", "position": from});
    assert_eq!(resumed, wanted);
    let bodies = [
        json(&subscribed.out())["body"].clone(),
        json(&subscribed.out())["body"].clone(),
    ];
    assert_eq!(bodies, ["two", "three"]);
    assert_eq!(subscribed.code(), Some(0));

    let subscribed = Cli::of(&herald, "subscribe /topic/news -n 1 --from 7-7").start();
    assert!(subscribed.error().contains("not recovered (epoch-changed)"));
    assert!(subscribed.error().contains("subscribed to /topic/news"));
    publish("four", "4").await;
    assert_eq!(subscribed.code(), Some(0));
    let bad = Cli::of(&herald, "subscribe /topic/news --from yesterday")
        .run()
        .await;
    assert!(bad.code == USAGE && bad.error.contains("--from"), "{bad:?}");
}

/// The connection is cut, not the instance: what came meanwhile comes once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_cut_off_gets_what_it_missed() {
    let (_folder, herald) = demo().await;
    let proxy = crate::support::cut::Proxy::to(herald.address).await;
    let cli = Cli::of(&herald, "subscribe /topic/news -n 4 --json");
    let subscribed = cli
        .set("HERALD_URL", &format!("http://{}", proxy.address()))
        .start();
    assert!(subscribed.error().contains("subscribed to /topic/news"));
    assert!(json(&subscribed.out())["position"].is_string());
    let publish = async |body: &[u8]| {
        let answer = herald
            .request("POST", "/api/v1/broadcast/topic/news", &[], body)
            .await;
        assert_eq!(answer.status, 202);
    };
    publish(b"one").await;
    assert_eq!(json(&subscribed.out())["body"], "one");
    proxy.cut().await;
    publish(b"two").await;
    publish(b"three").await;
    proxy.mend();
    let told = std::iter::repeat_with(|| subscribed.error()).find(|line| line.contains("recovered"));
    assert_eq!(
        told.as_deref(),
        Some("/topic/news: recovered, 2 missed while away")
    );
    assert_eq!(json(&subscribed.out())["replayed"], "2");
    let bodies = [
        json(&subscribed.out())["body"].clone(),
        json(&subscribed.out())["body"].clone(),
    ];
    assert_eq!(bodies, ["two", "three"]);
    // Live again, from there on.
    publish(b"four").await;
    assert_eq!(json(&subscribed.out())["body"], "four");
    assert_eq!(subscribed.code(), Some(0));
}

#[tokio::test]
async fn a_subscription_ends_when_asked_to_or_when_coming_back_cannot_help() {
    let (_folder, herald) = demo().await;
    let subscribed = Cli::of(&herald, "subscribe /topic/a").start();
    subscribed.error();
    until_online(&herald, &["test1"]).await;
    subscribed.signal("INT");
    assert_eq!(subscribed.code(), Some(0));
    until_online(&herald, &[]).await;

    let subscribed = Cli::of(&herald, "subscribe /topic/a").start();
    // That it is subscribed, and from which position on.
    subscribed.error();
    subscribed.error();
    let path = "/api/v1/users/test1/sessions";
    assert_eq!(
        crate::support::cluster::admin(&herald, "DELETE", path)
            .await
            .status,
        202
    );
    let end = subscribed.error();
    assert!(
        end.contains("disconnected by an operator") && end.contains("4403"),
        "{end}"
    );
    assert_eq!(subscribed.code(), REFUSED);
}

#[tokio::test]
async fn users_tap_and_bench_show_what_is() {
    let (_folder, herald) = demo().await;
    let mut browser = Browser::connect(herald.address, "test7").await;
    browser.subscribe("/topic/seen").await;
    until_online(&herald, &["test7"]).await;
    let run = async |line: &str| {
        let ended = Cli::of_operator(&herald, line).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    };
    assert_eq!(run("users").await.out, "ONLINE (1)\ntest7\n");
    assert_eq!(
        json(&run("users --json").await.out)["users"],
        serde_json::json!(["test7"])
    );
    let shown = run("users test7").await.out;
    assert!(
        shown.starts_with("INSTANCE") && shown.contains("/topic/seen"),
        "{shown}"
    );
    let session = &json(&run("users test7 --json").await.out)["sessions"][0];
    assert_eq!(session["subscriptions"], serde_json::json!(["/topic/seen"]));
    assert!(run("users nobody").await.error.contains("not online"));

    let mut tapped = Cli::of_operator(&herald, "tap --seconds 2 --json").start();
    let mut other = Cli::of_operator(&herald, "tap --seconds 2").start();
    // However late they begin, a sample always has something to see.
    while !(tapped.is_over() && other.is_over()) {
        for path in [
            "/api/v1/broadcast/topic/seen",
            "/api/v1/users/nobody/queue/unseen",
        ] {
            herald.post(path, "text/plain", "12345").await;
        }
    }
    let sample = json(&tapped.out());
    let of = |name: &str| {
        let all = sample["destinations"].as_array().unwrap();
        let found = all.iter().find(|one| one["destination"] == name);
        found
            .unwrap_or_else(|| panic!("{name} is not in {sample}"))
            .clone()
    };
    let (seen, unseen) = (of("/topic/seen"), of("/user/queue/unseen"));
    assert_eq!(seen["unmatched"], 0);
    assert_eq!(unseen["unmatched"], unseen["notifications"]);
    assert_eq!(
        seen["body_bytes"].as_u64(),
        seen["notifications"].as_u64().map(|count| count * 5)
    );
    assert_eq!((tapped.code(), other.code()), (Some(0), Some(0)));

    let result = json(&run("bench --sessions 3 --rate 20 --seconds 1 --json").await.out);
    assert_eq!(
        (&result["deliveries"], &result["lost"]),
        (&60.into(), &0.into()),
        "{result}"
    );
    assert!(result["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{result}");
}

#[tokio::test]
async fn the_doctor_tells_what_would_not_work() {
    let check = async |cli: Cli, code: Option<i32>, lines: &[(&str, &str, &str)]| {
        let ended = cli.argument("--json").run().await;
        assert_eq!(ended.code, code, "{ended:?}");
        let found: Vec<Value> = ended.out.lines().map(json).collect();
        for (check, status, words) in lines {
            let is_it = |line: &&Value| {
                line["check"] == *check
                    && line["status"] == *status
                    && line["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.contains(words))
            };
            let line = found.iter().find(is_it);
            assert!(line.is_some(), "{check} {status} {words} is not in {}", ended.out);
            let has_advice = line.is_some_and(|line| line["advice"].is_string());
            assert_eq!(has_advice, matches!(*status, "warn" | "fail"), "{check}");
        }
    };
    let doctor = || Cli::new("doctor --demo --listen 127.0.0.1:0");
    check(
        doctor(),
        Some(0),
        &[
            ("port", "ok", "free"),
            ("bus", "ok", "embedded"),
            ("users", "ok", "--demo"),
            ("idle", "ok", "http.idle_timeout"),
            ("request head", "ok", "http.header_timeout"),
            ("heart-beats", "ok", "heartbeat.send"),
        ],
    )
    .await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(
        Cli::new("doctor --demo --listen").argument(&address),
        FAILURE,
        &[("port", "fail", &address)],
    )
    .await;
    let file = doctor().set("HERALD_AUTH__USERS_FILE", "/nowhere/users.toml");
    check(file, FAILURE, &[("users", "fail", "/nowhere/users.toml")]).await;
    for (setting, path) in [
        ("HERALD_API__KEYS_FILE", "/nowhere/keys.toml"),
        ("HERALD_HISTORY__PATH", "/nowhere/history"),
    ] {
        let file = doctor().set(setting, path);
        check(file, FAILURE, &[("configuration", "fail", "/nowhere")]).await;
    }
    let files = doctor().set("HERALD_HTTP__MAX_CONNECTIONS", "4000000000");
    check(files, Some(0), &[("open files", "warn", "http.max_connections")]).await;

    // Time-outs that those of a balancer, of Kubernetes or of a proxy cut short.
    let hasty = doctor()
        .set("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .set("HERALD_HTTP__IDLE_TIMEOUT", "5s")
        .set("HERALD_HTTP__HEADER_TIMEOUT", "5m")
        .set("HERALD_HEARTBEAT__SEND", "2m")
        .set("HERALD_DRAIN__TIMEOUT", "40s");
    check(
        hasty,
        Some(0),
        &[
            ("idle", "warn", "502"),
            ("request head", "warn", "http.header_timeout"),
            ("heart-beats", "warn", "60s"),
            ("drain", "warn", "Kubernetes kills after 30s"),
        ],
    )
    .await;

    let nats = NatsServer::start();
    let up = doctor().set("HERALD_BUS__URL", &nats.url());
    check(
        up,
        Some(0),
        &[
            ("bus pings", "ok", "bus.ping_interval"),
            ("bus", "ok", "nats-server 2."),
            ("clock", "ok", "ms off"),
            ("JetStream", "ok", ""),
        ],
    )
    .await;
    let port = nats.port();
    drop(nats);
    let down = doctor().set("HERALD_BUS__URL", &format!("nats://127.0.0.1:{port}"));
    check(
        down,
        FAILURE,
        &[("bus", "fail", "refused"), ("clock", "unseen", "not seen")],
    )
    .await;

    let (cert, key) = (tls_file("server.pem"), tls_file("server-key.pem"));
    let nats = NatsServer::start_with(&format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}"));
    let tls = doctor()
        .set("HERALD_BUS__URL", &nats.url())
        .set("HERALD_BUS__CA_FILE", &tls_file("ca.pem"));
    let shown = format!("127.0.0.1:{}) holds until", nats.port());
    check(
        tls,
        Some(0),
        &[
            ("certificate", "ok", "bus.ca_file"),
            ("certificate", "ok", &shown),
        ],
    )
    .await;

    let ended = Cli::new("doctor").set("HERALD_HTTP__LISEN", "x").run().await;
    assert_eq!(ended.code, CONFIG, "{ended:?}");
}

#[tokio::test]
async fn completions_and_manual_name_every_command() {
    let commands = ["serve", "doctor", "publish", "subscribe", "users", "tap", "bench"];
    for shell in ["bash", "zsh", "fish"] {
        let ended = Cli::new("completions").argument(shell).run().await;
        assert_eq!(ended.code, Some(0));
        assert!(
            commands.iter().all(|command| ended.out.contains(command)),
            "{shell}"
        );
    }
    assert!(Cli::new("man").run().await.out.contains(".TH herald 1"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    let ended = Cli::new("man --folder")
        .argument(path.to_str().unwrap())
        .run()
        .await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""));
    for command in commands {
        let page = std::fs::read_to_string(path.join(format!("herald-{command}.1"))).unwrap();
        assert!(page.contains(".SH"), "{command}");
    }
}

#[tokio::test]
async fn a_permission_is_explained_without_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    let rules = "[[permissions.subscribe]]\nname = \"own\"\ndestination = \"/queue/of/{user}\"\n";
    std::fs::write(&path, admin_key() + rules).unwrap();
    let explain = |rest: &str| {
        Cli::new(&format!(
            "explain permission --demo --config {} {rest}",
            path.display()
        ))
    };
    let refused = explain("--user test1 --subscribe /queue/of/test2").run().await;
    assert_eq!(refused.code, FAILURE, "{refused:?}");
    assert_eq!(
        refused.out,
        "permissions.subscribe[0] (own) /queue/of/{user} matches\n  ✗ segment 3 (\"test2\") is the user: \"test1\"\n\
         SUBSCRIBE /queue/of/test2: refused (permissions.subscribe[0])\n"
    );
    let permitted = explain("--user test1 --subscribe /queue/of/test1 --json")
        .run()
        .await;
    assert_eq!(permitted.code, Some(0), "{permitted:?}");
    assert_eq!(json(&permitted.out)["permitted"], true);
    for (rest, code, words) in [
        ("--user nobody --subscribe /queue/x", FAILURE, "no such user"),
        ("--key nobody --publish /queue/x", FAILURE, "no such key"),
        ("--key ops --send /queue/x", FAILURE, "a key can only publish"),
        ("--user test1 --send nowhere", FAILURE, "begins with '/'"),
        ("--user test1", USAGE, "--subscribe"),
        (
            "--user test1 --send /queue/x --publish /queue/x",
            USAGE,
            "cannot be used with",
        ),
    ] {
        let ended = explain(rest).run().await;
        assert_eq!(ended.code, code, "{rest}: {ended:?}");
        assert!(ended.error.contains(words), "{rest}: {ended:?}");
    }
}

#[tokio::test]
async fn a_permission_is_explained_by_a_running_instance() {
    let (folder, herald) = demo().await;
    let session = Browser::connect(herald.address, "test1").await;
    let session = session.connected.header("session").unwrap().to_owned();
    let ask = |rest: &str| Cli::of_operator(&herald, &format!("explain permission {rest}"));
    let by_session = format!("--session {session} --subscribe /queue/x --json");
    for (rest, code, expected) in [
        (
            "--running --user test1 --subscribe /queue/x",
            Some(0),
            "SUBSCRIBE /queue/x: permitted (",
        ),
        (
            "--running --user test1 --send /queue/x",
            FAILURE,
            "SEND /queue/x: refused (",
        ),
        (
            "--running --key ops --publish /queue/x",
            Some(0),
            "publishing /queue/x: permitted (",
        ),
        (&by_session, Some(0), "{\"permitted\":true"),
    ] {
        let ended = ask(rest).run().await;
        assert_eq!(ended.code, code, "{rest}: {ended:?}");
        assert!(ended.out.contains(expected), "{rest}: {ended:?}");
    }
    for (rest, code, words) in [
        (
            "--running --user backend:nobody --subscribe /queue/x",
            FAILURE,
            "there is no such user in auth.users and auth.users_file; for a user whom a token",
        ),
        ("--running --user test1 --subscribe nowhere", FAILURE, "400"),
        (
            "--running --anonymous --subscribe /queue/x",
            USAGE,
            "cannot be used with",
        ),
        (
            "--running --demo --user test1 --subscribe /queue/x",
            USAGE,
            "cannot be used with",
        ),
        ("--running --subscribe /queue/x", USAGE, "--session"),
    ] {
        let ended = ask(rest).run().await;
        assert_eq!(ended.code, code, "{rest}: {ended:?}");
        assert!(ended.error.contains(words), "{rest}: {ended:?}");
    }
    // So does whatever says where Herald is, and standard error says which was asked.
    let ended = ask("--user test1 --subscribe /queue/x").run().await;
    let running = format!("asked: the running Herald at {}", url(&herald));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.error.contains(&running), "{ended:?}");
    let ended = ask("--demo --user test1 --subscribe /queue/x").run().await;
    assert!(
        ended.error.contains("asked: the configuration of --demo"),
        "{ended:?}"
    );
    // A context is enough.
    let home = folder.path().to_str().unwrap();
    let in_home = |line: &str| {
        Cli::new(line)
            .set("XDG_CONFIG_HOME", home)
            .set("OPS_KEY", "the-clusters-own-key")
    };
    let added = in_home(&format!(
        "context add ops --url {} --key-env OPS_KEY",
        url(&herald)
    ))
    .run()
    .await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let ended = in_home("explain permission --context ops --user test1 --subscribe /queue/x")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let selected = in_home("context select ops").run().await;
    assert_eq!(selected.code, Some(0), "{selected:?}");
    let ended = in_home("explain permission --user test1 --subscribe /queue/x")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.error.contains(&running), "{ended:?}");
}
