//! Promise: `herald doctor` asks each issuer for its keys, and says where its clock is off.

use crate::support::process::Launch;
use crate::support::tokens::{Does, KeyServer, Signer, set};

#[tokio::test]
async fn the_doctor_asks_for_keys_and_compares_clocks() {
    let server = KeyServer::start(Does::With(
        set(&[&Signer::new("k")]),
        "Date: Tue, 24 Nov 2020 10:00:00 GMT\r\n",
    ))
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("herald.toml");
    let text = format!(
        "[[auth.issuers]]\nissuer = \"https://id.example\"\naudience = [\"herald\"]\nuser_prefix = \"id:\"\njwks_uri = \"{}\"\n",
        server.uri()
    );
    std::fs::write(&config, text).unwrap();
    let run = async || {
        let arguments = [
            "doctor",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--config",
            config.to_str().unwrap(),
        ];
        let (_, text) = Launch::new(&arguments).run().await;
        let of_issuers = text.lines().filter(|line| line.contains("\"check\":\"issuer\""));
        of_issuers.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = run().await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("https://id.example: 1 keys") && lines[0].contains("\"ok\""),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("its clock is -") && lines[1].contains("\"warn\""),
        "{lines:?}"
    );
    server.now_does(Does::Gives("{}".into()));
    let lines = run().await;
    assert!(
        lines.len() == 1 && lines[0].contains("no keys") && lines[0].contains("\"fail\""),
        "{lines:?}"
    );
}
