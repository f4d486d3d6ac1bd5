//! Destinations: the names used by clients, backends and bus subjects, parsed and validated in one place
//! (docs/stomp.md). Knows nothing of permissions, of STOMP frames or of NATS subjects.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::principal::UserName;
use crate::setting::Findings;

mod path;

pub use path::{DESTINATION_MAX_BYTES, DestinationError, PATH_MAX_SEGMENTS, Path, SEGMENT_MAX_BYTES};

/// Where a notification goes: what the bus carries and `delivery/` matches against subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every subscriber of the path, which carries its prefix: `/queue/message`.
    Broadcast(Path),
    /// All sessions of one user that subscribe to `/user` + path; the path is without `/user`: `/queue/orders`.
    User {
        /// The user.
        user: UserName,
        /// What follows the user prefix.
        path: Path,
    },
}

impl Target {
    /// The path, whoever it is for.
    pub fn path(&self) -> &Path {
        match self {
            Self::Broadcast(path) | Self::User { path, .. } => path,
        }
    }
}

/// What a client's text means for that client. Only [`Prefixes::for_client`] makes one, so another user's destination
/// cannot be expressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A broadcast destination or one of the caller's own user destinations.
    Target(Target),
    /// An application destination; the path is without its prefix, since prefixes are aliases: `/message`.
    Application(Path),
}

/// `[destinations]`: which prefixes mean what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prefixes {
    /// Broadcast destinations begin with one of these.
    pub broadcast_prefixes: Vec<Path>,
    /// Application destinations begin with one of these. All of them mean the same.
    pub application_prefixes: Vec<Path>,
    /// User destinations begin with this.
    pub user_prefix: Path,
}

impl Default for Prefixes {
    fn default() -> Self {
        let path = |text: &str| Path(text.into());
        Self {
            broadcast_prefixes: vec![path("/queue"), path("/topic")],
            application_prefixes: vec![path("/chat"), path("/app")],
            user_prefix: path("/user"),
        }
    }
}

impl Prefixes {
    /// Checks that no two prefixes overlap: they do if they are equal or one is above the other, since what is below both
    /// would have two meanings.
    pub fn check(&self, findings: &mut Findings) {
        let list = |name: &str, paths: &[Path]| -> Vec<(String, Path)> {
            paths
                .iter()
                .enumerate()
                .map(|(index, path)| (format!("destinations.{name}[{index}]"), path.clone()))
                .collect()
        };
        let mut all = list("broadcast_prefixes", &self.broadcast_prefixes);
        if all.is_empty() {
            findings.error("destinations.broadcast_prefixes", "expected at least one prefix");
        }
        all.extend(list("application_prefixes", &self.application_prefixes));
        all.push(("destinations.user_prefix".into(), self.user_prefix.clone()));
        for (position, (key, path)) in all.iter().enumerate() {
            for (other_key, other) in all.iter().take(position) {
                if path == other || path.after(other).is_some() || other.after(path).is_some() {
                    findings.error(key, format!("{path} overlaps {other} of {other_key}"));
                }
            }
        }
    }

    /// What `text` means when `caller` names it in a SUBSCRIBE or SEND.
    pub fn for_client(&self, text: &str, caller: &UserName) -> Result<Destination, DestinationError> {
        let path = Path::parse(text)?;
        if let Some(path) = path.after(&self.user_prefix) {
            return Ok(Destination::Target(Target::User {
                user: caller.clone(),
                path,
            }));
        }
        if self.is_broadcast(&path) {
            return Ok(Destination::Target(Target::Broadcast(path)));
        }
        match self
            .application_prefixes
            .iter()
            .find_map(|prefix| path.after(prefix))
        {
            Some(path) => Ok(Destination::Application(path)),
            None => Err(DestinationError::UnknownPrefix(list(
                self.broadcast_prefixes
                    .iter()
                    .chain(&self.application_prefixes)
                    .chain([&self.user_prefix]),
            ))),
        }
    }

