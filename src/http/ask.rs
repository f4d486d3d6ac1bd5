//! Asks the other live instances one question, within the time that docs/rest.md promises. Knows no question by name.

use std::time::Duration;

use crate::bus::Bus;
use crate::control::ask::ask_all;
use crate::control::question::Question;
use crate::presence::InstanceView;

/// How long other instances may take to answer (docs/rest.md).
pub(super) const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// The answer of one other instance.
pub(crate) struct Asked<'a, T> {
    /// The instance.
    pub instance: &'a InstanceView,
    /// The answer. `None` if nothing arrived within [`ASK_TIMEOUT`], or nothing readable.
    pub answer: Option<T>,
}

/// Asks all of `others` at the same time.
pub(crate) async fn ask_others<'a, Q: Question>(
    bus: &dyn Bus,
    others: &'a [InstanceView],
    question: &Q::Ask,
) -> Vec<Asked<'a, Q::Answer>>
where
    Q::Ask: Sync,
{
    let asked = others.iter().map(|instance| (instance.id, instance));
    let answers = ask_all::<Q, _>(bus, asked, question, ASK_TIMEOUT).await;
    let answers = answers.into_iter().map(|(instance, answer)| Asked {
        instance,
        answer: answer.ok(),
    });
    answers.collect()
}
