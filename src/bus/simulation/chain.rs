//! What a client may expect since its subscription began, judged by what was really stored.

use super::Time;
use super::stream::{Note, Place, Stream};

/// Which promise is broken.
pub(super) type Checked = Result<(), String>;

/// What is promised since a beginning, while the answers say `recovered:true`.
pub(super) struct Chain {
    /// How far it has come, in truth.
    pub place: Place,
    /// Left out of a replay since a newer one has its key, which has to come.
    pub replaced: Vec<Note>,
}

impl Chain {
    /// Goes on with `note`, which has to be the next one.
    pub(super) fn follow(&mut self, note: Note, stream: &Stream, time: Time) -> Checked {
        let from = self.place;
        let Some(passed) = stream.between(note.target, from, note.place) else {
            return Err(format!(
                "TWICE, ORDER or another history: {:?} behind {from:?} without a word",
                note.place
            ));
        };
        for missing in passed {
            let is_stale = missing.stale_at.is_some_and(|stale_at| stale_at <= time.ms);
            if missing.key.is_some() {
                self.replaced.retain(|replaced| replaced.key != missing.key);
            }
            match missing.key {
                _ if is_stale => {}
                Some(_) => self.replaced.push(missing),
                None => {
                    return Err(format!(
                        "HOLE: {:?} came, and {:?} never",
                        note.place, missing.place
                    ));
                }
            }
        }
        if note.key.is_some() {
            self.replaced.retain(|replaced| replaced.key != note.key);
        }
        self.place = note.place;
        Ok(())
    }
}
