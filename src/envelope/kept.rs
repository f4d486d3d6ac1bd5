//! The destinations of which a bus keeps history. Knows no bus and no prefix's meaning.

use crate::destination::{Path, Target};

/// The targets whose notifications are kept, and so have positions. By default none. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    broadcast: std::sync::Arc<[Path]>,
    user: bool,
}

impl Kept {
    /// Broadcasts below `prefixes`, and notifications to users if `user`.
    pub fn new(prefixes: &[Path], user: bool) -> Self {
        Self {
            broadcast: prefixes.into(),
            user,
        }
    }

    /// Whether what goes to `target` is kept. What Herald itself tells a session is not.
    pub fn holds(&self, target: &Target) -> bool {
        match target {
            Target::User { path, .. } => self.user && !path.is_own_of_users(),
            Target::Broadcast(path) => {
                let mut prefixes = self.broadcast.iter();
                let rest = |prefix: &Path| path.as_str().strip_prefix(prefix.as_str());
                prefixes.any(|prefix| rest(prefix).is_some_and(|rest| rest.starts_with('/')))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::UserName;

    #[test]
    fn a_prefix_keeps_what_is_below_it() {
        let path = |text| Path::parse(text).unwrap();
        let kept = Kept::new(&[path("/queue")], false);
        for (text, expected) in [
            ("/queue", false),
            ("/queue/a", true),
            ("/queue/a/b", true),
            ("/queues/a", false),
            ("/topic/a", false),
        ] {
            assert_eq!(kept.holds(&Target::Broadcast(path(text))), expected, "{text}");
        }
        let of_user = Target::User {
            user: UserName::parse("alice").unwrap(),
            path: path("/queue/a"),
        };
        assert!(!kept.holds(&of_user));
        assert!(Kept::new(&[], true).holds(&of_user));
        assert!(!Kept::default().holds(&of_user));
        let own = Target::User {
            user: UserName::parse("alice").unwrap(),
            path: Path::reminders(),
        };
        assert!(!Kept::new(&[], true).holds(&own));
    }
}
