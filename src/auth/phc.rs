//! Stored passwords: argon2id hashes as PHC strings, checked and bounded before anything is computed from them. Knows
//! no user, task or queue. Every computation here runs on the caller's thread.

use std::fmt;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::password_hash::{Error as HashError, try_generate_salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};

use crate::setting::ByteSize;

/// The maximum length of a PHC string that is examined.
const TEXT_MAX_BYTES: usize = 512;
/// The maximum number of passes over the memory (`t`).
const PASSES_MAX: u32 = 16;
/// The maximum number of lanes (`p`).
const LANES_MAX: u32 = 16;
/// The minimum length of a hash. argon2id's default is 32 bytes.
const OUTPUT_MIN_BYTES: usize = 16;

/// The working memory of a computation, kept for reuse: mebibytes allocated and freed with every login would fragment
/// the heap, and a flood of wrong passwords would let the process grow to a multiple of what it needs.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

impl Memory {
    fn at_least(&mut self, count: usize) -> Result<&mut [Block], HashError> {
        if let Some(more) = count.checked_sub(self.0.len()) {
            // The machine may be out of memory: return an error, where a plain `resize` would abort the process.
            self.0
                .try_reserve_exact(more)
                .map_err(|_| HashError::OutOfMemory)?;
            self.0.resize(self.0.len() + more, Block::new());
        }
        self.0.get_mut(..count).ok_or(HashError::OutOfMemory)
    }
}

/// A checked PHC string. `Debug` shows nothing of it.
pub(crate) struct StoredHash {
    text: String,
    hash: PasswordHash,
    params: Params,
}

/// What is wrong with a PHC string. Never repeats any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashProblem {
    /// Not a PHC string, a different algorithm or version, or incomplete.
    NotArgon2id,
    /// Needs more memory than `login.hash_memory`. Holds both.
    Memory {
        /// The memory it needs, in KiB.
        wanted: u64,
        /// `login.hash_memory`.
        allowed: ByteSize,
    },
    /// More passes or lanes than Herald computes.
    TooCostly,
}

impl fmt::Display for HashProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotArgon2id => f.write_str(
                "expected an argon2id PHC string ($argon2id$v=19$m=…,t=…,p=…$salt$hash), as `herald hash-password` prints",
            ),
            Self::Memory { wanted, allowed } => {
                let wanted = ByteSize(usize::try_from(*wanted).unwrap_or(usize::MAX));
                write!(f, "its parameter m takes {wanted} a login, login.hash_memory allows {allowed}")
            }
            Self::TooCostly => write!(f, "expected at most t={PASSES_MAX} and p={LANES_MAX}"),
        }
    }
}

impl StoredHash {
    /// Checks `text` and its parameters without computing anything.
    pub(crate) fn parse(text: &str, memory_max: ByteSize) -> Result<Self, HashProblem> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(HashProblem::NotArgon2id);
        }
        let hash = PasswordHash::new(text).map_err(|_| HashProblem::NotArgon2id)?;
        let params = Params::try_from(&hash).map_err(|_| HashProblem::NotArgon2id)?;
        let complete = hash.algorithm == argon2::ARGON2ID_IDENT
            && hash.version == Some(Version::V0x13.into())
            && hash.salt.is_some()
            && hash
                .hash
                .as_ref()
                .is_some_and(|output| output.len() >= OUTPUT_MIN_BYTES);
        if !complete {
            return Err(HashProblem::NotArgon2id);
        }
        let wanted = u64::from(params.m_cost()) << 10;
        if wanted > memory_max.0 as u64 {
            return Err(HashProblem::Memory {
                wanted,
                allowed: memory_max,
            });
        }
        if params.t_cost() > PASSES_MAX || params.p_cost() > LANES_MAX {
            return Err(HashProblem::TooCostly);
        }
        Ok(Self {
            text: text.to_owned(),
            hash,
            params,
        })
    }

    /// A hash that matches no known password, computed for unknown users: as costly as `like`, or as Herald's own
    /// hashes. Salt and hash are random bytes, so creating it costs nothing.
    pub(crate) fn decoy(like: Option<&Self>) -> Result<Self, HashError> {
        let params = like.map_or(Params::DEFAULT, |like| like.params.clone());
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut output = Vec::with_capacity(length + 16);
        while output.len() < length {
            output.extend(random()?);
        }
        output.truncate(length);
        let hash = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: (&params).try_into()?,
            salt: Some(Salt::new(&random()?)?),
            hash: Some(Output::new(&output)?),
        };
        Ok(Self {
            text: hash.to_string(),
            hash,
            params,
        })
    }

    /// Whether `password` is the one that was hashed. Takes tens of milliseconds and `m` KiB of `memory`, which grows
    /// as needed; `phc` compares the outputs in constant time. An error is a fault of this machine, not a wrong
    /// password.
    pub(crate) fn matches(&self, password: &str, memory: &mut Memory) -> Result<bool, HashError> {
        // `parse` has checked that both are present.
        let (Some(salt), Some(expected)) = (&self.hash.salt, &self.hash.hash) else {
            return Err(HashError::EncodingInvalid);
        };
        let blocks = memory.at_least(self.params.block_count())?;
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..expected.len()).ok_or(HashError::OutputSize)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
            .hash_password_into_with_memory(password.as_bytes(), salt, output, blocks)?;
        Ok(Output::new(output)? == *expected)
    }

    /// The PHC string.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Memory in KiB, passes and lanes, as in the PHC string.
    pub(crate) fn parameters(&self) -> String {
        let params = &self.params;
        format!(
            "m={},t={},p={}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        )
    }

    /// The cost of a computation, for comparison with others: memory × passes.
    pub(crate) fn cost(&self) -> u64 {
        u64::from(self.params.m_cost()) * u64::from(self.params.t_cost())
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(***)")
    }
}

