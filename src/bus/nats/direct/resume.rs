//! Reads what a subscription missed and the tail does not have: carries out the requests of `bus/replay`, bounded in
//! time. Knows no session; `bus/replay` decides what proves that nothing is missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Direct, PAGE_MESSAGES};
use crate::bus::history::{Outcome, Position, Unrecovered};
use crate::bus::nats::api::ApiFailure;
use crate::bus::nats::decode::{Decoder, Raw};
use crate::bus::nats::streams::{Plan, Stream};
use crate::bus::reader::Mark;
use crate::bus::replay::{Ask, Listed, Page, Reading};
use crate::envelope::Envelope;

/// The time for one replay, including the wait for a turn.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a request is repeated that failed, or that a lagging replica answered.
const AGAIN: Duration = Duration::from_millis(50);

impl Direct {
    /// Reads until the replay has its result. `told` receives each answer about the stream itself.
    pub(in crate::bus::nats) async fn resume(
        &self,
        plan: &Plan,
        epoch: u64,
        reading: Box<Reading<Arc<Envelope>>>,
        decoder: &Decoder,
        told: impl Fn(&Stream),
    ) -> Outcome<Arc<Envelope>> {
        let whole = async {
            let Some(_turn) = self.turn().await else {
                return Err(Unrecovered::Unavailable);
            };
            self.read_to_the_end(plan, epoch, reading, decoder, told).await
        };
        let ended = tokio::time::timeout(REPLAY_TIMEOUT, whole).await;
        ended.unwrap_or(Err(Unrecovered::Unavailable))
    }

    async fn read_to_the_end(
        &self,
        plan: &Plan,
        epoch: u64,
        mut reading: Box<Reading<Arc<Envelope>>>,
        decoder: &Decoder,
        told: impl Fn(&Stream),
    ) -> Outcome<Arc<Envelope>> {
        let mut is_repeated = false;
        let began_listed = reading.is_listed();
        loop {
            let answered = match reading.ask() {
                Ask::Listed { sequences } => {
                    let sequences = sequences.to_vec();
                    match self.at(plan, &sequences).await {
                        Err(ApiFailure::Unavailable) => Err(ApiFailure::Unavailable),
                        // None of it counts.
                        Err(_) => {
                            reading.step_aside();
                            Ok(None)
                        }
                        Ok(found) => {
                            let is_missing = found.len() < sequences.len();
                            let decode = |found| decoded(decoder, epoch, found);
                            Ok(reading.listed(Listed {
                                messages: found.into_iter().map(decode).collect(),
                                is_missing,
                            }))
                        }
                    }
                }
                Ask::Back { target, witness } => {
                    if is_repeated {
                        tokio::time::sleep(AGAIN).await;
                    }
                    is_repeated = true;
                    let (target, witness) =
                        (decoder.subjects.target(target), decoder.subjects.target(witness));
                    self.back(plan, &target, &witness).await.map(|(target, witness)| {
                        reading.back(target, witness);
                        None
                    })
                }
                Ask::Page { target, from } => {
                    let subject = decoder.subjects.target(target);
                    self.page(plan, from, &subject, PAGE_MESSAGES).await.map(|page| {
                        let decode = |found| decoded(decoder, epoch, found);
                        reading.page(Page {
                            messages: page.messages.into_iter().map(decode).collect(),
                            is_last: page.is_last,
                        })
                    })
                }
                Ask::Info => self.api.stream(plan).await.map(|stream| {
                    told(&stream);
                    reading.info(stream.info)
                }),
            };
            match answered {
                Ok(Some(outcome)) => {
                    let count = match (began_listed, reading.is_listed()) {
                        (_, true) => &self.counts.listed,
                        (true, false) => &self.counts.aside,
                        (false, false) => &self.counts.searched,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    return outcome;
                }
                Ok(None) => {}
                // The connection is gone, and perhaps the server with it: a resuming client asks again.
                Err(ApiFailure::Unavailable) => return Err(Unrecovered::Unavailable),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// The last sequences of both subjects, as one replica has them.
    async fn back(
        &self,
        plan: &Plan,
        target: &str,
        witness: &str,
    ) -> Result<(Option<u64>, Option<u64>), ApiFailure> {
        let both = [target, witness];
        let subjects = if target == witness { &both[..1] } else { &both[..] };
        let page = self.last_of(plan, subjects).await?;
        let last = |subject: &str| {
            let found = page.messages.iter().filter(|(_, raw)| *raw.subject == *subject);
            found.map(|(mark, _)| mark.sequence).max()
        };
        Ok((last(target), last(witness)))
    }
}

/// A message by its sequence, for a reading.
fn decoded(decoder: &Decoder, epoch: u64, (mark, raw): (Mark, Raw)) -> (u64, Option<Arc<Envelope>>) {
    let sequence = mark.sequence;
    (sequence, decoder.decode_again(raw, Position { epoch, sequence }))
}
