//! Publishing into `history.path`, each notification synced to the disk before its answer, beside the embedded bus's history in
//! memory.

use std::fs;

use super::{Bus, Options, Side, in_turn};
use crate::Outcome;
use crate::publish::rate_of;
use crate::request::notifications;
use crate::table::Table;

/// Publishers at the same time, each of which publishes again as soon as it has its answer.
const CONNECTIONS: usize = 64;
/// Seconds of one turn.
const SECONDS: u64 = 2;

/// Measures and adds its row.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    // On a disk: what is synced in memory costs nothing.
    let folder = std::env::current_dir()?.join(format!("target/herald-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let path = folder.join("history");
    let measured = measure(options, &path.to_string_lossy(), table);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure(options: &Options, path: &str, table: &mut Table) -> Outcome<()> {
    let sides = [
        Side::start(options, Bus::Embedded(true), &[("HERALD_HISTORY__PATH", path)])?,
        Side::start(options, Bus::Embedded(true), &[])?,
    ];
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        for at in in_turn(round, sides.len()) {
            if let (Some(side), Some(line)) = (sides.get(at), figures.get_mut(at)) {
                let request = notifications(side.herald.address.port(), &[], options.body_bytes);
                line.push(rate_of(&side.herald, &request, CONNECTIONS, SECONDS)?);
            }
        }
    }
    let [kept, memory] = figures;
    let what = format!("POSTs a second into history.path, {CONNECTIONS} at a time, each synced");
    table.pair(&what, "≥ 20,000", "a second", &kept, ("in memory", &memory));
    Ok(())
}
