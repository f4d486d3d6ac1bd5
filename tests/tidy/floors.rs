//! The one table of floors: where each top-level module of `src/` stands, and with it what it may import. A module imports
//! from lower floors, and from its own floor where that makes no circle. docs/images/floors.svg is drawn from this table.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// One floor.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// What the modules have in common, for the picture and the messages.
    pub name: &'static str,
    /// Top-level modules of `src/`.
    pub modules: &'static [&'static str],
    /// A file and a text that breaks the order of a module of this floor.
    pub broken: (&'static str, &'static str),
}

/// All floors, the lowest first.
pub const FLOORS: &[Floor] = &[
    Floor {
        name: "Ground",
        modules: &[
            "setting",
            "deceptive",
            "limit",
            "task",
            "tls",
            "http_client",
            "file_watch",
        ],
        broken: ("src/limit.rs", "use crate::destination::Path;"),
    },
    Floor {
        name: "Central types",
        modules: &[
            "envelope",
            "destination",
            "principal",
            "close_reason",
            "instance",
            "origins",
        ],
        broken: ("src/envelope/headers.rs", "use crate::{limit, stomp::header};"),
    },
    Floor {
        name: "The codec",
        modules: &["stomp"],
        broken: (
            "src/stomp/frame.rs",
            "fn f(_: &crate::telemetry::metrics::Metrics) {}",
        ),
    },
    Floor {
        name: "The bus",
        modules: &["bus"],
        broken: ("src/bus/nats.rs", "use super::super::presence::Presence;"),
    },
    Floor {
        name: "Fan-out",
        modules: &["delivery"],
        broken: ("src/delivery/shard.rs", "use crate::telemetry::metrics::Metrics;"),
    },
    Floor {
        name: "Logs, metrics, traces",
        modules: &["telemetry"],
        broken: ("src/telemetry/metrics.rs", "use crate::session;"),
    },
    Floor {
        name: "What instances ask each other",
        modules: &["control"],
        broken: ("src/control/explain.rs", "use crate::presence::Presence;"),
    },
    Floor {
        name: "Who may what",
        modules: &["auth", "permissions", "interceptor"],
        broken: ("src/auth.rs", "use crate::presence::Presence as P;"),
    },
    Floor {
        name: "Who is online",
        modules: &["presence"],
        broken: ("src/presence/view.rs", "fn f() { crate::session::sizes(); }"),
    },
    Floor {
        name: "WebSocket",
        modules: &["ws", "problem"],
        broken: ("src/ws/upgrade.rs", "use crate::http::origin;"),
    },
    Floor {
        name: "One client, and what it publishes",
        modules: &["session", "publish", "recent", "chat_message", "tap"],
        broken: ("src/session/driver.rs", "use crate::drain::Phase;"),
    },
    Floor {
        name: "The instance's own tasks",
        modules: &["relay", "probe", "revocation", "drain"],
        broken: ("src/relay.rs", "use crate::http::explain::Answer;"),
    },
    Floor {
        name: "REST, health, the page",
        modules: &["http"],
        broken: (
            "src/http/router.rs",
            "use crate::{config::Config, setting::Secret};",
        ),
    },
    Floor {
        name: "Configuration, command line",
        modules: &["config", "cli"],
        broken: ("src/cli/check.rs", "use crate::app::App;"),
    },
    Floor {
        name: "The program",
        modules: &["app"],
        broken: ("src/config/load.rs", "fn f() { crate::app::run(); }"),
    },
];

/// Files that import from a higher floor all the same, and from where. To be emptied, never to be added to.
pub const EXCEPTIONS: &[(&str, &str)] = &[];

/// Which module imports which, without test code: (importing, imported) → a file and line that does so.
#[derive(Debug, Default)]
pub struct Imports(BTreeMap<(String, String), Vec<(String, usize)>>);

impl Imports {
    /// Adds what `source` imports; only the library's own modules count.
    pub fn add(&mut self, source: &Source) {
        let Some(from) = top_module(&source.file).filter(|from| floor_of(from).is_some()) else {
            return;
        };
        for path in source.paths.iter().filter(|path| !path.in_test) {
            let mut segments = path.text.split("::");
            if segments.next() != Some("crate") {
                continue;
            }
            if let Some(to) = segments.next().filter(|to| *to != from && floor_of(to).is_some()) {
                self.0
                    .entry((from.to_owned(), to.to_owned()))
                    .or_default()
                    .push((source.file.clone(), path.line));
            }
        }
    }

    /// Imports from a higher floor but for `exceptions`, and exceptions that nothing needs.
    pub fn upward(&self, exceptions: &[(&str, &str)]) -> Vec<String> {
        let mut needed = BTreeSet::new();
        let mut found = Vec::new();
        for ((from, to), places) in &self.0 {
            if floor_of(to) <= floor_of(from) {
                continue;
            }
            for (file, line) in places {
                if exceptions.contains(&(file.as_str(), to.as_str())) {
                    needed.insert((file.as_str(), to.as_str()));
                } else {
                    found.push(format!(
                        "{file}:{line}: `{from}` stands below `{to}` and must not import it"
                    ));
                }
            }
        }
        for (file, to) in exceptions {
            if !needed.contains(&(*file, *to)) {
                found.push(format!(
                    "EXCEPTIONS: {file} does not import `{to}` any more: remove the row"
                ));
            }
        }
        found
    }

    /// Circles among the modules of one floor; what is between floors, [`Imports::upward`] finds.
    pub fn circles(&self) -> Vec<String> {
        let level: Vec<(&str, &str)> = self
            .0
            .keys()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .filter(|(from, to)| floor_of(from) == floor_of(to))
            .collect();
        let reaches = |start: &str, goal: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
            while let Some(here) = next.pop() {
                if here == goal {
                    return true;
                }
                if seen.insert(here) {
                    next.extend(level.iter().filter(|(from, _)| *from == here).map(|(_, to)| *to));
                }
            }
            false
        };
        level
            .iter()
            .filter(|(from, to)| reaches(to, from))
            .map(|(from, to)| format!("`{from}` imports `{to}`, which leads back to it"))
            .collect()
    }
}

/// Modules of `files` that stand on no floor or on more than one, and rows without a module.
pub fn misplaced(files: &[String]) -> Vec<String> {
    let present: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| top_module(file))
        .filter(|module| !matches!(*module, "lib" | "main"))
        .collect();
    let rows: Vec<&str> = FLOORS.iter().flat_map(|floor| floor.modules).copied().collect();
    let mut found = Vec::new();
    for module in &present {
        let count = rows.iter().filter(|row| row == &module).count();
        if count != 1 {
            found.push(format!(
                "`{module}` stands on {count} floors, not on one: tests/tidy/floors.rs"
            ));
        }
    }
    for row in rows {
        if !present.contains(row) {
            found.push(format!(
                "`{row}` has a floor but is no module of src/: tests/tidy/floors.rs"
            ));
        }
    }
    found
}

/// `src/bus/nats.rs` → `bus`.
fn top_module(file: &str) -> Option<&str> {
    let inner = file.strip_prefix("src/")?;
    let first = inner.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.modules.contains(&module))
}
