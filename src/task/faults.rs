//! Faults for tests: a task that panics or returns as soon as it is started, and work that panics on a mark in its
//! input. Not in the built program.

use super::caught_now;

/// What a task does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Panics.
    Panic,
    /// Returns.
    Return,
}

/// What makes [`trip`] panic: a body, a kind of control message, a header's value.
pub(crate) const POISON: &str = "test.poison";

tokio::task_local! {
    static STRIKES: (&'static str, Fault);
}

/// Runs `work`; whichever [`Task`](super::Task) named `name` it starts meets `fault`.
pub(crate) async fn strike<T>(name: &'static str, fault: Fault, work: impl Future<Output = T>) -> T {
    STRIKES.scope((name, fault), work).await
}

/// `work`, unless a fault was meant for `name`.
pub(super) fn struck(name: &'static str, work: impl Future<Output = ()>) -> impl Future<Output = ()> {
    // Looked up where the task is started: the task itself has locals of its own.
    let fault = meant_for(name);
    async move {
        match fault {
            None => work.await,
            Some(Fault::Return) => {}
            Some(Fault::Panic) => panic!("a fault in `{name}`, on purpose"),
        }
    }
}

/// The fault that work with this name is to meet, where it runs in the scope of [`strike`].
pub(crate) fn meant_for(name: &str) -> Option<Fault> {
    let strike = STRIKES.try_with(|strike| *strike).ok();
    strike
        .filter(|(struck, _)| *struck == name)
        .map(|(_, fault)| fault)
}

/// Panics if `text` is [`POISON`].
pub(crate) fn trip(text: impl AsRef<[u8]>) {
    assert!(text.as_ref() != POISON.as_bytes(), "poison, on purpose");
}

#[test]
fn only_poison_trips() {
    assert!(caught_now(|| trip("test")).is_ok());
    assert!(caught_now(|| trip(POISON)).is_err());
}
