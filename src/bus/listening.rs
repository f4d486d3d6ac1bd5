//! What a bus knows about listeners without an answer from any of them. Knows no bus.

/// Who listens where instances are to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nobody.
    Nobody,
    /// Somebody who does not listen to everything: an instance, which may be paused.
    Instance,
    /// Somebody who listens to everything, such as a monitor of NATS. Whether an instance is there too, its answer alone can tell.
    Listener,
}
