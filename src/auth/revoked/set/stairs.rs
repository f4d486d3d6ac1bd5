//! The combined effect of several revocations of the same tokens: those that reach further or last longer than all
//! others. Pure.

/// Pairs of "issued up to" and "lasts until", the first descending and the second ascending: a pair with less of both
/// adds nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stairs(Vec<(u64, u64)>);

impl Stairs {
    /// Adds one.
    pub(super) fn add(&mut self, up_to: u64, until: u64) {
        let at = self.0.partition_point(|(other, _)| *other > up_to);
        // The further one reaches, the less long it lasts: the last of these lasts longest.
        let front = at.checked_sub(1).and_then(|last| self.0.get(last));
        let same = self.0.get(at).filter(|(other, _)| *other == up_to);
        if front.into_iter().chain(same).any(|(_, other)| *other >= until) {
            return;
        }
        let shadowed = self.0.get(at..).unwrap_or_default();
        let count = shadowed.iter().take_while(|(_, other)| *other <= until).count();
        self.0.splice(at..at + count, [(up_to, until)]);
    }

    /// Whether one of them applies to a token that was issued at `from` at the earliest, and has not ended.
    pub(super) fn reaches(&self, from: u64, now: u64) -> bool {
        let count = self.0.partition_point(|(up_to, _)| *up_to >= from);
        let longest = count.checked_sub(1).and_then(|last| self.0.get(last));
        longest.is_some_and(|(_, until)| *until > now)
    }
}
