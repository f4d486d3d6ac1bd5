//! The promise: keys in `api.keys_file` are created, replaced and withdrawn while Herald runs, with the output of
//! `herald api-key new`; an unusable file changes nothing.

use std::path::Path;

use tempfile::TempDir;

use crate::support::cluster::until;
use crate::support::process::{Herald, Launch, request};

/// What `herald api-key new` with `arguments` prints, and the key.
async fn made(folder: &Path, name: &str, arguments: &[&str]) -> (String, String) {
    let file = folder.join(format!("{name}.key"));
    let mut all = vec!["api-key", "new", name, "--key-file", file.to_str().unwrap()];
    all.extend(arguments);
    let (code, entry) = Launch::new(&all).run().await;
    assert_eq!(code, Some(0), "{entry}");
    (entry, std::fs::read_to_string(file).unwrap())
}

/// As editors and Kubernetes do it: the file is complete at every moment.
fn replace(folder: &TempDir, text: &str) {
    std::fs::write(folder.path().join("new"), text).unwrap();
    std::fs::rename(folder.path().join("new"), folder.path().join("keys.toml")).unwrap();
}

async fn publish(herald: &Herald, key: &str, destination: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    let body = format!(r#"{{"destination":"{destination}","payload":1}}"#);
    let path = "/api/v1/notifications";
    request(herald.address, "POST", path, &headers, body.as_bytes())
        .await
        .unwrap()
        .status
}

async fn reloads(herald: &Herald, number: usize) {
    until("the keys are reloaded", async || {
        herald.lines_with("keys reloaded").len() == number
    })
    .await;
}

#[tokio::test]
async fn keys_come_and_go_while_herald_runs() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = ["--destination", "/queue/orders/**", "--rate", "1/m burst 3"];
    let (orders, key) = made(folder.path(), "orders", &bounds).await;
    assert!(key.starts_with("herald_") && !orders.contains(&key), "{orders}");
    replace(&folder, &orders);
    let file = folder.path().join("keys.toml");
    let launch = Launch::new(&["serve", "--listen", "127.0.0.1:0"])
        .set("HERALD_API__KEYS_FILE", file.to_str().unwrap());
    let herald = Herald::start("keys", &launch).await;
    assert_eq!(publish(&herald, &key, "/queue/orders/1").await, 202);
    assert_eq!(publish(&herald, &key, "/queue/other").await, 403);

    let (news, news_key) = made(folder.path(), "news", &[]).await;
    assert_eq!(publish(&herald, &news_key, "/queue/other").await, 401);
    replace(&folder, &format!("{news}\n{orders}\n"));
    reloads(&herald, 1).await;
    assert_eq!(publish(&herald, &news_key, "/queue/other").await, 202);
    // Two of three are left, although the key was read again and stands elsewhere.
    for expected in [202, 202, 429] {
        assert_eq!(publish(&herald, &key, "/queue/orders/1").await, expected);
    }

    // What cannot be used is named, without what it holds, and nothing changes.
    for (number, broken) in [
        format!("{news}\n{news}"),
        format!("[[keys]]\nname = \"x\"\nsha256 = \"{news_key}\"\n"),
        "[[keys]".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        replace(&folder, broken);
        until("the broken file is told of", async || {
            herald.lines_with("the keys file is not usable").len() == number + 1
        })
        .await;
        assert_eq!(publish(&herald, &news_key, "/queue/other").await, 202);
    }
    assert!(herald.lines_with(&news_key).is_empty());

    replace(&folder, &orders);
    reloads(&herald, 2).await;
    assert_eq!(publish(&herald, &news_key, "/queue/other").await, 401);
    // The audit tells of it, and of each key's first use in an hour, whatever file the key was read from.
    until("what the audit says of the file", async || {
        herald.lines_with("\"keys-file\"").len() == 5
    })
    .await;
    let unusable = herald.lines_with("\"outcome\":\"failed\",\"reason\":\"unusable\"");
    assert_eq!(unusable.len(), 3, "{unusable:?}");
    for (name, uses) in [("orders", 1), ("news", 1)] {
        let used: Vec<_> = herald.lines_with("\"key-used\"");
        let used = used
            .iter()
            .filter(|line| line.contains(&format!("\"key:{name}\"")));
        assert_eq!(used.count(), uses, "{name}");
    }
    assert_eq!(
        herald.lines_with("\"login-refused\"").len(),
        1,
        "of a key that is none"
    );
    herald.stop().await;
}
