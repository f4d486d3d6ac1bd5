//! Reads what is stored at given positions, to compare a repeat with it. Knows no publisher.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::NatsHistory;
use crate::bus::history::{Kind, Position};
use crate::bus::nats::direct::PAGE_MESSAGES;
use crate::envelope::Envelope;

/// The time for everything that is read together.
const TIMEOUT: Duration = Duration::from_secs(5);

impl NatsHistory {
    /// The notifications of `kind` at these positions, if they still exist, can be decoded and can be read now: in a
    /// bounded time, and in few reads if the positions are close together.
    pub(in crate::bus::nats) async fn stored_at(
        &self,
        kind: Kind,
        positions: impl IntoIterator<Item = Position>,
    ) -> HashMap<Position, Arc<Envelope>> {
        let mut found = HashMap::new();
        let positions = positions.into_iter();
        let mut wanted: BTreeMap<u64, Position> =
            positions.map(|position| (position.sequence, position)).collect();
        let read = async {
            let kept = self.kept(kind)?;
            let _turn = self.direct.turn().await?;
            while let Some(first) = wanted.keys().next().copied() {
                let end = first.saturating_add(PAGE_MESSAGES as u64);
                let last = wanted.range(..end).next_back().map_or(first, |(last, _)| *last);
                let most = usize::try_from(last - first).ok()?.saturating_add(1);
                let page = self.direct.page(&kept.plan, first, ">", most).await.ok()?;
                // Positions that no longer exist are skipped; a page may end early because of its bytes.
                let read_to = page.messages.last().map_or(last, |(mark, _)| mark.sequence);
                for (mark, raw) in page.messages {
                    if let Some(position) = wanted.get(&mark.sequence)
                        && let Some(envelope) = self.decoder.decode_again(raw, *position)
                    {
                        found.insert(*position, envelope);
                    }
                }
                wanted.retain(|sequence, _| *sequence > read_to);
            }
            Some(())
        };
        // One that cannot be read is missing from the result.
        let _ = tokio::time::timeout(TIMEOUT, read).await;
        found
    }
}
