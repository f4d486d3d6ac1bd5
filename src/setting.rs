//! The ground floor: values as people write them in a configuration file, and the limits that several modules
//! enforce. Knows no other module of Herald.

mod duration;
mod limits;
mod rate;
mod secret;
mod size;
mod text;

pub use duration::HumanDuration;
pub use limits::{Limits, SESSIONS_PER_USER_MAX, SessionsPerUserPolicy};
pub use rate::Rate;
pub use secret::Secret;
pub use size::ByteSize;
