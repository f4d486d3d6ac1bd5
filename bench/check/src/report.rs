//! The table that a run ends with.

use std::fmt;

use crate::run::Report;
use crate::verdict::Wrong;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        writeln!(
            f,
            "seed {}, {:.0} s of faults",
            self.seed,
            self.took.as_secs_f64()
        )?;
        let mut row = |name: &str, count: u64| writeln!(f, "{name:<32} {count:>10}");
        row("stored (202)", verdict.stored)?;
        row("refused", verdict.refused)?;
        row("outcome unknown", verdict.unknown)?;
        row("  of these stored all the same", verdict.unknown_but_stored)?;
        row("delivered", verdict.delivered)?;
        row("subscriptions cut off", verdict.cut_off)?;
        row("resumed, recovered", verdict.recovered)?;
        row("  replayed", verdict.replayed)?;
        for (reason, count) in &verdict.gaps {
            row(&format!("resumed, gap: {reason}"), *count)?;
        }
        if !verdict.gaps.is_empty() {
            row("  gaps without anything in them", verdict.gaps_of_nothing)?;
        }
        for wrong in Wrong::ALL {
            row(
                wrong.words(),
                verdict.wrong.get(&wrong).copied().unwrap_or_default(),
            )?;
        }
        for (sort, count) in &self.faults {
            row(&format!("fault: {sort}"), *count)?;
        }
        for (how, count) in &self.closes {
            row(&format!("connection: {how}"), *count)?;
        }
        if let Some(first) = verdict.violations.first() {
            writeln!(f, "\nFirst violation ({}): {}", first.wrong.words(), first.words)?;
            for violation in verdict.violations.iter().skip(1).take(4) {
                let line = violation.words.lines().next().unwrap_or_default();
                writeln!(f, "Another ({}): {line}", violation.wrong.words())?;
            }
        }
        Ok(())
    }
}
