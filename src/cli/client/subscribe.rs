//! `herald subscribe`: prints what arrives at destinations, reconnects after a loss, and has what it missed sent to it.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::reconnect::{Backoff, may_come_back};
use super::resume::{Places, position};
use super::session::{End, Session};
use super::{ClientError, Login, Server, ServerArgs, paint, show};
use crate::stomp::client::{ReceivedFrame, ServerCommand};

/// STOMP's ack modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AckMode {
    /// Nothing is acknowledged.
    #[default]
    Auto,
    /// Each MESSAGE once it is printed, with all before it.
    Client,
    /// Each MESSAGE once it is printed.
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

/// What `herald subscribe` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald subscribe /topic/news /user/queue/orders
  herald subscribe /topic/news --count 1 --json --ack client
  herald subscribe /topic/news --from 1764344293261000-17")]
pub struct SubscribeArgs {
    /// What to subscribe to: /queue/…, /topic/…, or /user/… for one's own.
    #[arg(required = true)]
    pub destinations: Vec<String>,
    /// Begins behind this position: the message-id of a MESSAGE, or what an earlier run said. Given several times, they are
    /// those of the destinations, in their order.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub from: Vec<String>,
    /// Whether each MESSAGE is acknowledged once it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub ack: AckMode,
    /// Ends after so many messages.
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Prints each message as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Keeps trying where the first attempt does not reach Herald.
    #[arg(long)]
    pub wait: bool,
    /// Ends at the first loss instead of coming back.
    #[arg(long, conflicts_with = "wait")]
    pub once: bool,
    /// The STOMP endpoint (http.ws_path).
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    pub ws_path: String,
    /// Where Herald is.
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
    let login = server.require_login()?;
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
        let comes_back = may_come_back(&end) && !args.once && (had_one || args.wait);
        if !comes_back {
            return Err(end.into());
        }
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
    login: &'a Login,
    /// How many messages are left to print. `None` means no end.
    left: Option<u64>,
    /// How far each destination has been read.
    places: Places,
}

impl Following<'_> {
    /// One session from its beginning to its end.
    async fn follow(&mut self, mut interrupted: std::pin::Pin<&mut impl Future<Output = ()>>) -> Stop {
        let opening = Session::open(self.server, &self.args.ws_path, self.login);
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
            while self.left != Some(0) {
                let frame = session.next().await.map_err(end)?;
                match frame.command {
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
    }

    /// Says how a subscription that came with a position was resumed.
    fn resumed(&mut self, receipt: &ReceivedFrame) -> Result<(), Stop> {
        let Some((place, resumed)) = self.places.answered(receipt) else {
            return Ok(());
        };
        let destination = self.args.destinations.get(place).map_or("", String::as_str);
        if self.args.json {
            paint::json_line(&resumed.as_json(destination))?;
        }
        let style = match resumed.is_recovered() {
            true => paint::GOOD,
            false => paint::WARN,
        };
        paint::notice(style, &format!("{destination}: {resumed}"));
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
