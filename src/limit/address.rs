//! Which addresses count as one client. Pure.

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
}

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
}
