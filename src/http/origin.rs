//! Browsers: which pages may change state here, and whose preflights are answered (docs/rest.md, "Browsers"). Knows
//! no route and no credentials.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::api::Api;
use super::error::ApiError;
use crate::origins::Origins;

/// Permits a state-changing request unless a browser says that another site's page sent it. Clients that are not
/// browsers send neither header and pass.
///
/// A page whose origin is listed by name in `http.cors_origins` is permitted: otherwise answering its preflights
/// would be useless. `*` in `http.origins` (the default, for `/ws`) does not admit another site's page.
fn judge(method: &Method, headers: &HeaderMap, origins: &Origins, cors: &Origins) -> Result<(), ApiError> {
    if method.is_safe() {
        return Ok(());
    }
    let origin = headers
        .get(header::ORIGIN)
        .map(|value| value.to_str().unwrap_or(""));
    if origin.is_some_and(|origin| cors.lists_by_name(origin)) {
        return Ok(());
    }
    let cross_site = headers
        .get(HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    if cross_site || !origins.allows_at(origin, host) {
        return Err(ApiError::CrossSite);
    }
    Ok(())
}

/// The check that every request must pass: `None`, or the refusal.
pub(super) fn refusal(api: &Api, request: &Request) -> Option<ApiError> {
    judge(
        request.method(),
        request.headers(),
        &api.origins,
        &api.cors_origins,
    )
    .err()
}

/// Answers preflights for `http.cors_origins`. `None` if the list is empty.
pub(crate) fn cors(origins: &Origins) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.clone();
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| origins.allows(Some(origin)))
    });
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("traceparent"),
                HeaderName::from_static("tracestate"),
                HeaderName::from_static("baggage"),
            ])
            .expose_headers([header::RETRY_AFTER])
            .max_age(std::time::Duration::from_secs(600)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(patterns: &[&str]) -> Origins {
        Origins::parse(patterns).unwrap()
    }

    #[test]
    fn foreign_pages_change_nothing() {
        let check =
            |listed: &[&str], cors: &[&str], site: Option<&str>, origin: Option<&str>, passes: bool| {
                let mut headers = HeaderMap::new();
                headers.insert(header::HOST, "herald.example".parse().unwrap());
                if let Some(site) = site {
                    headers.insert("sec-fetch-site", site.parse().unwrap());
                }
                if let Some(origin) = origin {
                    headers.insert(header::ORIGIN, origin.parse().unwrap());
                }
                let judged = |method| judge(&method, &headers, &origins(listed), &origins(cors)).is_ok();
                assert_eq!(
                    judged(Method::POST),
                    passes,
                    "{listed:?} {cors:?} {site:?} {origin:?}"
                );
                assert!(judged(Method::GET));
            };
        let (own, evil) = (Some("https://herald.example"), Some("https://evil.example"));
        check(&["*"], &[], None, None, true);
        check(&["*"], &[], Some("cross-site"), evil, false);
        check(&["*"], &[], Some("cross-site"), None, false);
        check(&["https://evil.example"], &[], Some("cross-site"), evil, false);
        check(&["*"], &[], Some("same-origin"), own, true);
        check(&["*"], &[], None, evil, true);
        check(&[], &[], None, evil, false);
        check(&[], &[], None, Some("null"), false);
        check(&[], &[], None, own, true);
        check(&[], &[], None, Some("https://herald.example:443"), true);
        check(&[], &[], None, Some("https://herald.example:444"), false);
        check(&[], &["https://evil.example"], Some("cross-site"), evil, true);
        check(&["*"], &["*"], Some("cross-site"), evil, false);
    }
}
