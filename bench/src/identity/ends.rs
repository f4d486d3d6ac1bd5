//! Thousands of sessions whose tokens expire at the same moment.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Options;
use super::herd::{Herd, Told};
use super::issuer::{Algorithm, Issuer, now};
use crate::Outcome;
use crate::report::spread;
use crate::storm::Stayed;
use crate::table::Table;

/// Sessions whose notifications are timed meanwhile.
const OTHERS: usize = 100;
/// Time to open them all, in seconds.
const OPENING: u64 = 15;
/// A session that lives longer after its end has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: usize = 3;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let issuer = Issuer::new(Algorithm::EdDsa)?;
    let (mut last, mut first, mut slowest, mut quiet) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let herald = options.start(&[("HERALD_CONFIG", &issuer.config())])?;
        let others = Stayed::start(&herald, OTHERS)?;
        let ends = now()? + OPENING;
        let mut herd = Herd::open(&herald, &issuer.tokens(options.sessions, round as u64, ends)?)?;
        let end = UNIX_EPOCH + Duration::from_secs(ends);
        let Ok(left) = end.duration_since(SystemTime::now()) else {
            return Err(format!("the sessions were not open within {OPENING} s").into());
        };
        quiet.push(others.turn()?.max_ms);
        sleep(left);
        let (began, mut ended, mut wrong) = (Instant::now(), Vec::new(), 0_usize);
        while herd.open_count() > 0 && began.elapsed() < PATIENCE {
            herd.read(Duration::from_millis(50), |told| match told {
                Told::End => ended.push(began.elapsed().as_secs_f64()),
                Told::Frame(frame) => {
                    // The ERROR, and the Close behind it.
                    wrong += usize::from(
                        frame.starts_with(b"ERROR\n")
                            && memchr::memmem::find(frame, b"herald-reason:token-expired").is_none(),
                    );
                }
            })?;
        }
        if herd.open_count() > 0 || wrong > 0 {
            return Err(format!(
                "{} sessions live on, {wrong} were told something else",
                herd.open_count()
            )
            .into());
        }
        first.extend(ended.first());
        last.extend(ended.last());
        slowest.push(others.end()?.max_ms);
    }
    table.row(
        &format!(
            "{} sessions end at one moment: the last, after exp",
            options.sessions
        ),
        "≤ 1 s",
        &format!("{} s", spread(last)),
        &format!(
            "the first {} s; slowest notification to others {} ms, before {} ms",
            spread(first),
            spread(slowest),
            spread(quiet)
        ),
    );
    Ok(())
}
