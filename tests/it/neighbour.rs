//! What an instance does while another one has not answered yet, and how it reacts to each answer. The test plays the
//! other instance, so that each moment lasts as long as needed. `limits.sessions_per_user` makes instances ask; a login
//! that waits for the answer is between its password and its session.

use std::path::Path;
use std::time::Duration;

use herald::bus::Bus;
use herald::config::Config;
use herald::setting::SessionsPerUserPolicy;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::app::{ANNA, App, BEN, User, connect};
use crate::support::client::Client;
use crate::support::cluster::until;
use crate::support::faulty_bus::Asked;
use crate::support::within;

const SEATS: &str = "sessions.seats";
const SUPERSEDE: &str = "sessions.supersede";
/// Older than anything that happens here.
const OLDER: u64 = 1;
const NEWER: u64 = 9_999_999_999_999;
const REFUSED: &str = "message:at most 1 sessions a user (limits.sessions_per_user)";
const SUPERSEDED: &str =
    "message:superseded by a newer session\\c at most 1 sessions a user (limits.sessions_per_user)";

/// An instance alone, where each user may have one session.
async fn alone(policy: SessionsPerUserPolicy, configure: impl FnOnce(&mut Config)) -> App {
    App::with(|config| {
        config.limits.sessions_per_user = 1;
        config.limits.sessions_per_user_policy = policy;
        configure(config);
    })
    .await
}

/// The same with a neighbour.
struct Pair {
    app: App,
    asked: mpsc::Receiver<Asked>,
}

impl Pair {
    async fn start(policy: SessionsPerUserPolicy) -> Self {
        Self::of(alone(policy, |_| {}).await).await
    }

    /// Adds a neighbour.
    async fn of(app: App) -> Self {
        let asked = app.bus.with_neighbour();
        until("the neighbour to be known", async || {
            let answer = app.get("/api/v1/instances").await.json();
            answer["instances"].as_array().map_or(0, Vec::len) == 2
        })
        .await;
        Self { app, asked }
    }

    /// The next question to the neighbour. It is about sessions of `user`.
    async fn next(&mut self, kind: &str, user: User) -> Asked {
        let asked = within("a question", self.asked.recv()).await.unwrap();
        assert_eq!(asked.kind, kind);
        let said: Value = serde_json::from_slice(&asked.payload).unwrap();
        let users = said["users"].as_array().unwrap();
        let named = [&users[0], &users[0]["user"]];
        assert!(users.len() == 1 && named.contains(&&json!(user.0)), "{said}");
        asked
    }

    /// Answers with the neighbour's sessions of the user.
    async fn holds(&mut self, user: User, seats: &[u64]) {
        let answer = json!({ "seats": [seats] }).to_string();
        self.next(SEATS, user).await.answer(answer);
    }

    /// The instance's answer to a question of the neighbour.
    async fn ask(&self, kind: &str, question: Value) -> Value {
        let payload = question.to_string().into();
        let patience = Duration::from_secs(5);
        let asked = self.app.bus.control_request(self.app.id, kind, payload, patience);
        serde_json::from_slice(&asked.await.unwrap()).unwrap()
    }

    /// The instance's sessions of `user`.
    async fn seats(&self, user: User) -> Vec<u64> {
        let answer = self.ask(SEATS, json!({ "users": [user.0] })).await;
        serde_json::from_value(answer["seats"][0].clone()).unwrap()
    }

    /// The neighbour has these sessions of `user` closed.
    async fn supersede(&self, user: User, seats: &[u64]) {
        let order = json!({ "users": [{ "user": user.0, "seats": seats }] });
        self.ask(SUPERSEDE, order).await;
    }

    async fn login(&self, user: User) -> Client {
        let mut client = self.app.open().await;
        client.say(connect(user, "1.2", "")).await;
        client
    }
}

