//! The page that `scripts/ui build` made, if it was there when Herald was built. Knows only names and contents.

use axum::http::HeaderMap;
use axum::http::header;

/// Names below `ui/dist`, and contents. An asset's `.br` is the same, compressed. Empty if the page was not built.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// One asset, whose name contains its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    /// For example `assets/index-Bsuh0SEJ.css`.
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
}

impl Asset {
    /// The content in a coding that a client with `headers` accepts, and that coding.
    pub(super) fn content(&self, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
        match self.brotli {
            Some(brotli) if takes_brotli(headers) => (brotli, Some("br")),
            _ => (self.plain, None),
        }
    }
}

/// The page's HTML with its placeholders, or `None` if the page was not built.
pub(super) fn index() -> Option<&'static str> {
    std::str::from_utf8(find("index.html")?).ok()
}

/// All assets.
pub(super) fn assets() -> impl Iterator<Item = Asset> {
    FILES.iter().filter_map(|(name, plain)| {
        Some(Asset {
            name,
            kind: content_type(name)?,
            plain,
            brotli: find(&format!("{name}.br")),
        })
    })
}

fn find(wanted: &str) -> Option<&'static [u8]> {
    let (_, content) = FILES.iter().find(|(name, _)| *name == wanted)?;
    Some(content)
}

/// The types of the assets that a build makes; `None` for anything else.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.strip_prefix("assets/")?.rsplit_once('.')?;
    match extension {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

/// RFC 9110 section 12.5.3, as far as it concerns `br`: it must be named, and not with a weight of zero.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case("br") && weight.is_some_and(|weight| weight > 0.0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_goes_to_those_who_take_it() {
        fn check(accept: &str, expected: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
            assert_eq!(takes_brotli(&headers), expected, "{accept}");
        }
        check("gzip, deflate, br, zstd", true);
        check("BR", true);
        check("gzip;q=1.0, br;q=0.5", true);
        check("br;q=0", false);
        check("br;q=0.000", false);
        check("br;q=x", false);
        check("gzip, brx", false);
        check("", false);
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn only_a_builds_assets_have_a_type() {
        assert_eq!(content_type("assets/a-1.css"), Some("text/css; charset=utf-8"));
        for name in ["index.html", "assets/a-1.js.br", "assets/a", "a.js", "assets/.."] {
            assert_eq!(content_type(name), None, "{name}");
        }
    }
}
