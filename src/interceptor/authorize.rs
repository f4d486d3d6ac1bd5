//! The link that decides who may SUBSCRIBE and SEND where, by rules of the configuration. Knows no frame and no socket.

use serde::{Deserialize, Serialize};

/// `[permissions]`: who may SUBSCRIBE and SEND where.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}
