//! The page at `/`: built from `ui/`, without anything from the network and without inline script. A program without
//! the page answers there how to get it. Of the configuration it knows only what the page's own client needs.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Config;
use super::api::State;

mod built;
mod oidc;

pub(crate) use oidc::PageOidc;

/// The answer of `/` in a program without the page.
const HOW_TO_GET_IT: &str = concat!(
    "Herald ",
    env!("CARGO_PKG_VERSION"),
    " is running, but without its page.\n",
    "To get the page, run scripts/ui build in Herald's sources (scripts/tools node fetches Node), then build Herald again.\n",
    "Everything else works: api/openapi.json describes the REST interface.\n",
);

/// The answer of `/docs` in such a program: without Swagger UI, but with what it would show.
const PLAIN_DOCS: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Herald: REST</title></head>\n\
    <body><h1>Herald's REST interface</h1>\n<p>Its description is <a href=\"api/openapi.json\">api/openapi.json</a> (OpenAPI 3.1). This \
    Herald was built without the page that shows it and lets you try it out: run <code>scripts/ui build</code> in Herald's \
    sources, then build Herald again.</p></body></html>\n";

/// Only the page's own files and its own connections, and never inside another page. `{provider}` is where its users sign in.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
     connect-src 'self'{provider}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The browser asks each time: this file names the assets of this build.
const ASK: &str = "no-cache";
/// The file's name changes with its content.
const KEEP: &str = "public, max-age=31536000, immutable";

/// `http.page`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The page built from `ui/`.
    #[default]
    Full,
    /// A smaller page that used to exist. The same as [`Choice::Full`], with a warning.
    Small,
    /// No page.
    None,
}

/// The page for one configuration.
#[derive(Debug, Clone)]
pub(crate) enum Page {
    /// The page as it was built.
    Built {
        /// Filled in.
        index: Bytes,
        /// The page at `/docs`. `None`: `http.ws_path` is exactly that.
        docs: Option<Bytes>,
        assets: Vec<built::Asset>,
        /// Its `Content-Security-Policy`.
        policy: HeaderValue,
    },
    /// The program was built without the page.
    Missing {
        /// Whether `/docs` is free: `http.ws_path` may be exactly that.
        docs: bool,
    },
}

impl Page {
    /// Fills in what the page's client needs: the path of `/ws`, and the prefixes. `None` if `http.page` is `none`.
    pub(crate) fn new(state: &State, config: &Config) -> Option<Self> {
        match config.page {
            Choice::Full | Choice::Small => Some(Self::from_files(&built::Files::load(), state, config)),
            Choice::None => None,
        }
    }

    fn from_files(files: &built::Files, state: &State, config: &Config) -> Self {
        let has_docs = config.ws_path.as_str() != "/docs";
        let Some(index) = files.index() else {
            return Self::Missing { docs: has_docs };
        };
        let docs = has_docs.then(|| files.docs().unwrap_or(Bytes::from_static(PLAIN_DOCS.as_bytes())));
        let prefixes = &state.prefixes;
        let first = |paths: &[crate::destination::Path]| {
            paths
                .first()
                .map(|path| path.as_str().to_owned())
                .unwrap_or_default()
        };
        let all = |paths: &[crate::destination::Path]| {
            let texts: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
            texts.join(" ")
        };
        let list = state
            .list_destination
            .as_ref()
            .map(|path| path.as_str().to_owned());
        let index = [
            ("{{ws_path}}", config.ws_path.to_string()),
            ("{{user_prefix}}", prefixes.user_prefix.as_str().to_owned()),
            ("{{application_prefix}}", first(&prefixes.application_prefixes)),
            ("{{broadcast_prefixes}}", all(&prefixes.broadcast_prefixes)),
            ("{{list_destination}}", list.unwrap_or_default()),
            ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
            // Last, since it contains braces itself.
            ("{{trace_url}}", config.trace_url.to_string()),
        ]
        .iter()
        .chain(&config.page_oidc.told())
        .fold(index.to_owned(), |page, (name, value)| {
            page.replace(name, &escape(value))
        });
        Self::Built {
            index: index.into(),
            docs,
            assets: files.assets().collect(),
            policy: policy(config.page_oidc.origin().as_deref()),
        }
    }
}

