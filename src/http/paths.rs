//! The hints for a path that is not a route: that it is one without the trailing slash, with one slash instead of
//! several, below `http.base_path`, or on the other port. Knows the routes only by their patterns.

use utoipa::openapi::OpenApi;

use super::error::ApiError;

/// The routes of one port, and those of the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    base: String,
    here: Vec<String>,
    elsewhere: Vec<String>,
    /// The setting that names the other port.
    other: &'static str,
}

impl Paths {
    /// Of a port with the routes of `here` below `base`. The port that the setting `other` names has those of `elsewhere`.
    pub(crate) fn new(base: &str, here: &OpenApi, other: &'static str, elsewhere: Option<&OpenApi>) -> Self {
        let patterns = |document: &OpenApi| document.paths.paths.keys().cloned().collect();
        Self {
            base: base.to_owned(),
            here: patterns(here),
            elsewhere: elsewhere.map(patterns).unwrap_or_default(),
            other,
        }
    }

    /// The answer for `path`, which is no route here.
    pub(crate) fn unknown(&self, path: &str) -> ApiError {
        let has = |patterns: &[String], path: &str| patterns.iter().any(|pattern| fits(pattern, path));
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let trimmed = below.trim_end_matches('/');
        if trimmed != below && has(&self.here, trimmed) {
            return Self::without_slash();
        }
        if has(&self.elsewhere, trimmed) {
            let detail = format!("no such path on this port: it is on {}", self.other);
            return ApiError::NotFound(detail);
        }
        let base = &self.base;
        if has(&self.here, trimmed) {
            return ApiError::NotFound(format!("no such path: it is below {base} (http.base_path)"));
        }
        let single = single_slashes(path);
        let below = single.strip_prefix(base.as_str()).unwrap_or(&single);
        let trimmed = below.trim_end_matches('/');
        ApiError::NotFound(match has(&self.here, trimmed) || has(&self.elsewhere, trimmed) {
            true => "no such path: it has // where / is expected".into(),
            false => match nearly(&self.here, path.strip_prefix(base.as_str()).unwrap_or(path)) {
                Some(meant) => format!(
                    "no such path; did you mean {base}{}? {base}/api/openapi.json lists all paths",
                    meant.replace("{*", "{")
                ),
                None => format!("no such path; {base}/api/openapi.json lists them"),
            },
        })
    }

    /// The answer for a route's path with a slash behind it.
    pub(crate) fn without_slash() -> ApiError {
        ApiError::NotFound("no such path: remove the slash at its end".into())
    }
}

/// `path` with one slash wherever it has several in a row.
fn single_slashes(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for part in path.split_inclusive('/') {
        if part != "/" || single.is_empty() {
            single.push_str(part);
        }
    }
    single
}

/// The longest segment that may be a slip of the pen.
const SLIP_MAX_BYTES: usize = 32;

/// Of `patterns` the one that would take `path` but for slips in its words.
fn nearly<'a>(patterns: &'a [String], path: &str) -> Option<&'a str> {
    let slipped = patterns
        .iter()
        .filter_map(|pattern| Some((slips(pattern, path)?, pattern.as_str())));
    slipped
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, pattern)| pattern)
}

/// How many slips make a path of `pattern` to `path`, if at most a third of each word.
fn slips(pattern: &str, path: &str) -> Option<usize> {
    let mut given = path.trim_end_matches('/').split('/');
    let mut slips = 0;
    for wanted in pattern.split('/') {
        let segment = given.next()?;
        match wanted.strip_prefix('{') {
            Some(_) if segment.is_empty() => return None,
            Some(name) if name.starts_with('*') => return Some(slips),
            Some(_) => {}
            None if segment.len() > SLIP_MAX_BYTES => return None,
            None => {
                let distance = strsim::damerau_levenshtein(wanted, segment);
                if distance * 3 > wanted.len() {
                    return None;
                }
                slips += distance;
            }
        }
    }
    given.next().is_none().then_some(slips)
}

/// Whether the router's `pattern` takes `path`.
fn fits(pattern: &str, path: &str) -> bool {
    let mut given = path.split('/');
    for wanted in pattern.split('/') {
        let Some(segment) = given.next() else { return false };
        match wanted.strip_prefix('{') {
            Some(_) if segment.is_empty() => return false,
            Some(name) if name.starts_with('*') => return true,
            Some(_) => {}
            None if segment == wanted => {}
            None => return false,
        }
    }
    given.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_slashes_become_one() {
        for (path, expected) in [
            ("", ""),
            ("/", "/"),
            ("///", "/"),
            ("/a/b", "/a/b"),
            ("//a//b//", "/a/b/"),
            ("a///b", "a/b"),
        ] {
            assert_eq!(single_slashes(path), expected, "{path}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_path_that_was_meant() {
        let patterns = [
            "/api/v1/notifications",
            "/api/v1/users/{user}",
            "/api/v1/users/{user}/{*destination}",
        ]
        .map(str::to_owned);
        for (path, expected) in [
            ("/api/v1/notification", Some("/api/v1/notifications")),
            ("/api/v1/Notifications/", Some("/api/v1/notifications")),
            ("/api/v1/user/x", Some("/api/v1/users/{user}")),
            (
                "/api/v1/user/x/queue/a",
                Some("/api/v1/users/{user}/{*destination}"),
            ),
            ("/api/v2/notifications", None),
            ("/wp-login.php", None),
            ("/api/v1/messages", None),
            (&format!("/api/v1/{}", "n".repeat(10_000)), None),
        ] {
            assert_eq!(nearly(&patterns, path), expected, "{path}");
        }
    }

    #[test]
    fn patterns_take_what_the_router_takes() {
        for (pattern, path, expected) in [
            ("/api/v1/users", "/api/v1/users", true),
            ("/api/v1/users", "/api/v1/users/", false),
            ("/api/v1/users", "/api/v1", false),
            ("/api/v1/users/{user}", "/api/v1/users/a", true),
            ("/api/v1/users/{user}", "/api/v1/users/", false),
            ("/api/v1/users/{user}", "/api/v1/users/a/b", false),
            ("/api/v1/users/{user}/{*destination}", "/api/v1/users/a/b/c", true),
            ("/api/v1/users/{user}/{*destination}", "/api/v1/users/a", false),
            ("/api/v1/users/{user}/{*destination}", "/api/v1/users/a/", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
