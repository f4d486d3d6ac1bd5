//! The promise: options that cannot be checked are refused before anything starts.

use std::process::Command;

#[test]
fn what_cannot_be_checked_is_refused() {
    for (arguments, words) in [
        (&["rolling"][..], "`rolling` needs --nats"),
        (&["faults", "--instances", "2"], "several instances need --nats"),
        (
            &["faults", "--nats", "1", "--forget"],
            "--forget is for the embedded bus",
        ),
        (&["faults", "--sessions", "0"], "at least 1"),
        (&["faults", "--array", "1001"], "1 to 1000"),
        (&["faults", "--rollback"], "--rollback needs --nats"),
        (
            &["faults", "--nats", "1", "--keys", "--atomic"],
            "--keys goes neither with",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_herald-check"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{text}");
    }
}
