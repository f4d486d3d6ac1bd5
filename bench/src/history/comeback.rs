//! A storm of returning clients, each with two positions within the memory of the instance, beside the same storm
//! without positions. Reads from NATS meanwhile are counted.

use std::io::Write;
use std::thread::sleep;

use super::nats::Nats;
use super::wire::Wire;
use super::{Bus, Options, Side, in_turn};
use crate::Outcome;
use crate::load::read_answers;
use crate::request::{broadcast, notifications};
use crate::run::SETTLE;
use crate::session::{PASSCODE, connect, connect_frame_of};
use crate::storm::{Again, Crowd};
use crate::table::Table;

/// What each client has missed: broadcasts, and notifications to its user.
const MISSED: usize = 5;
/// On what requests to read a stream are sent.
pub const READS: &str = "$JS.API.DIRECT.GET.>";
/// What the reads of resumes have in them: the subject that is resumed. A reader without a consumer polls its whole stream.
pub const RESUMES: &str = "queue.";
/// Rounds: each has a storm of each sort.
const ROUNDS: usize = 3;

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    for (name, bus) in [("embedded bus", Bus::Embedded(true)), ("R1", Bus::Stream(1))] {
        let side = Side::start(options, bus, &[])?;
        let to = side.herald.address;
        let mut wire = side.nats.as_ref().map(Nats::wire).transpose()?;
        if let Some(wire) = &mut wire {
            wire.watch(READS, RESUMES)?;
        }
        let count = options.storm;
        let user = |number: usize| format!("test{}", 1 + number % 10);
        let frame = |number: usize| connect_frame_of(&user(number), PASSCODE, "0,0");
        let first = Crowd::storm(to, count, Again::Told, frame, None, Vec::new())?;
        let mut publisher = connect(to, 0)?;
        for number in 0..MISSED {
            let body = "x".repeat(options.body_bytes);
            publisher.write_all(&broadcast(to.port(), "/queue/storm", &body))?;
            read_answers(&mut publisher, 1)?;
            for user in (0..10).map(user) {
                publisher.write_all(&notifications(to.port(), &[user], options.body_bytes + number))?;
                read_answers(&mut publisher, 1)?;
            }
        }
        let (mut took, mut cpu) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let (mut recovered, mut replayed) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for with in in_turn(round, 2) {
                sleep(4 * SETTLE);
                let from = match with {
                    1 => first.positions.clone(),
                    _ => Vec::new(),
                };
                let before = side.herald.cpu_of_threads()?;
                let storm = Crowd::storm(to, count, Again::Told, frame, None, from)?;
                let spent = side.herald.cpu_of_threads()?.saturating_sub(before);
                took[with].push(storm.took.as_secs_f64());
                cpu[with].push(spent.as_secs_f64());
                if with == 1 {
                    recovered.push(storm.recovered as f64);
                    replayed.push(storm.replayed as f64);
                }
            }
        }
        let what = format!("storm of {count} clients with two positions each, {name}");
        let [without, with] = &took;
        table.pair(
            &format!("{what}: all back"),
            "≤ login storm + 1 s",
            "s",
            with,
            ("without positions", without),
        );
        let [without, with] = &cpu;
        table.pair(
            &format!("{what}: Herald's CPU"),
            "",
            "s",
            with,
            ("without positions", without),
        );
        let reads = wire.as_mut().map(reads).transpose()?;
        let figure = format!(
            "{:?} recovered, {:?} replayed, reads of NATS: {}",
            recovered,
            replayed,
            reads.map_or("none to read".to_owned(), |reads| reads.to_string())
        );
        table.row(&what, &format!("{} recovered, 0 reads", 2 * count), &figure, "");
    }
    Ok(())
}

/// Requests to read a stream since the subscription.
fn reads(wire: &mut Wire) -> Outcome<u64> {
    wire.sync()?;
    Ok(wire.seen)
}
