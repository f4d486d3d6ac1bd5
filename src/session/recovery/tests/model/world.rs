//! The state of the model: the truth (stream, messages), instances made of the real types, a session, a client.

use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::few::Few;
pub(super) use super::run::{Counts, Run, run};
use crate::bus::history::{Position, Stored, StreamInfo};
use crate::bus::reader::{Asked, Reader};
use crate::bus::replay::Reading;
use crate::bus::tail::{ENTRY_BYTES, Tail};
use crate::delivery::heads::Head;
use crate::delivery::held::{Holding, Rooms};

/// The most messages, and the most sequences.
pub(super) const MESSAGES: usize = 5;
pub(super) const SEQUENCES: usize = 7;

/// The model's only moment, and one when every waiting time is over.
pub(super) static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
pub(super) fn later() -> Instant {
    *NOW + Duration::from_secs(2)
}

/// A position as servers say it (epoch, sequence), and beside it what nobody knows: in which life of the stream it was true
/// (incarnation × 8 + rollbacks).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Pos {
    pub e: u8,
    pub s: u8,
    pub life: u8,
}

impl Pos {
    pub(super) fn position(self) -> Position {
        at(self.e, self.s)
    }
}

pub(super) fn at(e: u8, s: u8) -> Position {
    Position {
        epoch: e.into(),
        sequence: s.into(),
    }
}

/// A message as it was stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Record {
    /// Whether it goes to A, which the client subscribes to; else to B.
    pub to_a: bool,
    pub life: u8,
    pub s: u8,
    pub is_rolled_back: bool,
}

impl Record {
    /// Whether the message lies behind this position, in truth.
    pub(super) fn is_behind(&self, life: u8, s: u8) -> bool {
        let (own, other) = (self.life / 8, life / 8);
        own > other || (own == other && (self.life > life || self.s > s))
    }
}

/// The stream: what is stored at each sequence (0: nothing).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Stream {
    pub incarnation: u8,
    pub generation: u8,
    pub rollbacks: u8,
    pub first: u8,
    /// Where a follower begins that expires earlier.
    pub first_follower: u8,
    pub last: u8,
    pub log: [u8; SEQUENCES + 1],
}

impl Stream {
    pub(super) fn epoch(&self) -> u8 {
        self.incarnation * 4 + self.generation + 1
    }

    pub(super) fn life(&self) -> u8 {
        self.incarnation * 8 + self.rollbacks
    }

    pub(super) fn next_from(&self, s: u8) -> Option<u8> {
        (s.max(self.first).max(1)..=self.last).find(|s| self.log[*s as usize] != 0)
    }

    pub(super) fn info(&self) -> StreamInfo {
        let has_last = self.last >= self.first && self.last > 0;
        StreamInfo {
            epoch: self.epoch().into(),
            first: self.first.into(),
            last: self.last.into(),
            last_stamp: has_last.then(|| self.log[self.last as usize].into()),
            is_leaders: true,
        }
    }
}

/// A message's size: pieces are counted in messages.
pub(super) const NOTE_BYTES: usize = 1;

/// A message as instances have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Note {
    pub id: u8,
    pub to_a: bool,
}

impl Stored for Note {
    type Key = &'static str;
    type Target = bool;

    fn target(&self) -> &bool {
        &self.to_a
    }

    fn weight(&self) -> usize {
        NOTE_BYTES
    }

    fn is_stale(&self, _: u64) -> bool {
        false
    }

    /// Both share one.
    fn mark(_: &bool) -> u32 {
        7
    }

    fn collapse(&self) -> Option<&&'static str> {
        None
    }
}

/// What stands in the queue between reader and relay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Item {
    pub is_broken: bool,
    pub e: u8,
    pub s: u8,
    pub id: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum Kindly {
    #[default]
    Deliver,
    Subscribe,
    Hold,
    Piece,
    Local,
    Cut,
    BystanderLeaves,
}

/// How a subscription begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum How {
    #[default]
    Fresh,
    Recovered,
    EpochChanged,
    Expired,
    TooMany,
    Unavailable,
}

/// What stands in a shard's mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Command {
    pub what: Kindly,
    pub e: u8,
    pub s: u8,
    pub id: u8,
    pub how: How,
    pub list: Few<u8, MESSAGES>,
    /// Of a piece, how many stand behind it.
    pub behind: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum FrameKind {
    #[default]
    Receipt,
    Message,
    Local,
}

/// What was written to the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Frame {
    pub kind: FrameKind,
    pub pos: Pos,
    pub id: u8,
    pub how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum ConsumerIs {
    #[default]
    None,
    Alive,
    Dead,
}

/// An INFO under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Looking {
    pub asked: Asked,
    /// What was answered, and in which life.
    pub answer: Option<(StreamInfo, u8)>,
}

/// One instance.
#[derive(Clone, Hash)]
pub(super) struct Instance {
    pub reader: Reader,
    /// The life of the stream in which the connection was made that this instance knows of: a rollback ends all connections.
    pub connects: u8,
    pub looking: Option<Looking>,
    /// The consumer at the server: the next sequence, and whether a message of it was lost on its way.
    pub consumer: ConsumerIs,
    pub consumer_at: u8,
    pub has_lost: bool,
    /// The message that the shell keeps.
    pub hand: Option<(u8, u8)>,
    pub tail: Rc<Tail<Note>>,
    /// Where a hole began that was not waited for; only in a mutant.
    pub late_hole: u8,
    pub queue: Few<Item, 8>,
    pub head: Head,
    /// The relay's place in the handing over of one item.
    pub relay: u8,
    pub item: Item,
    pub is_wanted: bool,
    pub mailbox: Few<Command, 11>,
    pub holding: Rc<Holding<u8, bool, Held>>,
    /// Another session's subscription to A, the shard's interest in A, an announcement of the client's own.
    pub bystander: bool,
    pub interest: bool,
    pub coming: bool,
    /// In which life a position was true that this instance knows, where it is not the first one of its epoch.
    pub lives: Few<(u8, u8, u8), 12>,
}

