//! Enforces `limits.sessions_per_user` over the whole cluster (docs/limits.md). Knows the bus and presence by their
//! handles.
//!
//! An instance stores nothing about the others' sessions: after a login it asks all others for that user's sessions,
//! orders them by (since, instance) and has surplus ones closed. Of two logins at the same moment on two instances at
//! least one counts the other, since both register before they ask. If an instance did not answer, the count is used as
//! far as it goes, and repeated until all instances that presence knows have answered. When an instance joins, or the
//! bus is back, all users here are counted again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::excess::excess;
use super::protocol::{
    CountSeats, Done, GiveWay, MESSAGE_MAX_BYTES, OfUser, SEAT_BYTES, Seats, SeatsOf, Supersede, USER_BYTES,
    USERS_MAX, answer,
};
use super::{PerUser, Seat};
use crate::bus::Bus;
use crate::control::ask::{ask, ask_all};
use crate::control::desk::Desk;
use crate::control::question::Refused;
use crate::instance::InstanceId;
use crate::presence::Presence;
use crate::principal::UserName;
use crate::session::action::Refusal;
use crate::setting::SessionsPerUserPolicy;
use crate::telemetry::metrics::Metrics;

/// How long an instance may take to answer. With the policy `refuse` a login waits for it.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);
/// How often unfinished counts are started again, and new instances are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Counts users' sessions together with the other instances.
pub(crate) struct Cluster {
    per_user: PerUser,
    bus: Arc<dyn Bus>,
    presence: Arc<Presence>,
    own: InstanceId,
    metrics: Metrics,
}

/// Which instance holds a session, and since when.
type Held = (u64, InstanceId);

/// What one instance said for each user of the question. `None`: nothing.
type Answer = (InstanceId, Option<Seats>);

impl Cluster {
    /// Over the instance's own table.
    pub(crate) fn new(
        per_user: PerUser,
        bus: Arc<dyn Bus>,
        presence: Arc<Presence>,
        own: InstanceId,
        metrics: Metrics,
    ) -> Self {
        Self {
            per_user,
            bus,
            presence,
            own,
            metrics,
        }
    }

