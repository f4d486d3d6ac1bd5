//! The page that `scripts/ui build` made: compiled in, or read from its folder by a program built without optimization. Knows
//! only names and contents.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use axum::http::HeaderMap;
use axum::http::header;
use bytes::Bytes;

/// Where the files of the page come from. `build.rs` chooses.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "a build has one of the two")]
enum Source {
    /// Names below `ui/dist`, and contents. Empty if the page was not built.
    Compiled(&'static [(&'static str, &'static [u8])]),
    /// The absolute path of `ui/dist`.
    Folder(&'static str),
}

const SOURCE: Source = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The files of one build. An asset's `.br` is the same asset, compressed.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, Bytes>);

/// One asset, whose name contains its hash.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    /// For example `assets/index-Bsuh0SEJ.css`.
    pub(super) name: String,
    pub(super) kind: &'static str,
    plain: Bytes,
    brotli: Option<Bytes>,
}

impl Asset {
    /// The content in a coding that a client with `headers` accepts, and that coding.
    pub(super) fn content(&self, headers: &HeaderMap) -> (Bytes, Option<&'static str>) {
        match &self.brotli {
            Some(brotli) if takes_brotli(headers) => (brotli.clone(), Some("br")),
            _ => (self.plain.clone(), None),
        }
    }
}

impl Files {
    /// The files that there are now: none if the page was not built, or if its folder cannot be read.
    pub(super) fn load() -> Self {
        match SOURCE {
            Source::Compiled(files) => files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), Bytes::from_static(content)))
                .collect(),
            Source::Folder(folder) => Self::read(Path::new(folder)).unwrap_or_default(),
        }
    }

    /// `index.html`, `docs.html` and the assets below `folder`.
    fn read(folder: &Path) -> io::Result<Self> {
        let page = |name: &str| io::Result::Ok((name.to_owned(), fs::read(folder.join(name))?.into()));
        let mut files = Self([page("index.html")?].into());
        // An earlier build had none.
        files.0.extend(page("docs.html"));
        for entry in fs::read_dir(folder.join("assets"))? {
            let entry = entry?;
            let name = format!("assets/{}", entry.file_name().to_string_lossy());
            files.0.insert(name, fs::read(entry.path())?.into());
        }
        Ok(files)
    }

    /// The page's HTML with its placeholders, or `None` if the page was not built.
    pub(super) fn index(&self) -> Option<&str> {
        std::str::from_utf8(self.0.get("index.html")?).ok()
    }

    /// The HTML of the REST interface's page, or `None` if it was not built.
    pub(super) fn docs(&self) -> Option<Bytes> {
        self.0.get("docs.html").cloned()
    }

    /// All assets.
    pub(super) fn assets(&self) -> impl Iterator<Item = Asset> {
        self.0.iter().filter_map(|(name, plain)| {
            Some(Asset {
                name: name.clone(),
                kind: content_type(name)?,
                plain: plain.clone(),
                brotli: self.0.get(&format!("{name}.br")).cloned(),
            })
        })
    }
}

impl FromIterator<(String, Bytes)> for Files {
    fn from_iter<I: IntoIterator<Item = (String, Bytes)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
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
    fn a_folder_is_read_like_what_is_compiled_in() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Files::read(folder.path()).is_err(), "nothing is built yet");
        let assets = folder.path().join("assets");
        std::fs::create_dir(&assets).unwrap();
        for (path, content) in [
            (folder.path().join("index.html"), "index"),
            (folder.path().join("docs.html"), "docs"),
            (assets.join("a-1.js"), "script"),
            (assets.join("a-1.js.br"), "compressed"),
            (assets.join("notes.txt"), "no asset"),
        ] {
            std::fs::write(path, content).unwrap();
        }
        let files = Files::read(folder.path()).unwrap();
        assert_eq!(
            (files.index(), files.docs()),
            (Some("index"), Some("docs".into()))
        );
        let assets: Vec<_> = files.assets().collect();
        let [script] = &assets[..] else {
            panic!("{assets:?}")
        };
        assert_eq!(script.name, "assets/a-1.js");
        assert_eq!(script.content(&HeaderMap::new()), ("script".into(), None));
    }

    #[test]
    fn only_a_builds_assets_have_a_type() {
        assert_eq!(content_type("assets/a-1.css"), Some("text/css; charset=utf-8"));
        for name in ["index.html", "assets/a-1.js.br", "assets/a", "a.js", "assets/.."] {
            assert_eq!(content_type(name), None, "{name}");
        }
    }
}
