//! An operator's view of the users before an instance starts: how many there are, and what a login will cost. Computes
//! one hash, on the caller's thread.

use std::time::{Duration, Instant};

use super::phc::Memory;
use super::users::{KnownUsers, UsersError};
use super::{Config, LoginConfig};

/// The findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    /// How many users the configuration and the file define.
    pub users: usize,
    /// The parameters of the costliest hash, such as `m=19456,t=2,p=1`. Without users, those of `herald
    /// hash-password`.
    pub parameters: String,
    /// How long that hash takes here. `None` if this machine cannot compute it.
    pub took: Option<Duration>,
    /// Whether all hashes cost the same. If not, the time of a refusal tells users from strangers.
    pub is_uniform: bool,
}

/// Reads and checks the users of `config`, as a start would.
///
/// # Errors
/// Why a start would fail. Names the file and the user, never a hash.
pub(crate) fn survey(config: &Config, login: &LoginConfig) -> Result<Survey, UsersError> {
    let users = KnownUsers::open(config, login, false)?.store.current();
    let began = Instant::now();
    let computed = users.decoy.matches("", &mut Memory::default());
    Ok(Survey {
        users: users.len(),
        parameters: users.decoy.parameters(),
        took: computed.is_ok().then(|| began.elapsed()),
        is_uniform: users.costs().len() < 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{UserEntry, phc};
    use crate::setting::Secret;

    fn user(name: &str, hash: String) -> UserEntry {
        UserEntry {
            name: name.parse().unwrap(),
            password: Secret::new(hash),
            roles: vec!["ROLE_USER".parse().unwrap()],
            attributes: Default::default(),
        }
    }

    #[test]
    fn the_costliest_hash_counts() {
        let config = Config {
            users: vec![
                user("ann", phc::cheap_with("a", 8, 1)),
                user("bob", phc::cheap_with("b", 16, 2)),
            ],
            ..Config::default()
        };
        let found = survey(&config, &LoginConfig::default()).unwrap();
        assert_eq!((found.users, found.is_uniform), (2, false));
        assert_eq!(found.parameters, "m=16,t=2,p=1");
        assert!(found.took.is_some());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let config = Config {
            users_file: Some("/nowhere/users.toml".into()),
            ..Config::default()
        };
        let error = survey(&config, &LoginConfig::default()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/users.toml"), "{error}");
    }
}
