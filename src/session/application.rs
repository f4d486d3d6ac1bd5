//! SENDs to application destinations: built-in routes of the configuration, and requests to backends.

use serde::{Deserialize, Serialize};

use crate::destination::Path;

/// `[application]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time zone of the `time` that the `broadcast` route writes, an IANA name.
    pub time_zone: String,
    /// The built-in routes.
    pub routes: Vec<Route>,
}

/// One built-in route: what a SEND to an application destination does without a backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Route {
    /// Broadcasts `{"message":<body>,"user":<caller>,"time":<now>}`.
    Broadcast {
        /// The SEND's destination without its application prefix.
        path: Path,
        /// Where to.
        destination: Path,
    },
    /// Answers with the JSON array of the users online in the cluster.
    Users {
        /// The SEND's destination without its application prefix.
        path: Path,
        /// The sender's user destination that gets the answer, without the user prefix.
        reply: Path,
    },
    /// Answers with the JSON array of the newest bodies of a broadcast destination, oldest first.
    Recent {
        /// The SEND's destination without its application prefix.
        path: Path,
        /// Whose bodies.
        destination: Path,
        /// How many.
        count: usize,
        /// The sender's user destination that gets the answer, without the user prefix.
        reply: Path,
    },
}

impl Default for Config {
    fn default() -> Self {
        let routes = r#"
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
        #[derive(Deserialize)]
        struct Routes {
            routes: Vec<Route>,
        }
        let routes = toml::from_str::<Routes>(routes)
            .map(|parsed| parsed.routes)
            .unwrap_or_default();
        Self {
            time_zone: "UTC".into(),
            routes,
        }
    }
}
