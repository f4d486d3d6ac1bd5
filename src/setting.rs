//! The ground floor: values as people write them in a configuration, the limits that several modules enforce, and what a
//! section finds wrong with itself. Knows no other module of Herald.

mod address;
mod byte_rate;
mod demo;
mod duration;
mod findings;
mod limits;
mod public;
mod rate;
mod secret;
mod shown_address;
mod size;
mod text;
mod time_zone;

pub use address::{address, optional_address};
pub use byte_rate::ByteRate;
pub use demo::Demo;
pub use duration::HumanDuration;
pub use findings::{Finding, Findings};
pub use limits::{Limits, SESSIONS_PER_USER_MAX, SessionsPerUserPolicy};
pub use public::NoSecret;
pub use rate::Rate;
pub use secret::Secret;
pub use shown_address::{serialize_shown, shown_address};
pub use size::ByteSize;
pub(crate) use text::as_text;
pub use time_zone::TimeZone;
