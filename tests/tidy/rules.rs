//! The table: who may not know whom, and what may appear nowhere. Each row has a snippet that breaks it, so that no
//! rule can be written that never fails.

use crate::source::Source;

/// What a rule looks for.
#[derive(Debug, Clone, Copy)]
pub enum Ban {
    /// Paths that begin with one of these: `tokio`, `crate::bus`.
    Paths(&'static [&'static str]),
    /// Paths that end with one of these: `Instant::now`.
    Calls(&'static [&'static str]),
    /// Identifiers and keywords.
    Words(&'static [&'static str]),
    /// Identifiers of ours that contain one of these words, split at `_` and CamelCase.
    Naming(&'static [&'static str]),
    /// String literals that consist of one lower-case name with this prefix.
    Names(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The rule in the words of its message.
    pub name: &'static str,
    /// Modules it binds (`src/bus` is `src/bus.rs` and all below `src/bus/`).
    pub within: &'static [&'static str],
    /// Modules it does not bind.
    pub except: &'static [&'static str],
    /// What may not appear there.
    pub bans: Ban,
    /// Paths allowed despite [`Ban::Paths`].
    pub allows: &'static [&'static str],
    /// Whether test code is bound as well.
    pub tests_too: bool,
    /// A file and a text that breaks the rule.
    pub broken: (&'static str, &'static str),
}

const RULE: Rule = Rule {
    name: "",
    within: &["src", "bench/src"],
    except: &[],
    bans: Ban::Words(&[]),
    allows: &[],
    tests_too: false,
    broken: ("", ""),
};

