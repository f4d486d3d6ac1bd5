//! The fan-out: writes a shard's notifications to all sessions that want them. Knows no command and no mailbox.
//! [`write`] and [`windowed`] write to one session.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use super::command::Delivery;
use super::frames::{Encoded, Frames};
use super::outbox::CHUNKS_PER_CALL;
use super::roster::{Session, Slot, To};
use super::shard::{BATCH_MAX, Setting, Shard};
use super::wire::{AckMode, GroupKey};
use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::envelope::{Envelope, MessageId};
use crate::principal::UserName;
use crate::task;

use tally::Tally;
use windowed::send_windowed;
use write::{Sent, Write};

mod tally;
mod windowed;
pub(super) mod write;

impl Shard {
    /// Delivers notifications that were neighbours in the mailbox. Those with the same target go out together, in
    /// order; different targets have no order between them (docs/stomp.md, "Order").
    pub(super) fn deliver(&mut self, batch: &[Arc<Delivery>]) {
        // What an instance makes itself gets its position from each shard.
        let is_own =
            |envelope: &Envelope| envelope.position.is_none() && self.setting.kept.holds(&envelope.target);
        if batch.iter().any(|delivery| is_own(&delivery.envelope)) {
            let own: Vec<bool> = batch.iter().map(|delivery| is_own(&delivery.envelope)).collect();
            for (delivery, is_own) in batch.iter().zip(own) {
                match is_own {
                    true => self.deliver_own(delivery),
                    false => self.deliver_stored(std::slice::from_ref(delivery)),
                }
            }
            return;
        }
        self.deliver_stored(batch);
    }

    fn deliver_own(&mut self, delivery: &Delivery) {
        let mut envelope = Envelope::clone(&delivery.envelope);
        self.resuming.place(&mut envelope);
        let envelope = Arc::new(envelope);
        for key in self.resuming.offer_own(&envelope, &self.roster) {
            let slot = self.roster.slot(key);
            self.doomed
                .extend(slot.map(|slot| (slot, CloseReason::SlowConsumer)));
        }
        self.reach(&envelope.target, &mut vec![Encoded::instead(&envelope, delivery)]);
    }

    fn deliver_stored(&mut self, batch: &[Arc<Delivery>]) {
        let now = Instant::now();
        for envelope in batch.iter().map(|delivery| &delivery.envelope) {
            self.resuming.saw(envelope);
            if let Some(at) = envelope.arrival.at() {
                let after = now.saturating_duration_since(at);
                self.setting.trail.reached_shard(after, &envelope.trace);
            }
        }
        let mut together: Vec<Encoded<'_>> = Vec::with_capacity(batch.len());
        // When many notifications to as many users come together, one word per target tells them apart.
        let mut marks = [0; BATCH_MAX];
        if batch.len() > 1 {
            for (mark, delivery) in marks.iter_mut().zip(batch) {
                *mark = mark_of(&delivery.envelope.target);
            }
        }
        let mut done = [false; BATCH_MAX];
        for (at, first) in batch.iter().enumerate().take(BATCH_MAX) {
            if done[at] {
                continue;
            }
            let (target, own) = (&first.envelope.target, marks[at]);
            together.clear();
            for ((delivery, done), mark) in batch.iter().zip(&mut done).zip(&marks).skip(at) {
                if *mark == own && !*done && delivery.envelope.target == *target {
                    *done = true;
                    // Before the topic is looked for: it may be that nobody else wants it.
                    self.resuming.offer(&delivery.envelope, &self.roster);
                    together.push(Encoded::of(delivery));
                }
            }
            self.reach(target, &mut together);
        }
    }

    fn reach(&mut self, target: &Target, together: &mut Vec<Encoded<'_>>) {
        match target {
            Target::Broadcast(path) => self.broadcast(path, together),
            Target::User { user, path } => self.reach_user(user, path, together),
        }
    }

    fn broadcast(&mut self, path: &Path, together: &mut Vec<Encoded<'_>>) {
        let mut tally = Tally::default();
        let (now, begun) = (self.wheel.now(), Instant::now());
        let Some(groups) = self.topics.groups(path) else {
            return;
        };
        for (id, group) in groups {
            encode(&mut self.frames, together, &group.key, &self.setting, None);
            if together.is_empty() {
                return;
            }
            // The subscription's number is the session's own. It is needed only if the session is blocked.
            let number = |session: &Session| session.number_in(id);
            if group.key.ack != AckMode::Auto {
                let (ids, at) = (message_ids(together), Instant::now());
                for slot in group.members() {
                    let Some((hot, session)) = self.roster.get_mut(slot) else {
                        continue;
                    };
                    let number = number(session);
                    let sent = send_windowed(hot, session, number, &self.frames, &ids, now, at);
                    tally.count_windowed(sent, together, slot, &mut self.doomed);
                }
                continue;
            }
            let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
            let count = self.frames.slices(&mut slices);
            let write = Write::new(&self.frames, &slices[..count], now);
            let mut shared = None;
            for slot in group.members() {
                let sent = write.send(&mut self.roster, slot, &mut shared, number);
                tally.count(sent, together.len(), slot, &mut self.doomed);
            }
        }
        tally.share(together);
        tally.add_to(&self.setting.counters);
        if let Some(first) = together.first() {
            self.setting.trail.walked(begun.elapsed(), &first.envelope.trace);
        }
    }

    fn reach_user(&mut self, user: &UserName, path: &Path, together: &mut Vec<Encoded<'_>>) {
        match self.roster.of_user(user) {
            // Usually one session: nothing to copy.
            &[slot] => self.reach_session(slot, path, together),
            slots => {
                let slots = slots.to_vec();
                for slot in slots {
                    self.reach_session(slot, path, together);
                }
            }
        }
    }

