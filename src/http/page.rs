//! The page at `/`: three files compiled in, without a build step, without anything from the network and without
//! inline script. Knows of the configuration only what the page's own client has to.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;

use super::{Config, State};

const INDEX: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/app.js");
const STYLE: &str = include_str!("page/style.css");

/// Nothing but the page's own files and its own connections; never inside another page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page for one configuration.
#[derive(Debug, Clone)]
pub struct Page {
    index: Bytes,
}

impl Page {
    /// Fills in what the page's client must know: where `/ws` is, and the prefixes.
    pub fn new(state: &State, config: &Config) -> Self {
        let prefixes = &state.prefixes;
        let first = |paths: &[crate::destination::Path]| {
            paths
                .first()
                .map(|path| path.as_str().to_owned())
                .unwrap_or_default()
        };
        let list = state
            .list_destination
            .as_ref()
            .map(|path| path.as_str().to_owned());
        let index = [
            ("{{ws_path}}", config.ws_path.clone()),
            ("{{user_prefix}}", prefixes.user_prefix.as_str().to_owned()),
            ("{{application_prefix}}", first(&prefixes.application_prefixes)),
            ("{{broadcast_prefix}}", first(&prefixes.broadcast_prefixes)),
            ("{{list_destination}}", list.unwrap_or_default()),
            ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .iter()
        .fold(INDEX.to_owned(), |page, (name, value)| {
            page.replace(name, &escape(value))
        });
        Self { index: index.into() }
    }
}

/// Text inside an element or a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The page's routes under `base`. Its links are relative, so the page's own address ends in a slash.
pub fn routes(base: &str, page: Page) -> Router {
    let file = |path: &str, kind: &'static str, content: Bytes| {
        let route = get(async move || asset(kind, content.clone()));
        Router::new().route(&format!("{base}{path}"), route)
    };
    let routes = file("/", "text/html; charset=utf-8", page.index)
        .merge(file("/app.js", "text/javascript; charset=utf-8", SCRIPT.into()))
        .merge(file("/style.css", "text/css; charset=utf-8", STYLE.into()));
    if base.is_empty() {
        return routes;
    }
    let slash = format!("{base}/");
    routes.route(base, get(async move || Redirect::permanent(&slash)))
}

fn asset(kind: &'static str, content: Bytes) -> Response {
    let headers: HeaderMap = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect();
    (headers, content).into_response()
}
