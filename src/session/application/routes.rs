//! `[application]`: the built-in routes as configured. Knows no session and no bus.

use serde::{Deserialize, Serialize};

use crate::destination::Path;
use crate::permissions::{BuiltIn, Effect};
use crate::setting::{ByteSize, Findings, TimeZone};

/// `[application]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The time zone of the `time` that the `broadcast` route writes, an IANA name.
    pub time_zone: TimeZone,
    /// Where a failed SEND is reported, without the user prefix.
    pub errors: Path,
    /// The built-in routes.
    pub routes: Vec<Route>,
}

/// `body_bytes` of a route that does not say it: a chat message is short, and goes to everybody.
const BODY_BYTES: ByteSize = ByteSize::kib(64);

fn body_bytes() -> ByteSize {
    BODY_BYTES
}

/// The most bodies that a `recent` route answers with.
const RECENT_MAX: usize = 1_000;

impl Config {
    /// What a SEND to each route does, in the order of the routes. `list` is where the list of online users is published
    /// (`presence.list_destination`), which the `users` route answers with.
    pub fn built_in(&self, list: Option<&Path>) -> impl Iterator<Item = Option<BuiltIn>> {
        self.routes.iter().map(move |route| {
            Some(BuiltIn {
                path: route.path().clone(),
                effect: route.effect(list)?,
            })
        })
    }

    /// Checks that each route has a path of its own, and that what it remembers is bounded.
    pub fn check(&self, findings: &mut Findings) {
        if self.errors.is_own_of_users() {
            let message = format!("{} is below /queue/herald/, which is Herald's own", self.errors);
            findings.error("application.errors", message);
        }
        let mut paths = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            let at = |field: &str| format!("application.routes[{index}].{field}");
            if let Route::Recent { count, .. } = route {
                findings.within(&at("count"), *count, 1, RECENT_MAX);
            }
            findings.at_least(&at("body_bytes"), route.body_bytes(), ByteSize(1));
            let path = route.path();
            if path.is_own_of_application() {
                findings.error(
                    at("path"),
                    format!("{path} is below /herald/, which is Herald's own"),
                );
            }
            if paths.contains(&path) {
                findings.error(at("path"), format!("another route has {path} too"));
            }
            paths.push(path);
        }
    }

    /// The largest body of a SEND to each route, by the route's path.
    pub fn body_limits(&self) -> Box<[(Path, usize)]> {
        let limits = self
            .routes
            .iter()
            .map(|route| (route.path().clone(), route.body_bytes().0));
        limits.collect()
    }
}

/// One built-in route: what a SEND to an application destination does without a backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Route {
    /// Broadcasts `{"message":<body>,"user":<caller>,"time":<now>}`.
    Broadcast {
        /// The destination of the SEND without its application prefix.
        path: Path,
        /// The destination.
        destination: Path,
        /// The largest body of a SEND.
        #[serde(default = "body_bytes")]
        body_bytes: ByteSize,
    },
    /// Answers with the JSON array of the users online in the cluster.
    Users {
        /// The destination of the SEND without its application prefix.
        path: Path,
        /// The sender's user destination for the answer, without the user prefix.
        reply: Path,
        /// The largest body of a SEND.
        #[serde(default = "body_bytes")]
        body_bytes: ByteSize,
    },
    /// Answers with the JSON array of the newest bodies of a broadcast destination, oldest first.
    Recent {
        /// The destination of the SEND without its application prefix.
        path: Path,
        /// The broadcast destination.
        destination: Path,
        /// How many bodies.
        count: usize,
        /// The sender's user destination for the answer, without the user prefix.
        reply: Path,
        /// The largest body of a SEND.
        #[serde(default = "body_bytes")]
        body_bytes: ByteSize,
    },
}

impl Route {
    /// The broadcast destination that the route publishes to or remembers, if it has one.
    pub fn destination(&self) -> Option<&Path> {
        match self {
            Self::Broadcast { destination, .. } | Self::Recent { destination, .. } => Some(destination),
            Self::Users { .. } => None,
        }
    }

    /// What a SEND to it does to a broadcast destination. `None` if it concerns none.
    fn effect(&self, list: Option<&Path>) -> Option<Effect> {
        match self {
            Self::Broadcast { destination, .. } => Some(Effect::Publishes(destination.clone())),
            Self::Recent { destination, .. } => Some(Effect::Reads(destination.clone())),
            Self::Users { .. } => list.cloned().map(Effect::Reads),
        }
    }

    /// The largest body of a SEND to the route.
    pub fn body_bytes(&self) -> ByteSize {
        match self {
            Self::Broadcast { body_bytes, .. }
            | Self::Users { body_bytes, .. }
            | Self::Recent { body_bytes, .. } => *body_bytes,
        }
    }

    /// The destination of the SEND without its application prefix.
    pub fn path(&self) -> &Path {
        match self {
            Self::Broadcast { path, .. } | Self::Users { path, .. } | Self::Recent { path, .. } => path,
        }
    }
}

const DEFAULTS: &str = r#"
time_zone = "UTC"
errors = "/queue/errors"

[[routes]]
action = "broadcast"
path = "/message"
destination = "/queue/message"

[[routes]]
action = "users"
path = "/init/users"
reply = "/queue/init/users"

[[routes]]
action = "recent"
path = "/init/messages"
destination = "/queue/message"
count = 10
reply = "/queue/init/messages"
"#;

impl Default for Config {
    #[expect(clippy::expect_used, reason = "a constant, parsed by a test too")]
    fn default() -> Self {
        #[derive(Deserialize)]
        struct Defaults {
            time_zone: TimeZone,
            errors: Path,
            routes: Vec<Route>,
        }
        let Defaults {
            time_zone,
            errors,
            routes,
        } = toml::from_str(DEFAULTS).expect("the defaults parse");
        Self {
            time_zone,
            errors,
            routes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_are_the_contracts() {
        let paths: Vec<String> = Config::default()
            .routes
            .iter()
            .map(|route| route.path().to_string())
            .collect();
        assert_eq!(paths, ["/message", "/init/users", "/init/messages"]);
    }
}
