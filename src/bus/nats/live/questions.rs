//! The requests of a live reader that are in progress, at most one of each kind. Knows what is requested, but not why.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::Live;
use super::consumer::Consumer;
use crate::bus::nats::api::{Api, ApiFailure};
use crate::bus::nats::direct::{Direct, PAGE_MESSAGES, Page};
use crate::bus::nats::streams::{Plan, Stream};
use crate::bus::reader::{Asked, Create, Poll, Reader, Wants};
use std::sync::Arc;

/// The pause between two equal requests if the first answer was not sufficient.
const AGAIN: Duration = Duration::from_millis(50);
/// The pause between two attempts to increment the generation.
const RAISE_PAUSE: Duration = Duration::from_secs(1);

/// What was answered.
pub(super) enum Answered {
    Info(Asked, Result<Stream, ApiFailure>),
    Created(Create, Result<Consumer, ApiFailure>),
    Polled(Poll, Result<Page, ApiFailure>),
    Raised(Asked, Result<Stream, ApiFailure>),
}

/// The requests in progress.
pub(super) struct Questions {
    api: Api,
    direct: Direct,
    plan: Arc<Plan>,
    info: Option<BoxFuture<'static, Answered>>,
    create: Option<BoxFuture<'static, Answered>>,
    poll: Option<BoxFuture<'static, Answered>>,
    raise: Option<BoxFuture<'static, Answered>>,
    /// There is reason to believe that the stream is a different one.
    look: bool,
    info_ended: Option<Instant>,
    raise_ended: Option<Instant>,
}

impl Questions {
    pub(super) fn new(live: &Live) -> Self {
        Self {
            api: live.api.clone(),
            direct: live.direct.clone(),
            plan: live.plan.clone(),
            info: None,
            create: None,
            poll: None,
            raise: None,
            look: false,
            info_ended: None,
            raise_ended: None,
        }
    }

    /// Asks about the stream in any case.
    pub(super) fn look(&mut self) {
        self.look = true;
    }

    /// Forgets all requests in progress: their connection is gone.
    pub(super) fn drop_all(&mut self) {
        (self.info, self.create, self.poll, self.raise) = (None, None, None, None);
    }

    /// Starts the requests that are needed and not in progress.
    pub(super) fn start(&mut self, live: &Live, reader: &Reader, wants: Wants, now: Instant) {
        let has_rested =
            |ended: Option<Instant>, pause| ended.is_none_or(|ended| now.duration_since(ended) >= pause);
        let (api, plan) = (&self.api, &self.plan);
        if (wants.info || self.look) && self.info.is_none() && has_rested(self.info_ended, AGAIN) {
            self.look = false;
            let (api, plan, asked) = (api.clone(), plan.clone(), reader.ask());
            // A stream in memory may be gone, and is then created anew.
            self.info = Some(Box::pin(async move {
                Answered::Info(asked, api.ensure(&plan, false).await)
            }));
        }
        if let Some(create) = wants.create.filter(|_| self.create.is_none()) {
            let (api, plan) = (api.clone(), plan.clone());
            self.create = Some(Box::pin(async move {
                Answered::Created(create, Consumer::create(&api, &plan, create.from).await)
            }));
        }
        if let Some(poll) = wants.poll.filter(|_| self.poll.is_none()) {
            let (direct, plan) = (self.direct.clone(), plan.clone());
            self.poll = Some(Box::pin(async move {
                Answered::Polled(poll, direct.page(&plan, poll.from, ">", PAGE_MESSAGES).await)
            }));
        }
        if wants.raise_generation && self.raise.is_none() && has_rested(self.raise_ended, RAISE_PAUSE) {
            let (api, plan, asked) = (api.clone(), plan.clone(), reader.ask());
            let epoch = reader.position().epoch;
            tracing::warn!(stream = &*live.plan.name, "the stream was rolled back");
            self.raise = Some(Box::pin(async move {
                Answered::Raised(asked, api.raise_generation(&plan, epoch).await)
            }));
        }
    }

    /// The next answer.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, every request stays in progress.
    pub(super) async fn next(&mut self) -> Answered {
        let answered = tokio::select! {
            answered = wait(&mut self.info) => answered,
            answered = wait(&mut self.create) => answered,
            answered = wait(&mut self.poll) => answered,
            answered = wait(&mut self.raise) => answered,
        };
        match &answered {
            Answered::Info(..) => (self.info, self.info_ended) = (None, Some(Instant::now())),
            Answered::Created(..) => self.create = None,
            Answered::Polled(..) => self.poll = None,
            Answered::Raised(..) => (self.raise, self.raise_ended) = (None, Some(Instant::now())),
        }
        answered
    }
}

async fn wait(question: &mut Option<BoxFuture<'static, Answered>>) -> Answered {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}
