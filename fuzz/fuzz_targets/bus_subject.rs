//! Promise: a target has one subject and a subject one target: decoding reads back what encoding writes, except for
//! Herald's own, and accepts nothing else. No target, however hostile its names, yields a subject that NATS reads
//! differently.
//!
//! Input: a subject; or user and path, with a line break between them.

#![no_main]

use herald::bus::subject::{Prefix, SubjectError, Subjects};
use herald::destination::{Path, Target};
use herald::principal::UserName;
use libfuzzer_sys::fuzz_target;

/// A NATS server's longest protocol line.
const LINE_MAX_BYTES: usize = 4_096;

fuzz_target!(|text: &str| {
    for prefix in ["herald", "a-b_c"] {
        let Ok(legal) = prefix.parse::<Prefix>() else {
            panic!("{prefix} is a prefix");
        };
        let subjects = Subjects::new(&legal);
        if let Ok(target) = subjects.parse(text) {
            assert_eq!(subjects.target(&target), text, "another subject of {target:?}");
        }
        for target in targets(text) {
            let subject = subjects.target(&target);
            assert_subject(&subject, prefix);
            let expected = match is_heralds_own(&target) {
                true => Err(SubjectError::Reserved),
                false => Ok(target),
            };
            assert_eq!(subjects.parse(&subject), expected, "{subject}");
        }
    }
    // It only must not panic.
    drop(text.parse::<Prefix>());
});

fn targets(text: &str) -> Vec<Target> {
    let mut targets = Vec::new();
    targets.extend(Path::parse(text).map(Target::Broadcast));
    if let Some((user, path)) = text.split_once('\n')
        && let (Ok(user), Ok(path)) = (UserName::parse(user), Path::parse(path))
    {
        targets.push(Target::User { user, path });
    }
    targets
}

/// What no publisher may send to: a user's destination below /queue/herald/.
fn is_heralds_own(target: &Target) -> bool {
    matches!(target, Target::User { path, .. } if path.as_str().starts_with("/queue/herald/"))
}

/// Graphic ASCII in tokens that are neither empty nor a wildcard, below the prefix.
fn assert_subject(subject: &str, prefix: &str) {
    assert!(subject.starts_with(prefix), "{subject}");
    assert!(subject.bytes().all(|byte| byte.is_ascii_graphic()), "{subject}");
    assert!(subject.split('.').all(|token| !token.is_empty()), "{subject}");
    assert!(!subject.contains(['*', '>']), "{subject}");
    assert!(subject.len() < LINE_MAX_BYTES, "{} bytes", subject.len());
}
