//! The live reader of one stream: carries out what `bus/reader` decides, and passes the messages to the tail and to the
//! relay's feed. `bus/reader` decides what proves that nothing is missing; this module does the requests, the timing
//! and the back-pressure. Knows no session.
//!
//! * **Nothing is dropped.** JetStream's flow control is answered only when everything before it was passed on and the
//!   feed is less than half full: a slow instance is served more slowly. Messages that are already on their way are
//!   kept: as many as JetStream sends without an answer, at most some 32 MiB.
//! * **Messages of an abandoned consumer are dropped with its subscription**; each consumer has a separate subject.
//! * **There is one request at a time**, so that nothing accumulates while NATS does not answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::api::{Api, ApiFailure};
use super::decode::Decoder;
use super::direct::Direct;
use super::streams::{Plan, Stream, Version};
use crate::bus::feed::{Fed, FeedSender};
use crate::bus::history::{Position, StreamInfo};
use crate::bus::reader::{Broken, Reader};
use crate::bus::tail::Tail;
use crate::envelope::Envelope;

mod consumer;
mod fronts;
mod life;
mod questions;
mod state;
mod step;

use consumer::Consumer;
pub(super) use life::Life;
use questions::{Answered, Questions};
pub(super) use state::State;
use step::InHand;

/// The interval of the reader's ticks.
const TICK: Duration = Duration::from_millis(50);
/// The pause before a stream that does not fit is checked again.
const UNFIT_PAUSE: Duration = Duration::from_secs(1);
/// The maximum number of messages that fill the tail at the start.
const PREFILL_MESSAGES: u64 = 10_000;

/// The tail of one stream, under its lock.
pub(super) type SharedTail = Arc<Mutex<Tail<Arc<Envelope>>>>;

/// What the reader of one stream needs.
pub(super) struct Live {
    pub(super) plan: Arc<Plan>,
    pub(super) api: Api,
    pub(super) direct: Direct,
    pub(super) decoder: Decoder,
    pub(super) tail: SharedTail,
    pub(super) tail_bytes: usize,
    pub(super) feed: FeedSender,
    pub(super) state: Arc<State>,
    /// The subject on which instances tell each other that the epoch of a stream has changed.
    pub(super) epoch_subject: String,
}

/// A running reader.
struct Work {
    live: Live,
    reader: Reader,
    consumer: Option<Consumer>,
    poll: Option<InHand>,
    questions: Questions,
    /// The bytes of room that the next step waits for.
    blocked: Option<usize>,
    is_caught_up: bool,
    /// Whether the message at the front was counted as one after a gap.
    is_hole_counted: bool,
    /// The connection that the consumer uses.
    connects: u64,
    /// What was reported about the stream's life.
    life: Life,
}

/// The relay has ended: there is nobody to read for.
struct Over;

impl Live {
    /// Reads until the bus drains or the relay has ended.
    pub(super) async fn run(self) {
        let closing = self.decoder.link.closing.clone();
        // Boxed: large, once.
        closing.run_until_cancelled(Box::pin(self.follow())).await;
    }

    async fn follow(self) {
        let (stream, connects) = self.fit_stream().await;
        let from = self.begin(&stream);
        let reader = Reader::start(stream.info, from, Instant::now());
        self.tail.lock().begin(reader.position());
        let mut work = Work {
            reader,
            consumer: None,
            poll: None,
            questions: Questions::new(&self),
            blocked: None,
            is_caught_up: false,
            is_hole_counted: false,
            connects,
            life: Life::default(),
            live: self,
        };
        // An error: the relay has ended.
        let _ = work.run().await;
    }

    /// Waits until the stream is as required; creates or changes it if Herald may. Returns the stream, and the
    /// connection on which it was seen.
    async fn fit_stream(&self) -> (Stream, u64) {
        loop {
            self.connected().await;
            let version = self.api.version();
            if version < Version::LEAST {
                self.state.too_old(version);
                tokio::time::sleep(UNFIT_PAUSE).await;
                continue;
            }
            let connects = self.api.connection.connects();
            match self.api.ensure(&self.plan, true).await {
                Ok(stream) => {
                    if self.state.observe(&self.plan, &stream, version) {
                        return (stream, connects);
                    }
                }
                Err(failure) => self.state.cannot_ask(&self.plan, &failure),
            }
            tokio::time::sleep(UNFIT_PAUSE).await;
        }
    }

