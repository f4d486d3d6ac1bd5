//! `[destinations]`, `[application]` and the destination of `[presence]`: no path may mean two things, and a route
//! must lead somewhere.

use super::Findings;
use crate::config::Config;
use crate::destination::{Path, Prefixes};
use crate::session::application::Route;

/// Most bodies that a `recent` route answers with.
const RECENT_MAX: usize = 1_000;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    let prefixes = &config.destinations;
    overlaps(prefixes, findings);
    let broadcast = |key: String, path: &Path, findings: &mut Findings| {
        if let Err(error) = prefixes.broadcast(path.as_str()) {
            findings.error(key, format!("expected a broadcast destination: {error}"));
        }
    };
    if let Some(path) = &config.presence.list_destination {
        broadcast("presence.list_destination".into(), path, findings);
    }

    let time_zone = &config.application.time_zone;
    if jiff::tz::TimeZone::get(time_zone).is_err() {
        findings.error(
            "application.time_zone",
            format!("expected an IANA time zone, such as UTC or Europe/Berlin, got {time_zone:?}"),
        );
    }
    let mut paths = Vec::new();
    for (index, route) in config.application.routes.iter().enumerate() {
        let at = |field: &str| format!("application.routes[{index}].{field}");
        let path = match route {
            Route::Broadcast { path, destination } => {
                broadcast(at("destination"), destination, findings);
                path
            }
            Route::Users { path, .. } => path,
            Route::Recent {
                path,
                destination,
                count,
                ..
            } => {
                broadcast(at("destination"), destination, findings);
                findings.within(&at("count"), *count, 1, RECENT_MAX);
                path
            }
        };
        if paths.contains(&path) {
            findings.error(at("path"), format!("another route has {path} too"));
        }
        paths.push(path);
    }
}

/// Two prefixes overlap if they are equal or one is above the other: what is below both would have two meanings.
fn overlaps(prefixes: &Prefixes, findings: &mut Findings) {
    let list = |name: &str, paths: &[Path]| -> Vec<(String, Path)> {
        paths
            .iter()
            .enumerate()
            .map(|(index, path)| (format!("destinations.{name}[{index}]"), path.clone()))
            .collect()
    };
    let mut all = list("broadcast_prefixes", &prefixes.broadcast_prefixes);
    if all.is_empty() {
        findings.error("destinations.broadcast_prefixes", "expected at least one prefix");
    }
    all.extend(list("application_prefixes", &prefixes.application_prefixes));
    all.push(("destinations.user_prefix".into(), prefixes.user_prefix.clone()));
    for (position, (key, path)) in all.iter().enumerate() {
        for (other_key, other) in all.iter().take(position) {
            if path == other || path.after(other).is_some() || other.after(path).is_some() {
                findings.error(key, format!("{path} overlaps {other} of {other_key}"));
            }
        }
    }
}
