//! `herald check --production`: applies the list in README.md, "Before production", to one configuration. Pure: it
//! opens no file and no socket. Reports what is allowed and works, but should be a decision of the operator;
//! `config/check` finds what cannot work.

use std::fmt::Write;

use serde::Serialize;

use crate::auth::callout::config::is_in_the_clear;
use crate::bus::config::Unsigned;
use crate::config::{Config, Loaded};
use crate::http::access::Access;
use crate::http::page::Choice;
use crate::http::proxies::Network;

/// One row of the list.
#[derive(Debug)]
struct Item {
    name: &'static str,
    /// What a finding of this item may name. README.md has the same keys.
    keys: &'static [&'static str],
    look: fn(&Look<'_>, &mut Advice),
}

/// What an item looks at.
#[derive(Debug)]
struct Look<'a> {
    config: &'a Config,
    loaded: &'a Loaded,
    demo: bool,
}

/// What to set, and why: `(key, words)`.
type Advice = Vec<(&'static str, &'static str)>;

impl Look<'_> {
    /// Whether nobody has chosen `key`.
    fn is_default(&self, key: &str) -> bool {
        self.loaded.origins.is_default(key)
    }

    fn listens_for_others(&self) -> bool {
        !self.config.http.listen.ip().is_loopback()
    }
}

/// The list, in the order of README.md.
const ITEMS: &[Item] = &[
    Item {
        name: "page",
        keys: &["http.page"],
        look: page,
    },
    Item {
        name: "routes",
        keys: &["application.routes"],
        look: routes,
    },
    Item {
        name: "origins",
        keys: &["http.origins"],
        look: origins,
    },
    Item {
        name: "demo",
        keys: &["--demo", "demo.exposed"],
        look: demo,
    },
    Item {
        name: "access",
        keys: &["api.access", "permissions.default"],
        look: access,
    },
    Item {
        name: "TLS",
        keys: &["http.tls.cert_file", "http.trusted_proxies", "bus.ca_file"],
        look: tls,
    },
    Item {
        name: "limits",
        keys: LIMITS,
        look: limits,
    },
    Item {
        name: "bus",
        keys: &[
            "bus.user",
            "bus.control_key_file",
            "bus.control_unsigned",
            "history.enabled",
            "history.path",
        ],
        look: bus,
    },
];

const LIMITS: &[&str] = &[
    "limits.sessions_per_user",
    "limits.sessions_per_address",
    "limits.connects_per_address",
    "api.targets_per_caller",
];

fn page(look: &Look<'_>, advice: &mut Advice) {
    if look.is_default("http.page") && look.config.http.page != Choice::None {
        advice.push((
            "http.page",
            "everybody who reaches the port gets Herald's own page; set \"none\", or \"full\" if your users are to have it",
        ));
    }
}

fn routes(look: &Look<'_>, advice: &mut Advice) {
    if look.is_default("application.routes") {
        advice.push((
            "application.routes",
            "the chat of the demo is on: any user may SEND to it, and everybody who subscribed gets that; set your own \
             routes, or [] for none",
        ));
    }
}

fn origins(look: &Look<'_>, advice: &mut Advice) {
    if look.config.http.origins.has_any() {
        advice.push((
            "http.origins",
            "\"*\" lets pages of any site open /ws; list the origins of your pages",
        ));
    }
}

fn demo(look: &Look<'_>, advice: &mut Advice) {
    if look.demo {
        advice.push((
            "--demo",
            "its users have a password that everybody knows; start without this flag",
        ));
    }
    if look.config.demo.exposed {
        advice.push((
            "demo.exposed",
            "it lets --demo listen for other machines; remove it",
        ));
    }
}

fn access(look: &Look<'_>, advice: &mut Advice) {
    if look.config.api.access == Access::Open {
        advice.push((
            "api.access",
            "anyone who reaches the port may publish; set \"keys\", and make keys by `herald api-key new`",
        ));
    }
    if look.is_default("permissions.default") {
        advice.push((
            "permissions.default",
            "any user may subscribe to every broadcast destination; set \"closed\" and write rules, or \"open\" if that is \
             what you want",
        ));
    }
}

