//! Over https: a backend for which `ca_file` vouches decides. One for which nobody vouches is told no credential, lets nobody in,
//! and the log says why.

use super::{Backend, is_postponed};
use crate::support::alone;
use crate::support::tls::{tls_file, tls_proxy};
use crate::support::tokens::{attempt, is};

const LOGIN: &str = "login:ann@example.com\npasscode:secret\n";

/// `[auth.callout]` that asks this backend.
fn callout(at: std::net::SocketAddr, authority: Option<&str>) -> String {
    let authority = authority.map(|file| format!("ca_file = \"{}\"\n", tls_file(file)));
    let authority = authority.unwrap_or_default();
    format!(
        "[auth]\norder = [\"token\", \"password\", \"callout\"]\n[auth.callout]\ntarget = \"https://{at}/login\"\n\
         user_prefix = \"app:\"\ntimeout = \"20s\"\n{authority}"
    )
}

#[tokio::test]
async fn a_backend_that_ca_file_vouches_for_decides() {
    let backend = Backend::saying(r#"{"user":"ann"}"#).await;
    let at = tls_proxy(backend.address).await;
    let (_folder, herald) = alone::herald("https", &[], &callout(at, Some("ca.pem"))).await;
    let mut client = attempt(herald.address, LOGIN).await;
    is(&mut client, "app:ann").await;
    assert_eq!(backend.last_question()["credential"], "secret");
    backend.now_says(r#"{"refused":true}"#);
    let mut client = attempt(herald.address, LOGIN).await;
    client.expect_error("message:authentication failed", 4401).await;
}

#[tokio::test]
async fn a_backend_that_nobody_vouches_for_is_told_nothing_and_lets_nobody_in() {
    let backend = Backend::saying(r#"{"user":"ann"}"#).await;
    let at = tls_proxy(backend.address).await;
    let (_folder, herald) = alone::herald("https", &[], &callout(at, None)).await;
    let mut client = attempt(herald.address, LOGIN).await;
    is_postponed(&mut client, "no authority").await;
    let line = herald.logged("no answer from auth.callout.target").await;
    assert!(line.contains("UnknownIssuer"), "{line}");
    assert_eq!(backend.asked(), 0);
}
