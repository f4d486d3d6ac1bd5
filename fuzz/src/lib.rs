//! What the fuzz targets share: cutting a stream into chunks, and counting memory. Does not know what is fuzzed.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// `input` in chunks, as a socket may return it: the low and the high half of `sizes`, each plus one, in turn.
pub fn cut(mut input: &[u8], sizes: u8) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    for half in [sizes & 15, sizes >> 4].iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (chunk, rest) = input.split_at(input.len().min(usize::from(*half) + 1));
        chunks.push(chunk);
        input = rest;
    }
    chunks
}

/// The memory that a section of code holds and held, counted from its beginning. Only one at a time.
pub struct Memory {
    before: usize,
}

impl Memory {
    /// Counts from here.
    pub fn begin() -> Self {
        ALLOCATOR.reset_peak_usage();
        Self {
            before: ALLOCATOR.current_usage(),
        }
    }

    /// Bytes held now that were not held at the beginning.
    pub fn held(&self) -> usize {
        ALLOCATOR.current_usage().saturating_sub(self.before)
    }

    /// The most bytes held at once since the beginning.
    pub fn peak(&self) -> usize {
        ALLOCATOR.peak_usage().saturating_sub(self.before)
    }
}

/// Checks that words are fit for a log line, an ERROR's header and a Close frame: one line of bounded length.
pub fn assert_words(words: &str) {
    assert!(!words.chars().any(char::is_control), "{words:?}");
    assert!(words.len() <= 1_024, "{words:?}");
}
