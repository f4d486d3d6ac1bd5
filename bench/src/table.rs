//! The table: for each row the target, the result, and the comparison.

use std::fmt::Write as _;
use std::time::Instant;

use crate::Outcome;
use crate::report::spread;

/// Measures something and adds its rows.
pub type Measure<Options> = fn(&Options, &mut Table) -> Outcome<()>;

/// Measures those whose word has `only` in it, and prints their table. One that fails does not keep the others from running.
pub fn measure<Options>(rows: &[(&str, Measure<Options>)], only: &str, options: &Options) -> Outcome<()> {
    let began = Instant::now();
    let mut failed = Vec::new();
    let mut table = Table::default();
    for (name, row) in rows.iter().filter(|(name, _)| name.contains(only)) {
        if let Err(error) = row(options, &mut table) {
            failed.push(format!("{name}: {error}"));
        }
    }
    table.print();
    println!("All of it took {} s.", began.elapsed().as_secs());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("; ").into()),
    }
}

/// The rows so far. Each is told at once, too, so that a run that ends early has said something.
#[derive(Default)]
pub struct Table(String);

impl Table {
    /// Adds a row; `beside` is the floor, or the same without what is measured.
    pub fn row(&mut self, what: &str, goal: &str, figure: &str, beside: &str) {
        eprintln!("{what}: {figure}; {beside}");
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "| {what} | {goal} | {figure} | {beside} |");
    }

    /// Adds a row of figures: `beside` in the same rounds.
    pub fn pair(&mut self, what: &str, goal: &str, unit: &str, figures: &[f64], beside: (&str, &[f64])) {
        let (name, others) = beside;
        let pairs = || figures.iter().zip(others);
        let ratio = pairs().map(|(own, other)| own / other).collect();
        let more = pairs().map(|(own, other)| own - other).collect();
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
        self.row(
            what,
            goal,
            &format!(
                "{} {unit}: × {}, + {}; of all rounds together × {:.3}, + {:.3}",
                spread(figures.to_vec()),
                spread(ratio),
                spread(more),
                mean(figures) / mean(others),
                mean(figures) - mean(others),
            ),
            &format!("{name} {}", spread(others.to_vec())),
        );
    }

    /// Prints it.
    pub fn print(&self) {
        println!(
            "\n| What | Goal | Figure: median (least-most) | Beside it |\n|---|---|---|---|\n{}",
            self.0
        );
    }
}
