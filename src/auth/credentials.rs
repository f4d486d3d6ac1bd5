//! A user's name and password out of the forms that clients write them in. Knows no user and no hash.

use crate::config::secret::Secret;

/// A name and a password, both as presented: unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name as presented; perhaps no legal user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}
