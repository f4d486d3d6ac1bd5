//! What is said of a path that is no route: that it is one without the slash at its end, or on the other port. Knows the
//! routes by their patterns alone.

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
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let has = |patterns: &[String], path: &str| patterns.iter().any(|pattern| fits(pattern, path));
        let trimmed = below.trim_end_matches('/');
        if trimmed != below && has(&self.here, trimmed) {
            return Self::without_slash();
        }
        ApiError::NotFound(match has(&self.elsewhere, trimmed) {
            true => format!("no such path on this port: it stands on {}", self.other),
            false => "no such path; /api/openapi.json lists them".into(),
        })
    }

    /// The answer for a route's path with a slash behind it.
    pub(crate) fn without_slash() -> ApiError {
        ApiError::NotFound("no such path: it stands without the slash at its end".into())
    }
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
