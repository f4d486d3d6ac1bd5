//! The promise: `herald check --production` ends with 0 only if nothing of README.md's list "Before production" is
//! left, with 1 if something is, and with 78 if the configuration is wrong. Runs the built program.

use crate::support::process::Launch;

const DECIDED: &str = r#"
http = { listen = "0.0.0.0:8080", page = "none", origins = ["https://app.example.com"], trusted_proxies = ["10.0.0.0/8"] }
application.routes = []
permissions.default = "closed"
auth.anonymous.enabled = true
api.targets_per_caller = "off"
history.enabled = false
limits = { sessions_per_user = 20, sessions_per_address = 0, connects_per_address = "off" }
"#;

async fn check(text: &str, more: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("herald.toml");
    std::fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap();
    let arguments = [&["check", "--production", "--config", config], more].concat();
    Launch::new(&arguments).run().await
}

#[tokio::test]
async fn the_exit_code_says_whether_anything_is_left() {
    let (code, said) = check(DECIDED, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&DECIDED.replace("page = \"none\", ", ""), &[]).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = check("http.page = 'nonsense'", &[]).await;
    assert_eq!(code, Some(78), "{said}");
}

/// A flag of `serve` counts as well.
#[tokio::test]
async fn the_demo_is_never_fit() {
    let (code, said) = check(DECIDED, &["--demo", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(1), "{said}");
}
