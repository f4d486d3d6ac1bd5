//! The address of a Herald, read from a URL. Opens nothing.

use http::Uri;

/// A host, its port, whether to use TLS, and the path before every route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Endpoint {
    /// A name or an address, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether to use TLS.
    pub tls: bool,
    /// Empty, or for example `/backend`.
    pub base_path: String,
}

impl Endpoint {
    /// Reads `http://`, `https://`, `ws://` or `wss://`, a host, and optionally a port and a path.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url
            .parse()
            .map_err(|_| "expected an URL such as http://127.0.0.1:8080")?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err("expected an URL that begins with http:// or https://"),
        };
        let authority = uri.authority().ok_or("expected a host behind the scheme")?;
        if authority.as_str().contains('@') {
            return Err("a name and password do not belong into an URL: use --login and HERALD_PASSWORD");
        }
        if uri.query().is_some() {
            return Err("expected no query");
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if host.is_empty() {
            return Err("expected a host behind the scheme");
        }
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The form used in a `Host` header.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// For people.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        #[track_caller]
        fn check(url: &str, expected: Result<&str, &str>) {
            let found = Endpoint::parse(url).map(|endpoint| endpoint.to_string());
            match (&found, expected) {
                (Ok(text), Ok(wanted)) => assert_eq!(text, wanted),
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                _ => panic!("{url}: {found:?}"),
            }
        }
        check("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check("ws://localhost:8080/", Ok("http://localhost:8080"));
        check(
            "https://herald.example.com/backend/",
            Ok("https://herald.example.com:443/backend"),
        );
        check("http://[::1]:9", Ok("http://[::1]:9"));
        check("127.0.0.1:8080", Err("http://"));
        check("ftp://x", Err("http://"));
        check("http://", Err("expected"));
        check("http://ann:hush@x/", Err("HERALD_PASSWORD"));
        check("http://x/?a=b", Err("query"));
        check("", Err("expected"));
    }
}
