//! Distinct users by the thousand: a users file, removed with the run, whose passwords cost as little to check as the
//! run needs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;
use crate::session::PASSCODE;

/// Memory of a password hash that costs next to nothing, in KiB.
pub const CHEAP_KIB: u32 = 8;

/// The users file.
pub struct People {
    /// Its path.
    pub file: PathBuf,
    params: Params,
}

/// Checks that are timed together.
const CHECKS: u32 = 100;
/// How often they are timed.
const TURNS: usize = 5;

impl Drop for People {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The name of the `number`th user. All have one length.
pub fn name(number: usize) -> String {
    format!("u{number:05}")
}

/// The hash of the demo users' password by argon2id with one pass over `memory_kib`.
pub fn hash(memory_kib: u32) -> Outcome<String> {
    let params = Params::new(memory_kib, 1, 1, None).map_err(|error| error.to_string())?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(PASSCODE.as_bytes());
    Ok(hash.map_err(|error| error.to_string())?.to_string())
}

impl People {
    /// Writes a file of `count` users, all with the password of the demo users, hashed by argon2id with one pass over
    /// `memory_kib`.
    pub fn write(count: usize, memory_kib: u32) -> Outcome<Self> {
        let params = Params::new(memory_kib, 1, 1, None).map_err(|error| error.to_string())?;
        let hash = hash(memory_kib)?;
        let mut text = String::new();
        for number in 0..count {
            let name = name(number);
            writeln!(
                text,
                "[[users]]\nname = \"{name}\"\npassword = \"{hash}\"\nroles = [\"ROLE_USER\"]"
            )?;
        }
        let file = std::env::temp_dir().join(format!("herald-bench-{}-users.toml", std::process::id()));
        std::fs::write(&file, text)?;
        Ok(Self { file, params })
    }

    /// The CPU time of one check of a password, on a thread that does nothing else: the least of several turns, so
    /// that neighbours do not count.
    pub fn check_time(&self) -> Outcome<Duration> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let mut memory = vec![argon2::Block::new(); self.params.block_count()];
        let mut output = [0; 32];
        let mut least = Duration::MAX;
        for _ in 0..TURNS {
            let before = clock_gettime(ClockId::ThreadCPUTime);
            for _ in 0..CHECKS {
                argon2
                    .hash_password_into_with_memory(
                        PASSCODE.as_bytes(),
                        b"sixteen bytes of",
                        &mut output,
                        &mut memory,
                    )
                    .map_err(|error| error.to_string())?;
            }
            let took = clock_gettime(ClockId::ThreadCPUTime) - before;
            least = least.min(Duration::try_from(took)? / CHECKS);
        }
        Ok(least)
    }
}
