//! `herald subscribe`: prints what arrives at destinations, reconnects after a loss, resumes where it was, and renews
//! its session before its token expires.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::reconnect::{Backoff, may_come_back};
use super::renewal::{self, Renewal, Step};
use super::resume::{Places, position};
use super::session::{End, Session, expires_in};
use super::{ClientError, Login, Server, ServerArgs, paint, show};
use crate::stomp::client::{ReceivedFrame, ServerCommand};

/// The receipt of a renewal. Those of the subscriptions are numbers.
const RENEWED: &str = "renewed";

/// STOMP's ack modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AckMode {
    /// Acknowledges nothing.
    #[default]
    Auto,
    /// Acknowledges each MESSAGE after printing it, with all before it.
    Client,
    /// Acknowledges each MESSAGE after printing it.
    ClientIndividual,
}

impl AckMode {
    /// The value used in a SUBSCRIBE.
    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }
}

/// The arguments of `herald subscribe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald subscribe /topic/news /user/queue/orders
  herald subscribe /topic/news --count 1 --json --ack client
  herald subscribe /topic/news --from 1764344293261000-17")]
pub struct SubscribeArgs {
    /// The destinations to subscribe to: /queue/…, /topic/…, or /user/… for the user's own.
    #[arg(required = true)]
    pub destinations: Vec<String>,
    /// Starts after this position: the message-id of a MESSAGE, or what an earlier run printed. Repeat it for several
    /// destinations, in their order.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub from: Vec<String>,
    /// The acknowledgement mode.
    #[arg(long, value_enum, default_value_t)]
    pub ack: AckMode,
    /// Ends after this number of messages.
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Prints each message as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Keeps trying if the first attempt does not reach Herald.
    #[arg(long)]
    pub wait: bool,
    /// Ends when the connection is lost, instead of reconnecting.
    #[arg(long, conflicts_with = "wait")]
    pub once: bool,
    /// The STOMP endpoint (http.ws_path).
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    pub ws_path: String,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Why following ended.
enum Stop {
    /// Interrupted, or enough was printed.
    Done,
    /// The session's end, and how long it was subscribed.
    End(End, Option<Duration>),
    /// Printing failed.
    Output(ClientError),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error.into())
    }
}

/// Subscribes and prints until it is interrupted, has printed enough, or reconnecting cannot help.
///
/// # Errors
/// Herald's refusal, a loss without permission to reconnect, or an output that fails.
pub async fn run(args: SubscribeArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let login = server.require_login()?.clone();
    let places = Places::new(args.destinations.len(), &args.from)?;
    let mut following = Following {
        args: &args,
        server: &server,
        login,
        left: args.count,
        places,
    };
    let mut backoff = Backoff::default();
    let mut had_one = false;
    let interrupted = interrupted()?;
    tokio::pin!(interrupted);
    loop {
        let stop = Box::pin(following.follow(interrupted.as_mut())).await;
        let (end, lasted) = match stop {
            Stop::Done => return Ok(()),
            Stop::Output(error) => return Err(error),
            Stop::End(end, lasted) => (end, lasted),
        };
        had_one |= lasted.is_some();
        let may = may_come_back(&end) || (end.is_expired() && following.has_a_new_credential());
        if !may || args.once || !(had_one || args.wait) {
            return Err(end.into());
        }
        following.read_the_token_again();
        let pause = backoff.after(&end, lasted.unwrap_or_default(), fastrand::f64());
        paint::notice(
            paint::WARN,
            &format!("{end}; again in {:.1} s", pause.as_secs_f64()),
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupted.as_mut() => return Ok(()),
        }
    }
}

struct Following<'a> {
    args: &'a SubscribeArgs,
    server: &'a Server,
    /// What was presented last.
    login: Login,
    /// How many messages are left to print. `None` means no end.
    left: Option<u64>,
    /// How far each destination has been read.
    places: Places,
}