fn tls(look: &Look<'_>, advice: &mut Advice) {
    let http = &look.config.http;
    if http.trusted_proxies.is_empty() {
        if !look.listens_for_others() {
            advice.push((
                "http.trusted_proxies",
                "http.listen is a loopback address, so clients come through a proxy on this machine; name its address, or \
                 all of them share one address in the log and in limits",
            ));
        } else if http.tls.files().is_none() {
            advice.push((
                "http.tls.cert_file",
                "passwords and tokens cross the network in the clear; set it and http.tls.key_file, or name the proxy that \
                 has the certificate in http.trusted_proxies",
            ));
        }
    }
    if Network::contain_everything(&http.trusted_proxies) {
        advice.push((
            "http.trusted_proxies",
            "every client counts as a proxy and may write any address into the log, the audit and limits; name only your \
             proxies",
        ));
    }
    let bus = &look.config.bus;
    let in_the_clear = bus
        .url
        .as_ref()
        .is_some_and(|url| is_in_the_clear(&url.to_string()));
    if in_the_clear && bus.ca_file.is_none() && !bus.tls_first {
        advice.push((
            "bus.ca_file",
            "notifications and the password of NATS cross the network in the clear; set it, or write tls:// in bus.url",
        ));
    }
}

fn limits(look: &Look<'_>, advice: &mut Advice) {
    let words = [
        "one user may open any number of sessions; set a number, or 0 if you mean no limit",
        "one address may open any number of sessions; set a number, or 0 if many users share an address",
        "one address may connect as often as it likes; set a rate, or \"off\" if many users share an address",
        "one key may publish to any number of targets a second; set a rate, or \"off\" if you trust every publisher",
    ];
    let undecided = LIMITS.iter().zip(words).filter(|(key, _)| look.is_default(key));
    advice.extend(undecided.map(|(key, words)| (*key, words)));
}

fn bus(look: &Look<'_>, advice: &mut Advice) {
    let (bus, history) = (&look.config.bus, &look.config.history);
    if bus.url.is_none() {
        if history.enabled != Some(false) && history.path.is_none() {
            advice.push((
                "history.path",
                "history is in memory, and a restart forgets it; name a file, or set history.enabled to false",
            ));
        }
        return;
    }
    let has_login = bus.user.is_some()
        || bus.token.is_some()
        || bus.token_file.is_some()
        || bus.credentials_file.is_some()
        || bus.nkey.is_some()
        || bus.nkey_file.is_some()
        || bus.cert_file.is_some();
    if !has_login {
        advice.push((
            "bus.user",
            "Herald logs in to NATS without credentials, and so may anyone; set it and bus.password_file, or another login",
        ));
    }
    if bus.control_key_file.is_none() {
        advice.push((
            "bus.control_key_file",
            "whoever may publish on NATS can end sessions by forged control messages; give all instances one key",
        ));
    } else if bus.control_unsigned == Unsigned::Accept {
        advice.push((
            "bus.control_unsigned",
            "unsigned control messages are still believed; set \"refuse\" once every instance has the key",
        ));
    }
    if look.is_default("history.enabled") {
        advice.push((
            "history.enabled",
            "nothing is kept for clients that come back; set true (JetStream), or false if you mean that",
        ));
    }
}

/// A line of the list: an item with nothing left, or one key of it to change or to decide.
#[derive(Debug, Serialize)]
pub struct Line {
    item: &'static str,
    status: Status,
    /// The item's keys, or the one to change.
    keys: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Change,
}

/// The list for `loaded`, a line for each item and each finding.
pub fn walk(loaded: &Loaded, demo: bool) -> Vec<Line> {
    let look = Look {
        config: &loaded.config,
        loaded,
        demo,
    };
    let mut lines = Vec::new();
    for item in ITEMS {
        let mut advice = Advice::new();
        (item.look)(&look, &mut advice);
        if advice.is_empty() {
            lines.push(Line {
                item: item.name,
                status: Status::Ok,
                keys: item.keys.to_vec(),
                advice: None,
            });
        }
        lines.extend(advice.into_iter().map(|(key, words)| Line {
            item: item.name,
            status: Status::Change,
            keys: vec![key],
            advice: Some(words),
        }));
    }
    lines
}

/// Whether nothing is left.
pub fn passes(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.status == Status::Ok)
}

/// The list for people.
pub fn as_text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let keys = line.keys.join(", ");
        // Writing to a String cannot fail.
        let _ = match line.advice {
            None => writeln!(text, "ok      {:7}  {keys}", line.item),
            Some(words) => writeln!(text, "change  {:7}  {keys}: {words}", line.item),
        };
    }
    let found = lines.iter().filter(|line| line.status == Status::Change).count();
    let _ = match found {
        0 => writeln!(text, "\nNothing to change."),
        1 => writeln!(text, "\n1 setting to change or to decide."),
        _ => writeln!(text, "\n{found} settings to change or to decide."),
    };
    text
}

/// The list for programs: a line of JSON for each line.
///
/// # Errors
/// None that is known: the lines are texts.
pub fn as_json(lines: &[Line]) -> serde_json::Result<String> {
    let lines = lines.iter().map(|line| Ok(serde_json::to_string(line)? + "\n"));
    lines.collect()
}

#[cfg(test)]
mod tests;
