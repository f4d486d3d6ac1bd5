//! The client's address behind trusted proxies: what `http.trusted_proxies` report in `X-Forwarded-For` or `Forwarded`
//! (RFC 7239). Pure. Reports from anybody else are not even read.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// The most proxies in a row that are followed.
const HOPS_MAX: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network such as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network: IpNet| Self(canonical(network.trunc())))
            .map_err(|_| format!("expected a network such as 10.0.0.0/8 or an address, got {text:?}"))
    }
}

impl Network {
    /// Whether `networks` together contain every address of IPv4 or of IPv6.
    pub fn contain_everything(networks: &[Self]) -> bool {
        let networks = networks.iter().map(|network| network.0).collect();
        IpNet::aggregate(&networks)
            .iter()
            .any(|network| network.prefix_len() == 0)
    }
}

/// An IPv4 network written as IPv6 (`::ffff:10.0.0.0/104`) as the IPv4 network: addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: Ipv6Net| {
        let address = network.addr().to_ipv4_mapped()?;
        let prefix = network.prefix_len().checked_sub(96)?;
        Ipv4Net::new(address, prefix).ok().map(IpNet::V4)
    };
    match network {
        IpNet::V6(network) => mapped(network).unwrap_or(IpNet::V6(network)),
        IpNet::V4(_) => network,
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0.to_string()
    }
}

/// `http.forwarded_header`. Only one: a proxy that writes one of them passes on what a client wrote into the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

impl fmt::Display for ForwardedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        })
    }
}

/// Which peers are believed, and in which header.
#[derive(Debug, Clone)]
pub struct Proxies {
    networks: Arc<[IpNet]>,
    header: ForwardedHeader,
}

impl Proxies {
    /// From `[http]`.
    pub fn new(networks: &[Network], header: ForwardedHeader) -> Self {
        Self {
            networks: networks.iter().map(|network| network.0).collect(),
            header,
        }
    }

    /// Whether `address` is one of the proxies.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address for a request that came from `peer`: hop by hop from the nearest, the first that is not a
    /// proxy. If a hop is unreadable (`unknown`, `_hidden`, nonsense), it is the proxy that reported it; what stands
    /// further left is the client's own word and is not read.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return client;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name);
        let mut hops = lines.iter().rev().flat_map(|line| Hops {
            // A line that is not ASCII is one unreadable hop.
            rest: Some(line.to_str().unwrap_or("?")),
        });
        for hop in hops.by_ref().take(HOPS_MAX) {
            let node = match self.header {
                ForwardedHeader::XForwardedFor => Some(hop),
                ForwardedHeader::Forwarded => node_of(hop),
            };
            match node.and_then(address_of) {
                None => break,
                Some(address) => client = address,
            }
            if !self.trust(client) {
                break;
            }
        }
        client
    }
}

/// The elements of a comma-separated list from last to first, respecting quoted commas. From the right, since only
/// there a proxy wrote: a quote that a client leaves open must not hide what follows it.
struct Hops<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Hops<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let mut quoted = false;
        let comma = rest.bytes().rposition(|byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let hop = match comma {
            Some(at) => {
                let (left, right) = rest.split_at_checked(at)?;
                self.rest = Some(left);
                right.trim_start_matches(',')
            }
            None => {
                self.rest = None;
                rest
            }
        };
        Some(hop.trim_ascii())
    }
}

/// The `for` of one element of `Forwarded`.
fn node_of(element: &str) -> Option<&str> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim_ascii()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim_ascii())
    });
    let node = nodes.next()?;
    if nodes.next().is_some() {
        return None;
    }
    // No address contains an escape inside the quotes.
    match node.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(node),
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address_of(node: &str) -> Option<IpAddr> {
    let bracketed = || {
        let inner = node.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    node.parse::<IpAddr>()
        .ok()
        .or_else(|| node.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bracketed)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
