//! The values of labels that are defined in one place. Knows no metric.

/// The values of [`super::Metrics::renewals`]' label `result`.
pub const RENEWAL_RESULTS: [&str; 5] = ["ok", "expired", "refused", "overloaded", "another_user"];

/// The values of [`super::Metrics::permission_refusals`]' label `action`.
pub const REFUSED_ACTIONS: [&str; 3] = ["subscribe", "send", "publish"];

/// The values of [`super::Metrics::callouts`].
#[rustfmt::skip]
pub const CALLOUT_RESULTS: [&str; 9] =
    ["ok", "refused", "expired", "remembered", "timeout", "nobody", "unavailable", "unusable", "overloaded"];
