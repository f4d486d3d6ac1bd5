//! The rules of one list, in their order, and the first that matches a destination. Of a thousand rules nearly all are
//! distinguished by twelve bytes each, which lie side by side; only the remaining ones are compared segment by segment.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use super::pattern::{Kind, Matcher, Segment};
use super::rule::Compiled;
use crate::destination::{PATH_MAX_SEGMENTS, Path};

/// A list of rules.
#[derive(Debug, Default)]
pub(super) struct Rules {
    all: Box<[Compiled]>,
    /// In the order of `all`.
    marks: Box<[Mark]>,
}

impl Rules {
    /// These.
    pub(super) fn new(all: Vec<Compiled>) -> Self {
        Self {
            marks: all.iter().map(|rule| Mark::of(rule.matcher())).collect(),
            all: all.into(),
        }
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Compiled> {
        self.all.iter()
    }

    /// The first that fits. Allocates nothing.
    pub(super) fn first_fitting(&self, kind: Kind, path: &Path) -> Option<&Compiled> {
        let asked = Asked::of(kind, path);
        let marked = self.marks.iter().zip(&self.all);
        let mut rules = marked
            .filter(|(mark, _)| mark.may_fit(&asked))
            .map(|(_, rule)| rule);
        rules.find(|rule| rule.fits(kind, path))
    }
}

/// What tells most destinations from those that a rule fits.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Of the text at `place`.
    hash: u32,
    kind: Kind,
    /// How many segments it names.
    count: u8,
    /// Whether more may follow.
    open: bool,
    /// Where its last literal stands: rules that belong together begin alike.
    place: Option<u8>,
}

/// A destination, to be compared with marks.
struct Asked {
    kind: Kind,
    count: u8,
    /// Of each segment.
    hashes: [u32; PATH_MAX_SEGMENTS],
}

impl Mark {
    fn of(matcher: &Matcher) -> Self {
        let segments = matcher.segments().iter().enumerate();
        let mut literals = segments.filter_map(|(place, segment)| match segment {
            Segment::Literal(text) => Some((place, hash(text))),
            Segment::Any | Segment::User | Segment::Claim(_) => None,
        });
        let last = literals.next_back();
        Self {
            hash: last.map_or(0, |(_, hash)| hash),
            kind: matcher.kind(),
            count: small(matcher.segments().len()),
            open: matcher.is_open(),
            place: last.map(|(place, _)| small(place)),
        }
    }

    /// False only for what the rule does not fit.
    fn may_fit(&self, asked: &Asked) -> bool {
        let is_long_enough = match self.open {
            true => asked.count >= self.count,
            false => asked.count == self.count,
        };
        let has_it = |place: u8| asked.hashes.get(usize::from(place)) == Some(&self.hash);
        self.kind == asked.kind && is_long_enough && self.place.is_none_or(has_it)
    }
}

impl Asked {
    fn of(kind: Kind, path: &Path) -> Self {
        let mut asked = Self {
            kind,
            count: 0,
            hashes: [0; PATH_MAX_SEGMENTS],
        };
        for (place, segment) in asked.hashes.iter_mut().zip(path.segments()) {
            *place = hash(segment);
            asked.count += 1;
        }
        asked
    }
}

fn hash(segment: &str) -> u32 {
    // The lower half: equal marks are no proof in any case.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(segment) as u32
}

/// No pattern has more than [`PATH_MAX_SEGMENTS`].
fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::ask::{Action, suits_publish};
    use super::super::rule::{List, Rule};
    use super::*;
    use crate::destination::Prefixes;
    use crate::setting::Findings;

    /// Every pattern of up to three of these segments, closed and open.
    fn patterns() -> Vec<String> {
        let mut all = vec![String::new()];
        for _ in 0..3 {
            let longer = |stem: &String| ["a", "b", "*", "{user}"].map(|segment| format!("{stem}/{segment}"));
            let more: Vec<String> = all.iter().flat_map(longer).collect();
            all.extend(more);
        }
        all.sort();
        all.dedup();
        let stems = all.iter().filter(|stem| !stem.is_empty());
        stems
            .flat_map(|stem| [format!("/queue{stem}"), format!("/queue{stem}/**")])
            .collect()
    }

    #[test]
    fn a_mark_hides_no_rule_that_fits_and_the_first_one_is_found() {
        let patterns = patterns();
        let rules: Vec<Rule> = patterns
            .iter()
            .map(|text| Rule::new(text.parse().unwrap()))
            .collect();
        let mut findings = Findings::default();
        let list = List::of_rules("permissions.publish", Action::Publish);
        let rules = Compiled::all(list, &rules, &Prefixes::default(), suits_publish, &mut findings);
        assert_eq!(rules.iter().count(), patterns.len());
        let mut fitting = 0;
        for path in patterns.iter().filter(|text| !text.contains(['*', '{'])) {
            for path in [path.clone(), format!("{path}/c"), format!("{path}/a/b")] {
                let path = Path::parse(&path).unwrap();
                for kind in [Kind::Broadcast, Kind::User] {
                    let asked = Asked::of(kind, &path);
                    for (mark, rule) in rules.marks.iter().zip(&rules.all) {
                        let fits = rule.fits(kind, &path);
                        fitting += usize::from(fits);
                        assert!(!fits || mark.may_fit(&asked), "{} {path}", rule.key);
                    }
                    let first = rules.iter().find(|rule| rule.fits(kind, &path));
                    let found = rules.first_fitting(kind, &path);
                    assert_eq!(found.map(|rule| &rule.key), first.map(|rule| &rule.key));
                }
            }
        }
        assert!(fitting > 1_000, "{fitting}");
    }

    #[test]
    fn rules_that_begin_alike_are_told_apart_by_their_marks() {
        let rules: Vec<Rule> = (0..1_000)
            .map(|number| Rule::new(format!("/queue/x/{{user}}/{number}/*").parse().unwrap()))
            .collect();
        let list = List::of_rules("permissions.publish", Action::Publish);
        let mut findings = Findings::default();
        let rules = Compiled::all(list, &rules, &Prefixes::default(), suits_publish, &mut findings);
        let asked = Asked::of(Kind::Broadcast, &Path::parse("/queue/x/ann/999/z").unwrap());
        let passed = rules.marks.iter().filter(|mark| mark.may_fit(&asked)).count();
        assert_eq!(passed, 1);
        assert_eq!(size_of::<Mark>(), 12);
    }
}