    /// Delivers an answer to one session only, on its user's destination.
    pub(super) fn deliver_to(&mut self, slot: Slot, envelope: &Arc<Envelope>) {
        let Target::User { path, .. } = &envelope.target else {
            return;
        };
        self.reach_session(slot, path, &mut vec![Encoded::new(envelope)]);
    }

    fn reach_session(&mut self, slot: Slot, path: &Path, together: &mut Vec<Encoded<'_>>) {
        let mut tally = Tally::default();
        let session = self.roster.get(slot);
        let subscriptions = session.map_or(0, |(_, session)| session.subscriptions.len());
        for index in 0..subscriptions {
            let wants = |to: &To| matches!(to, To::User { path: wanted, .. } if wanted == path);
            let session = self.roster.get(slot);
            if session.is_some_and(|(_, session)| wants(&session.subscriptions[index].to)) {
                self.reach_subscription(slot, index, together, &mut tally);
            }
        }
        tally.share(together);
        tally.add_to(&self.setting.counters);
    }

    /// Writes to one subscription of one session, in order. There may be more than one write holds.
    /// `replayed`: they are sent again.
    pub(super) fn write_run(&mut self, slot: Slot, number: u32, run: &[Arc<Envelope>], replayed: bool) {
        for together in run.chunks(BATCH_MAX) {
            let session = self.roster.get(slot);
            let index = session.and_then(|(_, session)| {
                let mut subscriptions = session.subscriptions.iter();
                subscriptions.position(|held| held.number == number)
            });
            let Some(index) = index else { return };
            let mut tally = Tally::default();
            let mut together: Vec<Encoded<'_>> = together
                .iter()
                .map(|envelope| Encoded::again(envelope, replayed))
                .collect();
            self.reach_subscription(slot, index, &mut together, &mut tally);
            tally.add_to(&self.setting.counters);
        }
    }

    fn reach_subscription(
        &mut self,
        slot: Slot,
        index: usize,
        together: &mut Vec<Encoded<'_>>,
        tally: &mut Tally,
    ) {
        let now = self.wheel.now();
        let Some((hot, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let held = &session.subscriptions[index];
        let (number, windowed) = (held.number, held.window.is_some());
        let (key, own_session) = match &held.to {
            To::User { id, ack, .. }
            | To::Held {
                id,
                ack,
                is_user: true,
            } => {
                for encoded in together.iter_mut() {
                    encoded.traced = self.setting.records && encoded.envelope.trace.is_sampled();
                }
                let key = GroupKey {
                    subscription: id.clone(),
                    version: session.version,
                    ack: *ack,
                };
                (key, Some(&*session.id))
            }
            To::Held { id, ack, .. } => {
                let key = GroupKey {
                    subscription: id.clone(),
                    version: session.version,
                    ack: *ack,
                };
                (key, None)
            }
            To::Broadcast(place) => match self.topics.key(place.group) {
                Some(key) => (key.clone(), None),
                None => return,
            },
        };
        encode(&mut self.frames, together, &key, &self.setting, own_session);
        if together.is_empty() {
            return;
        }
        if windowed {
            let ids = message_ids(together);
            let sent = send_windowed(hot, session, number, &self.frames, &ids, now, Instant::now());
            self.frames.release_trails();
            tally.count_windowed(sent, together, slot, &mut self.doomed);
            return;
        }
        let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
        let count = self.frames.slices(&mut slices);
        let write = Write::new(&self.frames, &slices[..count], now);
        let sent = write.send(&mut self.roster, slot, &mut None, |_| number);
        if let Sent::Written = sent {
            self.frames.written();
        }
        self.frames.release_trails();
        tally.count(sent, together.len(), slot, &mut self.doomed);
    }
}

fn message_ids(together: &[Encoded<'_>]) -> Vec<MessageId> {
    together
        .iter()
        .map(|encoded| encoded.envelope.message_id())
        .collect()
}

/// Equal for equal targets, and rarely equal for different ones.
fn mark_of(target: &Target) -> u64 {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    hasher.finish()
}

/// Fills `frames` with the notifications as the group `key` sees them. A batch never holds more than fit. `session`
/// is set if they are for one session only, on a user destination.
///
/// A notification that makes its encoding panic is taken out of `together` and reported: every instance gets it, and a
/// shard that panics ends its instance. Encoding touches no session, so nothing is left half-done.
fn encode(
    frames: &mut Frames,
    together: &mut Vec<Encoded<'_>>,
    key: &GroupKey,
    setting: &Setting,
    session: Option<&str>,
) {
    loop {
        frames.clear();
        let mut at = 0;
        let encoding = task::caught_now(|| {
            for encoded in together.iter_mut() {
                add(frames, encoded, key, setting, session);
                at += 1;
            }
        });
        if encoding.is_ok() {
            return;
        }
        let poison = together.remove(at);
        setting.trail.poisoned(&poison.envelope.id);
    }
}

fn add(
    frames: &mut Frames,
    encoded: &mut Encoded<'_>,
    key: &GroupKey,
    setting: &Setting,
    session: Option<&str>,
) {
    let envelope = encoded.envelope;
    #[cfg(test)]
    task::faults::trip(&envelope.body);
    let trail = match session {
        Some(session) if encoded.traced => setting.trail.message(envelope, session, encoded.replayed),
        Some(_) => None,
        None => encoded.trail.and_then(|_| setting.trail.broadcast(envelope)),
    };
    let rest = encoded.rest(key.version, &setting.user_prefix);
    frames.add(envelope, key, rest, trail);
}