/// Everything that reads a clock.
const CLOCKS: Ban = Ban::Calls(&["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"]);

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        name: "stomp is bytes in, frames out: no I/O, no runtime",
        within: &["src/stomp"],
        bans: Ban::Paths(&["tokio", "std::io", "std::net", "std::fs", "std::thread"]),
        broken: ("src/stomp/decoder.rs", "use std::{fmt, io};"),
        ..RULE
    },
    Rule {
        name: "stomp has no clock: time is a parameter",
        within: &["src/stomp"],
        bans: CLOCKS,
        broken: (
            "src/stomp/heartbeat.rs",
            "fn f() { let _ = std::time::Instant::now(); }",
        ),
        ..RULE
    },
    Rule {
        name: "bus knows no STOMP",
        within: &["src/bus"],
        bans: Ban::Paths(&["crate::stomp"]),
        broken: ("src/bus/nats.rs", "use super::super::stomp::frame::Frame;"),
        ..RULE
    },
    Rule {
        name: "the pure parts of history know no NATS, no runtime, no I/O and no lock",
        within: &[
            "src/bus/history",
            "src/bus/reader",
            "src/bus/replay",
            "src/bus/tail",
        ],
        bans: Ban::Paths(&[
            "async_nats",
            "crate::bus::nats",
            "crate::bus::requests",
            "futures_util",
            "parking_lot",
            "std::fs",
            "std::io",
            "std::net",
            "std::thread",
            "tokio",
            "tokio_util",
        ]),
        broken: ("src/bus/reader.rs", "use super::requests::Requests;"),
        ..RULE
    },
    Rule {
        name: "the pure parts of history are not async",
        within: &[
            "src/bus/history",
            "src/bus/reader",
            "src/bus/replay",
            "src/bus/tail",
            "src/session/recovery",
        ],
        bans: Ban::Words(&["async", "await"]),
        broken: ("src/bus/replay.rs", "async fn page() {}"),
        ..RULE
    },
    Rule {
        name: "the pure parts of history have no clock: time is a parameter",
        within: &[
            "src/bus/history",
            "src/bus/reader",
            "src/bus/replay",
            "src/bus/tail",
            "src/delivery/heads",
            "src/delivery/shard/held",
            "src/session/recovery",
        ],
        bans: CLOCKS,
        broken: (
            "src/bus/reader.rs",
            "fn f() { let _ = std::time::Instant::now(); }",
        ),
        ..RULE
    },
    Rule {
        name: "session/recovery is pure: no runtime, no socket, no bus but what a stream says of itself",
        within: &["src/session/recovery"],
        bans: Ban::Paths(&[
            "crate::bus",
            "crate::delivery::registry",
            "crate::ws",
            "tokio",
            "tokio_util",
        ]),
        allows: &["crate::bus::history"],
        broken: ("src/session/recovery.rs", "use crate::bus::Bus;"),
        ..RULE
    },
    Rule {
        name: "async-nats only under bus/",
        except: &["src/bus"],
        bans: Ban::Paths(&["async_nats"]),
        broken: ("src/relay.rs", "fn f(_: async_nats::Client) {}"),
        ..RULE
    },
    Rule {
        name: "tokens are verified in one place: jsonwebtoken only under auth/",
        except: &["src/auth"],
        bans: Ban::Paths(&["jsonwebtoken"]),
        broken: ("src/cli/token.rs", "use jsonwebtoken::Algorithm;"),
        ..RULE
    },
    Rule {
        name: "ring only where tokens are verified and keys are read",
        // The load program makes tokens of its own.
        except: &["src/auth/token/crypto", "src/auth/keys/pem", "bench/src/identity"],
        bans: Ban::Paths(&["ring"]),
        broken: ("src/auth/token.rs", "use ring::signature;"),
        ..RULE
    },
    Rule {
        name: "what a token proves, and when keys are fetched, has no clock: time is a parameter",
        within: &["src/auth/token", "src/auth/keys/state", "src/auth/keys/jwks"],
        bans: CLOCKS,
        broken: (
            "src/auth/keys/state.rs",
            "fn f() { let _ = std::time::Instant::now(); }",
        ),
        ..RULE
    },
    Rule {
        name: "what a token proves, and when keys are fetched, is pure: no runtime, no I/O",
        within: &["src/auth/token", "src/auth/keys/state", "src/auth/keys/jwks"],
        bans: Ban::Paths(&[
            "tokio",
            "std::fs",
            "std::io",
            "std::net",
            "crate::http_client",
            "crate::telemetry",
        ]),
        broken: ("src/auth/token.rs", "use std::fs::File;"),
        ..RULE
    },
    Rule {
        name: "redb only under bus/embedded/disk",
        except: &["src/bus/embedded/disk"],
        bans: Ban::Paths(&["redb"]),
        broken: ("src/bus/embedded.rs", "fn f(_: redb::Database) {}"),
        ..RULE
    },
    Rule {
        name: "delivery knows no bus and no crate of HTTP or WebSocket",
        within: &["src/delivery"],
        bans: Ban::Paths(&[
            "crate::bus",
            "crate::telemetry",
            "axum",
            "fastwebsockets",
            "hyper",
            "hyper_util",
        ]),
        broken: ("src/delivery/shard.rs", "use crate::bus; fn f(_: &bus::Stats) {}"),
        ..RULE
    },
    Rule {
        name: "delivery knows no runtime but tokio::sync in its handle, its commands and its mailbox",
        within: &["src/delivery"],
        except: &[
            "src/delivery/registry",
            "src/delivery/mailbox",
            "src/delivery/command",
        ],
        bans: Ban::Paths(&["tokio", "tokio_util"]),
        broken: ("src/delivery/outbox.rs", "use tokio::sync::Notify;"),
        ..RULE
    },
    Rule {
        name: "delivery's handle, commands and mailbox know of tokio only tokio::sync",
        within: &[
            "src/delivery/registry",
            "src/delivery/mailbox",
            "src/delivery/command",
        ],
        bans: Ban::Paths(&["tokio", "tokio_util"]),
        allows: &["tokio::sync"],
        broken: ("src/delivery/mailbox.rs", "fn f() { tokio::spawn(async {}); }"),
        ..RULE
    },
    Rule {
        name: "delivery is not async but for its handle and the wait for room in a mailbox",
        within: &["src/delivery"],
        except: &["src/delivery/registry", "src/delivery/mailbox"],
        bans: Ban::Words(&["async", "await"]),
        broken: ("src/delivery/fanout.rs", "pub async fn walk() {}"),
        ..RULE
    },
    Rule {
        name: "session/state is pure: no runtime, no socket, no bus",
        within: &["src/session/state"],
        bans: Ban::Paths(&[
            "tokio",
            "tokio_util",
            "std::net::TcpStream",
            "crate::bus::Bus",
            "crate::delivery::registry",
            "crate::ws",
        ]),
        broken: ("src/session/state.rs", "use tokio::time::Instant;"),
        ..RULE
    },
    Rule {
        name: "session/state is not async",
        within: &["src/session/state"],
        bans: Ban::Words(&["async", "await"]),
        broken: ("src/session/state/transactions.rs", "async fn commit() {}"),
        ..RULE
    },
    Rule {
        name: "session/state has no clock: time is a parameter",
        within: &["src/session/state"],
        bans: CLOCKS,
        broken: (
            "src/session/state.rs",
            "use std::time::Instant as I; fn f() { I::now(); }",
        ),
        ..RULE
    },
    Rule {
        name: "fastwebsockets only under ws/",
        except: &["src/ws"],
        bans: Ban::Paths(&["fastwebsockets"]),
        broken: ("src/session/driver.rs", "use fastwebsockets::Frame;"),
        ..RULE
    },
    Rule {
        name: "hyper only under ws/ and http/listener, and in http_client",
        except: &["src/ws", "src/http/listener", "src/http_client"],
        bans: Ban::Paths(&["hyper", "hyper_rustls", "hyper_util"]),
        broken: ("src/http/router.rs", "fn f() -> ::hyper::Request<()> { todo() }"),
        ..RULE
    },
    Rule {
        name: "http_client and tls know nobody who asks",
        within: &["src/http_client", "src/tls"],
        bans: Ban::Paths(&["crate"]),
        allows: &["crate::tls"],
        broken: ("src/http_client.rs", "use crate::telemetry::otlp::Authorities;"),
        ..RULE
    },
    Rule {
        name: "the system's authorities are read in tls alone",
        except: &["src/tls"],
        bans: Ban::Paths(&["rustls_native_certs"]),
        broken: (
            "src/bus/nats.rs",
            "fn f() { rustls_native_certs::load_native_certs(); }",
        ),
        ..RULE
    },
    Rule {
        name: "OpenTelemetry only under telemetry/",
        except: &["src/telemetry"],
        bans: Ban::Paths(&[
            "opentelemetry",
            "opentelemetry_sdk",
            "opentelemetry_otlp",
            "opentelemetry_http",
            "tracing_opentelemetry",
        ]),
        broken: (
            "src/delivery/shard.rs",
            "fn f(_: opentelemetry::trace::SpanContext) {}",
        ),
        ..RULE
    },
    Rule {
        name: "axum only under http/, ws/upgrade and problem, and as the bench's bare handler",
        except: &["src/http", "src/problem", "src/ws/upgrade", "bench/src/bare"],
        bans: Ban::Paths(&["axum", "utoipa_axum"]),
        broken: ("src/ws/reader.rs", "use axum::body::Body;"),
        ..RULE
    },
    Rule {
        name: "the WebSocket client only under cli/client",
        except: &["src/cli/client"],
        bans: Ban::Paths(&["tokio_tungstenite"]),
        broken: ("src/ws/reader.rs", "use tokio_tungstenite::WebSocketStream;"),
        ..RULE
    },
    Rule {
        name: "the client commands know Herald from outside: STOMP's bytes, the HTTP client, and no part of the server",
        within: &["src/cli/client"],
        bans: Ban::Paths(&["crate"]),
        allows: &[
            "crate::cli",
            "crate::http_client",
            "crate::setting",
            "crate::stomp",
            "crate::tls",
        ],
        broken: ("src/cli/client/publish.rs", "use crate::destination::Path;"),
        ..RULE
    },
    Rule {
        name: "the load program knows Herald from outside, but for the sizes of its types",
        within: &["bench/src"],
        bans: Ban::Paths(&["crate"]),
        allows: &["crate::delivery::sizes", "crate::session::sizes"],
        broken: ("bench/src/session.rs", "use herald::stomp::frame::Frame;"),
        ..RULE
    },
    Rule {
        name: "the checker knows Herald from outside only",
        within: &["bench/check"],
        bans: Ban::Paths(&["crate"]),
        broken: ("bench/check/src/frame.rs", "use herald::stomp::frame::Frame;"),
        ..RULE
    },
    Rule {
        name: "interceptors see who and what, never a socket or an outbox",
        within: &["src/interceptor"],
        bans: Ban::Paths(&[
            "crate::delivery",
            "crate::stomp",
            "std::net::TcpStream",
            "tokio::net",
        ]),
        broken: ("src/interceptor/audit.rs", "use crate::delivery::outbox::Outbox;"),
        ..RULE
    },
    Rule {
        name: "permissions know who and where, and nothing of how anybody asks",
        within: &["src/permissions"],
        bans: Ban::Paths(&[
            "axum",
            "crate::http",
            "crate::interceptor",
            "crate::stomp",
            "tokio",
        ]),
        broken: ("src/permissions/decision.rs", "use crate::http::error::ApiError;"),
        ..RULE
    },
    Rule {
        name: "auth knows no STOMP and no bus",
        within: &["src/auth"],
        bans: Ban::Paths(&["crate::bus", "crate::delivery", "crate::stomp"]),
        broken: (
            "src/auth/credentials.rs",
            "fn f(_: &crate::stomp::header::Headers) {}",
        ),
        ..RULE
    },
    Rule {
        name: "what a backend is asked about a login, and what its answer means, is pure",
        within: &["src/auth/callout/question", "src/auth/callout/answer"],
        bans: Ban::Paths(&["tokio", "std::time", "std::fs", "crate::telemetry"]),
        broken: ("src/auth/callout/answer.rs", "use std::time::Instant;"),
        ..RULE
    },
    Rule {
        name: "presence knows no STOMP",
        within: &["src/presence"],
        bans: Ban::Paths(&["crate::stomp"]),
        broken: ("src/presence/view.rs", "use crate::stomp::frame;"),
        ..RULE
    },
    Rule {
        name: "relay and control know no STOMP, no socket and no session",
        within: &["src/relay", "src/control"],
        bans: Ban::Paths(&["crate::stomp", "crate::ws", "crate::session::driver"]),
        broken: ("src/relay.rs", "use crate::ws::reader;"),
        ..RULE
    },
    Rule {
        name: "relay hands on notifications; control messages are the desk's",
        within: &["src/relay"],
        bans: Ban::Paths(&["crate::control"]),
        broken: ("src/relay.rs", "use crate::control::desk::Desk;"),
        ..RULE
    },
    Rule {
        name: "the control channel's own parts know no kind of message",
        within: &[
            "src/control/ask",
            "src/control/complaints",
            "src/control/desk",
            "src/control/question",
        ],
        bans: Ban::Paths(&[
            "crate::delivery",
            "crate::destination",
            "crate::principal",
            "crate::telemetry",
        ]),
        // A message that makes its handler panic is counted.
        allows: &["crate::telemetry::metrics"],
        broken: ("src/control/desk.rs", "use crate::delivery::registry::Registry;"),
        ..RULE
    },
    Rule {
        name: "the router knows every route, and no route knows the router",
        within: &["src/http"],
        except: &["src/http/router"],
        bans: Ban::Paths(&["crate::http::router"]),
        broken: ("src/http/users.rs", "use super::router::Routers;"),
        ..RULE
    },
    Rule {
        name: "http knows no STOMP frame",
        within: &["src/http"],
        bans: Ban::Paths(&["crate::stomp"]),
        broken: ("src/http/notifications.rs", "use crate::stomp::encoder;"),
        ..RULE
    },
    Rule {
        name: "the central types know no runtime",
        within: &[
            "src/close_reason",
            "src/destination",
            "src/envelope",
            "src/instance",
            "src/principal",
        ],
        bans: Ban::Paths(&["tokio"]),
        broken: ("src/envelope.rs", "use tokio::sync::Notify;"),
        ..RULE
    },
    Rule {
        name: "only app, main, cli/check, cli/doctor and config see the whole Config",
        except: &[
            "src/app",
            "src/main",
            "src/cli/check",
            "src/cli/doctor",
            "src/config",
        ],
        bans: Ban::Paths(&["crate::config::Config"]),
        broken: (
            "src/http/router.rs",
            "use crate::config; fn f(_: &config::Config) {}",
        ),
        ..RULE
    },
    Rule {
        name: "no unbounded queue: every bound is in the configuration",
        bans: Ban::Words(&[
            "unbounded_channel",
            "UnboundedSender",
            "UnboundedReceiver",
            "unbounded",
        ]),
        broken: (
            "src/relay.rs",
            "fn f() { tokio::sync::mpsc::unbounded_channel::<u8>(); }",
        ),
        ..RULE
    },
    Rule {
        name: "std's mpsc::channel is unbounded: sync_channel, or tokio's with a bound",
        bans: Ban::Paths(&["std::sync::mpsc::channel"]),
        broken: (
            "src/relay.rs",
            "use std::sync::mpsc; fn f() { mpsc::channel::<u8>(); }",
        ),
        ..RULE
    },
    Rule {
        name: "parking_lot's locks, not std's",
        bans: Ban::Paths(&["std::sync::Mutex", "std::sync::RwLock"]),
        broken: ("src/relay.rs", "use std::sync::{Arc, Mutex};"),
        ..RULE
    },
    Rule {
        name: "metric names stand in telemetry/metrics alone",
        except: &["src/telemetry/metrics"],
        bans: Ban::Names("herald_"),
        broken: ("src/relay.rs", "const NAME: &str = \"herald_relayed_total\";"),
        ..RULE
    },
    Rule {
        name: "names say what a thing is: never manager, helper, util or service",
        within: &["src", "bench/src", "bench/check/src", "tests", "examples"],
        // A field of jsonwebtoken's.
        except: &["src/auth/token/crypto"],
        bans: Ban::Naming(&[
            "manager", "managers", "helper", "helpers", "util", "utils", "utility", "service", "services",
        ]),
        tests_too: true,
        broken: ("src/relay.rs", "use hyper_util::service; struct RelayManager;"),
        ..RULE
    },
];