    /// Counts after each login until `shutdown`. Without a limit there is nothing to count. Run it once.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        if self.per_user.0.most == 0 {
            return shutdown.cancelled().await;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.count() => {}
        }
    }

    /// With the policy `refuse`: whether a session that has taken its seat may keep it. Waits for the others'
    /// answers. If one does not answer in time, the session is admitted, and gives way later if it is one too many.
    ///
    /// # Errors
    /// ERROR, 1008.
    pub(crate) async fn admit(&self, seat: &Seat) -> Result<(), Refusal> {
        if self.per_user.0.policy != SessionsPerUserPolicy::Refuse {
            return Ok(());
        }
        let user = &seat.seated.user;
        let answers = self.ask(std::slice::from_ref(user)).await;
        let (held, complete) = self.held(user, 0, &answers);
        if !complete {
            self.per_user.doubt_later(user);
        }
        if self.excess(held).contains(&(seat.seated.since, self.own)) {
            return Err(self.per_user.0.refusal());
        }
        Ok(())
    }

    /// Answers the counts of others, and closes sessions that give way.
    pub(crate) fn register(self: &Arc<Self>, desk: &mut Desk) {
        let cluster = Arc::clone(self);
        desk.answer::<CountSeats, _>(move |SeatsOf { users }| {
            let counted = match users.len() > USERS_MAX {
                true => Err(Refused::Bound("more than 256 users in one question")),
                false => Ok(answer(&users, |user| cluster.per_user.seats(user))),
            };
            std::future::ready(counted)
        });
        let cluster = Arc::clone(self);
        desk.answer::<GiveWay, _>(move |order| {
            let cluster = Arc::clone(&cluster);
            async move {
                for OfUser { user, seats } in order.users {
                    cluster.close(&user, &seats).await;
                }
                Ok(Done {})
            }
        });
    }

    async fn close(&self, user: &UserName, seats: &[u64]) {
        for superseded in self.per_user.take(user, seats) {
            superseded.close(&self.metrics).await;
        }
    }

    async fn count(&self) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut known, mut connection) = (BTreeSet::new(), 0);
        loop {
            tokio::select! {
                () = self.per_user.0.due.notified() => {}
                _ = ticks.tick() => {
                    let now: BTreeSet<InstanceId> = self.others().collect();
                    let reconnects = self.bus.stats().reconnects;
                    let all = now.difference(&known).next().is_some() || reconnects != connection;
                    (known, connection) = (now, reconnects);
                    self.per_user.look_again(all);
                }
            }
            loop {
                let users = self.per_user.take_doubted(USERS_MAX);
                if users.is_empty() {
                    break;
                }
                self.settle(&users).await;
            }
        }
    }

    /// One count of these users, and its consequences.
    async fn settle(&self, users: &[UserName]) {
        let answers = self.ask(users).await;
        let mut orders: BTreeMap<InstanceId, Order> = BTreeMap::new();
        for (index, user) in users.iter().enumerate() {
            let (held, mut complete) = self.held(user, index, &answers);
            let mut by_instance: BTreeMap<InstanceId, Vec<u64>> = BTreeMap::new();
            for (since, instance) in self.excess(held) {
                by_instance.entry(instance).or_default().push(since);
            }
            for (instance, seats) in by_instance {
                complete &= orders.entry(instance).or_default().push(user, seats);
            }
            if !complete {
                self.per_user.doubt_later(user);
            }
        }
        let told = orders
            .into_iter()
            .map(|(instance, order)| self.tell(instance, order));
        join_all(told).await;
    }

    /// Has sessions closed. If an instance does not confirm, its users are counted again.
    async fn tell(&self, instance: InstanceId, order: Order) {
        if instance == self.own {
            for (user, seats) in order.users {
                self.close(&user, &seats).await;
            }
            return;
        }
        let users = order.users.iter().map(|(user, seats)| OfUser {
            user: user.clone(),
            seats: seats.clone(),
        });
        let supersede = Supersede {
            users: users.collect(),
        };
        let told = ask::<GiveWay>(&*self.bus, instance, &supersede, ASK_TIMEOUT);
        if let Err(error) = told.await {
            tracing::debug!(%instance, %error, "an instance has not closed a user's sessions yet");
            order
                .users
                .iter()
                .for_each(|(user, _)| self.per_user.doubt_later(user));
        }
    }

    /// Asks all other instances.
    async fn ask(&self, users: &[UserName]) -> Vec<Answer> {
        let question = SeatsOf {
            users: users.to_vec(),
        };
        let others = self.others().map(|instance| (instance, instance));
        let answers = ask_all::<CountSeats, _>(&*self.bus, others, &question, ASK_TIMEOUT).await;
        let answers = answers.into_iter().map(|(instance, answer)| {
            let answer = answer.inspect_err(|error| {
                tracing::debug!(%instance, %error, "an instance has not counted a user's sessions");
            });
            (instance, answer.ok())
        });
        answers.collect()
    }

    /// All sessions of the user with the number `index` in the question, and whether all instances have answered for
    /// the user. The sessions held here are looked up after the answers are in.
    fn held(&self, user: &UserName, index: usize, answers: &[Answer]) -> (Vec<Held>, bool) {
        let own = self.per_user.seats(user).into_iter();
        let mut held: Vec<Held> = own.map(|since| (since, self.own)).collect();
        let mut complete = true;
        for (instance, answer) in answers {
            match answer.as_ref().and_then(|answer| answer.seats.get(index)) {
                Some(seats) => held.extend(seats.iter().map(|since| (*since, *instance))),
                None => complete = false,
            }
        }
        (held, complete)
    }

    fn excess(&self, held: Vec<Held>) -> Vec<Held> {
        excess(held, self.per_user.0.most, self.per_user.0.policy)
    }

    fn others(&self) -> impl Iterator<Item = InstanceId> {
        self.presence.others().into_iter().map(|instance| instance.id)
    }
}

/// What one instance is to close, within one message.
#[derive(Default)]
struct Order {
    users: Vec<(UserName, Vec<u64>)>,
    bytes: usize,
}

impl Order {
    /// Whether there was room. There is always room for one user.
    fn push(&mut self, user: &UserName, seats: Vec<u64>) -> bool {
        let bytes = USER_BYTES + seats.len() * SEAT_BYTES;
        if self.bytes > 0 && self.bytes + bytes > MESSAGE_MAX_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.users.push((user.clone(), seats));
        true
    }
}
