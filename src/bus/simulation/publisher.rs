//! Publishers at instances: each gets the current life of the stream from its instance, publishes, and is told a
//! position if that is still the life when the answer arrives. The position must be right.

use std::collections::HashMap;

use super::chain::Checked;
use super::instance::Instance;
use super::stream::{Note, Stream};
use crate::bus::history::Position;

/// Believes whatever stream answers.
const MUTANT: &str = "acknowledged-without-proof";

/// A publish under way.
struct Sent {
    instance: usize,
    life: (u64, u64),
    /// The connection over which it was stored, and where.
    stored: Option<(u64, u64, usize)>,
}

/// All publishers, and what anybody was told of positions.
pub(super) struct Publishers {
    /// Their own, so that the other draws stay what they are.
    random: fastrand::Rng,
    sent: Vec<Sent>,
    known: HashMap<Position, usize>,
    /// How many were told a position.
    pub told: u32,
}

impl Publishers {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed ^ 0x5eed),
            sent: Vec::new(),
            known: HashMap::new(),
            told: 0,
        }
    }

    /// Somebody is told that `id` is at `position`.
    pub(super) fn tell(&mut self, position: Position, id: usize) -> Checked {
        match *self.known.entry(position).or_insert(id) {
            known if known == id => Ok(()),
            known => Err(format!("LIE: {known} and {id} are both said to be at {position}")),
        }
    }

    /// Publishers do something.
    pub(super) fn step(
        &mut self,
        instances: &[Option<Instance>],
        stream: &mut Stream,
        note: impl Fn(&mut fastrand::Rng, usize, super::stream::Place) -> Note,
    ) -> Checked {
        let random = &mut self.random;
        let number = random.usize(..instances.len());
        if random.u8(..8) == 0
            && let Some(life) = instances[number]
                .as_ref()
                .and_then(|instance| instance.life(MUTANT))
        {
            self.sent.push(Sent {
                instance: number,
                life,
                stored: None,
            });
        }
        let mut told = Vec::new();
        self.sent.retain_mut(|sent| {
            let Some(instance) = instances[sent.instance].as_ref().filter(|at| !at.is_cut_off) else {
                return false;
            };
            if random.u8(..3) > 0 {
                return true;
            }
            match sent.stored {
                // What waits in the client goes over the next connection.
                None => {
                    let mut id = 0;
                    let sequence = stream.publish(|own, place| {
                        id = own;
                        note(random, own, place)
                    });
                    sent.stored = Some((instance.connects, sequence, id));
                    true
                }
                Some((connects, sequence, id)) => {
                    if connects == instance.connects && instance.is_still(sent.life, MUTANT) {
                        told.push((sent.life.0, sequence, id));
                    }
                    false
                }
            }
        });
        for (epoch, sequence, id) in told {
            self.told += 1;
            if stream.is_rolled_back && epoch == stream.epoch() {
                return Err(format!(
                    "LIE: a publisher is told {epoch}-{sequence}, and that epoch is over"
                ));
            }
            self.tell(Position { epoch, sequence }, id)?;
        }
        Ok(())
    }
}