/// Whether a text breaks a rule.
type Broken<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Every breach of `rule` in `source`, in words.
pub fn breaches(rule: &Rule, source: &Source) -> Vec<String> {
    if !covers(rule.within, &source.file) || covers(rule.except, &source.file) {
        return Vec::new();
    }
    let external = source.external_names();
    let (seen, broken): (_, Broken) = match rule.bans {
        Ban::Paths(banned) => (
            &source.paths,
            Box::new(move |path| begins(banned, path) && !begins(rule.allows, path)),
        ),
        Ban::Calls(banned) => (
            &source.paths,
            Box::new(move |path| {
                banned
                    .iter()
                    .any(|call| path == *call || path.ends_with(&format!("::{call}")))
            }),
        ),
        Ban::Words(banned) => (&source.identifiers, Box::new(move |word| banned.contains(&word))),
        Ban::Naming(banned) => (
            &source.identifiers,
            Box::new(move |name| {
                !external.contains(name) && words(name).iter().any(|word| banned.contains(&word.as_str()))
            }),
        ),
        Ban::Names(prefix) => (
            &source.strings,
            Box::new(move |text| {
                text.strip_prefix(prefix).is_some_and(|rest| {
                    !rest.is_empty()
                        && rest
                            .bytes()
                            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                })
            }),
        ),
    };
    seen.iter()
        .filter(|seen| rule.tests_too || !seen.in_test)
        .filter(|seen| broken(&seen.text))
        .map(|seen| format!("{}:{}: `{}`: {}", source.file, seen.line, seen.text, rule.name))
        .collect()
}

/// Whether `file` is one of `modules` or lies below one.
fn covers(modules: &[&str], file: &str) -> bool {
    modules.iter().any(|module| {
        file.strip_prefix(module)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    })
}

/// Whether `path` is one of `prefixes` or continues one.
fn begins(prefixes: &[&str], path: &str) -> bool {
    prefixes.iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

/// `SlowConsumer_two` → `slow`, `consumer`, `two`.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
