//! `herald hash-password`.

/// Reads a password and prints its hash.
pub fn run() -> std::io::Result<()> {
    Err(std::io::Error::other("not there yet"))
}
