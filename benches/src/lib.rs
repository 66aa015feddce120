//! What the benches share: the machine they run on, and comparisons whose contenders take turns in one run.
//!
//! Absolute times belong to a machine and its load. Ratios are what this crate is about, so a [`Comparison`] measures
//! them directly: every round times every contender once, and a ratio is the median of the rounds' own quotients.
//! Whatever slows the machine down for a while slows all contenders of a round down.

mod comparison;

pub use comparison::Comparison;

/// Whether this run measures: `cargo bench` without `--test`, `--list` or criterion's profiling mode.
pub fn is_measuring() -> bool {
    let mut bench = false;
    for argument in std::env::args() {
        match argument.as_str() {
            "--bench" => bench = true,
            "--test" | "--list" | "--profile-time" => return false,
            _ => {}
        }
    }
    bench
}

/// One line about what the figures below it were measured on.
///
/// `platform` is the kernels' code path; the thread counts are those of the kernels' pool and of candle.
pub fn machine_line(platform: &str, threads: usize, candle_threads: usize) -> String {
    let threads = if threads == candle_threads {
        format!("{threads} threads")
    } else {
        format!("{threads} threads, candle {candle_threads} (unequal: set RAYON_NUM_THREADS)")
    };
    let load = load_average().map_or_else(String::new, |load| format!(", load {load} at the start"));
    format!("machine: {}, {threads}, {platform} path{load}", cpu_model())
}

/// The processor as the system names it, or its architecture.
fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The last minute's load, where the system says it.
fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next().map(str::to_owned)
}
