//! The current users: those of the configuration and of the users file, checked, and replaced as a whole. Knows no
//! plain-text password and verifies nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::broadcast;

use super::phc::StoredHash;
use super::{Config, LoginConfig, UserEntry};
use crate::file_watch::{NotLoaded, SettingsFile};
use crate::principal::{Attributes, Principal, Role, UserName};
use crate::setting::{ByteSize, Findings, Secret};
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::Event;

pub mod file;

pub use file::{UserProblem, UsersError};

/// How many removed names may wait for a receiver before it lags.
const WITHDRAWN_CAPACITY: usize = 1_024;

/// The warning about hashes of different cost.
const UNEQUAL_COSTS: &str = "the users' passwords are hashed with different parameters: the time of a refused login tells \
    users with cheaper ones from unknown users; hash them anew with equal parameters";

/// One user.
pub(super) struct User {
    pub(super) principal: Principal,
    pub(super) hash: Arc<StoredHash>,
}

impl User {
    /// Checks an entry.
    fn check(entry: &UserEntry, hash_memory: ByteSize) -> Result<(UserName, Self), UserProblem> {
        let name = entry.name.clone();
        let hash = StoredHash::parse(entry.password.expose(), hash_memory)
            .map_err(|cause| UserProblem::Password(name.clone(), cause))?;
        let user = Self {
            principal: Principal::with_attributes(
                name.clone(),
                entry.roles.iter().cloned(),
                entry.attributes.clone(),
            ),
            hash: Arc::new(hash),
        };
        Ok((name, user))
    }

    fn is_unchanged(&self, other: &Self) -> bool {
        self.hash.text() == other.hash.text() && self.principal == other.principal
    }
}

/// All users at one moment.
pub(super) struct Users {
    by_name: HashMap<UserName, Arc<User>>,
    /// What is computed for an unknown name: as costly as the costliest stored hash.
    pub(super) decoy: Arc<StoredHash>,
}

impl Users {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The number of users.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The different costs of their hashes, ascending.
    pub(super) fn costs(&self) -> Vec<u64> {
        let costs: std::collections::BTreeSet<u64> =
            self.by_name.values().map(|user| user.hash.cost()).collect();
        costs.into_iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn is_uniform(&self) -> bool {
        self.costs().len() < 2
    }

    /// `entries`, checked, each with words that say where it is; and those of `beneath` whose names no entry has.
    fn check<'a>(
        entries: impl Iterator<Item = (&'a str, usize, &'a UserEntry)>,
        beneath: &[UserEntry],
        hash_memory: ByteSize,
    ) -> Result<Self, UsersError> {
        let mut by_name: HashMap<UserName, Arc<User>> = HashMap::new();
        for (place, number, entry) in entries {
            let error = |problem| UsersError::user(place, number, problem);
            let (name, user) = User::check(entry, hash_memory).map_err(error)?;
            if by_name.insert(name.clone(), Arc::new(user)).is_some() {
                return Err(error(UserProblem::Duplicate(name)));
            }
        }
        for (index, entry) in beneath.iter().enumerate() {
            let checked = User::check(entry, hash_memory);
            let (name, user) = checked.map_err(|problem| UsersError::user("--demo", index + 1, problem))?;
            by_name.entry(name).or_insert_with(|| Arc::new(user));
        }
        let costliest = by_name
            .values()
            .map(|user| &*user.hash)
            .max_by_key(|hash| hash.cost());
        let decoy = StoredHash::decoy(costliest).map_err(UsersError::Random)?;
        Ok(Self {
            by_name,
            decoy: Arc::new(decoy),
        })
    }
}

/// The users file and its content when it was read.
pub(super) type Watched = (SettingsFile, Vec<u8>);

/// The current users. They are replaced in one step; a holder of [`Users`] keeps its state.
pub(super) struct UserStore {
    configured: Vec<UserEntry>,
    /// Those of `--demo`, which give way to others with the same names.
    beneath: Vec<UserEntry>,
    hash_memory: ByteSize,
    current: RwLock<Arc<Users>>,
    withdrawn: broadcast::Sender<UserName>,
}

impl UserStore {
    /// Reads and checks everything once and starts nothing. Blocks while it reads the file. Also returns the file's
    /// path and content.
    fn open(config: &Config, login: &LoginConfig, demo: bool) -> Result<(Self, Option<Watched>), UsersError> {
        let beneath = if demo { demo_users() } else { Vec::new() };
        let mut watched = None;
        let mut from_file = Vec::new();
        let mut place = String::new();
        if let Some(named) = file::named(config) {
            let content = named.read().map_err(UsersError::File)?;
            from_file = file::parse(&named, &content)?;
            place = named.place();
            watched = Some((named, content));
        }
        let entries = numbered("auth.users", &config.users).chain(numbered(&place, &from_file));
        let store = Self {
            current: RwLock::new(Arc::new(Users::check(entries, &beneath, login.hash_memory)?)),
            configured: config.users.clone(),
            beneath,
            hash_memory: login.hash_memory,
            withdrawn: broadcast::channel(WITHDRAWN_CAPACITY).0,
        };
        Ok((store, watched))
    }

    pub(super) fn current(&self) -> Arc<Users> {
        Arc::clone(&self.current.read())
    }

    pub(super) fn withdrawn(&self) -> broadcast::Receiver<UserName> {
        self.withdrawn.subscribe()
    }

