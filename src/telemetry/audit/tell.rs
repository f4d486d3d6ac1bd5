//! The methods with which other modules report to the audit, one for each kind of event: they decide the content of a
//! line, and what must not be in one is not among the parameters. Knows no socket and no credential.

use std::net::IpAddr;

use super::event::{Event, Outcome, What};
use super::{Audit, Entry};
use crate::limit::AddressGroup;
use crate::principal::{ANONYMOUS_PREFIX, Principal, UserName};

/// What Herald does by itself.
const HERALD: &str = "herald";

/// Stands before a user's name.
const USER: &str = "user:";

fn user(name: &UserName) -> String {
    format!("{USER}{name}")
}

/// Whose a refused credential claims to be.
#[derive(Debug, Clone, Copy)]
pub enum Claims<'a> {
    /// That is not known. A name that nobody has is not told: it may be a password in the wrong field.
    Nobody,
    /// A user whom there is; whoever presented it need not be.
    User(&'a UserName),
    /// A user of this issuer.
    Issuer(&'a str),
    /// A user of this issuer, and it was: the signature is right.
    Proven(&'a str, &'a str),
    /// The holder of this key, and it was: `key:ops`.
    Key(&'a str),
}

/// A destination that somebody may not have.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Who asked: `user:alice`, `key:ops`.
    pub who: &'a str,
    /// From where. `None`: its session has ended meanwhile.
    pub address: Option<IpAddr>,
    /// In which session, if in one.
    pub session: Option<&'a str>,
    /// `SUBSCRIBE`, `SEND` or `publish`.
    pub action: &'static str,
    /// Whose it is, if it is a user's.
    pub user: Option<&'a str>,
    /// As it was written, or without the prefix for users.
    pub destination: &'a str,
    /// The rule that refused. `None`: no rule permits it.
    pub rule: Option<&'a str>,
}

impl Audit {
    /// A credential from `address`, which `claims` to be somebody's, was refused.
    pub fn login_refused(&self, address: IpAddr, claims: Claims<'_>, reason: &'static str) {
        let (who, what) = match claims {
            Claims::Nobody => ("", What::default()),
            Claims::User(name) => ("", What::user(name.as_str())),
            Claims::Issuer(issuer) => ("", What::issuer(issuer)),
            Claims::Proven(issuer, name) => {
                let user = Some(name.into());
                (
                    "",
                    What {
                        user,
                        ..What::issuer(issuer)
                    },
                )
            }
            Claims::Key(key) => (key, What::default()),
        };
        let proven = match claims {
            Claims::Proven(_, name) => Some(name),
            _ => None,
        };
        let entry = Entry {
            who,
            address: Some(address),
            reason: Some(reason),
            ..Entry::of(Event::LoginRefused, &what, Outcome::Refused)
        };
        self.grouped(&entry, &(AddressGroup::of(address), reason, proven));
    }

    /// `who` has proven itself, or was let in as nobody in particular: by a CONNECT, or by a request. Told with `audit.logins`
    /// alone.
    pub fn logged_in(&self, event: Event, who: &Principal, address: IpAddr) {
        if self.0.as_ref().is_none_or(|inner| !inner.logins) {
            return;
        }
        let (name, what) = (user(who.user()), What::default());
        let entry = Entry {
            who: &name,
            address: Some(address),
            ..Entry::of(event, &what, Outcome::Done)
        };
        // Who is nobody in particular has another name each time.
        let group = (event != Event::AnonymousLogin).then_some(who.user());
        self.grouped(&entry, &(AddressGroup::of(address), group));
    }

    /// The backend that is asked about logins failed; `reason` is the metric's label.
    pub fn callout_failed(&self, reason: &'static str) {
        let what = What::default();
        let entry = Entry {
            who: HERALD,
            reason: Some(reason),
            ..Entry::of(Event::CalloutFailed, &what, Outcome::Failed)
        };
        self.grouped(&entry, &reason);
    }

    /// `session` of `who` was renewed, or was not for `reason`.
    pub fn renewal(&self, who: &Principal, session: &str, address: IpAddr, refused: Option<&'static str>) {
        let outcome = match refused {
            None => Outcome::Done,
            Some(_) => Outcome::Refused,
        };
        let (name, what) = (user(who.user()), of_session(session));
        let entry = Entry {
            who: &name,
            address: Some(address),
            reason: refused,
            ..Entry::of(Event::Renewal, &what, outcome)
        };
        self.grouped(&entry, &(who.user(), refused));
    }

    /// `session` of `who` from `address` has ended for `reason`: its credential is good no longer.
    pub fn ended(&self, who: &Principal, session: &str, address: Option<IpAddr>, reason: &'static str) {
        let (name, what) = (user(who.user()), of_session(session));
        let entry = Entry {
            who: &name,
            address,
            reason: Some(reason),
            ..Entry::of(Event::SessionEnded, &what, Outcome::Done)
        };
        self.grouped(&entry, &(who.user(), reason));
    }

    /// An operator's route was asked by `who`, who has proven itself and is no operator: `lacks` says what it takes.
    pub fn operator_refused(&self, event: Event, who: &str, address: IpAddr, lacks: &'static str) {
        let what = What::default();
        let entry = Entry {
            who,
            address: Some(address),
            reason: Some(lacks),
            ..Entry::of(event, &what, Outcome::Refused)
        };
        self.grouped(&entry, &who);
    }

    /// `who` has proven itself, and lacks what `action` takes, `publishing` or `reading`, wherever that is.
    pub fn lacks(&self, who: &str, address: IpAddr, action: &'static str, lacks: &'static str) {
        let what = What {
            action: Some(action),
            ..What::default()
        };
        let entry = Entry {
            who,
            address: Some(address),
            reason: Some(lacks),
            ..Entry::of(Event::PermissionRefused, &what, Outcome::Refused)
        };
        self.grouped(&entry, &(who, action));
    }

    /// Somebody may not have a destination.
    pub fn not_permitted(&self, refused: &Refused<'_>) {
        let what = What {
            user: refused.user.map(Into::into),
            session: refused.session.map(Into::into),
            action: Some(refused.action),
            destination: Some(refused.destination.into()),
            rule: refused.rule.map(Into::into),
            ..What::default()
        };
        let entry = Entry {
            who: refused.who,
            address: refused.address,
            reason: Some(match refused.rule {
                Some(_) => "rule",
                None => "no-rule",
            }),
            ..Entry::of(Event::PermissionRefused, &what, Outcome::Refused)
        };
        // Each anonymous session has a name of its own.
        let name = refused.who.strip_prefix(USER);
        let group = match name.is_some_and(|name| name.starts_with(ANONYMOUS_PREFIX)) {
            true => ANONYMOUS_PREFIX,
            false => refused.who,
        };
        self.grouped(&entry, &(group, refused.action, refused.rule));
    }

    /// The key or the certificate of `who` is used after an hour.
    pub fn key_used(&self, who: &str, address: IpAddr) {
        let what = What::default();
        let entry = Entry {
            who,
            address: Some(address),
            ..Entry::of(Event::KeyUsed, &what, Outcome::Done)
        };
        self.note(&entry);
    }

    /// A file that a setting names was loaded again, and has so many users or keys; `None`: it is not usable, and what was there
    /// stays.
    pub fn file(&self, event: Event, setting: &'static str, count: Option<usize>) {
        let what = What {
            section: Some(setting),
            count,
            ..What::default()
        };
        self.own(event, &what, count.is_none().then_some("unusable"));
    }

    /// The keys of `issuer` are others than before, and so many; or `None`: none came from its server.
    pub fn issuer_keys(&self, issuer: &str, count: Option<usize>) {
        let what = What {
            count,
            ..What::issuer(issuer)
        };
        let (outcome, reason) = match count {
            Some(_) => (Outcome::Done, None),
            None => (Outcome::Failed, Some("not-fetched")),
        };
        let entry = Entry {
            who: HERALD,
            reason,
            ..Entry::of(Event::IssuerKeys, &what, outcome)
        };
        self.grouped(&entry, &issuer);
    }

    /// The certificate of `section` was replaced by one that is good until then; `None`: the new one is not usable.
    pub fn certificate(&self, section: &'static str, expires: Option<&str>) {
        let what = What {
            section: Some(section),
            expires: expires.map(Into::into),
            ..What::default()
        };
        self.own(Event::Certificate, &what, expires.is_none().then_some("unusable"));
    }

    /// The instance starts, with this configuration.
    pub fn started(&self, configuration: &str) {
        let what = What {
            version: Some(env!("CARGO_PKG_VERSION")),
            configuration: Some(configuration.into()),
            ..What::default()
        };
        self.own(Event::Start, &what, None);
    }

    fn own(&self, event: Event, what: &What, failed: Option<&'static str>) {
        let outcome = match failed {
            None => Outcome::Done,
            Some(_) => Outcome::Failed,
        };
        let entry = Entry {
            who: HERALD,
            reason: failed,
            ..Entry::of(event, what, outcome)
        };
        self.note(&entry);
    }
}

fn of_session(session: &str) -> What {
    What {
        session: Some(session.into()),
        ..What::default()
    }
}
