//! A run from start to verdict, bounded in each of its steps.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Outcome;
use crate::fault::{Draw, Fault};
use crate::options::Options;
use crate::plant::Plant;
use crate::publisher::Publisher;
use crate::recorded::{EndOfHistory, Position, Recorded, Subscription};
use crate::session::{self, user_name};
use crate::verdict::{self, Verdict};
use crate::world::{BROADCAST, World};

/// Who publishes to users, each one after the other.
const PUBLISHERS: u32 = 16;
/// Until all sessions are live, and until all have everything.
const SETTLE: Duration = Duration::from_secs(90);
/// A double may come behind the last message.
const LINGER: Duration = Duration::from_millis(500);
/// How long an instance may take until it knows that a stream is another one: it looks every ten seconds.
const UNTIL_NOTICED_MS: u32 = 11_000;
/// What start and end may take beyond the time of the faults.
const AROUND: Duration = Duration::from_secs(600);

/// What came of it.
pub struct Report {
    /// Draws the same again.
    pub seed: u64,
    /// What was right and wrong.
    pub verdict: Verdict,
    /// How many faults of each sort.
    pub faults: BTreeMap<&'static str, u64>,
    /// How connections ended.
    pub closes: BTreeMap<String, u64>,
    /// How long faults went on.
    pub took: Duration,
}

/// A folder that is removed unless something went wrong.
pub struct Folder {
    /// Its path.
    pub path: PathBuf,
}

