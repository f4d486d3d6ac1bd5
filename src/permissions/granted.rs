//! Whether a token's own patterns match a destination, for rules with `granted = true`. The patterns are written as
//! clients write destinations; the requested destination no longer has its prefix if it is a user's or an
//! application's. Allocates nothing.

use std::sync::Arc;

use super::Action;
use super::pattern::Kind;
use crate::destination::{Path, Prefixes};
use crate::principal::Granted;

/// What a rule needs to compare.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    action: Action,
    kind: Kind,
    prefixes: Arc<Prefixes>,
}

impl PartialEq for Wanted {
    /// Of the same list, whose rules share the prefixes.
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action && self.kind == other.kind && Arc::ptr_eq(&self.prefixes, &other.prefixes)
    }
}

impl Eq for Wanted {}

impl Wanted {
    /// Of a rule for `action` at destinations of `kind`.
    pub(super) fn new(action: Action, kind: Kind, prefixes: Arc<Prefixes>) -> Self {
        Self {
            action,
            kind,
            prefixes,
        }
    }

    /// The patterns for its action.
    pub(super) fn of<'a>(&self, granted: Option<&'a Granted>) -> &'a [Box<str>] {
        match (granted, self.action) {
            (None, _) => &[],
            (Some(granted), Action::Subscribe) => granted.subscribe(),
            (Some(granted), Action::Send) => granted.send(),
            (Some(granted), Action::Publish) => granted.publish(),
        }
    }

    /// Whether one of them has `path`.
    pub(super) fn has(&self, granted: Option<&Granted>, path: &Path) -> bool {
        let under = |pattern: &str, prefix: &Path| {
            pattern
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| matches(rest, path))
        };
        self.of(granted).iter().any(|pattern| match self.kind {
            Kind::Broadcast => matches(pattern, path),
            Kind::User => under(pattern, &self.prefixes.user_prefix),
            Kind::Application => {
                let prefixes = &self.prefixes.application_prefixes;
                prefixes.iter().any(|prefix| under(pattern, prefix))
            }
        })
    }
}

/// Whether `path` is of `pattern`, both with a `/` in front.
fn matches(pattern: &str, path: &Path) -> bool {
    let Some(pattern) = pattern.strip_prefix('/') else {
        return false;
    };
    let mut found = path.segments();
    for wanted in pattern.split('/') {
        match (wanted, found.next()) {
            ("**", _) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    found.next().is_none()
}
