//! `herald bench`: a light load through the public interfaces: sessions that subscribe, a publisher that keeps a
//! rate, and the latency of each delivery. One process is both ends, so that one clock is enough.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use http::Method;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinSet;

use super::rest::{Rest, segments};
use super::session::{End, Session};
use super::{ClientError, Login, Server, ServerArgs, paint};
use crate::stomp::client::ServerCommand;

/// Concurrent logins: each password costs Herald time.
const OPENING: usize = 8;
/// How long to wait for deliveries after the last publish.
const LATE: Duration = Duration::from_secs(5);
/// The longest latency that is distinguished, in µs.
const LATENCY_MAX_US: u64 = 60_000_000;

/// The arguments of `herald bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald bench --login test1 --sessions 20 --rate 10 --seconds 5
  herald bench --destination /topic/bench --body-bytes 200 --json")]
pub struct BenchArgs {
    /// The number of sessions that subscribe, all of one user.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub sessions: u64,
    /// Notifications per second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rate: u64,
    /// How long to publish.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// The broadcast destination to which all sessions subscribe.
    #[arg(long, default_value = "/topic/bench")]
    pub destination: String,
    /// The size of each body.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(64..=1_000_000))]
    pub body_bytes: u64,
    /// Prints the result as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The STOMP endpoint (http.ws_path).
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    pub ws_path: String,
    /// The address of Herald.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Where all sessions record their measurements.
struct Heard {
    began: Instant,
    /// Begins each body, so that other notifications are not counted.
    run: String,
    latencies: Mutex<Histogram<u64>>,
    deliveries: AtomicU64,
}

/// The result.
#[derive(Debug, Serialize)]
struct Outcome {
    sessions: u64,
    published: u64,
    seconds: f64,
    deliveries: u64,
    lost: u64,
    latency_ms: Percentiles,
    answer_ms: Percentiles,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// Opens the sessions, publishes, and prints the measurements.
///
/// # Errors
/// Herald is not there or refuses, a session ended, or a delivery was lost.
pub async fn run(args: BenchArgs) -> Result<(), ClientError> {
    let server = Arc::new(Server::new(&args.server)?);
    let login = server.require_login()?.clone();
    let heard = Arc::new(Heard {
        began: Instant::now(),
        run: format!("{:016x}", fastrand::u64(..)),
        latencies: Mutex::new(histogram()?),
        deliveries: AtomicU64::new(0),
    });
    let sessions = Box::pin(open_all(&args, &server, &login)).await?;
    let mut reading = JoinSet::new();
    for session in sessions {
        reading.spawn(read(session, Arc::clone(&heard)));
    }
    let publishing = Box::pin(publish(&args, &server, &heard));
    let (published, took, answers) = tokio::select! {
        published = publishing => published?,
        end = reading.join_next() => return Err(ended(end)),
    };
    let expected = published * args.sessions;
    let deadline = Instant::now() + LATE;
    while heard.deliveries.load(Ordering::Relaxed) < expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.abort_all();
    let deliveries = heard.deliveries.load(Ordering::Relaxed);
    let outcome = Outcome {
        sessions: args.sessions,
        published,
        seconds: took.as_secs_f64(),
        deliveries,
        lost: expected.saturating_sub(deliveries),
        latency_ms: percentiles(&heard.latencies.lock()),
        answer_ms: percentiles(&answers),
    };
    if args.json {
        paint::json_line(&outcome)?;
    } else {
        show(&outcome)?;
    }
    match outcome.lost {
        0 => Ok(()),
        lost => Err(ClientError::Failure(format!(
            "{lost} of {expected} deliveries did not come"
        ))),
    }
}

async fn open_all(
    args: &BenchArgs,
    server: &Arc<Server>,
    login: &Login,
) -> Result<Vec<Session>, ClientError> {
    let bar = paint::bar("logging in", args.sessions);
    let open = |number: u64| {
        let bar = &bar;
        async move {
            let session = open_one(args, server, login).await;
            bar.inc(1);
            session.map_err(|end| {
                let sessions = args.sessions;
                ClientError::from(end).reworded(|words| format!("session {number} of {sessions}: {words}"))
            })
        }
    };
    let mut opening = futures_util::stream::iter(1..=args.sessions)
        .map(|number| Box::pin(open(number)))
        .buffer_unordered(OPENING);
    let mut sessions = Vec::new();
    while let Some(session) = opening.next().await {
        sessions.push(session?);
    }
    bar.finish_and_clear();
    Ok(sessions)
}

async fn open_one(args: &BenchArgs, server: &Server, login: &Login) -> Result<Session, End> {
    let mut session = Session::open(server, &args.ws_path, login).await?;
    session.subscribe("0", &args.destination, "auto", None).await?;
    while session.next().await?.command != ServerCommand::Receipt {}
    Ok(session)
}

/// Records the latency of each MESSAGE. Ends only with the session.
async fn read(mut session: Session, heard: Arc<Heard>) -> End {
    loop {
        let frame = match session.next().await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        let now_us = heard.began.elapsed().as_micros() as u64;
        let sent_us = std::str::from_utf8(&frame.body)
            .ok()
            .and_then(|body| body.strip_prefix(heard.run.as_str()))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|text| text.parse::<u64>().ok());
        if let Some(sent_us) = sent_us {
            heard
                .latencies
                .lock()
                .saturating_record(now_us.saturating_sub(sent_us));
            heard.deliveries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Publishes at the rate, one after the other. Returns how many were published, in what time, and how long the
/// answers took.
async fn publish(
    args: &BenchArgs,
    server: &Server,
    heard: &Heard,
) -> Result<(u64, Duration, Histogram<u64>), ClientError> {
    let path = format!("/api/v1/broadcast/{}", segments(&args.destination)?);
    let mut rest = Rest::new(server);
    let mut answers = histogram()?;
    let total = args.rate * args.seconds;
    let bar = paint::bar("publishing", total);
    let mut every = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate as f64));
    // If it is late, it does not catch up with a burst, which would measure itself.
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let began = Instant::now();
    for _ in 0..total {
        every.tick().await;
        let sent = Instant::now();
        let sent_us = heard.began.elapsed().as_micros();
        let width = args.body_bytes as usize;
        let body = Bytes::from(format!("{:width$}", format!("{} {sent_us} ", heard.run)));
        let answer = rest.request(Method::POST, &path, &[], body, Duration::ZERO);
        let answer = Box::pin(answer).await?;
        answer.require_success()?;
        answers.saturating_record(sent.elapsed().as_micros() as u64);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((total, began.elapsed(), answers))
}

fn histogram() -> Result<Histogram<u64>, ClientError> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3);
    histogram.map_err(|error| ClientError::Failure(format!("no histogram: {error}")))
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let ms = |us: u64| us as f64 / 1_000.0;
    Percentiles {
        p50: ms(histogram.value_at_quantile(0.5)),
        p90: ms(histogram.value_at_quantile(0.9)),
        p99: ms(histogram.value_at_quantile(0.99)),
        p999: ms(histogram.value_at_quantile(0.999)),
        max: ms(histogram.max()),
    }
}

fn ended(end: Option<Result<End, tokio::task::JoinError>>) -> ClientError {
    let error = match end {
        Some(Ok(end)) => ClientError::from(end),
        Some(Err(error)) => ClientError::Failure(error.to_string()),
        None => ClientError::Failure("there is none".to_owned()),
    };
    error.reworded(|words| format!("a session ended: {words}"))
}

fn show(outcome: &Outcome) -> std::io::Result<()> {
    let rate = outcome.published as f64 / outcome.seconds.max(0.001);
    writeln!(
        anstream::stdout().lock(),
        "{} sessions, {} notifications in {:.1} s ({rate:.1} a second), {} deliveries, {} lost\n",
        outcome.sessions,
        outcome.published,
        outcome.seconds,
        outcome.deliveries,
        outcome.lost
    )?;
    let row = |name: &str, found: &Percentiles| {
        let values = [found.p50, found.p90, found.p99, found.p999, found.max];
        let mut row = vec![name.to_owned()];
        row.extend(values.iter().map(|ms| format!("{ms:.2}")));
        row
    };
    let rows = [
        row("delivery", &outcome.latency_ms),
        row("answer", &outcome.answer_ms),
    ];
    paint::table(&["MILLISECONDS", "P50", "P90", "P99", "P99.9", "MAX"], &rows)
}
