//! The promise: where CONNECT's credentials may be, which of them counts, and that every refusal reads the same.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::auth::{Config, LoginConfig, users};
use crate::interceptor::{Chain, Upgrade};
use crate::telemetry::metrics::Metrics;

// base64 of test1:test, test2:test and test1:wrong.
const TEST1: &str = "dGVzdDE6dGVzdA==";
const TEST2: &str = "dGVzdDI6dGVzdA==";
const WRONG: &str = "dGVzdDE6d3Jvbmc=";

fn nothing() -> ConnectAttempt {
    ConnectAttempt {
        x_authorization: None,
        authorization: None,
        login: None,
        passcode: None,
        upgrade: Upgrade::default(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn upgrade_of(authorization: Option<Secret>) -> Upgrade {
    Upgrade {
        authorization,
        ..Upgrade::default()
    }
}

fn chain(login: &LoginConfig) -> Chain {
    let mut users = users::demo_users();
    users[9].roles = vec!["ROLE_PUBLISHER".parse().unwrap()];
    let config = Config {
        users,
        ..Config::default()
    };
    let authenticator = Authenticator::new(&config, login, Metrics::new().unwrap()).unwrap();
    Chain::new(vec![Box::new(Authenticate::new(authenticator))])
}

#[tokio::test]
async fn the_first_that_is_present_decides() {
    let chain = chain(&LoginConfig::default());
    let check = async |attempt: ConnectAttempt, expected: Option<&str>| {
        let words = format!("{attempt:?}");
        match (chain.connect(&attempt).await, expected) {
            (Ok(principal), Some(expected)) => assert_eq!(principal.user().as_str(), expected, "{words}"),
            (Err(reject), None) => assert_eq!(
                reject,
                Reject::new(CloseReason::NotAuthenticated, "authentication failed"),
                "{words}"
            ),
            (found, _) => panic!("{found:?} for {words}"),
        }
    };
    let secret = |text: &str| Some(Secret::new(text));
    let full = || ConnectAttempt {
        x_authorization: secret(TEST1),
        authorization: secret(&format!("Basic {TEST2}")),
        login: Some("test3".into()),
        passcode: secret("test"),
        upgrade: upgrade_of(secret(&format!("Basic {TEST1}"))),
        ..nothing()
    };
    let without_x = || ConnectAttempt {
        x_authorization: None,
        ..full()
    };
    let pair = || ConnectAttempt {
        authorization: None,
        ..without_x()
    };
    let upgrade = || ConnectAttempt {
        login: None,
        passcode: None,
        ..pair()
    };

    check(full(), Some("test1")).await;
    check(without_x(), Some("test2")).await;
    check(pair(), Some("test3")).await;
    check(upgrade(), Some("test1")).await;
    check(nothing(), None).await;
    // Present and malformed, of another scheme, or wrong: what follows does not help.
    for text in ["Bearer x", "Basic ???", WRONG] {
        check(
            ConnectAttempt {
                x_authorization: secret(text),
                ..full()
            },
            None,
        )
        .await;
        check(
            ConnectAttempt {
                authorization: secret(text),
                ..without_x()
            },
            None,
        )
        .await;
        check(
            ConnectAttempt {
                upgrade: upgrade_of(secret(text)),
                ..upgrade()
            },
            None,
        )
        .await;
    }
    check(
        ConnectAttempt {
            passcode: None,
            ..pair()
        },
        None,
    )
    .await;
    check(
        ConnectAttempt {
            login: None,
            ..pair()
        },
        None,
    )
    .await;
    // The bare base64 is STOMP's only, not HTTP's.
    check(
        ConnectAttempt {
            upgrade: upgrade_of(secret(TEST1)),
            ..upgrade()
        },
        None,
    )
    .await;
    // The right password, but no ROLE_USER.
    check(
        ConnectAttempt {
            login: Some("test10".into()),
            ..pair()
        },
        None,
    )
    .await;
}

/// As clients send it that write every header they know: `login:` and `passcode:` beside the header that counts.
#[tokio::test]
async fn what_is_empty_counts_as_absent() {
    let chain = chain(&LoginConfig::default());
    let secret = |text: &str| Some(Secret::new(text));
    let basic = || secret(&format!("Basic {TEST2}"));
    let check = async |attempt: ConnectAttempt, expected: Option<&str>| {
        let words = format!("{attempt:?}");
        let found = chain.connect(&attempt).await.ok();
        let found = found.as_ref().map(|principal| principal.user().as_str());
        assert_eq!(found, expected, "{words}");
    };
    let pair = |login: &str, passcode: &str| ConnectAttempt {
        login: Some(login.into()),
        passcode: secret(passcode),
        ..nothing()
    };
    let authorization = ConnectAttempt {
        x_authorization: secret(""),
        authorization: basic(),
        ..pair("", "")
    };
    check(authorization, Some("test2")).await;
    let pair_below_empty = ConnectAttempt {
        x_authorization: secret(""),
        authorization: secret(" "),
        upgrade: upgrade_of(secret("")),
        ..pair("test3", "test")
    };
    check(pair_below_empty, Some("test3")).await;
    let upgrade = |login: &str, passcode: &str| ConnectAttempt {
        upgrade: upgrade_of(basic()),
        ..pair(login, passcode)
    };
    check(upgrade("", ""), Some("test2")).await;
    // Half a pair is present.
    check(upgrade("test3", ""), None).await;
    check(upgrade("", "test"), None).await;
    check(upgrade("", " "), None).await;
    let empty = ConnectAttempt {
        upgrade: upgrade_of(secret("")),
        ..pair("", "")
    };
    check(empty, None).await;
}

#[tokio::test]
async fn a_full_queue_says_overloaded() {
    let login = LoginConfig {
        permits: Some(1),
        queue: 0,
        ..LoginConfig::default()
    };
    let chain = chain(&login);
    let attempt = |user: &str| ConnectAttempt {
        login: Some(user.into()),
        passcode: Some(Secret::new("test")),
        ..nothing()
    };
    let (first, second) = (attempt("test1"), attempt("test2"));
    // On one thread and in this order: the first takes the only place before the second asks.
    let (first, second) = tokio::join!(chain.connect(&first), chain.connect(&second));
    assert!(first.is_ok());
    let refused = second.unwrap_err();
    assert!(refused.retry_after.is_some());
    assert_eq!(
        Reject {
            retry_after: None,
            ..refused
        },
        Reject::new(CloseReason::Overloaded, "overloaded")
    );
}

/// The session that logs in while the users are replaced, seen from the chain: what `connect` gave no longer holds.
#[tokio::test]
async fn who_was_withdrawn_meanwhile_is_refused_after_the_join() {
    let chain = chain(&LoginConfig::default());
    let attempt = ConnectAttempt {
        x_authorization: Some(Secret::new(TEST1)),
        ..nothing()
    };
    let principal = chain.connect(&attempt).await.unwrap();
    assert_eq!(chain.joined(&principal), Ok(()));
    // The same name and roles out of another reading of the users: not what was proven.
    let replaced = Principal::new(principal.user().clone(), principal.roles());
    let refused = Reject::new(CloseReason::Revoked, "authentication failed");
    assert_eq!(chain.joined(&replaced), Err(refused));
}
