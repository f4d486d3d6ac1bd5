//! Keeps the health of the connection current: it is good once the server is known to have every subscription of this
//! instance. Knows no message.

use std::time::{Duration, Instant};

use async_nats::RefusedSubscriptions;

use super::HEADER_RESERVE_BYTES;
use super::link::Connection;
use super::rights;
use crate::bus::requests::Inbox;
use crate::bus::{CONTROL_MAX_BYTES, Health};

/// How long the server may take to return a message to us before that is reported and tried again.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(2);
/// Events may be lost in a flood of them: how often the state is checked regardless.
const RESYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before asking the server again for refused subscriptions; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How often the log repeats what is refused.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

impl Connection {
    /// Keeps the health current until the bus drains. Connected is reported only when the server is known to have the
    /// subscriptions: anybody who sees this instance ready may rely on it.
    pub(super) async fn watch(self) {
        let mut verified = 0;
        let mut refusals = Refusals::default();
        while !self.link.closing.is_cancelled() {
            let connects = self.connects();
            let is_up = self.is_up();
            let refused = self.refused_subscriptions();
            if !is_up {
                self.link.lost();
            } else if verified != connects
                || !refused.is_empty()
                || *self.link.health().borrow() == Health::Disconnected
            {
                // The last one: an event of the loss that was handled later than the return.
                match self.verify(&refused).await {
                    Verified::Complete => {
                        verified = connects;
                        refusals = Refusals::default();
                        self.say_connected(connects);
                    }
                    Verified::Refused(refused) => {
                        self.link.set_health(Health::Disconnected);
                        refusals.say(&refused, Instant::now());
                        let pause = refusals.pause(&refused);
                        self.rest(pause, connects).await;
                    }
                    Verified::Lost if self.is_up() => tracing::warn!(
                        "NATS is connected, but a message to our own inbox does not come back: \
                         may this user publish and subscribe to {} ?",
                        rights::permission(&self.link.requests.wildcard())
                    ),
                    Verified::Lost => {}
                }
                continue;
            }
            // The client counts a connection a moment before it reports it.
            let is_about_to_be_up = !is_up && verified != connects;
            let pause = if is_about_to_be_up {
                RESYNC_INTERVAL / 100
            } else {
                RESYNC_INTERVAL
            };
            tokio::select! {
                () = self.link.changed.notified() => {}
                () = self.link.closing.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.link.set_health(Health::Disconnected);
    }

    /// Requests the refused subscriptions again, and waits until the server has handled every subscription. It handles
    /// what a connection sends in order: a refusal arrives before the message of the round trip.
    async fn verify(&self, before: &RefusedSubscriptions) -> Verified {
        if !before.is_empty() {
            // Accepts nothing from publishers that would not reach this instance's own sessions.
            self.link.set_health(Health::Disconnected);
            let asked = if before.over_limit {
                self.client.force_reconnect().await
            } else {
                self.client.repeat_refused_subscriptions().await
            };
            if let Err(error) = asked {
                tracing::debug!(%error, "the NATS client has stopped");
            }
        }
        let came_back = self.round_trip_by_some_inbox().await;
        let refused = self.refused_subscriptions();
        if !refused.is_empty() {
            Verified::Refused(refused)
        } else if came_back {
            Verified::Complete
        } else {
            Verified::Lost
        }
    }

    /// A round trip through the inbox in use; through the other one, if the server does not permit that.
    async fn round_trip_by_some_inbox(&self) -> bool {
        let requests = &self.link.requests;
        let is_own = *requests.inbox().borrow() == Inbox::Own;
        let mut came_back = self.round_trip(ROUND_TRIP_TIMEOUT).await;
        if is_own && !came_back && self.is_own_inbox_refused() && self.use_common_inbox().await {
            came_back = self.round_trip(ROUND_TRIP_TIMEOUT).await;
            if came_back {
                tracing::warn!(
                    "NATS does not permit this user to publish and subscribe to {}: replies come by _INBOX, where other \
                     clients may read them; the next release will not be ready without that right",
                    rights::permission(&requests.wildcard())
                );
            }
        } else if !is_own && !self.is_own_inbox_refused() {
            // Perhaps only that one has been permitted meanwhile.
            requests.use_inbox(Inbox::Own);
            came_back = self.round_trip(ROUND_TRIP_TIMEOUT).await;
            if !came_back {
                came_back = self.use_common_inbox().await && self.round_trip(ROUND_TRIP_TIMEOUT).await;
            }
        }
        came_back
    }

    fn is_own_inbox_refused(&self) -> bool {
        let refused = self.client.refused_subscriptions();
        refused.subjects.contains(&self.link.requests.wildcard())
            || self.link.refused_publishes.is_reply_refused()
    }

    /// The subscriptions that this instance needs and the server refuses: not its own inbox, while it can use the other
    /// one, and never the other one, which is not needed if the first is permitted.
    pub(super) fn refused_subscriptions(&self) -> RefusedSubscriptions {
        let requests = &self.link.requests;
        let mut refused = self.client.refused_subscriptions();
        let is_common_refused = refused.subjects.remove(&requests.common_wildcard());
        if *requests.inbox().borrow() == Inbox::Common && !is_common_refused {
            refused.subjects.remove(&requests.wildcard());
        }
        refused
    }

    /// The same for people, with a line about an inbox that others may read.
    pub(super) fn refused_words(&self) -> Vec<String> {
        let mut words = rights::words(&self.refused_subscriptions());
        let requests = &self.link.requests;
        if *requests.inbox().borrow() == Inbox::Common && *self.link.health().borrow() == Health::Connected {
            words.push(format!(
                "NATS does not permit this user {}: replies come by _INBOX, where others may read them",
                rights::permission(&requests.wildcard())
            ));
        }
        words
    }

    /// Waits for `pause`, the end of the bus, or another connection.
    async fn rest(&self, pause: Duration, connects: u64) {
        let mut over = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.link.closing.cancelled() => return,
                // Each refusal is an event, too.
                () = self.link.changed.notified() => if self.connects() != connects { return },
            }
        }
    }