/// The PHC string of `password`, with a new salt and Herald's parameters (argon2id, m=19456, t=2, p=1, as OWASP
/// recommends).
pub(crate) fn hash(password: &str) -> Result<String, HashError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    Ok(argon2.hash_password(password.as_bytes())?.to_string())
}

/// 16 bytes from the operating system's generator.
pub(super) fn random() -> Result<[u8; 16], HashError> {
    try_generate_salt().map_err(|_| HashError::RngFailure)
}

/// Cheap hashes keep tests fast.
#[cfg(test)]
pub(crate) fn cheap(password: &str) -> String {
    cheap_with(password, 8, 1)
}

#[cfg(test)]
pub(super) fn cheap_with(password: &str, m: u32, t: u32) -> String {
    let params = Params::new(m, t, 1, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .unwrap()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), HashProblem>) {
        let found = StoredHash::parse(text, ByteSize::mib(64)).map(|_| ());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn only_bounded_argon2id_is_taken() {
        use HashProblem as P;
        let good = cheap("x");
        check(&good, Ok(()));
        check(&hash("x").unwrap(), Ok(()));
        let swap = |from: &str, to: &str| {
            assert!(good.contains(from));
            good.replace(from, to)
        };
        check("", Err(P::NotArgon2id));
        check("secret", Err(P::NotArgon2id));
        check(&swap("argon2id", "argon2i"), Err(P::NotArgon2id));
        check(&swap("argon2id", "argon2d"), Err(P::NotArgon2id));
        check(&swap("argon2id", "scrypt"), Err(P::NotArgon2id));
        check(&swap("v=19", "v=16"), Err(P::NotArgon2id));
        check(&swap("$v=19", ""), Err(P::NotArgon2id));
        check(good.rsplit_once('$').unwrap().0, Err(P::NotArgon2id));
        check(&swap("t=1", "t=0"), Err(P::NotArgon2id));
        check(&swap("m=8", "m=7"), Err(P::NotArgon2id));
        check(&swap("t=1", "t=17"), Err(P::TooCostly));
        check(&swap("p=1", "p=17").replace("m=8", "m=800"), Err(P::TooCostly));
        check(&swap("m=8", "m=65536"), Ok(()));
        let too_much = |wanted| P::Memory {
            wanted,
            allowed: ByteSize::mib(64),
        };
        check(&swap("m=8", "m=65537"), Err(too_much(65_537 << 10)));
        check(&swap("m=8", "m=4294967295"), Err(too_much(4_294_967_295 << 10)));
        check(&swap("m=8", "m=4294967296"), Err(P::NotArgon2id));
        check(&format!("{good}{}", "A".repeat(1 << 20)), Err(P::NotArgon2id));
    }

    #[test]
    fn no_error_repeats_the_hash() {
        let text = cheap("x").replace("m=8", "m=4000000");
        let error = StoredHash::parse(&text, ByteSize::mib(64))
            .unwrap_err()
            .to_string();
        assert!(error.contains("login.hash_memory allows 64MiB"), "{error}");
        let stored = StoredHash::parse(&cheap("x"), ByteSize::mib(64)).unwrap();
        for part in text.split('$').skip(4) {
            assert!(!error.contains(part), "{error}");
        }
        assert!(!format!("{stored:?}").contains("argon2id"));
    }

    #[test]
    fn memory_used_before_changes_no_outcome() {
        let memory = &mut Memory::default();
        for (m, t) in [(64, 2), (8, 1), (128, 3), (64, 1)] {
            let stored = StoredHash::parse(&cheap_with("x", m, t), ByteSize::mib(64)).unwrap();
            assert_eq!(stored.matches("x", memory), Ok(true), "{m} {t}");
            assert_eq!(stored.matches("y", memory), Ok(false), "{m} {t}");
        }
    }

    #[test]
    fn a_decoy_costs_what_it_stands_for_and_matches_nothing() {
        let like = StoredHash::parse(&cheap_with("x", 64, 3), ByteSize::mib(64)).unwrap();
        let decoy = StoredHash::decoy(Some(&like)).unwrap();
        assert_eq!(decoy.cost(), like.cost());
        assert_eq!(decoy.params, like.params);
        let memory = &mut Memory::default();
        assert_eq!(decoy.matches("x", memory), Ok(false));
        assert_eq!(like.matches("x", memory), Ok(true));
        assert_eq!(like.matches("y", memory), Ok(false));
        check(decoy.text(), Ok(()));
    }
}
