//! The promise: the request goes to the port and path of that configuration, and only a 200 in time means healthy.

use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

fn config(listen: &str, admin: Option<&str>, base: &str) -> Config {
    Config {
        listen: listen.parse().unwrap(),
        admin_listen: admin.map(|text| text.parse().unwrap()),
        base_path: base.parse().unwrap(),
        ..Config::default()
    }
}

#[test]
fn the_address_is_where_health_is_served() {
    let check = |listen, admin, expected: &str| {
        assert_eq!(configured(&config(listen, admin, "")).to_string(), expected);
    };
    check("127.0.0.1:8080", None, "127.0.0.1:8080");
    check("0.0.0.0:8080", None, "127.0.0.1:8080");
    check("[::]:8080", None, "[::1]:8080");
    check("10.1.2.3:8080", None, "10.1.2.3:8080");
    check("127.0.0.1:8080", Some("0.0.0.0:9090"), "127.0.0.1:9090");
}

/// A server that answers one request with `answer` and keeps the connection open.
fn answering(answer: &'static str) -> (Config, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(&listener.local_addr().unwrap().to_string(), None, "");
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        // Until the other side is done.
        let _ = stream.read(&mut byte);
        String::from_utf8(request).unwrap()
    });
    (config, served)
}

#[test]
fn only_a_200_is_healthy() {
    let check = |answer, expected: Result<(), &str>| {
        let (config, served) = answering(answer);
        let found = run(&config, None, false, HumanDuration::secs(5));
        match (&found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
        assert!(served.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    };
    check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", Ok(()));
    check(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nDOWN",
        Err("503 Service Unavailable: DOWN"),
    );
    check("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err("404"));
    check("SSH-2.0-OpenSSH_9.2\r\n", Err("no answer"));
}

#[test]
fn silence_ends_with_the_time_and_a_closed_port_at_once() {
    let (config, _served) = answering("");
    let began = Instant::now();
    let error = run(&config, None, false, HumanDuration::millis(100)).unwrap_err();
    assert!(
        error.to_string().ends_with("no answer: none within 100ms"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(
        &self::config(&free.to_string(), None, ""),
        None,
        true,
        HumanDuration::secs(5),
    )
    .unwrap_err();
    assert!(error.to_string().contains("/livez: no answer"), "{error}");
}

#[test]
fn another_address_may_be_a_name_and_keeps_the_path() {
    let (config, served) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let port = config.listen.port();
    let elsewhere = Config {
        base_path: "/backend".parse().unwrap(),
        ..Config::default()
    };
    run(
        &elsewhere,
        Some(format!("localhost:{port}")),
        true,
        HumanDuration::secs(5),
    )
    .unwrap();
    assert!(
        served
            .join()
            .unwrap()
            .starts_with("GET /backend/livez HTTP/1.1\r\n")
    );
}
