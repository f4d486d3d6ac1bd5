//! The page at `/`: compiled in, without anything from the network and without inline script. There are two: the one built from
//! `ui/`, and a small one that needs no build and stands in for it. Knows of the configuration only what the page's own client
//! has to.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Config, State};

mod built;

const INDEX: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/app.js");
const STYLE: &str = include_str!("page/style.css");

/// Nothing but the page's own files and its own connections; never inside another page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Asks each time: it names the assets of this build.
const ASK: &str = "no-cache";
/// Its name changes with its content.
const KEEP: &str = "public, max-age=31536000, immutable";

/// `http.page`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The page built from `ui/`; the small one where it was not built.
    #[default]
    Full,
    /// The small one.
    Small,
    /// None.
    None,
}

/// The page for one configuration.
#[derive(Debug, Clone)]
pub struct Page {
    index: Bytes,
    /// Whether the index is that of the built page.
    built: bool,
}

impl Page {
    /// Fills in what the page's client must know: where `/ws` is, and the prefixes. None: there shall be no page.
    pub fn new(state: &State, config: &Config) -> Option<Self> {
        let built = match config.page {
            Choice::Full => built::index(),
            Choice::Small => None,
            Choice::None => return None,
        };
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
            // Last: it has braces of its own.
            ("{{trace_url}}", config.trace_url.clone()),
        ]
        .iter()
        .fold(built.unwrap_or(INDEX).to_owned(), |page, (name, value)| {
            page.replace(name, &escape(value))
        });
        Some(Self {
            index: index.into(),
            built: built.is_some(),
        })
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
        let route = get(async move || answer(kind, ASK, content.clone()));
        Router::new().route(&format!("{base}{path}"), route)
    };
    let mut routes = file("/", "text/html; charset=utf-8", page.index);
    if page.built {
        for asset in built::assets() {
            let route = get(async move |headers: HeaderMap| serve(asset, &headers));
            routes = routes.route(&format!("{base}/{}", asset.name), route);
        }
    } else {
        routes = routes
            .merge(file("/app.js", "text/javascript; charset=utf-8", SCRIPT.into()))
            .merge(file("/style.css", "text/css; charset=utf-8", STYLE.into()));
    }
    if base.is_empty() {
        return routes;
    }
    let slash = format!("{base}/");
    routes.route(base, get(async move || Redirect::permanent(&slash)))
}

fn serve(asset: built::Asset, headers: &HeaderMap) -> Response {
    let (content, coding) = asset.content(headers);
    let mut response = answer(asset.kind, KEEP, Bytes::from_static(content));
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn answer(kind: &'static str, cache: &'static str, content: Bytes) -> Response {
    let headers: HeaderMap = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cache),
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