/// The page's policy, if it talks to this `provider`.
fn policy(provider: Option<&str>) -> HeaderValue {
    let provider = provider.map(|origin| format!(" {origin}")).unwrap_or_default();
    let text = POLICY.replace("{provider}", &provider);
    // What an origin consists of may stand in a header.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// Escapes text for use inside an element or a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The page's routes under `base`. Its links are relative, so the page's own address ends in a slash.
pub(crate) fn routes(base: &str, page: Page) -> Router {
    let file = |path: &str, kind: &'static str, content: Bytes, policy: HeaderValue| {
        let route = get(async move || answer(kind, ASK, content.clone(), policy.clone()));
        Router::new().route(&format!("{base}{path}"), route)
    };
    const HTML: &str = "text/html; charset=utf-8";
    // It talks to Herald alone, wherever the page's users sign in.
    // Its links are relative to its address, which has no slash at its end.
    let docs_page = |content: Option<Bytes>| {
        content.map_or_else(Router::new, |content| {
            let slash = get(async || Redirect::permanent("../docs"));
            file("/docs", HTML, content, policy(None)).route(&format!("{base}/docs/"), slash)
        })
    };
    let (mut routes, assets, policy) = match page {
        Page::Built {
            index,
            docs,
            assets,
            policy,
        } => {
            let index = file("/", HTML, index, policy.clone());
            (index.merge(docs_page(docs)), assets, policy)
        }
        Page::Missing { docs } => {
            let kind = "text/plain; charset=utf-8";
            let index = file("/", kind, HOW_TO_GET_IT.into(), policy(None));
            let docs = docs.then(|| PLAIN_DOCS.into());
            return with_redirect(base, index.merge(docs_page(docs)));
        }
    };
    for asset in assets {
        let (path, policy) = (format!("{base}/{}", asset.name), policy.clone());
        routes = routes.route(
            &path,
            get(async move |headers: HeaderMap| serve(&asset, &headers, policy.clone())),
        );
    }
    with_redirect(base, routes)
}

/// Redirects `base` to `base/`.
fn with_redirect(base: &str, routes: Router) -> Router {
    if base.is_empty() {
        return routes;
    }
    let slash = format!("{base}/");
    routes.route(base, get(async move || Redirect::permanent(&slash)))
}

fn serve(asset: &built::Asset, headers: &HeaderMap, policy: HeaderValue) -> Response {
    let (content, coding) = asset.content(headers);
    let mut response = answer(asset.kind, KEEP, content, policy);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn answer(kind: &'static str, cache: &'static str, content: Bytes, policy: HeaderValue) -> Response {
    let mut headers: HeaderMap = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use super::super::tests::answer;
    use super::*;

    #[tokio::test]
    async fn a_program_without_the_page_says_how_to_get_it() {
        for base in ["", "/backend"] {
            let routes = routes(base, Page::Missing { docs: true });
            for (path, kind) in [("/", "text/plain"), ("/docs", "text/html")] {
                let request = Request::get(format!("{base}{path}")).body(Body::empty()).unwrap();
                let answer = answer(&routes, request).await;
                assert_eq!(answer.status, 200, "{base}{path}");
                assert!(answer.header("content-type").starts_with(kind), "{path}");
                assert!(answer.text.contains("api/openapi.json"), "{}", answer.text);
                assert!(answer.text.contains("scripts/ui build"), "{}", answer.text);
                assert!(
                    answer
                        .header("content-security-policy")
                        .starts_with("default-src 'none'")
                );
            }
        }
    }

    #[test]
    fn the_page_may_talk_to_the_provider_alone_and_only_where_there_is_one() {
        let with = |issuer: Option<&str>| {
            let issuer = issuer.map(|text| text.parse().unwrap());
            let oidc = PageOidc {
                issuer,
                ..PageOidc::default()
            };
            let policy = policy(oidc.origin().as_deref());
            let (_, rest) = policy.to_str().unwrap().split_once("connect-src ").unwrap();
            rest.split_once(';').unwrap().0.to_owned()
        };
        assert_eq!(with(None), "'self'");
        assert_eq!(
            with(Some("https://id.example/realms/a")),
            "'self' https://id.example"
        );
        assert_eq!(with(Some("http://[::1]:9000")), "'self' http://[::1]:9000");
    }

    #[tokio::test]
    async fn a_websocket_endpoint_at_docs_keeps_its_path() {
        let page = routes("", Page::Missing { docs: false });
        let ws = Router::new().route("/docs", get(async || "the endpoint"));
        let request = Request::get("/docs").body(Body::empty()).unwrap();
        assert_eq!(answer(&page.merge(ws), request).await.text, "the endpoint");
    }
}
