//! One `nano` microbatch: mined, as a verifier recomputes it, and as candle trains the same model in f32.
//!
//! Candle's threads for element-wise operations spin while they wait: on a machine that does anything else they cost it
//! several times what they give, and the ratios flatter the chain. `CANDLE_NUM_THREADS=1` keeps them out; candle's
//! matrix products use all cores all the same.

#[path = "shared/fixture.rs"]
mod fixture;

use std::time::Duration;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use consensus_upow::mining::MiningTemplate;
use criterion::{Criterion, SamplingMode, Throughput};
use descent_benches::{Comparison, is_measuring};
use ml_kernels::baseline::{Baseline, Linear};
use ml_kernels::config::{ModelConfig, ProductId};
use ml_kernels::error::KernelError;
use ml_kernels::microbatch::{BSide, Plain, Products};
use ml_kernels::product::Operand;

use fixture::Fixture;

/// Rounds of the interleaved comparison.
const ROUNDS: usize = 15;

/// Multiplies plainly and keeps the operands that a miner commits.
struct Recorder {
    plain: Plain,
    operands: Vec<Operand>,
}

impl Products for Recorder {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        self.operands.push(a.clone());
        // Those of the weights are committed once a round.
        if let BSide::Activations(b) = b {
            self.operands.push(b.clone());
        }
        self.plain.product(id, a, b, out)
    }
}

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
    let fixture = Fixture::nano(12);
    println!("{}", fixture.machine_line());
    let (engine, context) = (&fixture.engine, &fixture.context);
    let model = *engine.task().model();
    let attempt = context.attempt(&fixture.account, 0, 0, fixture.template.sigma());
    let windows = engine.windows(context, &attempt);
    let baseline = Baseline::new(&model, &fixture.checkpoint.weights, Linear::Float).expect("the model's own weights");
    let products = candle_products(&model);
    let mut recorder = Recorder { plain: Plain(engine.platform()), operands: Vec::new() };
    let (output, _) = engine.run(context, &attempt, &mut recorder).expect("the task's own model");
    let unmined = || engine.recompute(context, &attempt, &[]).expect("the task's own model");

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
    group.bench_function("unmined", |b| b.iter(unmined));
    group.bench_function("mined", |b| b.iter(|| fixture.mine(0)));
    group.finish();

    let mut group = criterion.benchmark_group("nano, parts of mining");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("leaf hash", |b| {
        b.iter(|| engine.lattice().hash_i8(engine.platform(), &output.gradient).expect("the model's own gradient"))
    });
    group.bench_function("commitments", |b| {
        b.iter(|| recorder.operands.iter().map(|o| Operand::commitment(&o.strip_hashes())).collect::<Vec<_>>())
    });
    group.bench_function("template (once a block)", |b| {
        let header = fixture.template.header();
        let new = || MiningTemplate::new(engine, context, header.clone(), fixture.difficulty.target());
        b.iter(|| new().expect("valid pre-digest"));
    });
    group.finish();
    criterion.final_summary();

    if is_measuring() {
        println!("\ninterleaved, medians of {ROUNDS} rounds\n");
        // A different index in each run, as when mining: the windows and every random bit differ.
        let mut index = 0;
        let comparison = Comparison::new("nano microbatch", model.microbatch_macs())
            .with("candle f32", || candle(&baseline, &windows))
            .with("candle f32, matmuls alone", || multiply(&products))
            .with("unmined", unmined)
            .with("mined", || {
                index += 1;
                fixture.mine(index)
            });
        println!("{}", comparison.run(ROUNDS));
    }
}
