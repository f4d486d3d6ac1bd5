//! A thousand logins at once, and a backend that hangs: sessions are served and Herald's own users log in, the number
//! of waiting logins is bounded, and all of them are told to try again.

use futures_util::future::join_all;
use herald::setting::HumanDuration;

use super::{Backend, Does, callouts, is_postponed};
use crate::support::app::{ANNA, App, BEN};
use crate::support::tokens::attempt;

const LOGINS: usize = 1_000;

#[tokio::test]
async fn a_hanging_backend_holds_up_nobody_else() {
    let backend = Backend::start(Does::Hangs).await;
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.timeout = HumanDuration::secs(3);
        config.auth.callout.at_once = 16;
        config.login.queue = 50;
        config.login.delay = HumanDuration::secs(0);
        config.limits.connect_timeout = HumanDuration::secs(60);
        // A thousand at once on a busy machine.
        config.http.header_timeout = HumanDuration::secs(60);
    })
    .await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:0\ndestination:/queue/x\nreceipt:0\n\n\0")
        .await;
    anna.expect_receipt("0").await;
    let opened = join_all((0..LOGINS).map(|n| {
        let headers = format!("login:user{n}\npasscode:secret\n");
        let address = app.address;
        async move { attempt(address, &headers).await }
    }));
    let mut clients = opened.await;
    // While they wait: Herald's own, and what is served.
    let _ben = app.session_of(BEN, "1.2").await;
    anna.say("SEND\ndestination:/queue/x\nreceipt:1\n\nhello\0").await;
    let (first, second) = (anna.text().await, anna.text().await);
    let all = format!("{first}{second}");
    assert!(all.contains("receipt-id:1") && all.contains("hello"), "{all}");
    for client in &mut clients {
        is_postponed(client, "a hanging backend").await;
    }
    let (timeouts, overloaded) = (
        callouts(&app, "timeout").await,
        callouts(&app, "overloaded").await,
    );
    assert_eq!(timeouts + overloaded, LOGINS as f64);
    assert_eq!(timeouts, backend.asked() as f64);
    assert!(overloaded >= (LOGINS - 16 - 50 - 200) as f64, "{overloaded}");
    let full = app.metric("herald_limit_hits_total{limit=\"login.queue\"}").await;
    assert!(full > 0.0);
    // The turns were given back.
    backend.now_says(r#"{"user":"ann"}"#);
    let mut client = attempt(app.address, "login:ann\npasscode:secret\n").await;
    crate::support::tokens::is(&mut client, "app:ann").await;
}
