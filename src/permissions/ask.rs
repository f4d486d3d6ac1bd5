//! The question: who wants to do what, and where; and the answers that need no rule. Knows no decision.

use super::pattern::{Kind, Pattern};
use super::rule::{Compiled, List, Rule};
use super::rules::Rules;
use crate::destination::{Destination, Path, Prefixes, Target};
use crate::principal::{Granted, Principal, UserName};
use crate::setting::Findings;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SUBSCRIBE over STOMP.
    Subscribe,
    /// SEND over STOMP.
    Send,
    /// A notification over REST.
    Publish,
}

impl Action {
    /// The label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Send => "send",
            Self::Publish => "publish",
        }
    }

    /// What refusals call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Send => "SEND",
            Self::Publish => "publishing",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// A user.
    User(&'a Principal),
    /// The holder of an API key that may publish to these destinations.
    Key(&'a Destinations),
    /// The holder of a client certificate that may publish to these destinations.
    Certificate(&'a Destinations),
    /// Nobody in particular (`api.access = "open"`).
    Anyone,
}

impl<'a> Who<'a> {
    fn principal(self) -> Option<&'a Principal> {
        match self {
            Self::User(principal) => Some(principal),
            Self::Key(_) | Self::Certificate(_) | Self::Anyone => None,
        }
    }

    /// Whether it is an anonymous session.
    pub(super) fn is_anonymous(self) -> bool {
        self.principal().is_some_and(Principal::is_anonymous)
    }

    pub(super) fn user(self) -> Option<&'a UserName> {
        self.principal().map(Principal::user)
    }

    pub(super) fn roles(self) -> impl Iterator<Item = &'a str> {
        self.principal().into_iter().flat_map(Principal::roles)
    }

    pub(super) fn has_role(self, role: &str) -> bool {
        self.principal().is_some_and(|principal| principal.has_role(role))
    }

    /// Its values of the attribute `claim`.
    pub(super) fn values(self, claim: &str) -> &'a [Box<str>] {
        self.principal()
            .map_or(&[], |principal| principal.attributes().get(claim))
    }

    /// What its own token permits.
    pub(super) fn granted(self) -> Option<&'a Granted> {
        self.principal().and_then(Principal::granted)
    }

    pub(super) fn has(self, claim: &str, value: &str) -> bool {
        self.values(claim).iter().any(|held| **held == *value)
    }
}

/// The destinations that an API key or a client certificate may publish to: the rules that count for it instead of `permissions.publish`.
#[derive(Debug, Default)]
pub struct Destinations(pub(super) Option<Rules>);

impl Destinations {
    /// Those of `list`, such as `api.keys[0].destinations`. `None`: as `permissions.publish` says.
    pub fn new(
        list: &str,
        destinations: Option<&[Pattern]>,
        prefixes: &Prefixes,
        findings: &mut Findings,
    ) -> Self {
        let compile = |patterns: &[Pattern]| {
            let rules: Vec<Rule> = patterns.iter().cloned().map(Rule::new).collect();
            let list = List {
                name: list,
                field: "",
                action: Action::Publish,
            };
            Compiled::all(list, &rules, prefixes, suits_publish, findings)
        };
        Self(destinations.map(compile))
    }
}

/// A destination that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// An application destination, without its prefix.
    Application(&'a Path),
    /// A broadcast destination.
    Broadcast(&'a Path),
    /// This user's destination, without the user prefix.
    User(&'a UserName, &'a Path),
    /// Some user's destination, for publishers: without the user prefix.
    SomeUser(&'a Path),
}

impl<'a> From<&'a Target> for Ask<'a> {
    fn from(target: &'a Target) -> Self {
        match target {
            Target::Broadcast(path) => Self::Broadcast(path),
            Target::User { user, path } => Self::User(user, path),
        }
    }
}

impl<'a> From<&'a Destination> for Ask<'a> {
    fn from(destination: &'a Destination) -> Self {
        match destination {
            Destination::Application(path) => Self::Application(path),
            Destination::Target(target) => target.into(),
        }
    }
}

/// A decision that no rule makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed {
    pub permitted: bool,
    pub words: &'static str,
}

impl Fixed {
    pub(super) const fn permitted(words: &'static str) -> Self {
        Self {
            permitted: true,
            words,
        }
    }

    pub(super) const fn refused(words: &'static str) -> Self {
        Self {
            permitted: false,
            words,
        }
    }
}

impl<'a> Ask<'a> {
    pub(super) fn path(&self) -> &'a Path {
        match *self {
            Self::Application(path) | Self::Broadcast(path) | Self::User(_, path) | Self::SomeUser(path) => {
                path
            }
        }
    }

    /// What rules look at, or what is decided without them.
    pub(super) fn for_rules(&self, action: Action, who: Who<'_>) -> Result<(Kind, &'a Path), Fixed> {
        match (action, *self) {
            (Action::Publish, _) if who.is_anonymous() => {
                Err(Fixed::refused("nobody is anonymous over REST"))
            }
            (Action::Send, Self::Application(path)) if path.as_str() == Path::RENEWAL => {
                Err(Fixed::permitted("every session may renew itself"))
            }
            (_, Self::Application(path)) if path.is_own_of_application() => {
                Err(Fixed::refused("it is Herald's own"))
            }
            (Action::Send | Action::Publish, Self::User(_, path) | Self::SomeUser(path))
                if path.is_own_of_users() =>
            {
                Err(Fixed::refused("it is Herald's own"))
            }
            (_, Self::Broadcast(path)) => Ok((Kind::Broadcast, path)),
            (Action::Publish, Self::User(_, path) | Self::SomeUser(path)) => Ok((Kind::User, path)),
            (_, Self::SomeUser(_)) => Err(Fixed::refused("it is another user's")),
            (_, Self::User(user, _)) if who.user() != Some(user) => {
                Err(Fixed::refused("it is another user's"))
            }
            (Action::Subscribe, Self::User(..)) => Err(Fixed::permitted("it is the user's own")),
            (Action::Send, Self::User(_, path)) => Ok((Kind::User, path)),
            (Action::Send, Self::Application(path)) => Ok((Kind::Application, path)),
            (_, Self::Application(_)) => Err(Fixed::refused("an application destination accepts only SEND")),
        }
    }
}

/// Which destinations are published to over REST.
pub(super) fn suits_publish(kind: Kind) -> Result<(), &'static str> {
    match kind {
        Kind::Broadcast | Kind::User => Ok(()),
        Kind::Application => Err("nothing is published to an application destination over REST"),
    }
}
