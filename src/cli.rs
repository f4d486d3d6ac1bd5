//! The subcommands.

pub mod hash_password;