#[tokio::test]
async fn a_login_waits_for_the_answer_and_does_what_it_says() {
    let mut pair = Pair::start(SessionsPerUserPolicy::Refuse).await;
    let mut refused = pair.login(ANNA).await;
    let question = pair.next(SEATS, ANNA).await;
    // It already has its place: of two simultaneous logins on two instances, at least one sees the other.
    assert_eq!(pair.seats(ANNA).await.len(), 1);
    question.answer(format!(r#"{{"seats":[[{OLDER}]]}}"#));
    refused.expect_error(REFUSED, 1008).await;
    until("the place to be free", async || pair.seats(ANNA).await.is_empty()).await;

    let mut let_in = pair.login(ANNA).await;
    pair.holds(ANNA, &[NEWER]).await;
    let_in.expect("CONNECTED\n…").await;
    assert_eq!(pair.seats(ANNA).await.len(), 1);

    // This instance is full: nobody is asked, which the next question shows.
    pair.login(ANNA).await.expect_error(REFUSED, 1008).await;
    let mut other = pair.login(BEN).await;
    pair.holds(BEN, &[]).await;
    other.expect("CONNECTED\n…").await;
}

#[tokio::test]
async fn who_was_let_in_without_an_answer_is_counted_when_it_comes() {
    let mut pair = Pair::start(SessionsPerUserPolicy::Refuse).await;
    let mut client = pair.login(ANNA).await;
    drop(pair.next(SEATS, ANNA).await);
    client.expect("CONNECTED\n…").await;
    // Again without a session, then with one.
    drop(pair.next(SEATS, ANNA).await);
    pair.holds(ANNA, &[OLDER]).await;
    client.expect_error(REFUSED, 1008).await;
}

#[tokio::test]
async fn the_older_one_gives_way_here_or_there() {
    let mut pair = Pair::start(SessionsPerUserPolicy::Newest).await;
    let mut stays = pair.login(ANNA).await;
    stays.expect("CONNECTED\n…").await;
    pair.holds(ANNA, &[OLDER]).await;
    let told = async |pair: &mut Pair| {
        let order = pair.next(SUPERSEDE, ANNA).await;
        let said: Value = serde_json::from_slice(&order.payload).unwrap();
        assert_eq!(said["users"][0]["seats"], json!([OLDER]));
        order
    };
    // If it is not done it is counted and told again; once done, no more.
    drop(told(&mut pair).await);
    pair.holds(ANNA, &[OLDER]).await;
    told(&mut pair).await.answer("{}");
    stays.expect_nothing().await;

    let mut goes = pair.login(BEN).await;
    goes.expect("CONNECTED\n…").await;
    pair.holds(BEN, &[NEWER]).await;
    goes.expect_error(SUPERSEDED, 4409).await;
    stays.expect_nothing().await;
}

#[tokio::test]
async fn the_neighbours_newer_session_has_the_one_here_closed_and_no_other() {
    let mut pair = Pair::start(SessionsPerUserPolicy::Newest).await;
    let mut client = pair.login(ANNA).await;
    client.expect("CONNECTED\n…").await;
    pair.holds(ANNA, &[]).await;
    let seats = pair.seats(ANNA).await;
    // Another number and another user: they belong to nobody.
    pair.supersede(ANNA, &[OLDER]).await;
    pair.supersede(BEN, &seats).await;
    client.expect_nothing().await;
    pair.supersede(ANNA, &seats).await;
    client.expect_error(SUPERSEDED, 4409).await;
    until("the place to be free", async || pair.seats(ANNA).await.is_empty()).await;
}

#[tokio::test]
async fn a_newcomer_is_asked_about_everybody_here() {
    let app = alone(SessionsPerUserPolicy::Newest, |_| {}).await;
    let mut client = app.session_of(ANNA, "1.2").await;
    let mut pair = Pair::of(app).await;
    pair.holds(ANNA, &[NEWER]).await;
    client.expect_error(SUPERSEDED, 4409).await;
}

/// The shard does not know the session yet, so the order finds nobody to close.
#[tokio::test]
async fn a_session_that_gives_way_before_it_has_begun_ends_as_it_begins() {
    let mut pair = Pair::start(SessionsPerUserPolicy::Refuse).await;
    let mut client = pair.login(ANNA).await;
    let question = pair.next(SEATS, ANNA).await;
    pair.supersede(ANNA, &pair.seats(ANNA).await).await;
    question.answer(r#"{"seats":[[]]}"#);
    client.expect("CONNECTED\n…").await;
    client.expect_error(REFUSED, 1008).await;
}

fn write_users(file: &Path, name: &str) {
    let hash = herald::auth::users::demo_users()[0].password.expose().to_owned();
    let text = format!("[[users]]\nname = \"{name}\"\npassword = \"{hash}\"\nroles = [\"ROLE_USER\"]\n");
    std::fs::write(file, text).unwrap();
}

/// A login whose password was right before the reload and whose session begins after it: closing the sessions of
/// withdrawn users has not found it.
#[tokio::test]
async fn a_login_during_a_reload_does_not_slip_through() {
    const GOES: User = User("goes");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    write_users(&file, GOES.0);
    let app = alone(SessionsPerUserPolicy::Refuse, |config| {
        config.limits.sessions_per_user = 2;
        config.auth.users_file = Some(file.to_string_lossy().into_owned());
    });
    let mut pair = Pair::of(app.await).await;
    let mut before = pair.login(GOES).await;
    pair.holds(GOES, &[]).await;
    before.expect("CONNECTED\n…").await;
    let mut during = pair.login(GOES).await;
    let question = pair.next(SEATS, GOES).await;
    write_users(&file, "stays");
    // The user's sessions have been closed.
    let words = "message:authentication failed\nherald-reason:revoked";
    before.expect_error(words, 4401).await;
    question.answer(r#"{"seats":[[]]}"#);
    during.expect("CONNECTED\n…").await;
    during.expect_error(words, 4401).await;
}