    /// Replaces the users with those of the configuration and of `text`, the file's new content. On an error nothing
    /// changes. Unchanged users keep their [`Principal`], so that its clones still count as current.
    pub(super) fn replace(&self, file: &SettingsFile, text: &[u8]) -> Result<Replaced, UsersError> {
        let from_file = file::parse(file, text)?;
        let place = file.place();
        let entries = numbered("auth.users", &self.configured).chain(numbered(&place, &from_file));
        let mut users = Users::check(entries, &self.beneath, self.hash_memory)?;
        if !users.is_uniform() {
            tracing::warn!("{UNEQUAL_COSTS}");
        }
        let before = self.current();
        let mut gone = Vec::new();
        for (name, old) in &before.by_name {
            match users.by_name.get_mut(name) {
                Some(new) if new.is_unchanged(old) => *new = Arc::clone(old),
                _ => gone.push(name.clone()),
            }
        }
        let replaced = Replaced {
            users: users.by_name.len(),
            withdrawn: gone.len(),
        };
        // The users first, then the names: a receiver of a name sees the users without it.
        *self.current.write() = Arc::new(users);
        for name in gone {
            // An error means that nobody listens yet, so there is no session to end.
            let _ = self.withdrawn.send(name);
        }
        Ok(replaced)
    }

    /// The same, for the watcher of `file`.
    fn reload(&self, file: &SettingsFile, content: &[u8], audit: &Audit) -> Result<(), NotLoaded> {
        let replaced = self.replace(file, content);
        let count = replaced.as_ref().ok().map(|replaced| replaced.users);
        audit.file(Event::UsersFile, file.setting, count);
        match replaced {
            Ok(replaced) => {
                tracing::info!(
                    file = %file.path.display(), users = replaced.users, withdrawn = replaced.withdrawn, "users reloaded"
                );
                Ok(())
            }
            Err(error @ UsersError::Random(_)) => Err(NotLoaded::NotNow(error.to_string())),
            Err(error) => Err(NotLoaded::Unusable(error.to_string())),
        }
    }

    /// Replaces the users whenever `watched` changes, until dropped.
    pub(super) async fn follow(self: Arc<Self>, (file, content): Watched, audit: Audit) {
        let named = file.clone();
        file.follow(content, move |content| self.reload(&named, content, &audit))
            .await;
    }
}

/// The users as a start finds them, before anybody logs in.
pub struct KnownUsers {
    pub(super) store: UserStore,
    pub(super) watched: Option<Watched>,
    /// `auth.password_session`
    pub(super) session: Option<Duration>,
    /// `auth.anonymous.enabled`
    pub(super) anonymous: bool,
    /// `auth.revocations`
    pub(super) revocations: usize,
}

impl KnownUsers {
    /// Reads and checks the users of the configuration and of the users file. `demo`: adds those of `--demo`, unless
    /// others have their names. Blocks on the file; starts nothing.
    ///
    /// # Errors
    /// The file, or one of its users.
    pub fn open(config: &Config, login: &LoginConfig, demo: bool) -> Result<Self, UsersError> {
        let (store, watched) = UserStore::open(config, login, demo)?;
        Ok(Self {
            store,
            watched,
            session: config.password_session.map(|life| life.0),
            anonymous: config.anonymous.enabled,
            revocations: config.revocations,
        })
    }

    /// The user with this name, as after a login.
    pub fn get(&self, name: &str) -> Option<Principal> {
        let users = self.store.current();
        users.get(name).map(|user| user.principal.clone())
    }

    /// What is allowed but suspicious.
    pub fn check(&self, config: &Config, findings: &mut Findings) {
        let users = self.store.current();
        if users.is_empty() && config.users_file.is_some() {
            findings.warn("auth.users_file", "nobody can log in: it names no user");
        }
        if !users.is_uniform() {
            findings.warn("auth.users_file", UNEQUAL_COSTS);
        }
    }
}

/// The result of a reload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    users: usize,
    withdrawn: usize,
}

fn numbered<'a>(
    place: &'a str,
    entries: &'a [UserEntry],
) -> impl Iterator<Item = (&'a str, usize, &'a UserEntry)> {
    entries
        .iter()
        .enumerate()
        .map(move |(index, entry)| (place, index + 1, entry))
}

/// The PHC string of `test`, made only for `--demo`: cheap (8 MiB, one pass) and known to everyone.
const DEMO_HASH: &str =
    "$argon2id$v=19$m=8192,t=1,p=1$YDwH3p16Cwg12jLWx+V/ug$+8HTzWZuxJRPsNFdpAZT7J0iYjdNoAYohZkvHDX3Eo8";

/// The users of `--demo`: `test1` to `test10`, and `admin` with [`ROLE_ADMIN`], all with the password `test`.
pub fn demo_users() -> Vec<UserEntry> {
    let user = |name: String, roles: Vec<Role>| {
        Some(UserEntry {
            name: UserName::parse(&name).ok()?,
            password: Secret::new(DEMO_HASH),
            roles,
            attributes: Attributes::default(),
        })
    };
    (1..=10)
        .filter_map(|number| user(format!("test{number}"), vec![Role::user()]))
        .chain(user("admin".into(), vec![Role::user(), Role::admin()]))
        .collect()
}

#[cfg(test)]
mod tests;
