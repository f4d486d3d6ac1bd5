//! The events for backends. Two instances can act on the same user before they learn of each other, so an event can be
//! wrong for a moment. An instance that sent one, or could have, remembers the last event for a while and checks it
//! again.

use std::time::Duration;

use super::{Changes, Moment, Output, View};
use crate::bus::UserEvent;
use crate::presence::protocol::{Names, json_bytes};
use crate::principal::UserName;

/// The last word that backends have on a user, as far as this instance knows.
#[derive(Debug)]
pub(super) struct Word {
    /// Whether backends believe that the user is online.
    connected: bool,
    /// Nobody can tell which word was the last: say it again.
    contested: bool,
    /// The time of the last word or contest.
    at: Duration,
    /// When this instance itself last spoke.
    spoken_at: Option<Duration>,
    /// Where the user was.
    instance: Box<str>,
}

impl Word {
    /// Whether this instance has spoken of the user recently.
    pub(super) fn is_own(&self) -> bool {
        self.spoken_at.is_some()
    }
}

impl View {
    /// Tells backends, at the end of this tick.
    pub(super) fn tell(&mut self, at: Moment, user: UserName, connected: bool, instance: &str) {
        let event = UserEvent {
            user: user.clone(),
            instance: instance.into(),
            connected,
            time_ms: at.unix_ms,
        };
        self.events.insert(user.clone(), event);
        self.unacked.insert(user.clone(), self.beat + 1);
        let word = Word {
            connected,
            contested: false,
            at: at.now,
            spoken_at: Some(at.now),
            instance: instance.into(),
        };
        self.words.insert(user, word);
    }

    /// Records that this instance told backends nothing, since the user was elsewhere as well. If it knows of no
    /// other word, backends believe `connected`.
    fn stay_silent(&mut self, now: Duration, user: &UserName) {
        let word = self.words.entry(user.clone()).or_insert_with(|| Word {
            connected: true,
            contested: false,
            at: now,
            spoken_at: None,
            instance: (&*self.me.name).into(),
        });
        word.at = now;
    }

    /// Another instance has told backends. This matters only if this instance has an interest in the user.
    pub(super) fn told_elsewhere(&mut self, now: Duration, user: &UserName, connected: bool, instance: &str) {
        let near = self.timing.digest_interval * 2;
        if let Some(word) = self.words.get_mut(user) {
            let spoke_just_now = word.spoken_at.is_some_and(|at| now.saturating_sub(at) < near);
            word.contested |= spoke_just_now && word.connected != connected;
            word.connected = connected;
            word.at = now;
            word.instance = instance.into();
        } else if !connected && self.local.is_online(user) {
            self.words.insert(
                user.clone(),
                Word {
                    connected,
                    contested: false,
                    at: now,
                    spoken_at: None,
                    instance: instance.into(),
                },
            );
        }
    }

    /// Nobody knows what backends believe of the user: tell them, after a moment in which news can arrive.
    pub(super) fn contest(&mut self, now: Duration, user: UserName) {
        let spoken_at = self.words.get(&user).and_then(|word| word.spoken_at);
        let instance = self
            .words
            .get(&user)
            .map_or_else(|| (&*self.me.name).into(), |word| word.instance.clone());
        let word = Word {
            connected: false,
            contested: true,
            at: now,
            spoken_at,
            instance,
        };
        self.words.insert(user, word);
    }

    /// Compares the last words with the view, a `digest_interval` after each, so that everything under way has
    /// arrived and backends get the correction after what it corrects. Forgets words that can no longer matter.
    pub(super) fn audit(&mut self, at: Moment) {
        let grace = self.timing.digest_interval;
        if at.now < self.audit_at {
            return;
        }
        self.audit_at = at.now + grace / 4;
        let kept = self.timing.instance_timeout + grace * 2;
        let online = &self.online;
        let mut wrong = Vec::new();
        self.words.retain(|user, word| {
            let age = at.now.saturating_sub(word.at);
            if age >= grace && (word.contested || word.connected != online.contains(user)) {
                wrong.push((user.clone(), word.instance.clone()));
                return true;
            }
            age < kept
        });
        for (user, last) in wrong {
            let connected = self.online.contains(&user);
            let instance = if connected {
                (&*self.holder_name(&user)).into()
            } else {
                last
            };
            self.tell(at, user, connected, &instance);
        }
    }

    /// Tells backends and other instances who came here and who went.
    pub(super) fn flush(&mut self, at: Moment, hold_went: bool) {
        let (came, went) = self.local.take_untold(hold_went);
        let name = self.me.name.clone();
        let mut changes = Batches::new(self, at.page_bytes);
        for user in came {
            if self.online.holders(&user) > 1 {
                self.stay_silent(at.now, &user);
                changes.push(self, user, |changes| &mut changes.joined);
            } else {
                self.tell(at, user.clone(), true, &name);
                changes.push(self, user, |changes| &mut changes.came);
            }
        }
        for user in went {
            if self.online.contains(&user) {
                self.stay_silent(at.now, &user);
                changes.push(self, user, |changes| &mut changes.left);
            } else {
                self.tell(at, user.clone(), false, &name);
                changes.push(self, user, |changes| &mut changes.went);
            }
        }
        changes.end(self);
    }
}

/// Divides changes into messages of bounded size, each with its own number.
struct Batches {
    current: Changes,
    bytes: usize,
    max_bytes: usize,
}

impl Batches {
    fn new(view: &View, max_bytes: usize) -> Self {
        Self {
            current: empty(view),
            bytes: 0,
            max_bytes,
        }
    }

    fn push(&mut self, view: &mut View, user: UserName, list: fn(&mut Changes) -> &mut Names) {
        let bytes = json_bytes(&user);
        if self.bytes > 0 && self.bytes + bytes > self.max_bytes {
            self.end(view);
        }
        self.bytes += bytes;
        list(&mut self.current).0.push(user);
    }

    fn end(&mut self, view: &mut View) {
        if self.bytes > 0 {
            let mut full = std::mem::replace(&mut self.current, empty(view));
            full.number = view.local.next_number();
            view.statements.push(Output::Changes(full));
            self.bytes = 0;
        }
    }
}

fn empty(view: &View) -> Changes {
    Changes {
        instance: view.me.id,
        name: view.name.clone(),
        number: 0,
        came: Names::default(),
        joined: Names::default(),
        went: Names::default(),
        left: Names::default(),
    }
}
