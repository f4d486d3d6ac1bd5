//! The table at the end of a run.

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
        for (name, count) in [
            ("left out: stale or replaced", verdict.left_out),
            ("batches stored", verdict.batches),
            ("told of the history before", verdict.told_of_before),
        ] {
            if count > 0 {
                row(name, count)?;
            }
        }
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
        for wrong in Wrong::ALL {
            let mut of_sort = verdict
                .violations
                .iter()
                .filter(|violation| violation.wrong == wrong);
            if let Some(first) = of_sort.next() {
                writeln!(f, "\nFirst violation ({}): {}", wrong.words(), first.words)?;
            }
            for violation in of_sort {
                let line = violation.words.lines().next().unwrap_or_default();
                writeln!(f, "Another ({}): {line}", wrong.words())?;
            }
        }
        Ok(())
    }
}
