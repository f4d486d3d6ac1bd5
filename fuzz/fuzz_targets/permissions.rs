//! Promise: whatever the rules, a decision is the one that a naive reading of docs/permissions.md gives, and its
//! explanation says the same.
//!
//! Input: bytes that choose rules, the client, and the action, from a few words each, so that many of them match.

#![no_main]

use std::str::FromStr;

use herald::destination::{Path, Prefixes};
use herald::permissions::{Action, Ask, Config, Destinations, Otherwise, Pattern, Permissions, Rule, Who};
use herald::principal::{Attributes, Granted, Principal, Role, UserName};
use herald::setting::Findings;
use libfuzzer_sys::fuzz_target;

/// What a segment of a rule may be. `**` ends the rule.
const SEGMENTS: [&str; 6] = ["a", "b", "*", "{user}", "{claim.t}", "**"];
const PREFIXES: [&str; 5] = ["/queue", "/topic", "/user/queue", "/app", "/chat"];
const NAMES: [&str; 3] = ["a", "b", "c"];
/// The name of an anonymous session with the id `a`, which nobody can configure.
const ANONYMOUS: &str = "anonymous:a";
const ROLES: [&str; 3] = ["ROLE_A", "ROLE_B", "ROLE_ANONYMOUS"];
/// What a segment of a token's own pattern may be.
const GRANTED_SEGMENTS: [&str; 4] = ["a", "b", "*", "**"];
const ACTIONS: [Action; 3] = [Action::Subscribe, Action::Send, Action::Publish];

/// Choices from the input; the first of everything when it has ended.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Some of them, each once.
    fn some<T: Copy>(&mut self, all: &[T]) -> Vec<T> {
        let bits = self.below(1 << all.len());
        let chosen = |(index, item): (usize, &T)| (bits >> index & 1 == 1).then_some(*item);
        all.iter().enumerate().filter_map(chosen).collect()
    }

    fn pattern(&mut self, prefixes: &[&str], segments: &[&str]) -> String {
        let mut text = self.of(prefixes).to_owned();
        for _ in 0..=self.below(3) {
            let segment = self.of(segments);
            text.push('/');
            text.push_str(segment);
            if segment == "**" {
                break;
            }
        }
        text
    }

    fn attributes(&mut self) -> Vec<&'static str> {
        self.some(&NAMES)
    }
}

/// A rule as both sides read it.
#[derive(Debug)]
struct Plain {
    pattern: String,
    roles: Option<Vec<&'static str>>,
    users: Option<Vec<&'static str>>,
    claim: Vec<&'static str>,
    anonymous: bool,
    granted: bool,
}

impl Plain {
    /// `anonymous`: whether the list may let anonymous sessions in.
    fn choose(choices: &mut Choices<'_>, prefixes: &[&str], anonymous: bool) -> Self {
        Self {
            pattern: choices.pattern(prefixes, &SEGMENTS),
            roles: (choices.below(2) == 1).then(|| choices.some(&ROLES)),
            users: (choices.below(2) == 1).then(|| choices.some(&NAMES)),
            claim: choices.attributes(),
            anonymous: anonymous && choices.below(2) == 1,
            granted: choices.below(3) == 1,
        }
    }

    fn rule(&self) -> Rule {
        let mut rule = Rule::new(Pattern::from_str(&self.pattern).expect("a pattern"));
        rule.roles = self.roles.as_ref().map(|roles| parsed(roles));
        rule.users = self.users.as_ref().map(|users| parsed(users));
        rule.claims = attributes(&self.claim);
        rule.anonymous = self.anonymous;
        rule.granted = self.granted;
        rule
    }
}

fn parsed<T: FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().expect("a name")).collect()
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// `t` with these values.
fn attributes(values: &[&str]) -> Attributes {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let text = match values.as_slice() {
        [] => String::new(),
        values => format!("t = [{}]", values.join(", ")),
    };
    toml::from_str(&text).expect("attributes")
}

/// Who asks.
#[derive(Debug)]
struct Caller {
    user: &'static str,
    roles: Vec<&'static str>,
    claim: Vec<&'static str>,
    anonymous: bool,
    /// What the token permits, for each of `ACTIONS`, if it says anything.
    granted: Option<[Vec<String>; 3]>,
}

