//! An audit for tests, and what it wrote.

use super::*;

/// Its lines; ask after the drop of the guard, or with [`Kept::lines`], which waits for as many as there must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// The lines so far, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }

    /// All lines, once there are `count`.
    pub(crate) fn lines(&self, count: usize) -> Vec<serde_json::Value> {
        let begun = std::time::Instant::now();
        while self.text().matches('\n').count() < count {
            assert!(begun.elapsed().as_secs() < 10, "{}", self.text());
            std::thread::yield_now();
        }
        let read = |line| serde_json::from_str(line).expect("JSON");
        self.text().lines().map(read).collect()
    }
}

impl Audit {
    /// Writes to what it gives.
    pub(crate) fn kept() -> (Self, AuditGuard, Kept) {
        Self::kept_by(&Config::default())
    }

    /// The same, as `config` says.
    pub(crate) fn kept_by(config: &Config) -> (Self, AuditGuard, Kept) {
        let kept = Kept::default();
        let (lines, guard) = lines::queue(kept.clone(), "audit", 64, |_| {});
        let (audit, guard) = Self::with(Inner::new(config, lines, "test".into()), guard);
        (audit, guard, kept)
    }
}
