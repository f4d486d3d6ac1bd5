//! `[demo]`: what `--demo` may do beyond its purpose. Knows no user and no port.

use serde::{Deserialize, Serialize};

/// `[demo]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    /// Whether `--demo` may listen on another address than a loopback one. Everybody knows the passwords of its users,
    /// `admin` among them, and anyone who reaches the port may publish.
    pub exposed: bool,
}