impl Caller {
    fn choose(choices: &mut Choices<'_>) -> Self {
        if choices.below(4) == 1 {
            return Self {
                user: ANONYMOUS,
                roles: vec!["ROLE_ANONYMOUS"],
                claim: Vec::new(),
                anonymous: true,
                granted: None,
            };
        }
        let mut patterns = || -> Vec<String> {
            (0..choices.below(3))
                .map(|_| choices.pattern(&PREFIXES, &GRANTED_SEGMENTS))
                .collect()
        };
        let granted = [patterns(), patterns(), patterns()];
        Self {
            user: choices.of(&NAMES),
            roles: choices.some(&ROLES[..2]),
            claim: choices.attributes(),
            anonymous: false,
            granted: (choices.below(3) > 0).then_some(granted),
        }
    }

    fn principal(&self) -> Principal {
        if self.anonymous {
            return Principal::anonymous("a").expect("a name");
        }
        let roles = self.roles.iter();
        let granted = self.granted.as_ref().map(|lists| {
            let [subscribe, send, publish] = lists.each_ref().map(|list| texts(list));
            Granted::new(&subscribe, &send, &publish).expect("patterns")
        });
        Principal::with_attributes(
            self.user.parse().expect("a name"),
            roles.map(|role| Box::<str>::from(Role::from_str(role).expect("a role"))),
            attributes(&self.claim),
        )
        .granting(granted)
    }
}

fuzz_target!(|data: &[u8]| {
    let choices = &mut Choices(data);
    let prefixes = Prefixes::default();
    let closed = choices.below(2) == 1;
    let mut list = |prefixes: &[&str], anonymous| -> Vec<Plain> {
        (0..choices.below(5))
            .map(|_| Plain::choose(choices, prefixes, anonymous))
            .collect()
    };
    // Over REST nobody is anonymous: there `anonymous` is an error.
    let lists = [
        list(&["/queue", "/topic"], true),
        list(&PREFIXES, true),
        list(&["/queue", "/topic", "/user/queue"], false),
    ];
    let rules = |index: usize| lists[index].iter().map(Plain::rule).collect();
    let config = Config {
        default: match closed {
            true => Otherwise::Closed,
            false => Otherwise::Open,
        },
        subscribe: rules(0),
        send: rules(1),
        publish: rules(2),
    };
    let mut findings = Findings::default();
    let permissions = Permissions::new(&config, &prefixes, &mut findings);
    let caller = Caller::choose(choices);
    let principal = caller.principal();
    let own: Vec<Plain> = (0..choices.below(3))
        .map(|_| Plain {
            pattern: choices.pattern(&["/queue", "/user/queue"], &SEGMENTS),
            roles: None,
            users: None,
            claim: Vec::new(),
            anonymous: false,
            granted: false,
        })
        .collect();
    let patterns: Vec<Pattern> = own.iter().map(|plain| plain.rule().destination).collect();
    let bounded = choices.below(2) == 1;
    let destinations = bounded.then_some(&*patterns);
    let key = Destinations::new("key", destinations, &prefixes, &mut findings);
    assert!(findings.errors.is_empty(), "{:?}", findings.errors);

    let action = choices.of(&ACTIONS);
    let (who, asking) = match choices.below(3) {
        0 => (Who::User(&principal), Asking::User(&caller)),
        1 => (Who::Key(&key), Asking::Key(bounded.then_some(&*own))),
        _ => (Who::Anyone, Asking::Anyone),
    };
    let names = [NAMES[0], NAMES[1], NAMES[2], ANONYMOUS];
    let other: UserName = choices.of(&names).parse().expect("a name");
    let kind = choices.below(4);
    let mut text = match kind {
        1 => choices.of(&["/queue", "/topic"]),
        0 => "/a",
        _ => "/queue",
    }
    .to_owned();
    for _ in 0..=choices.below(3) {
        text = text + "/" + choices.of(&names);
    }
    let path = Path::parse(&text).expect("a path");
    let (ask, place) = match kind {
        0 => (Ask::Application(&path), Place::Application),
        1 => (Ask::Broadcast(&path), Place::Broadcast),
        2 => (Ask::User(&other, &path), Place::User(Some(other.as_str()))),
        _ => (Ask::SomeUser(&path), Place::User(None)),
    };
    let decided = permissions.decide(action, who, ask).is_ok();
    let explained = permissions.explain(action, who, ask);
    assert_eq!(decided, explained.permitted, "{explained:?}");
    let list = match action {
        Action::Subscribe => &lists[0],
        Action::Send => &lists[1],
        Action::Publish => &lists[2],
    };
    let expected = naive(closed, list, action, &asking, &place, &text);
    assert_eq!(
        decided, expected,
        "{list:?} {asking:?} {action:?} {place:?} {text}"
    );
});

