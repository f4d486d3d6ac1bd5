//! SUBSCRIBE under a thousand rules of which only the last matches, compared with the same without rules. The rules
//! begin alike, so that only the whole comparison distinguishes them, and the last has four variables.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::thread::sleep;

use super::Options;
use crate::Outcome;
use crate::process::Server;
use crate::report::spread;
use crate::run::SETTLE;
use crate::session::{Dialogue, client_frame, connect};
use crate::table::Table;

/// `permissions.subscribe` has no more.
const RULES: usize = 1_000;
/// Pairs of SUBSCRIBE and UNSUBSCRIBE in a turn, and in one write.
const PAIRS: usize = 10_000;
const AT_ONCE: usize = 50;
/// What fits the last rule for `test1`, whose attributes are `acme` and `gold`.
const DESTINATION: &str = "/queue/tenant/acme/gold/test1/acme/x";

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let file = RulesFile::write()?;
    let without = options.start(&[("HERALD_LIMITS__SUBSCRIBES_PER_SESSION", "off")])?;
    let with = options.start(&[
        ("HERALD_CONFIG", &file.0.to_string_lossy()),
        ("HERALD_LIMITS__SUBSCRIBES_PER_SESSION", "off"),
    ])?;
    let (mut ruled, mut free) = (vec![], vec![]);
    for _ in 0..options.rounds.max(1) {
        sleep(SETTLE);
        free.push(turn(&without, "test1")?);
        ruled.push(turn(&with, "ann")?);
    }
    let more = ruled.iter().zip(&free).map(|(own, other)| own - other).collect();
    table.row(
        &format!("SUBSCRIBE under {RULES} rules, the last fits, four variables"),
        "≤ 20 µs",
        &format!("{} µs more than without rules", spread(more)),
        &format!("SUBSCRIBE and UNSUBSCRIBE without: {} µs", spread(free)),
    );
    Ok(())
}

/// Herald's CPU of a SUBSCRIBE with its UNSUBSCRIBE, in µs.
fn turn(herald: &Server, user: &str) -> Outcome<f64> {
    let mut dialogue = Dialogue::new(connect(herald.address, 0)?);
    dialogue.upgrade(herald.address)?;
    dialogue.log_in_as(user, "0,0")?;
    let pair = |receipt: &str| {
        let subscribe = format!("SUBSCRIBE\nid:s\ndestination:{DESTINATION}\n\n\0");
        let unsubscribe = format!("UNSUBSCRIBE\nid:s\n{receipt}\n\0");
        [
            client_frame(subscribe.as_bytes()),
            client_frame(unsubscribe.as_bytes()),
        ]
        .concat()
    };
    let mut batch = pair("").repeat(AT_ONCE - 1);
    batch.extend(pair("receipt:r\n"));
    let before = herald.cpu_of_threads()?;
    for _ in 0..PAIRS / AT_ONCE {
        dialogue.stream.write_all(&batch)?;
        dialogue.expect("RECEIPT\n")?;
    }
    let spent = herald.cpu_of_threads()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / PAIRS as f64)
}

/// The configuration. Removed with the run.
struct RulesFile(PathBuf);

impl Drop for RulesFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl RulesFile {
    fn write() -> Outcome<Self> {
        let hash = crate::people::hash(crate::people::CHEAP_KIB)?;
        let mut text = format!(
            "[permissions]\ndefault = \"closed\"\n[[auth.users]]\nname = \"ann\"\npassword = \"{hash}\"\nroles = [\"ROLE_USER\"]\n\
             [auth.users.attributes]\ntenant = [\"acme\"]\nplan = [\"gold\"]\n"
        );
        for number in 1..RULES {
            writeln!(
                text,
                "[[permissions.subscribe]]\ndestination = \"/queue/tenant/{{claim.tenant}}/{{claim.plan}}/{{user}}/r{number}/*\""
            )?;
        }
        writeln!(
            text,
            "[[permissions.subscribe]]\ndestination = \"/queue/tenant/{{claim.tenant}}/{{claim.plan}}/*/{{claim.tenant}}/**\""
        )?;
        let file = std::env::temp_dir().join(format!("herald-bench-{}-rules.toml", std::process::id()));
        std::fs::write(&file, text)?;
        Ok(Self(file))
    }
}