    /// Tells all instances that the stream's epoch has changed, so that they check it at once.
    async fn tell_epoch(&self, epoch: u64) {
        let payload = serde_json::json!({"kind": self.plan.kind.as_str(), "epoch": epoch});
        let payload = bytes::Bytes::from(payload.to_string());
        let message = async_nats::message::OutboundMessage {
            subject: self.epoch_subject.as_str().into(),
            reply: None,
            // Like every message to other instances.
            headers: self.decoder.link.seal.sign(&self.epoch_subject, None, &payload),
            payload,
        };
        // An instance that misses this message learns it within ten seconds.
        if let Err(error) = self.api.connection.send(message).await {
            tracing::debug!(%error, "the other instances were not told of an epoch");
        }
    }

    async fn connected(&self) {
        let mut health = self.decoder.link.health();
        let connected = health.wait_for(|health| *health == crate::bus::Health::Connected);
        // An error: the bus has ended, and this task with it.
        let _ = connected.await;
    }

    /// Where to begin: far enough back that the tail contains what most resumes need.
    fn begin(&self, stream: &Stream) -> u64 {
        let StreamInfo { first, last, .. } = stream.info;
        let each = (stream.bytes / stream.messages.max(1)).max(1) + crate::envelope::OVERHEAD_BYTES as u64;
        let fits = (self.tail_bytes as u64 / 2) / each;
        let prefill = fits.min(PREFILL_MESSAGES);
        first.max((last + 1).saturating_sub(prefill))
    }
}

