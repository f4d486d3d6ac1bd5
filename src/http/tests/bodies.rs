//! The promise: a bad body is refused with the right status and a pointer to what is wrong, and is never repeated.

use super::*;

const MESSAGE: &str = "/api/v1/message";
const NOTIFICATIONS: &str = "/api/v1/notifications";

async fn check(path: &str, body: &str, status: u16, pointer: Option<&str>) {
    let fixture = Fixture::open();
    let answer = fixture.post(path, body.to_owned()).await;
    let shown: String = body.chars().take(200).collect();
    assert_eq!(answer.status, status, "{shown}: {}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["pointer"].as_str(), pointer, "{shown}: {}", answer.text);
    assert_eq!(problem["status"], status, "{shown}");
    for member in ["type", "title", "detail"] {
        assert!(
            problem[member].as_str().is_some_and(|text| !text.is_empty()),
            "{shown}: {member}"
        );
    }
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{shown}"
    );
    assert!(
        !answer.text.contains("SECRET"),
        "{shown} is repeated: {}",
        answer.text
    );
    assert!(fixture.bus.published.lock().is_empty(), "{shown} was published");
}

#[tokio::test]
async fn chat_messages() {
    check(MESSAGE, "", 400, None).await;
    check(MESSAGE, "SECRET", 400, None).await;
    check(MESSAGE, "{\"message\":\"SECRET\"", 400, None).await;
    check(MESSAGE, "[]", 400, Some("")).await;
    check(MESSAGE, "{}", 400, Some("/message")).await;
    check(MESSAGE, r#"{"message":"SECRET"}"#, 400, Some("/user")).await;
    check(MESSAGE, r#"{"user":"SECRET"}"#, 400, Some("/message")).await;
    check(MESSAGE, r#"{"message":null,"user":"u"}"#, 400, Some("/message")).await;
    check(
        MESSAGE,
        r#"{"message":"m","user":["SECRET"]}"#,
        400,
        Some("/user"),
    )
    .await;
    check(
        MESSAGE,
        r#"{"message":"m","message":"m","user":"u"}"#,
        400,
        Some(""),
    )
    .await;
    check(
        MESSAGE,
        &format!(r#"{{"message":"{}","user":"u"}}"#, "x".repeat(1_000)),
        413,
        None,
    )
    .await;
}

#[tokio::test]
async fn notifications() {
    let ok = r#""destination":"/queue/x","payload":1"#;
    for (body, pointer) in [
        ("1", Some("")),
        ("null", Some("")),
        ("{\"payload\":SECRET}", None),
        ("{\"destination\":\"/queue/x\",\"payload\":", None),
        ("{} SECRET", None),
        ("{}", Some("/destination")),
        (r#"{"destination":"SECRET","payload":1}"#, Some("/destination")),
        (r#"{"destination":"/chat/x","payload":1}"#, Some("/destination")),
        (
            r#"{"destination":"/user/queue/x","payload":1}"#,
            Some("/destination"),
        ),
        (r#"{"destination":"/queue/*","payload":1}"#, Some("/destination")),
        (
            r#"{"destination":"/queue/\ud800","payload":1}"#,
            Some("/destination"),
        ),
        (
            r#"{"destination":["/queue/x"],"payload":1}"#,
            Some("/destination"),
        ),
        (
            r#"{"destination":"queue","user":"u","payload":1}"#,
            Some("/destination"),
        ),
        (r#"{"destination":"/queue/x"}"#, Some("/payload")),
        (&format!("{{{ok},\"user\":null}}"), Some("/user")),
        (&format!("{{{ok},\"user\":\"\"}}"), Some("/user")),
        (&format!("{{{ok},\"user\":\"SECRET\\n\"}}"), Some("/user")),
        (&format!("{{{ok},\"users\":null}}"), Some("/users")),
        (&format!("{{{ok},\"users\":[]}}"), Some("/users")),
        (&format!("{{{ok},\"users\":\"SECRET\"}}"), Some("/users")),
        (&format!("{{{ok},\"users\":[\"a\",1]}}"), Some("/users/1")),
        (
            &format!("{{{ok},\"users\":[\"a\"],\"user\":\"b\"}}"),
            Some("/users"),
        ),
        (
            &format!("{{{ok},\"users\":[{}\"a\"]}}", "\"a\",".repeat(1_000)),
            Some("/users"),
        ),
        (&format!("{{{ok},\"headers\":[]}}"), Some("/headers")),
        (
            &format!("{{{ok},\"headers\":{{\"a/b\":1}}}}"),
            Some("/headers/a~1b"),
        ),
        (
            &format!("{{{ok},\"headers\":{{\"a\":\"{}\"}}}}", "x".repeat(65)),
            Some("/headers"),
        ),
        (
            &format!("{{{ok},\"headers\":{{\"a\\n\":\"SECRET\"}}}}"),
            Some("/headers"),
        ),
        (
            &format!("{{{ok},\"headers\":{{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\"}}}}"),
            Some("/headers"),
        ),
        (
            &format!(
                "{{{ok},\"headers\":{{{}\"z\":\"\"}}}}",
                "\"cookie\":\"\",".repeat(1_000)
            ),
            Some("/headers"),
        ),
        (&format!("{{{ok},\"id\":\"a b\"}}"), Some("/id")),
        (&format!("{{{ok},\"id\":7}}"), Some("/id")),
        (&format!("{{{ok},\"collapse\":\"\"}}"), Some("/collapse")),
        (&format!("{{{ok},\"collapse\":7}}"), Some("/collapse")),
        (&format!("{{{ok},\"ttl_ms\":0}}"), Some("/ttl_ms")),
        (&format!("{{{ok},\"ttl_ms\":-1}}"), Some("/ttl_ms")),
        (&format!("{{{ok},\"ttl_ms\":1.5}}"), Some("/ttl_ms")),
        (&format!("{{{ok},\"ttl_ms\":\"SECRET\"}}"), Some("/ttl_ms")),
        (&format!("{{{ok},\"payload\":2}}"), Some("")),
        (&format!("{{{ok},\"User\":\"SECRET\"}}"), Some("/User")),
        (&format!("{{{ok},\"x\":null}}"), Some("/x")),
        (&format!("\u{feff}{{{ok}}}"), None),
        (&format!("\u{feff}[{{{ok}}}]"), None),
        (r#"{"destination":"/queue/x","payload":1}{"SECRET":1}"#, None),
        (&format!("[{}1]", "1,".repeat(1_000)), Some("")),
    ] {
        check(NOTIFICATIONS, body, 400, pointer).await;
    }
    let large = format!(
        r#"{{"destination":"/queue/x","payload":"{}"}}"#,
        "x".repeat(1_000)
    );
    check(NOTIFICATIONS, &large, 413, Some("/payload")).await;
}

#[tokio::test]
async fn words_say_what_was_expected_and_how_to_write_it() {
    let fixture = Fixture::open();
    for (member, detail) in [
        (
            r#""ttl_ms":"60000""#,
            "must be a whole number of milliseconds, at least 1, not a string",
        ),
        (
            r#""ttl_ms":0"#,
            "must be a whole number of milliseconds, at least 1",
        ),
        (
            r#""ttl_ms":-1"#,
            "must be a whole number of milliseconds, at least 1",
        ),
        (r#""user":7"#, "must be a string, not a number"),
        (r#""user":null"#, "must be a string, not null"),
        (r#""users":"anna""#, "must be an array, not a string"),
        (r#""headers":[]"#, "must be an object of strings, not an array"),
        (r#""headers":{"n":7}"#, "must be a string, not a number"),
    ] {
        let body = format!(r#"{{"destination":"/queue/x","payload":1,{member}}}"#);
        let answer = fixture.post(NOTIFICATIONS, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["detail"]),
            (400, &json!(detail))
        );
    }
    for (destination, detail) in [
        (
            "/user/queue/orders",
            "a destination below /user/ is a user's own, and nothing here names the user: put \"user\" beside it, as in \
             {\"destination\":\"/queue/orders\",\"user\":\"alice\",…}",
        ),
        (
            "/app/orders",
            "a destination below /app/ is for what clients SEND; a broadcast's begins with one of /queue/, /topic/",
        ),
        (
            "/queue/*",
            "a destination has no segment '*' or '**': there are no wildcards, name each destination",
        ),
    ] {
        let body = format!(r#"{{"destination":"{destination}","payload":1}}"#);
        let answer = fixture.post(NOTIFICATIONS, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["detail"]),
            (400, &json!(detail))
        );
    }
    let request = Request::put("/api/v1/debug/users/u")
        .header("content-type", "application/json")
        .header("authorization", "Bearer admin");
    let answer = fixture
        .send(request.body(r#"{"minutes":"5"}"#.into()).unwrap())
        .await;
    assert_eq!(
        answer.json()["detail"],
        "must be a whole number from 0 to 60, not a string"
    );
    let explained = fixture
        .get("/api/v1/explain?destination=/user/queue/x", "admin")
        .await;
    assert_eq!(
        explained.json()["detail"],
        "destination: a destination below /user/ is a user's own, and nothing here names the user: add &user=…"
    );
}

#[tokio::test]
async fn a_misspelt_field_is_refused_everywhere_but_in_a_chat_message() {
    let fixture = Fixture::open();
    let send = async |method: &str, path: &str, body: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", "Bearer admin");
        fixture.send(request.body(body.to_owned().into()).unwrap()).await
    };
    for (method, path, body, pointer, meant) in [
        (
            "POST",
            NOTIFICATIONS,
            r#"{"destination":"/queue/x","payload":1,"User":"alice"}"#,
            "/User",
            "user",
        ),
        (
            "POST",
            "/api/v1/notifications?dry_run=true",
            r#"{"destination":"/queue/x","payload":1,"ttl-ms":1}"#,
            "/ttl-ms",
            "ttl_ms",
        ),
        (
            "PUT",
            "/api/v1/debug/log",
            r#"{"level":"debug","instance":"all"}"#,
            "/instance",
            "instances",
        ),
        (
            "PUT",
            "/api/v1/debug/users/alice",
            r#"{"minute":1}"#,
            "/minute",
            "minutes",
        ),
        (
            "PUT",
            "/api/v1/debug/sessions/01JDEXAMPRE0000000000000AA",
            r#"{"minutes":1,"Minutes":1}"#,
            "/Minutes",
            "minutes",
        ),
    ] {
        let answer = send(method, path, body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:herald:problem:invalid-value", "{path}");
        assert_eq!(problem["pointer"], pointer, "{path}");
        let words = format!("unknown field; did you mean \"{meant}\"?");
        assert_eq!(problem["detail"], words, "{path}");
    }
    assert!(fixture.bus.published.lock().is_empty());

    let array =
        r#"[{"destination":"/queue/x","payload":1},{"destination":"/queue/x","payload":2,"users ":["a"]}]"#;
    let answer = send("POST", NOTIFICATIONS, array).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let items = answer.json();
    assert_eq!(items[0]["status"], 202);
    assert_eq!(
        (&items[1]["status"], &items[1]["pointer"]),
        (&400.into(), &"/1/users ".into())
    );
    assert_eq!(fixture.bus.published.lock().len(), 1);

    let lenient = send("POST", MESSAGE, r#"{"message":"m","user":"u","User":"x"}"#).await;
    assert_eq!(lenient.status, 202, "{}", lenient.text);
}

#[tokio::test]
async fn a_byte_order_mark_is_named() {
    for path in [MESSAGE, NOTIFICATIONS] {
        let fixture = Fixture::open();
        for body in [&b"\xEF\xBB\xBF{}"[..], b"\xFF\xFE{\0}\0", b"\xFE\xFF\0{\0}"] {
            let answer = fixture.post(path, body.to_vec()).await;
            assert_eq!(answer.status, 400, "{path}");
            let problem = answer.json();
            assert_eq!(problem["type"], "urn:herald:problem:malformed-body", "{path}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("byte order mark"), "{path}: {detail}");
        }
    }
}

#[tokio::test]
async fn content_types_and_codings() {
    let fixture = Fixture::open();
    let body = r#"{"message":"m","user":"u"}"#;
    for (name, value, expected) in [
        ("content-type", "application/json", 202),
        ("content-type", "Application/JSON; charset=utf-8", 202),
        ("content-type", "application/vnd.x+json", 202),
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("x-other", "", 415),
    ] {
        let request = Request::post(MESSAGE)
            .header(name, value)
            .body(body.into())
            .unwrap();
        assert_eq!(fixture.send(request).await.status, expected, "{name}: {value}");
    }
    for path in [MESSAGE, "/api/v1/broadcast/queue/x"] {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        let answer = fixture.send(request.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, 415, "{path}");
    }
}

#[tokio::test]
async fn sizes_name_their_limit() {
    let config = Config {
        max_request_bytes: ByteSize(50),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Open, &config);
    let check = async |path: &str, size: usize, announced: bool, limit: &str, limit_bytes: usize| {
        let mut request = Request::post(path).header("content-type", "application/json");
        if announced {
            request = request.header("content-length", size);
        }
        let answer = fixture.send(request.body("x".repeat(size).into()).unwrap()).await;
        assert_eq!(answer.status, 413, "{path}");
        let problem = answer.json();
        assert_eq!(problem["limit"], limit, "{path}");
        assert_eq!(problem["limit_bytes"], limit_bytes, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(limit), "{path}");
    };
    for announced in [true, false] {
        check(MESSAGE, 51, announced, "http.max_request_bytes", 50).await;
        check(NOTIFICATIONS, 51, announced, "http.max_request_bytes", 50).await;
        let raw = "/api/v1/broadcast/queue/x";
        check(
            raw,
            MAX_BODY_BYTES + 1,
            announced,
            "limits.body_bytes",
            MAX_BODY_BYTES,
        )
        .await;
    }
}
