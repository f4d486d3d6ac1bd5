//! Which addresses count as one client, and which may belong to one customer. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// An address as limits count it: IPv4 as it is, IPv6 by its /64, the smallest block that a customer is given (RFC
/// 6177), so that nobody escapes a limit by taking another of 2^64 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AddressGroup(IpAddr);

impl AddressGroup {
    /// The group of `address`. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) counts as the IPv4 address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address => address,
        })
    }

    /// The /48 around it, the largest block that one site is usually given (RFC 6177). `None` for IPv4.
    pub(crate) fn site(self) -> Option<AddressSite> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(AddressSite(address.to_bits() >> 80)),
        }
    }
}

/// The /48 of an IPv6 address: 65,536 groups that may all be one customer's. Nothing may count against a site as heavily
/// as against a group, since it may also be many customers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AddressSite(u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_its_64() {
        let check = |a: &str, b: &str, same: bool| {
            let of = |text: &str| AddressGroup::of(text.parse().unwrap());
            assert_eq!(of(a) == of(b), same, "{a} and {b}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true);
        check("2001:db8:1:2::1", "2001:db8:1:3::1", false);
    }

    #[test]
    fn a_site_is_a_48() {
        let site = |text: &str| AddressGroup::of(text.parse().unwrap()).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::2"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        for none in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(site(none), None, "{none}");
        }
    }
}
