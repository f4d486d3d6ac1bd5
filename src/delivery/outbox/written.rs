//! The result of one write. Knows no socket.

/// How many bytes a socket has taken, and how many bytes of its own it has not got rid of: a socket that encrypts holds
/// records until the kernel has them. One word, so that a shard compares once whether all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written(u64);

impl Written {
    /// So many bytes are taken, and nothing is left in the socket. No call takes more than the kernel's 2 GiB.
    #[inline]
    pub fn taken(bytes: usize) -> Self {
        Self(bytes as u64)
    }

    /// The same, with so many bytes left in the socket.
    pub fn with_unsent(self, bytes: usize) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self((self.0 & u64::from(u32::MAX)) | u64::from(bytes) << 32)
    }

    /// Whether these are all of `bytes` and nothing is left in the socket.
    #[inline]
    pub(crate) fn is_all_of(self, bytes: usize) -> bool {
        self.0 == bytes as u64
    }

    /// The bytes taken.
    pub fn bytes(self) -> usize {
        self.0 as u32 as usize
    }

    /// The bytes left in the socket.
    pub fn unsent_bytes(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl From<usize> for Written {
    fn from(taken: usize) -> Self {
        Self::taken(taken)
    }
}
