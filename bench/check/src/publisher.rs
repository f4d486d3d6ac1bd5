//! Publishes over REST, one request after the other, and repeats requests that were not answered with 202. Each repeat
//! is an attempt with a new id, so that a notification stored twice because of a repeat is distinguished from one that
//! Herald duplicates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::recorded::{Answer, Batch, Position, Terms};
use crate::world::World;

/// Longer than any answer takes: `history.publish_timeout` is 10 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// From a refusal to the repeat.
const REPEAT: Duration = Duration::from_millis(100);
/// Who is further behind than this does not catch up.
const BEHIND: Duration = Duration::from_secs(1);
/// With `--keys` an outcome is found out before the run ends, if it takes no longer than this.
const UNTIL_KNOWN: Duration = Duration::from_secs(60);

/// What one request publishes.
struct Order {
    ids: Vec<u32>,
    targets: Vec<u32>,
    terms: Vec<Terms>,
}

/// Publishes on connections that stay.
#[derive(Clone)]
pub struct Publisher {
    world: Arc<World>,
    number: u32,
    client: Client<HttpConnector, Full<Bytes>>,
    random: fastrand::Rng,
    /// The instance that it publishes at, until one does not answer as it should.
    door: Option<SocketAddr>,
}

impl Publisher {
    /// The `number`th.
    pub fn new(world: Arc<World>, number: u32) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            random: fastrand::Rng::with_seed(world.seed ^ (u64::from(number) << 40) ^ 1),
            client: Client::builder(TokioExecutor::new()).build(connector),
            number,
            world,
            door: None,
        }
    }

    /// The same, under another number.
    pub fn numbered(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    /// Publishes to targets in `from..to`, so many a second, until the run says it is enough.
    pub async fn run(mut self, from: u32, to: u32, per_second: f64, most: usize) {
        let mut due = Instant::now();
        while self.world.publishing.load(Ordering::Relaxed) {
            let count = self.random.usize(1..=most);
            let targets: Vec<u32> = (0..count).map(|_| self.random.u32(from..to)).collect();
            self.publish(targets).await;
            due += Duration::from_secs_f64(count as f64 / per_second);
            due = due.max(Instant::now().checked_sub(BEHIND).unwrap_or(due));
            sleep_until(due).await;
        }
    }

    /// Publishes one to each target, in this order, and repeats what is not stored until the run says it is enough: as
    /// other attempts, or with `--keys` the same request under its key until its outcome is known.
    async fn publish(&mut self, targets: Vec<u32>) {
        let mut order = self.order(targets, true);
        let mut deadline = None;
        loop {
            let answers = self.once(&order).await;
            let is_stored = |answer: &Answer| matches!(answer, Answer::Stored(_));
            if answers.iter().all(is_stored) {
                return;
            }
            let keys = self.world.options.keys;
            if !self.world.publishing.load(Ordering::Relaxed) {
                let deadline = *deadline.get_or_insert(Instant::now() + UNTIL_KNOWN);
                if !keys || Instant::now() > deadline {
                    return;
                }
            }
            if !keys {
                let again = order.targets.iter().zip(&answers);
                let again = again.filter(|(_, answer)| !is_stored(answer));
                order = self.order(again.map(|(target, _)| *target).collect(), true);
            }
            sleep(REPEAT).await;
        }
    }

    /// Publishes one to `target` until it is stored.
    pub async fn last(mut self, target: u32, deadline: Instant) -> Option<(u32, Position)> {
        while Instant::now() < deadline {
            let order = self.order(vec![target], false);
            if let Some(Answer::Stored(position)) = self.once(&order).await.first() {
                return Some((target, *position));
            }
            sleep(REPEAT).await;
        }
        None
    }

    /// Records one attempt for each target.
    fn order(&mut self, targets: Vec<u32>, may_have_terms: bool) -> Order {
        let options = &self.world.options;
        let is_batch = may_have_terms && options.atomic && targets.len() > 1 && self.random.bool();
        let fleeting = may_have_terms && options.fleeting;
        let mut order = Order {
            ids: Vec::with_capacity(targets.len()),
            terms: Vec::with_capacity(targets.len()),
            targets,
        };
        for (target, index) in order.targets.iter().zip(0..) {
            let mut terms = Terms::default();
            match fleeting.then(|| self.random.u8(..6)) {
                Some(0 | 1) => terms.ttl_ms = Some(self.random.u32(50..3_000)),
                Some(2 | 3) => terms.collapse = Some(self.random.u8(..2)),
                _ => {}
            }
            let first = order.ids.first().copied();
            let id = self.world.attempt(self.number, *target, |id| {
                terms.batch = is_batch.then_some(Batch {
                    first: first.unwrap_or(id),
                    index,
                });
                terms
            });
            order.ids.push(id);
            order.terms.push(terms);
        }
        order
    }

    /// One request.
    async fn once(&mut self, order: &Order) -> Vec<Answer> {
        let ids = &order.ids;
        let items = ids.iter().zip(&order.targets).zip(&order.terms);
        let items: Vec<String> = items
            .map(|((id, target), terms)| self.item(*id, *target, *terms))
            .collect();
        let body = match items.as_slice() {
            [one] => one.clone(),
            items => format!("[{}]", items.join(",")),
        };
        let query = match order.terms.first() {
            Some(Terms { batch: Some(_), .. }) => "?atomic=true",
            _ => "",
        };
        let key = ids.first().filter(|_| self.world.options.keys);
        let key = key.map(|first| format!("{}-{first}", self.world.seed));
        let answers = match timeout(PATIENCE, self.post(body, query, key)).await {
            Ok(Some((status, body))) => self.read(status, &body, ids.len()),
            Ok(None) | Err(_) => vec![Answer::Unknown; ids.len()],
        };
        if answers.iter().any(|answer| !matches!(answer, Answer::Stored(_))) {
            self.door = None;
        }
        for (id, answer) in ids.iter().zip(&answers) {
            self.world.answered(*id, *answer);
        }
        answers
    }

    fn item(&self, id: u32, target: u32, terms: Terms) -> String {
        let payload = self.world.body_of(id);
        let target = self.world.targets.get(target as usize);
        let (destination, user) = target.map_or(("", None), |target| {
            (target.destination.as_str(), target.user.as_ref())
        });
        let user = user.map_or_else(String::new, |user| format!("\"user\":\"{user}\","));
        let ttl = terms.ttl_ms.map(|ttl| format!("\"ttl_ms\":{ttl},"));
        let collapse = terms.collapse.map(|key| format!("\"collapse\":\"{key}\","));
        let terms = ttl.unwrap_or_default() + &collapse.unwrap_or_default();
        format!("{{\"id\":\"a{id}\",{user}{terms}\"destination\":\"{destination}\",\"payload\":{payload}}}")
    }

    async fn post(&mut self, body: String, query: &str, key: Option<String>) -> Option<(StatusCode, Bytes)> {
        let door = self.door.or_else(|| self.world.door(&mut self.random))?;
        self.door = Some(door);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{door}/api/v1/notifications{query}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let request = request.body(Full::new(Bytes::from(body))).ok()?;
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status();
        let body = answer.into_body().collect().await.ok()?;
        Some((status, body.to_bytes()))
    }

    /// What an answer says of each item.
    fn read(&self, status: StatusCode, body: &[u8], count: usize) -> Vec<Answer> {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        match value.as_array() {
            Some(items) if items.len() == count => items
                .iter()
                .map(|item| self.read_one(item["status"].as_u64().unwrap_or_default(), item))
                .collect(),
            _ => vec![self.read_one(u64::from(status.as_u16()), &value); count],
        }
    }

    fn read_one(&self, status: u64, value: &Value) -> Answer {
        let kind = value["type"].as_str().unwrap_or_default();
        match status {
            202 => {
                let position = value["position"].as_str().and_then(Position::parse);
                if position.is_none() {
                    self.world.complain(format!("a 202 without a position: {value}"));
                }
                position.map_or(Answer::Unknown, Answer::Stored)
            }
            503 if kind.ends_with(":outcome-unknown") => Answer::Unknown,
            408 | 429 | 503 | 507 => Answer::Refused,
            500.. => Answer::Unknown,
            _ => {
                self.world
                    .complain(format!("a publish was answered {status}: {value}"));
                Answer::Refused
            }
        }
    }
}
