//! The promise: every request's head has to meet the same rules, whatever its route, and a refused head is answered in
//! words.

use super::*;

/// The status and the detail of the answer to `request`, which closes the connection or is told to.
async fn refused(running: &Running, request: &'static str) -> (String, String) {
    let answer = ask(Client::connect(running.address).unwrap(), request).await;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{request:?}: {answer:?}"));
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/problem+json"),
        "{answer}"
    );
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    let status = head.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(problem["status"].to_string(), status);
    (status, problem["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_hyper_cannot_read_is_refused_in_words() {
    let running = start(options()).await;
    let long: &'static str = String::leak(format!(
        "GET / HTTP/1.1\r\nx: {}",
        "y".repeat(options().head_bytes)
    ));
    let many: &'static str = String::leak(format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(101)
    ));
    for (request, status, words) in [
        (long, "431", "http.head_bytes"),
        (many, "431", "100 headers"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
            "501",
            "chunked",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "501",
            "chunked",
        ),
        (
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
            "400",
            "transfer-encoding",
        ),
        ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", "400", "HTTP/1.1"),
        ("nonsense\r\n\r\n", "400", "HTTP/1.1"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
            "400",
            "content-length",
        ),
    ] {
        let (found, detail) = refused(&running, request).await;
        assert_eq!(found, status, "{request:?}: {detail}");
        assert!(detail.contains(words), "{request:?}: {detail}");
    }
    assert_eq!(running.metrics.limit_hits(Limit::HeadBytes), 2);
}

/// A head that is refused behind one that was answered: the answer is not lost.
#[tokio::test]
async fn the_answer_before_a_refused_head_arrives() {
    let running = start(options()).await;
    let client = keep(Client::connect(running.address).unwrap(), HELLO).await;
    let answer = ask(client, "nonsense\r\n\r\n").await;
    let (first, second) = answer.split_at(answer.find("HTTP/1.1 400 ").unwrap_or_else(|| panic!("{answer}")));
    assert!(first.ends_with("hello"), "{answer}");
    assert!(second.contains("problem+json"), "{answer}");
    // In one packet hyper's own refusal may come with the answer.
    let both: &'static str = String::leak(format!("{HELLO}nonsense\r\n\r\n"));
    let answer = ask(Client::connect(running.address).unwrap(), both).await;
    assert!(
        answer.contains("hello") && answer.contains("HTTP/1.1 400 "),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_has_one_host() {
    let running = start(options()).await;
    for request in [
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nconnection: close\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nconnection: close\r\nhost: a b\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nconnection: close\r\n\r\n",
    ] {
        let (status, detail) = refused(&running, request).await;
        assert_eq!(status, "400", "{request:?}");
        assert!(detail.contains("Host"), "{detail}");
    }
    for request in [HELLO_AND_CLOSE, "GET / HTTP/1.0\r\n\r\n"] {
        let answer = ask(Client::connect(running.address).unwrap(), request).await;
        assert!(answer.contains(" 200 OK"), "{request:?}: {answer}");
    }
}