    /// The target of a backend's broadcast to `text`.
    pub fn broadcast(&self, text: &str) -> Result<Target, DestinationError> {
        let path = Path::parse(text)?;
        if self.is_broadcast(&path) {
            return Ok(Target::Broadcast(path));
        }
        let is_below = |prefix: &&Path| path == **prefix || path.after(prefix).is_some();
        if is_below(&&self.user_prefix) {
            return Err(DestinationError::NoUser(Arc::clone(&self.user_prefix.0)));
        }
        let expected = || list(self.broadcast_prefixes.iter());
        Err(match self.application_prefixes.iter().find(is_below) {
            Some(prefix) => DestinationError::Application(Arc::clone(&prefix.0), expected()),
            None => DestinationError::UnknownPrefix(expected()),
        })
    }

    /// The target of a backend's notification to `user`: `/queue/orders`, or the same as `/user/queue/orders`.
    pub fn user(&self, text: &str, user: UserName) -> Result<Target, DestinationError> {
        let path = Path::parse(text)?;
        let path = path.after(&self.user_prefix).unwrap_or(path);
        match path.is_own_of_users() {
            true => Err(DestinationError::Reserved),
            false => Ok(Target::User { user, path }),
        }
    }

    fn is_broadcast(&self, path: &Path) -> bool {
        self.broadcast_prefixes
            .iter()
            .any(|prefix| path.after(prefix).is_some())
    }
}

/// Prefixes in words.
fn list<'a>(prefixes: impl Iterator<Item = &'a Path>) -> Arc<str> {
    let list: Vec<String> = prefixes.map(|prefix| format!("{prefix}/")).collect();
    list.join(", ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_decide_what_a_client_means() {
        let alice = UserName::parse("alice").unwrap();
        let prefixes = Prefixes::default();
        let path = |text| Path::parse(text).unwrap();
        let check = |text, expected| assert_eq!(prefixes.for_client(text, &alice), Ok(expected), "{text}");
        check(
            "/queue/x",
            Destination::Target(Target::Broadcast(path("/queue/x"))),
        );
        check(
            "/topic/x/y",
            Destination::Target(Target::Broadcast(path("/topic/x/y"))),
        );
        check("/app/x", Destination::Application(path("/x")));
        check("/chat/init/users", Destination::Application(path("/init/users")));
        let own = |text| {
            Destination::Target(Target::User {
                user: alice.clone(),
                path: path(text),
            })
        };
        check("/user/queue/x", own("/queue/x"));
        check("/user/chat/errors", own("/chat/errors"));
        check("/user/bob/queue/x", own("/bob/queue/x"));
        for text in ["/queue", "/user", "/queues/x", "/foo/x", "/chat"] {
            assert!(
                matches!(
                    prefixes.for_client(text, &alice),
                    Err(DestinationError::UnknownPrefix(_))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn backends_name_broadcasts_and_users() {
        let prefixes = Prefixes::default();
        let alice = UserName::parse("alice").unwrap();
        assert!(prefixes.broadcast("/queue/x").is_ok());
        for (text, words) in [
            (
                "/user/x",
                "a destination below /user/ is a user's own, and nothing here names the user",
            ),
            (
                "/user",
                "a destination below /user/ is a user's own, and nothing here names the user",
            ),
            (
                "/app/x",
                "a destination below /app/ is for what clients SEND; a broadcast's begins with one of /queue/, /topic/",
            ),
            ("/users/x", "a destination begins with one of /queue/, /topic/"),
            ("/queue", "a destination begins with one of /queue/, /topic/"),
        ] {
            assert_eq!(prefixes.broadcast(text).unwrap_err().to_string(), words, "{text}");
        }
        assert_eq!(
            prefixes.user("/queue/x", alice.clone()),
            prefixes.user("/user/queue/x", alice)
        );
    }
}
