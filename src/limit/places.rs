//! How many of something each address has at the same time. Knows no value of a limit, and nothing of what is counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::AddressGroup;

/// The table of counts is shrunk when it has room for this many more entries than it holds.
const SPARE_MAX: usize = 1_024;

/// Counts what each address has, up to a bound. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AddressPlaces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// 0: no bound, and nothing is counted.
    most: usize,
    /// Never more entries than places that are held.
    held: Mutex<HashMap<AddressGroup, usize>>,
}

/// One place of an address, freed when dropped. `None` if nothing is counted.
#[derive(Debug)]
pub(crate) struct AddressPlace(Option<Box<(AddressGroup, AddressPlaces)>>);

impl AddressPlaces {
    /// With `most` places for each address; 0 means no bound.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            held: Mutex::default(),
        }))
    }

    /// The bound. 0: none.
    pub(crate) fn most(&self) -> usize {
        self.0.most
    }

    /// Another place for `address`, or `None` if it has all that it may have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<AddressPlace> {
        if self.0.most == 0 {
            return Some(AddressPlace(None));
        }
        let group = AddressGroup::of(address);
        let mut held = self.0.held.lock();
        let count = held.entry(group).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        Some(AddressPlace(Some(Box::new((group, self.clone())))))
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some((group, places)) = self.0.take().map(|place| *place) else {
            return;
        };
        let mut held = places.0.held.lock();
        if let Some(count) = held.get_mut(&group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&group);
            }
        }
        if held.capacity() > 4 * held.len() + SPARE_MAX {
            let room = 2 * held.len();
            held.shrink_to(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_at_once_and_gets_its_places_back() {
        let places = AddressPlaces::new(2);
        let (one, other) = (address("2001:db8::1"), address("192.0.2.1"));
        let held = [places.take(one).unwrap(), places.take(one).unwrap()];
        // The same customer, by another of its addresses.
        assert!(places.take(address("2001:db8::2")).is_none());
        assert!(places.take(other).is_some());
        drop(held);
        assert!(places.take(one).is_some());
        assert!(places.0.held.lock().is_empty(), "what nobody holds is not kept");
    }

    #[test]
    fn the_table_gives_memory_back() {
        let places = AddressPlaces::new(1);
        let held: Vec<AddressPlace> = (0..20_000_u32)
            .map(|n| places.take(std::net::Ipv4Addr::from_bits(n).into()).unwrap())
            .collect();
        assert!(places.0.held.lock().capacity() >= 20_000);
        drop(held);
        assert!(places.0.held.lock().capacity() <= 2 * SPARE_MAX);
    }

    #[test]
    fn without_a_bound_nothing_is_counted() {
        let places = AddressPlaces::new(0);
        let held: Vec<AddressPlace> = (0..10_000)
            .map(|_| places.take(address("::1")).unwrap())
            .collect();
        assert!(places.0.held.lock().is_empty());
        drop(held);
    }
}