impl Folder {
    /// A new one.
    pub fn new(seed: u64) -> Outcome<Self> {
        let name = format!("herald-check-{}-{seed}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// Removes it.
    pub fn remove(self) {
        let _ = std::fs::remove_dir_all(self.path);
    }
}

/// Runs, at most as long as is said here.
pub async fn run(options: Options, rolling: bool, seed: u64, folder: &Folder) -> Outcome<Report> {
    let longest = Duration::from_secs(options.seconds) + AROUND;
    let run = Box::pin(steps(options, rolling, seed, folder));
    timeout(longest, run)
        .await
        .map_err(|_| format!("not done after {longest:?}"))?
}

async fn steps(options: Options, rolling: bool, seed: u64, folder: &Folder) -> Outcome<Report> {
    let users: Vec<String> = (0..options.users()).map(user_name).collect();
    let mut plant = Plant::start(&options, &users, &folder.path).await?;
    let allowed = options.allowed(rolling);
    let world = Arc::new(World::new(options, seed, plant.doors(), &users));

    let sessions = u32::try_from(world.options.sessions)?;
    let sessions: Vec<_> = (0..sessions)
        .map(|number| tokio::spawn(session::run(world.clone(), number)))
        .collect();
    everybody(&world, "live", || world.live.load(Ordering::Relaxed)).await?;
    let publishers = publishers(&world);

    let began = Instant::now();
    let faults = match rolling {
        true => roll(&world, &mut plant).await?,
        false => fail(&world, &mut plant).await?,
    };
    let took = began.elapsed();

    world.publishing.store(false, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await?;
    }
    let ends = last_ones(&world).await?;
    world.ends.send_replace(Some(Arc::new(ends)));
    // Whoever does not get there has lost something, which the verdict says.
    let finished = everybody(&world, "there", || world.finished.load(Ordering::Relaxed)).await;
    sleep(LINGER).await;
    world.over.send_replace(true);
    let mut subscriptions: Vec<Subscription> = Vec::new();
    for session in sessions {
        subscriptions.extend(session.await?);
    }
    drop(plant);
    if let Err(error) = finished {
        eprintln!("herald-check: {error}");
    }
    judged(&world, subscriptions, faults, allowed, took)
}

fn judged(
    world: &World,
    subscriptions: Vec<Subscription>,
    faults: Vec<Done>,
    allowed: verdict::Allowed,
    took: Duration,
) -> Outcome<Report> {
    let (attempts, complaints, closes) = world.take();
    let recorded = Recorded {
        targets: world.targets.clone(),
        attempts,
        subscriptions,
        faults: faults
            .iter()
            .map(|(at_ms, _, fault)| (*at_ms, fault.to_string()))
            .collect(),
        ends_of_history: faults
            .iter()
            .filter(|(_, _, fault)| fault.ends_history(&world.options))
            .map(|(began_ms, over_ms, _)| EndOfHistory {
                began_ms: *began_ms,
                in_doubt_until_ms: match world.options.servers {
                    // With the history its process is gone.
                    0 => *began_ms,
                    _ => over_ms.saturating_add(UNTIL_NOTICED_MS),
                },
            })
            .collect(),
        complaints,
    };
    let mut sorts = BTreeMap::new();
    for (_, _, fault) in faults {
        *sorts.entry(fault.sort()).or_default() += 1;
    }
    Ok(Report {
        seed: world.seed,
        verdict: verdict::judge(&recorded, allowed),
        faults: sorts,
        closes,
        took,
    })
}

fn publishers(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let (first, behind) = (
        BROADCAST + 1,
        u32::try_from(world.targets.len()).unwrap_or(u32::MAX),
    );
    let rate = f64::from(world.options.rate) / f64::from(PUBLISHERS);
    let mut publishers: Vec<_> = (1..=PUBLISHERS)
        .map(|number| {
            let publisher = Publisher::new(world.clone(), number);
            tokio::spawn(publisher.run(first, behind, rate, world.options.array))
        })
        .collect();
    if world.options.broadcasts > 0 {
        let publisher = Publisher::new(world.clone(), 0);
        let rate = f64::from(world.options.broadcasts);
        publishers.push(tokio::spawn(publisher.run(BROADCAST, BROADCAST + 1, rate, 1)));
    }
    publishers
}

/// A fault, when it began and when all was ready again.
type Done = (u32, u32, Fault);

async fn apply(world: &World, plant: &mut Plant, fault: Fault) -> Outcome<Done> {
    let began = world.now_ms();
    eprintln!("{began:>8} ms  {fault}");
    fault.apply(plant).await?;
    Ok((began, world.now_ms(), fault))
}

/// Faults, one after the other, until the time is over or enough is stored.
async fn fail(world: &World, plant: &mut Plant) -> Outcome<Vec<Done>> {
    let mut draw = Draw::new(world.seed);
    let (until, pause) = bounds(world);
    let mut faults = Vec::new();
    while go_on(world, until, pause).await {
        let fault = draw.next(&world.options);
        faults.push(apply(world, plant, fault).await?);
    }
    Ok(faults)
}

/// Each instance once, and all again until the time is over or enough is stored.
async fn roll(world: &World, plant: &mut Plant) -> Outcome<Vec<Done>> {
    let (until, pause) = bounds(world);
    // Whoever was drained is back before the next one is.
    let pause = pause + world.options.reconnect();
    let mut faults = Vec::new();
    for round in 0_u32.. {
        for instance in 0..world.options.instances {
            if !go_on(world, until, pause).await && round > 0 {
                return Ok(faults);
            }
            faults.push(apply(world, plant, Fault::Restart { instance }).await?);
        }
    }
    Ok(faults)
}

fn bounds(world: &World) -> (Instant, Duration) {
    let until = Instant::now() + Duration::from_secs(world.options.seconds);
    (until, Duration::from_millis(world.options.pause_ms))
}

/// Waits for `pause`. Returns whether there is time for more.
async fn go_on(world: &World, until: Instant, pause: Duration) -> bool {
    sleep_until((Instant::now() + pause).min(until)).await;
    let enough = world.options.notifications;
    let enough = enough.is_some_and(|enough| world.stored.load(Ordering::Relaxed) >= enough);
    Instant::now() < until && !enough
}

/// One more for each destination: whoever has it has seen all.
async fn last_ones(world: &Arc<World>) -> Outcome<HashMap<u32, Position>> {
    let deadline = Instant::now() + SETTLE;
    let publisher = Publisher::new(world.clone(), PUBLISHERS + 1);
    let mut ends = HashMap::new();
    let mut waiting = FuturesUnordered::new();
    let targets = u32::try_from(world.targets.len())?;
    let mut next = 0..targets;
    loop {
        while waiting.len() < 16
            && let Some(target) = next.next()
        {
            // Each has an order of its own: they are sent at the same time.
            let publisher = publisher.clone().numbered(PUBLISHERS + 1 + target);
            waiting.push(publisher.last(target, deadline));
        }
        match waiting.next().await {
            Some(Some((target, position))) => ends.insert(target, position),
            Some(None) => {
                return Err(format!("nothing can be published: {SETTLE:?} after the last fault").into());
            }
            None => return Ok(ends),
        };
    }
}

/// Waits until all sessions are counted.
async fn everybody(world: &World, what: &str, count: impl Fn() -> usize) -> Outcome<()> {
    let deadline = Instant::now() + SETTLE;
    while count() < world.options.sessions {
        if Instant::now() > deadline {
            let (count, sessions) = (count(), world.options.sessions);
            return Err(format!("{count} of {sessions} sessions were {what} after {SETTLE:?}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