    fn say_connected(&self, connects: u64) {
        if self.connects() != connects || !self.is_up() {
            return;
        }
        let info = self.client.server_info();
        tracing::info!(
            server = info.server_name,
            version = info.version,
            max_payload_bytes = info.max_payload,
            reconnects = self.reconnects(),
            "connected to NATS"
        );
        let room = info.max_payload.saturating_sub(HEADER_RESERVE_BYTES);
        if room < self.body_bytes {
            tracing::warn!(
                max_payload_bytes = info.max_payload,
                body_bytes = self.body_bytes,
                "this NATS server lets bodies of at most {room} bytes pass, less than limits.body_bytes: raise its max_payload"
            );
        }
        if room < CONTROL_MAX_BYTES {
            tracing::warn!(
                max_payload_bytes = info.max_payload,
                "this NATS server loses answers of instances to each other that are larger than {room} bytes: raise its max_payload to at \
                 least 1MB"
            );
        }
        if !info.headers {
            tracing::warn!("this NATS server carries no headers: ids, content types and traces are lost");
        }
        if let Some(words) = self.open_words() {
            tracing::warn!("{words}");
        }
        self.link.set_health(Health::Connected);
    }
}

/// The result of requesting the subscriptions.
enum Verified {
    /// The server has them all.
    Complete,
    /// It refuses some.
    Refused(RefusedSubscriptions),
    /// It did not say in time.
    Lost,
}

/// How often the same was refused, and when the log said so.
#[derive(Default)]
struct Refusals {
    attempts: u32,
    said: Option<(Instant, RefusedSubscriptions)>,
}

impl Refusals {
    /// Logs what is refused: at once if it is new, else once a minute.
    fn say(&mut self, refused: &RefusedSubscriptions, now: Instant) {
        let is_said = self
            .said
            .as_ref()
            .is_some_and(|(at, said)| said == refused && now.duration_since(*at) < SAY_INTERVAL);
        if !is_said {
            self.said = Some((now, refused.clone()));
            tracing::error!(
                refused = rights::words(refused).join("; "),
                "NATS refuses subscriptions that this instance needs: it is not ready, and asks again until it has them"
            );
        }
    }

    /// The pause before the next attempt.
    fn pause(&mut self, refused: &RefusedSubscriptions) -> Duration {
        let doublings = self.attempts.min(8);
        self.attempts = self.attempts.saturating_add(1);
        // Only a new connection shows whether the limit has changed, and it loses whatever is in transit.
        if refused.over_limit {
            return LONGEST_PAUSE;
        }
        (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_ever_more_seldom_but_for_ever() {
        let mut refusals = Refusals::default();
        let refused = RefusedSubscriptions::default();
        let seconds: Vec<_> = (0..6).map(|_| refusals.pause(&refused).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 8, 8]);
        refusals.attempts = u32::MAX - 1;
        assert_eq!(refusals.pause(&refused), LONGEST_PAUSE);
    }
}
