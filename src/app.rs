//! Config → App (bound listeners) → run → drain. The only file that knows everything.

use std::fmt;

/// Why an instance could not start, or ended before it was asked to.
#[derive(Debug)]
pub enum Error {
    /// Not there yet.
    NotThere,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is nothing to run yet")
    }
}

impl std::error::Error for Error {}

/// Runs an instance until it is asked to end. `demo`: with the users of `--demo`.
pub async fn run(_config: crate::config::Config, _demo: bool) -> Result<(), Error> {
    Err(Error::NotThere)
}
