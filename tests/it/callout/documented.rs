//! The backend that docs/auth.md shows in Python decides as it says there, with the configuration beside it.

use std::process::{Child, Command, Stdio};

use crate::support::alone;
use crate::support::ports;
use crate::support::process::Launch;
use crate::support::tokens::{attempt, is};
use crate::support::within;

/// What stands between these fences of the page, after this line.
fn block(after: &str, fence: &str) -> String {
    let page = std::fs::read_to_string(format!("{}/docs/auth.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, rest) = page.split_once(after).expect("the section");
    let (_, rest) = rest.split_once(&format!("```{fence}\n")).expect("the block");
    rest.split_once("```").expect("its end").0.to_owned()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_backend_in_python_decides() {
    let port = ports::free();
    let section = "## A backend that decides";
    let program = block(section, "python").replace("9000", &port.to_string());
    let settings = block(section, "toml").replace("9000", &port.to_string());
    // The busy machine of a test may be slower than a second.
    let settings = format!("{settings}timeout = \"20s\"\n");
    let python = Command::new("python3")
        .args(["-c", &program])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _python = Running(python.expect("python3"));
    within("the backend to listen", async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let (folder, herald) = alone::herald("documented", &[], &settings).await;
    let log_in = async |passcode: &str| {
        let headers = format!("login:ann\npasscode:{passcode}\n");
        attempt(herald.address, &headers).await
    };
    is(&mut log_in("open sesame").await, "app:ann").await;
    let mut refused = log_in("wrong").await;
    refused.expect_error("message:authentication failed", 4401).await;
    let config = folder.path().join("herald.toml");
    let config = config.to_str().unwrap();
    let (code, text) = Launch::new(&["check", "--config", config]).run().await;
    assert_eq!(code, Some(0), "{text}");
}
