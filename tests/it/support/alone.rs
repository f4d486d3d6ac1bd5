//! One instance of the program without NATS, with the test's own settings.

use super::cluster::admin_key;
use super::process::{Herald, Launch};

/// An instance called `name`: `settings` by the environment, and a file of `more` and the operators' key.
pub async fn herald(name: &str, settings: &[(&str, &str)], more: &str) -> (tempfile::TempDir, Herald) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    std::fs::write(&path, format!("{more}\n{}", admin_key())).unwrap();
    let launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap());
    let launch = settings
        .iter()
        .fold(launch, |launch, (name, value)| launch.set(name, value));
    (folder, Herald::start(name, &launch).await)
}