#[derive(Debug)]
enum Asking<'a> {
    User(&'a Caller),
    Key(Option<&'a [Plain]>),
    Anyone,
}

#[derive(Debug)]
enum Place<'a> {
    Application,
    Broadcast,
    /// This user's, or some user's.
    User(Option<&'a str>),
}

/// docs/permissions.md, read sentence by sentence.
fn naive(
    closed: bool,
    list: &[Plain],
    action: Action,
    asking: &Asking<'_>,
    place: &Place<'_>,
    text: &str,
) -> bool {
    let caller = match asking {
        Asking::User(caller) => Some(*caller),
        Asking::Key(_) | Asking::Anyone => None,
    };
    let is_anonymous = caller.is_some_and(|caller| caller.anonymous);
    // What no rule changes.
    if is_anonymous && action == Action::Publish {
        return false;
    }
    match (action, place) {
        (Action::Subscribe | Action::Send, Place::User(owner)) => {
            let is_own = caller.is_some_and(|caller| *owner == Some(caller.user));
            if !is_own || action == Action::Subscribe {
                return is_own;
            }
        }
        (Action::Subscribe | Action::Publish, Place::Application) => return false,
        _ => {}
    }
    let list = match (action, asking) {
        (Action::Publish, Asking::Key(Some(own))) => own,
        _ => list,
    };
    // As a client or publisher writes it; application prefixes are aliases.
    let written: Vec<String> = match place {
        Place::Broadcast => vec![text.to_owned()],
        Place::User(_) => vec![format!("/user{text}")],
        Place::Application => vec![format!("/app{text}"), format!("/chat{text}")],
    };
    for rule in list {
        let Some(destination) = written.iter().find(|text| fits(&rule.pattern, text)) else {
            continue;
        };
        let segments: Vec<&str> = destination.split('/').collect();
        let variables = rule.pattern.split('/').enumerate();
        let holds = |(index, segment): (usize, &str)| match segment {
            "{user}" => caller.is_some_and(|caller| caller.user == segments[index]),
            "{claim.t}" => caller.is_some_and(|caller| caller.claim.contains(&segments[index])),
            _ => true,
        };
        let has = |wanted: &[&str], held: &[&str]| wanted.iter().any(|one| held.contains(one));
        let roles = caller.map_or(&[][..], |caller| &caller.roles);
        let claim = caller.map_or(&[][..], |caller| &caller.claim);
        let user: Vec<&str> = caller.iter().map(|caller| caller.user).collect();
        // The token lists the destination, in the form that clients use.
        let of_token = caller.and_then(|caller| caller.granted.as_ref());
        let of_token = of_token.map_or(&[][..], |lists| match action {
            Action::Subscribe => &lists[0],
            Action::Send => &lists[1],
            Action::Publish => &lists[2],
        });
        let lists_it = || {
            let listed = |text: &String| of_token.iter().any(|pattern| fits(pattern, text));
            written.iter().any(listed)
        };
        return (rule.anonymous || !is_anonymous)
            && (!rule.granted || lists_it())
            && rule.roles.as_ref().is_none_or(|wanted| has(wanted, roles))
            && rule.users.as_ref().is_none_or(|wanted| has(wanted, &user))
            && (rule.claim.is_empty() || has(&rule.claim, claim))
            && { variables }.all(holds);
    }
    match (action, place, asking) {
        (Action::Publish, _, Asking::Key(Some(_))) => false,
        (Action::Send, Place::Broadcast | Place::User(_), _) => false,
        _ => !closed && !is_anonymous,
    }
}

/// Whether a rule's destination fits by its shape.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.split('/'), text.split('/'));
    loop {
        match (pattern.next(), text.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some("*" | "{user}" | "{claim.t}"), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}
