//! Who can log in, and what a login costs here.

use std::time::Duration;

use super::{Line, has_users};
use crate::auth::survey::survey;
use crate::config::Config;

/// A login that takes longer makes a restart with thousands of users slow.
const SLOW: Duration = Duration::from_millis(250);

/// The lines about users.
pub(super) fn look(config: &Config, demo: bool) -> Vec<Line> {
    let check = "users";
    let found = match survey(&config.auth, &config.login) {
        Ok(found) => found,
        Err(error) => {
            let advice = "make it readable to the user that runs Herald, and see docs/auth.md for its form";
            return vec![Line::fail(check, error.to_string(), advice)];
        }
    };
    let mut lines = Vec::new();
    lines.push(match found.users {
        0 if demo => Line::ok(check, "those of --demo"),
        0 if has_users(config, demo) => Line::warn(
            check,
            "there is none in auth.users_file",
            "add one: herald hash-password",
        ),
        0 if !config.auth.issuers.is_empty() => {
            Line::ok(check, "none of Herald's own: tokens of auth.issuers can log in")
        }
        0 => Line::warn(check, "nobody can log in", "set auth.users_file"),
        count => Line::ok(check, format!("{count} can log in")),
    });
    if !found.is_uniform {
        lines.push(Line::warn(
            check,
            "their passwords are hashed with different parameters",
            "the time of a refusal tells some names from strangers: hash all anew with herald hash-password",
        ));
    }
    let permits = config.login.permits.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / 2).max(1)
    });
    lines.push(match found.took {
        None => Line::fail(
            "login",
            format!("a hash with {} cannot be computed", found.parameters),
            "it takes more memory than there is",
        ),
        Some(took) => {
            let rate = permits as f64 / took.as_secs_f64().max(0.000_001);
            let detail = format!(
                "a hash with {} takes {} ms here: {rate:.0} logins a second ({permits} at once)",
                found.parameters,
                took.as_millis()
            );
            match took > SLOW {
                true => Line::warn("login", detail, "hash with fewer passes, or raise login.permits"),
                false => Line::ok("login", detail),
            }
        }
    });
    lines
}
