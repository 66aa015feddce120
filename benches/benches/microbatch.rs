//! One microbatch: mined, as a verifier recomputes it, and as candle trains the same model in f32; for `nano` and
//! `small`, on each code path of this processor; and where the time of a mined one goes.
//!
//! Candle's threads for element-wise operations spin while they wait: on a machine that does anything else they cost it
//! several times what they give, and the ratios flatter the chain. `CANDLE_NUM_THREADS=1` keeps them out; candle's
//! matrix products use all cores all the same.

#[path = "shared/fixture.rs"]
mod fixture;
#[path = "shared/stages.rs"]
mod stages;

use std::time::Duration;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use consensus_upow::mining::MiningTemplate;
use criterion::{Criterion, SamplingMode, Throughput};
use descent_benches::{Comparison, is_measuring};
use ml_kernels::baseline::{Baseline, Linear};
use ml_kernels::config::ModelConfig;
use ml_kernels::platform::Platform;

use fixture::Fixture;

/// Presets of the interleaved comparison, with their rounds.
const PRESETS: [(&str, usize); 2] = [("nano", 15), ("small", 5)];

/// Candle's forward and backward pass over the same windows.
fn candle(baseline: &Baseline, windows: &[u8]) -> GradStore {
    baseline.loss_sum(windows).and_then(|loss| loss.backward()).expect("the model's own windows")
}

/// Operands of all products of a microbatch, for candle: its time if it did nothing but multiply.
fn candle_products(model: &ModelConfig) -> Vec<(Tensor, Tensor)> {
    let ones = |rows: usize, cols: usize| Tensor::ones((rows, cols), DType::F32, &Device::Cpu).expect("memory");
    let dims = model.products().map(|id| model.dims(id).expect("product of the model"));
    dims.map(|d| (ones(d.m, d.k), ones(d.k, d.n))).collect()
}

fn multiply(products: &[(Tensor, Tensor)]) {
    for (a, b) in products {
        std::hint::black_box(a.matmul(b).expect("matching shapes"));
    }
}

fn main() {
    let fixture = Fixture::new("nano", 12, Platform::detect());
    println!("{}", fixture.machine_line());
    criterion_groups(&fixture);
    if is_measuring() {
        println!("\ninterleaved\n");
        for (preset, rounds) in PRESETS {
            println!("{}", compare(preset, rounds));
            for platform in vectorized() {
                println!("{}", stages::table(&Fixture::new(preset, 12, platform), rounds));
            }
        }
    }
}

/// The code paths worth measuring: all that the processor has but the portable one, which is for correctness.
fn vectorized() -> Vec<Platform> {
    let fast = |p: &Platform| *p != Platform::PORTABLE || Platform::detect() == Platform::PORTABLE;
    Platform::available().into_iter().filter(fast).collect()
}

fn criterion_groups(fixture: &Fixture) {
    let (engine, context) = (&fixture.engine, &fixture.context);
    let model = *engine.task().model();
    let windows = fixture.windows();
    let baseline = Baseline::new(&model, &fixture.checkpoint.weights, Linear::Float).expect("the model's own weights");
    let products = candle_products(&model);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("nano microbatch");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(model.microbatch_macs()));
    group.bench_function("candle f32, forward and backward", |b| b.iter(|| candle(&baseline, &windows)));
    group.bench_function("candle f32, matmuls alone", |b| b.iter(|| multiply(&products)));
    group.bench_function("unmined", |b| b.iter(|| fixture.recompute()));
    group.bench_function("mined", |b| b.iter(|| fixture.mine(0)));
    group.finish();
    criterion.bench_function("nano template (once a block)", |b| {
        let header = fixture.template.header();
        let new = || MiningTemplate::new(engine, context, header.clone(), fixture.difficulty.target());
        b.iter(|| new().expect("valid pre-digest"));
    });
    criterion.final_summary();
}

fn compare(preset: &str, rounds: usize) -> String {
    let fixtures: Vec<(Platform, Fixture)> =
        vectorized().into_iter().map(|platform| (platform, Fixture::new(preset, 12, platform))).collect();
    let first = &fixtures[0].1;
    let model = *first.engine.task().model();
    let windows = first.windows();
    let baseline = Baseline::new(&model, &first.checkpoint.weights, Linear::Float).expect("the model's own weights");
    let products = candle_products(&model);
    let mut comparison = Comparison::new(format!("{preset} microbatch, {rounds} rounds"), model.microbatch_macs())
        .with("candle f32", || candle(&baseline, &windows))
        .with("candle f32, matmuls alone", || multiply(&products));
    for (platform, fixture) in &fixtures {
        // A different index in each run, as when mining: the windows and every random bit differ.
        let mut index = 0;
        comparison = comparison.with(format!("unmined, {}", platform.name()), || fixture.recompute()).with(
            format!("mined, {}", platform.name()),
            move || {
                index += 1;
                fixture.mine(index)
            },
        );
    }
    comparison.run(rounds)
}