/// What is held back for the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Held {
    pub id: u8,
    pub e: u8,
    pub s: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum Driver {
    #[default]
    Done,
    Looks,
    Announces,
    Waits,
    Sends,
    AwaitsHold,
    Replays,
    Reads,
    SendsPiece,
    AwaitsPiece,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum Subscribed {
    #[default]
    No,
    Held,
    Live,
    Cut,
}

/// The client's connection.
#[derive(Clone, Hash, Default)]
pub(super) struct Session {
    /// The instance; `None` while there is no connection.
    pub on: Option<usize>,
    pub driver: Driver,
    pub how: How,
    pub after: Option<Pos>,
    /// Messages that were published before the connection, in runs that do not promise more.
    pub published: u8,
    /// `begun` as it was read.
    pub begun: Option<Position>,
    pub begins: Position,
    pub reading: Option<Rc<Reading<Note>>>,
    /// The epoch and the connection in which the reading began.
    pub asked_in: (u8, u8),
    /// The tail's first sequence when the replay began.
    pub tail_first: u8,
    /// The stream's bounds before the pages; only in a mutant.
    pub early: Option<StreamInfo>,
    pub list: Few<u8, MESSAGES>,
    pub behind: u8,
    pub subscribed: Subscribed,
    /// A wave of closes will reach it.
    pub is_doomed: bool,
    pub sent: Few<Frame, 10>,
}

/// What the client knows, and what is promised to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Client {
    pub position: Option<Pos>,
    /// Where its present subscription began: life, sequence, and the messages published before.
    pub life: u8,
    pub s: u8,
    pub published: u8,
    pub has: u8,
    pub last: u8,
}

#[derive(Clone)]
pub(super) struct State {
    pub stream: Stream,
    pub records: [Record; MESSAGES + 1],
    pub published: u8,
    pub instances: [Option<Instance>; 2],
    pub session: Session,
    pub client: Client,
    pub used: Counts,
    /// The stream was recreated or rolled back.
    pub is_broken: bool,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.records[..=usize::from(self.published)].hash(state);
        (&self.stream, &self.instances, &self.session).hash(state);
        (&self.client, &self.used, self.is_broken).hash(state);
    }
}

/// `Err` says which promise is broken.
pub(super) type Checked = Result<(), String>;

impl Instance {
    /// Everything that this instance knows of the position `position`.
    pub(super) fn pos(&self, position: Position) -> Pos {
        let (e, s) = (position.epoch as u8, position.sequence as u8);
        let known = self
            .lives
            .iter()
            .find(|(epoch, sequence, _)| (*epoch, *sequence) == (e, s));
        let life = known.map_or(e.saturating_sub(1) / 4 * 8, |(_, _, life)| *life);
        Pos { e, s, life }
    }

    /// Notes in which life a position is true.
    pub(super) fn note_life(&mut self, e: u8, s: u8, life: u8) {
        if !life.is_multiple_of(8) && !self.lives.iter().any(|known| *known == (e, s, life)) {
            self.lives.push((e, s, life));
        }
    }

    pub(super) fn epoch(&self) -> u8 {
        self.reader.epoch() as u8
    }

    pub(super) fn next(&self) -> u8 {
        self.reader.next() as u8
    }
}

impl State {
    pub(super) fn note(&self, id: u8) -> Note {
        Note {
            id,
            to_a: self.records[id as usize].to_a,
        }
    }

    pub(super) fn pos_of(&self, id: u8, e: u8) -> Pos {
        let record = &self.records[id as usize];
        Pos {
            e,
            s: record.s,
            life: record.life,
        }
    }

    /// Whether what instance `x` asks now is asked of the stream that it has read.
    pub(super) fn is_proven(&self, x: usize) -> bool {
        let instance = self.instances[x].as_ref().expect("the instance is up");
        instance.reader.is_proven() && instance.connects == self.stream.life()
    }

    /// The instance `x`, which is up.
    pub(super) fn up(&mut self, x: usize) -> &mut Instance {
        self.instances[x].as_mut().expect("the instance is up")
    }

    pub(super) fn end_session(&mut self) {
        let Some(on) = self.session.on else { return };
        if let Some(instance) = &mut self.instances[on] {
            instance.mailbox.keep(|command| {
                matches!(
                    command.what,
                    Kindly::Deliver | Kindly::Cut | Kindly::BystanderLeaves
                )
            });
            instance.coming = false;
            instance.interest = instance.bystander;
            if instance.holding.holds(CLIENT) {
                Rc::make_mut(&mut instance.holding).forget(CLIENT, &mut Roomy);
            }
        }
        self.session = Session::default();
    }
}

/// There is room for whatever is held back: what bounds it in a walk is its number.
pub(super) struct Roomy;

impl Rooms<u8> for Roomy {
    fn take(&mut self, _: u8, _: usize) -> bool {
        true
    }

    fn free(&mut self, _: u8, _: usize) {}
}

/// The key of the client's subscription.
pub(super) const CLIENT: u8 = 0;

pub(super) fn tail_bytes(run: &Run) -> usize {
    usize::from(run.tail) * (ENTRY_BYTES + NOTE_BYTES)
}
