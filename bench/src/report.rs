//! The table: medians over the rounds, with the least and the most in brackets.

use std::time::Duration;

/// The result of one round for one server.
pub struct Round {
    /// CPU time of the server per delivery.
    pub cpu_us: f64,
    load_cpu_us: f64,
    /// From the publish to each client's read.
    pub latency: Latency,
}

impl Round {
    /// Summarizes the latencies of a round.
    pub fn new(cpu_us: f64, load_cpu_us: f64, latencies: Vec<Duration>) -> Self {
        Self {
            cpu_us,
            load_cpu_us,
            latency: Latency::of(latencies),
        }
    }
}

/// Prints Herald, the floor, and Herald as a multiple of the floor in the same round.
pub fn print(rounds: &[(Round, Round)]) {
    println!(
        "{:<26}{:>22}{:>22}{:>22}",
        "", "Herald", "floor", "Herald / floor"
    );
    let line = |name: &str, figure: fn(&Round) -> f64| {
        let herald: Vec<f64> = rounds.iter().map(|(herald, _)| figure(herald)).collect();
        let floor: Vec<f64> = rounds.iter().map(|(_, floor)| figure(floor)).collect();
        let ratio: Vec<f64> = herald
            .iter()
            .zip(&floor)
            .map(|(herald, floor)| herald / floor)
            .collect();
        println!(
            "{name:<26}{:>22}{:>22}{:>22}",
            spread(herald),
            spread(floor),
            spread(ratio)
        );
    };
    line("CPU µs per delivery", |round| round.cpu_us);
    line("latency p50 ms", |round| round.latency.p50_ms);
    line("latency p99 ms", |round| round.latency.p99_ms);
    line("latency max ms", |round| round.latency.max_ms);
    line("load's CPU µs per delivery", |round| round.load_cpu_us);
}

/// Prints one figure of a scenario: its median and spread.
pub fn line(name: &str, figures: Vec<f64>) {
    println!("{name:<34}{:>24}", spread(figures));
}

/// Median, least and most.
pub fn spread(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (figures.first(), figures.last()) else {
        return String::new();
    };
    let middle = figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN);
    format!("{middle:.2} ({least:.2}-{most:.2})")
}

/// Percentiles of latencies, in milliseconds.
#[derive(Clone, Copy)]
pub struct Latency {
    /// How many.
    pub count: usize,
    /// Median.
    pub p50_ms: f64,
    /// One in a hundred is slower.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Latency {
    /// Summarizes latencies.
    pub fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let last = latencies.len().saturating_sub(1);
            latencies
                .get((last as f64 * share).round() as usize)
                .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        };
        Self {
            count: latencies.len(),
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}