impl Following<'_> {
    /// One session from its beginning to its end.
    async fn follow(&mut self, mut interrupted: std::pin::Pin<&mut impl Future<Output = ()>>) -> Stop {
        let opening = Session::open(self.server, &self.args.ws_path, &self.login);
        let opened = tokio::select! {
            opened = Box::pin(opening) => opened,
            () = interrupted.as_mut() => return Stop::Done,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(end) => return Stop::End(end, None),
        };
        let began = Instant::now();
        let mut is_subscribed = false;
        let stop = tokio::select! {
            stop = Box::pin(self.take(&mut session, &mut is_subscribed)) => stop,
            () = interrupted => Stop::Done,
        };
        match stop {
            Stop::Done => {
                session.close().await;
                Stop::Done
            }
            Stop::End(end, _) => Stop::End(end, is_subscribed.then(|| began.elapsed())),
            output => output,
        }
    }

    async fn take(&mut self, session: &mut Session, is_subscribed: &mut bool) -> Stop {
        let taken = async {
            let destinations = &self.args.destinations;
            for (id, destination) in destinations.iter().enumerate() {
                let id = id.to_string();
                let after = self.places.after(&id);
                session
                    .subscribe(&id, destination, self.args.ack.as_str(), after)
                    .await
                    .map_err(end)?;
            }
            let mut receipts = 0;
            let mut renewal = Renewal::of(session.lives, Instant::now());
            let mut presented = None;
            while self.left != Some(0) {
                let frame = tokio::select! {
                    frame = session.next() => frame.map_err(end)?,
                    () = due(renewal.next()) => {
                        if let Some(login) = self.renew(session, &mut renewal).await? {
                            presented = Some(login);
                        }
                        continue;
                    }
                };
                match frame.command {
                    ServerCommand::Receipt if frame.headers.get("receipt-id") == Some(RENEWED) => {
                        renewal = renewed(&frame);
                        self.login = presented.take().unwrap_or_else(|| self.login.clone());
                    }
                    ServerCommand::Receipt => {
                        receipts += 1;
                        self.resumed(&frame)?;
                        if receipts == destinations.len() {
                            *is_subscribed = true;
                            self.greet(session);
                        }
                    }
                    ServerCommand::Message => self.message(session, &frame).await?,
                    ServerCommand::Connected | ServerCommand::Error => {}
                }
            }
            Ok(())
        };
        match taken.await {
            Ok(()) => Stop::Done,
            Err(stop) => stop,
        }
    }

    fn greet(&self, session: &Session) {
        let (user, instance) = (&session.user, &session.instance);
        let destinations = self.args.destinations.join(", ");
        let text = format!("{user} at {instance}: subscribed to {destinations}");
        paint::notice(paint::GOOD, &text);
        for (place, destination) in self.args.destinations.iter().enumerate() {
            if let Some(position) = self.places.position(place) {
                paint::notice(paint::DIM, &format!("{destination}: from {position} on"));
            }
        }
    }

    /// Presents the credential again, if there is a new one. Returns what was presented.
    async fn renew(&self, session: &mut Session, renewal: &mut Renewal) -> Result<Option<Login>, Stop> {
        match renewal.step(&self.login, Instant::now()) {
            Step::Present(login) => {
                session.renew(&login, RENEWED).await.map_err(end)?;
                return Ok(Some(login));
            }
            Step::Wait => {}
            Step::Unreadable(words) => paint::notice(paint::WARN, &words),
        }
        Ok(None)
    }

    /// Whether a new session could be let in where the last one's credential has ended.
    fn has_a_new_credential(&self) -> bool {
        renewal::after_the_end(&self.login).is_some()
    }

    /// For the next session.
    fn read_the_token_again(&mut self) {
        if let Some(login) = renewal::after_the_end(&self.login) {
            self.login = login;
        }
    }

    /// Prints where a subscription stands, and how it was resumed if it came with a position.
    fn resumed(&mut self, receipt: &ReceivedFrame) -> Result<(), Stop> {
        let answered = self.places.answered(receipt);
        let (place, resumed) = match answered {
            Some((place, Some(resumed))) => (place, resumed),
            Some((place, None)) => return self.stands(place),
            None => return Ok(()),
        };
        let destination = self.args.destinations.get(place).map_or("", String::as_str);
        if self.args.json {
            paint::json_line(&resumed.as_json(destination, self.places.position(place)))?;
        }
        let style = match resumed.is_recovered() {
            true => paint::GOOD,
            false => paint::WARN,
        };
        paint::notice(style, &format!("{destination}: {resumed}"));
        Ok(())
    }

    /// Prints from where on a subscription gets everything: a run that begins there with --from misses nothing, even if
    /// nothing ever arrives.
    fn stands(&self, place: usize) -> Result<(), Stop> {
        let destination = self.args.destinations.get(place).map_or("", String::as_str);
        if let Some(position) = self.places.position(place).filter(|_| self.args.json) {
            paint::json_line(&serde_json::json!({"destination": destination, "position": position}))?;
        }
        Ok(())
    }

    /// Prints first and acknowledges then: a user who interrupts in between has seen the message.
    async fn message(&mut self, session: &mut Session, frame: &ReceivedFrame) -> Result<(), Stop> {
        if self.args.json {
            paint::json_line(&show::Shown::of(frame))?;
        } else {
            let mut out = anstream::stdout().lock();
            show::write(&mut out, frame)?;
            out.flush()?;
        }
        self.places.has_come(frame);
        if let Some(ack) = frame.headers.get("ack") {
            session.acknowledge(ack).await.map_err(end)?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }
}

/// The session lives on.
fn renewed(receipt: &ReceivedFrame) -> Renewal {
    let lives = expires_in(receipt);
    let words = match lives {
        Some(lives) => format!("renewed for {} s", lives.as_secs()),
        None => "renewed".to_owned(),
    };
    paint::notice(paint::DIM, &words);
    Renewal::of(lives, Instant::now())
}

/// Waits for this moment, if there is one.
async fn due(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

fn end(end: End) -> Stop {
    Stop::End(end, None)
}

/// Ends with SIGINT or SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, ClientError> {
    use tokio::signal::unix::{SignalKind, signal};
    let wrong = |error| ClientError::Failure(format!("signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