impl Work {
    async fn run(&mut self) -> Result<(), Over> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.steps().await?;
            self.announce().await?;
            self.tell_life();
            self.ask();
            let feed = &self.live.feed;
            let room = async {
                match self.blocked {
                    Some(bytes) => feed.has_room(bytes).await,
                    None => std::future::pending().await,
                }
            };
            let state = self.live.state.clone();
            tokio::select! {
                message = consumer::next(&mut self.consumer) => self.arrived(message),
                answered = self.questions.next() => self.answered(answered).await?,
                () = room => self.blocked = None,
                () = state.look.notified() => self.questions.look(),
                () = state.more.notified() => {}
                _ = tick.tick() => self.tick().await?,
            }
        }
    }

    /// Reports once that the tail has everything that the stream had at the start.
    async fn announce(&mut self) -> Result<(), Over> {
        if self.is_caught_up || !self.reader.is_caught_up() {
            return Ok(());
        }
        self.is_caught_up = true;
        self.push(Fed::CaughtUp(self.reader.position()), None).await?;
        self.live.state.caught_up();
        Ok(())
    }

    /// Reports which life of the stream is read, if it has changed.
    fn tell_life(&mut self) {
        let lives = &self.live.state.lives;
        self.reader.contradicted(lives.contradicted());
        let life = Life::of(&self.reader, self.connects);
        if life != self.life {
            self.life = life;
            lives.tell(life);
        }
    }

    /// Starts every request that the reader needs and that is not in progress.
    fn ask(&mut self) {
        if self.live.api.connection.is_live() {
            let now = Instant::now();
            let wants = self.reader.wants(now);
            self.questions.start(&self.live, &self.reader, wants, now);
        }
    }

    /// A message of the consumer, and all that arrived with it.
    fn arrived(&mut self, message: Option<async_nats::Message>) {
        let Some(consumer) = &mut self.consumer else {
            return;
        };
        match message {
            Some(message) => {
                consumer.keep(message);
                while consumer.has_place() {
                    match consumer.next().now_or_never() {
                        Some(Some(message)) => consumer.keep(message),
                        _ => break,
                    }
                }
            }
            // The client has stopped.
            None => self.consumer = None,
        }
    }

    async fn tick(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        let connection = &self.live.api.connection;
        let connects = connection.connects();
        if connects != self.connects || !connection.is_up() {
            self.connects = connects;
            self.reader
                .acked(self.live.state.acked.load(Ordering::Relaxed), now);
            let said = self.reader.reset(crate::bus::reader::Cause::Disconnected);
            self.said(said).await?;
            // Earlier answers say nothing about a server that has been restarted since.
            self.questions.drop_all();
            if let Some(hand) = self.poll.take() {
                let said = self.reader.poll_done(hand.poll(), false, now);
                self.said(said).await?;
            }
            return Ok(());
        }
        let acked = self.live.state.acked.load(Ordering::Relaxed);
        if acked > 0 {
            self.reader.acked(acked, now);
        }
        // While a message is being handled, a heartbeat may follow it.
        if self.consumer.as_ref().is_none_or(Consumer::is_empty) {
            let said = self.reader.tick(now);
            self.said(said).await?;
        }
        Ok(())
    }

    async fn answered(&mut self, answered: Answered) -> Result<(), Over> {
        let now = Instant::now();
        match answered {
            Answered::Info(asked, Ok(stream)) => {
                let version = self.live.api.version();
                self.live.state.observe(&self.live.plan, &stream, version);
                let StreamInfo {
                    first, last, epoch, ..
                } = stream.info;
                if first > last {
                    let mut tail = self.live.tail.lock();
                    if tail.epoch() == epoch {
                        tail.cut(first);
                    }
                }
                let said = self.reader.info(asked, stream.info, now);
                self.said(said).await
            }
            Answered::Info(_, Err(failure)) => {
                self.failed(&failure);
                Ok(())
            }
            Answered::Created(create, Ok(consumer)) => {
                self.reader.created(create, now);
                self.consumer = self.reader.is_following().then_some(consumer);
                Ok(())
            }
            Answered::Created(_, Err(failure)) => {
                self.failed(&failure);
                self.reader.create_failed(now);
                Ok(())
            }
            Answered::Polled(poll, Ok(page)) => {
                self.live.state.polled.fetch_add(1, Ordering::Relaxed);
                if self.reader.poll_answered(poll) {
                    self.poll = Some(InHand::new(poll, page));
                }
                Ok(())
            }
            Answered::Polled(poll, Err(failure)) => {
                self.failed(&failure);
                let said = self.reader.poll_done(poll, false, now);
                self.said(said).await
            }
            Answered::Raised(asked, Ok(stream)) => {
                tracing::warn!(
                    stream = &*self.live.plan.name,
                    epoch = stream.info.epoch,
                    "the stream was rolled back: its epoch is another, and nobody resumes across it"
                );
                let version = self.live.api.version();
                self.live.state.observe(&self.live.plan, &stream, version);
                self.live.tell_epoch(stream.info.epoch).await;
                let said = self.reader.info(asked, stream.info, now);
                self.said(said).await
            }
            Answered::Raised(_, Err(failure)) => {
                self.failed(&failure);
                Ok(())
            }
        }
    }

    fn failed(&self, failure: &ApiFailure) {
        // Without a connection everything fails, and the connection itself reports it.
        if self.live.api.connection.is_live() {
            self.live.state.cannot_ask(&self.live.plan, failure);
        }
    }

    async fn said(&mut self, said: crate::bus::reader::Said) -> Result<(), Over> {
        use crate::bus::reader::Said;
        match said {
            Said::Nothing => {}
            Said::Reset(cause) => self.live.state.reset(cause),
            Said::Broken(broken) => self.broken(broken).await?,
        }
        if !self.reader.is_following() {
            self.consumer = None;
        }
        Ok(())
    }

    async fn broken(&mut self, broken: Broken) -> Result<(), Over> {
        let Broken { base, lost } = broken;
        tracing::error!(
            stream = &*self.live.plan.name,
            lost,
            position = %base,
            "this instance has missed notifications for good, or the stream is another: its subscriptions are cut"
        );
        self.live.state.broken.fetch_add(1, Ordering::Relaxed);
        if lost.is_none() {
            // Earlier acknowledgements belong to another life.
            self.live.state.forget_acked(base.epoch);
            self.live.state.head.store(base.sequence, Ordering::Relaxed);
            self.poll = None;
        }
        self.live.tail.lock().begin(base);
        // Before there is room in the feed: from now on nobody is told the previous epoch.
        self.tell_life();
        if self.is_caught_up {
            self.push(Fed::Broken(broken), None).await?;
        }
        Ok(())
    }

    async fn push(&mut self, fed: Fed, room: Option<crate::bus::feed::Room>) -> Result<(), Over> {
        self.live.feed.push(fed, room).await.map_err(|_| Over)
    }

    fn position(&self, sequence: u64) -> Position {
        Position {
            epoch: self.reader.position().epoch,
            sequence,
        }
    }
}
