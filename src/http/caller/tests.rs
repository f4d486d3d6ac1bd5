//! The promise: keys, users and `open` grant what docs/rest.md says, and nothing more.

use sha2::{Digest, Sha256};

use super::*;
use crate::destination::Prefixes;
use crate::http::access::{Access, Config, Key};
use crate::principal::UserName;
use crate::setting::Findings;

fn key(name: &str, secret: &str, scopes: &[Scope]) -> Key {
    Key::new(name, <[u8; 32]>::from(Sha256::digest(secret)), scopes)
}

fn config(access: Access) -> Config {
    Config {
        access,
        keys: vec![
            key("publisher", "p", &[Scope::Publish]),
            key("reader", "r", &[Scope::Read]),
            key("operator", "a", &[Scope::Admin]),
            key("scraper", "m", &[Scope::Metrics]),
            Key {
                not_after: Some("2020-01-01T00:00:00Z".parse().unwrap()),
                ..key("old", "o", &[Scope::Admin])
            },
        ],
        ..Config::default()
    }
}

async fn check(access: Access, authorization: Option<&str>, scope: Scope, expected: Result<&str, u16>) {
    let mut headers = HeaderMap::new();
    if let Some(text) = authorization {
        headers.insert(header::AUTHORIZATION, text.parse().unwrap());
    }
    let (prefixes, mut findings) = (Prefixes::default(), Findings::default());
    let policy = Policy::new(&config(access), &prefixes, &mut findings);
    let authenticator = crate::http::tests::authenticator();
    let got = granted(
        &policy,
        &authenticator,
        &headers,
        Ipv4Addr::LOCALHOST.into(),
        None,
        Some(scope),
    )
    .await
    .map(|caller| caller.to_string())
    .map_err(|denied| denied.error.status().as_u16());
    assert_eq!(
        got,
        expected.map(Into::into),
        "{access:?} {authorization:?} {scope:?}"
    );
}

#[tokio::test]
async fn a_key_has_its_scopes_and_admin_has_all() {
    use Scope::{Admin, Metrics, Publish, Read};
    for (token, scope, expected) in [
        ("p", Publish, Ok("key:publisher")),
        ("p", Read, Err(403)),
        ("p", Admin, Err(403)),
        ("r", Publish, Err(403)),
        ("r", Read, Ok("key:reader")),
        ("a", Publish, Ok("key:operator")),
        ("a", Read, Ok("key:operator")),
        ("a", Admin, Ok("key:operator")),
        ("a", Metrics, Ok("key:operator")),
        ("r", Metrics, Ok("key:reader")),
        ("p", Metrics, Err(403)),
        ("m", Metrics, Ok("key:scraper")),
        ("m", Read, Err(403)),
        ("m", Publish, Err(403)),
        ("o", Publish, Err(401)),
        ("o", Admin, Err(401)),
        ("x", Publish, Err(401)),
        ("", Publish, Err(401)),
    ] {
        check(Access::Keys, Some(&format!("Bearer {token}")), scope, expected).await;
    }
    check(Access::Keys, Some("bEaReR p"), Publish, Ok("key:publisher")).await;
}

#[tokio::test]
async fn what_is_no_key_and_no_user_is_not_authenticated() {
    for text in [
        None,
        Some("Bearer"),
        Some("p"),
        Some("Digest p"),
        Some("Basic !"),
        Some("Basic dDpw"),
    ] {
        for scope in [Scope::Publish, Scope::Read, Scope::Admin] {
            check(Access::Keys, text, scope, Err(401)).await;
        }
    }
}

#[tokio::test]
async fn open_lets_anyone_publish_and_nothing_else() {
    check(Access::Open, None, Scope::Publish, Ok("anyone")).await;
    check(Access::Open, Some("Basic dDpw"), Scope::Publish, Ok("anyone")).await;
    check(Access::Open, Some("Bearer x"), Scope::Publish, Ok("anyone")).await;
    check(
        Access::Open,
        Some("Bearer p"),
        Scope::Publish,
        Ok("key:publisher"),
    )
    .await;
    check(Access::Open, None, Scope::Read, Err(401)).await;
    check(Access::Open, None, Scope::Admin, Err(401)).await;
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let mut headers = HeaderMap::new();
    headers.append(header::AUTHORIZATION, "Bearer p".parse().unwrap());
    headers.append(header::AUTHORIZATION, "Bearer a".parse().unwrap());
    assert!(matches!(presented(&headers), Presented::Unusable));
}

#[test]
fn roles_grant_scopes() {
    let check = |role: &str, expected: [bool; 4]| {
        let principal = Principal::new(UserName::parse("u").unwrap(), [role]);
        let got = [Scope::Publish, Scope::Read, Scope::Metrics, Scope::Admin]
            .map(|scope| crate::http::access::role_grants(&principal, scope));
        assert_eq!(got, expected, "{role}");
    };
    check("ROLE_USER", [false; 4]);
    check("ROLE_PUBLISHER", [true, false, false, false]);
    check("ROLE_ADMIN", [true; 4]);
}
