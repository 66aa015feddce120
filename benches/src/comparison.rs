//! Contenders that take turns.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// Ways to do the same work, the first of which is what the others are compared with.
pub struct Comparison<'a> {
    title: String,
    /// Multiply-adds of one run, for the column of rates.
    macs: u64,
    contenders: Vec<Contender<'a>>,
}

struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Comparison<'a> {
    /// A comparison of ways to do `macs` multiply-adds.
    pub fn new(title: impl Into<String>, macs: u64) -> Self {
        Self { title: title.into(), macs, contenders: Vec::new() }
    }

    /// Adds a contender.
    #[must_use]
    pub fn with<T>(mut self, name: impl Into<String>, mut run: impl FnMut() -> T + 'a) -> Self {
        let run = Box::new(move || drop(std::hint::black_box(run())));
        self.contenders.push(Contender { name: name.into(), run });
        self
    }

    /// Runs all contenders in each of `rounds` rounds, after one that warms up; returns the table.
    pub fn run(mut self, rounds: usize) -> String {
        let count = self.contenders.len();
        let mut times = vec![Vec::with_capacity(rounds); count];
        for round in 0..=rounds {
            for turn in 0..count {
                // Another one begins in each round: none always runs in the caches that the same one left.
                let at = (round + turn) % count;
                let start = Instant::now();
                (self.contenders[at].run)();
                if round > 0 {
                    times[at].push(start.elapsed());
                }
            }
        }
        let names: Vec<&str> = self.contenders.iter().map(|c| c.name.as_str()).collect();
        table(&self.title, self.macs, &names, &times)
    }
}

/// Median and least time of each contender, its rate, and the median quotient by the first one's time.
fn table(title: &str, macs: u64, names: &[&str], times: &[Vec<Duration>]) -> String {
    let baseline = names.first().copied().unwrap_or_default();
    let mut text = format!("{title}\n{:30}{:>12}{:>12}{:>10}   time / {baseline}'s\n", "", "median", "least", "GMAC/s");
    for (name, own) in names.iter().zip(times) {
        let seconds: Vec<f64> = own.iter().map(Duration::as_secs_f64).collect();
        let quotients = own.iter().zip(&times[0]).map(|(own, first)| own.as_secs_f64() / first.as_secs_f64());
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let (ratio, middle) = (median(quotients.collect()), median(seconds));
        let rate = macs as f64 / middle / 1e9;
        let (middle, least) = (milliseconds(middle), milliseconds(least));
        writeln!(text, "  {name:28}{middle:>12}{least:>12}{rate:>10.1}   {ratio:.3}").expect("a string takes all");
    }
    text
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

/// The middle value, the mean of the middle two, or zero for nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[middle],
        values => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ms = |values: [u64; 3]| values.map(Duration::from_millis).to_vec();
        // The machine was four times slower in the middle round, for both.
        let text = table("t", 1_000_000, &["one", "two"], &[ms([10, 40, 10]), ms([20, 80, 20])]);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert!(rows[0].contains("10.000 ms") && rows[0].ends_with(" 1.000"), "{text}");
        assert!(rows[1].contains("20.000 ms") && rows[1].ends_with(" 2.000"), "{text}");
    }

    #[test]
    fn every_contender_runs_in_every_round_and_once_before() {
        let (mut one, mut two) = (0, 0);
        let text = Comparison::new("turns", 1).with("one", || one += 1).with("two", || two += 1).run(5);
        assert!(text.starts_with("turns\n"));
        assert_eq!((one, two), (6, 6));
    }
}
