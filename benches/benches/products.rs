//! One matrix product: candle's f32 matmul, the plain int7 product, the mined one.

use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::{Criterion, SamplingMode, Throughput};
use descent_benches::{Comparison, is_measuring, machine_line};
use ml_kernels::platform::Platform;
use ml_kernels::product::{NoiseB, Operand, Rounding, mined_product, product, quantize_columns, quantize_rows};
use ml_kernels::rng::Stream;

/// Rows of A, contraction, columns of B. The first is that of `nano`'s qkv layer.
const SHAPES: [[usize; 3]; 3] = [[512, 256, 768], [1024, 512, 512], [1024, 1024, 1024]];
/// Rounds of the interleaved comparison.
const ROUNDS: usize = 60;
const KEY: [u8; 32] = [7; 32];
/// No ticket is below it; candidates are so rare that they cost nothing.
const THRESHOLD: [u8; 32] = [0; 32];

/// One product's operands, for every way to compute it.
struct Case {
    name: String,
    macs: u64,
    platform: Platform,
    rows: usize,
    a_floats: Vec<f32>,
    a_tensor: Tensor,
    b_tensor: Tensor,
    a: Operand,
    b: Operand,
    noise: NoiseB,
    out_len: usize,
}

impl Case {
    fn new(platform: Platform, [m, k, n]: [usize; 3]) -> Self {
        let (a_floats, b_floats) = (values(m * k, 0), values(k * n, 1));
        let tensor = |values: &[f32], shape| Tensor::from_slice(values, shape, &Device::Cpu).expect("whole shape");
        Self {
            name: format!("{m}x{k}x{n}"),
            macs: (m * k * n) as u64,
            platform,
            rows: m,
            a_tensor: tensor(&a_floats, (m, k)),
            b_tensor: tensor(&b_floats, (k, n)),
            a: quantize_rows(platform, &a_floats, m, k, Rounding::Nearest).expect("valid shape"),
            b: quantize_columns(platform, &b_floats, k, n, Rounding::Nearest).expect("valid shape"),
            noise: NoiseB::new(&KEY, n, k).expect("valid shape"),
            a_floats,
            out_len: m * n,
        }
    }

    fn candle(&self) -> Tensor {
        self.a_tensor.matmul(&self.b_tensor).expect("matching shapes")
    }

    fn unmined(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.out_len];
        product(self.platform, &self.a, &self.b, &mut out).expect("matching shapes");
        out
    }

    fn mined_from(&self, a: &Operand) -> Vec<f32> {
        let mut out = vec![0.0; self.out_len];
        mined_product(self.platform, a, &self.b, &self.noise, &KEY, &THRESHOLD, &mut out).expect("matching shapes");
        out
    }

    fn mined(&self) -> Vec<f32> {
        self.mined_from(&self.a)
    }

    /// As a miner does it with a weight matrix: A comes as f32 and is committed. B and its noise are made once.
    fn mined_with_operand(&self) -> Vec<f32> {
        let a = quantize_rows(self.platform, &self.a_floats, self.rows, self.a.k(), Rounding::Nearest);
        let a = a.expect("valid shape");
        std::hint::black_box(Operand::commitment(&a.strip_hashes()));
        self.mined_from(&a)
    }
}

/// Uniform values of magnitude up to one.
fn values(count: usize, index: u32) -> Vec<f32> {
    let stream = Stream::new(&KEY, "benches", index);
    let blocks = (0..count as u64).flat_map(|i| stream.block(i));
    blocks.take(count).map(|v| f32::from(v) / 32_768.0 - 1.0).collect()
}

fn main() {
    let platform = Platform::detect();
    println!("{}", machine_line(platform.name(), rayon::current_num_threads(), candle_core::utils::get_num_threads()));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let cases = SHAPES.map(|shape| Case::new(platform, shape));
    for case in &cases {
        let mut group = criterion.benchmark_group(format!("product {}", case.name));
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(case.macs));
        group.bench_function("candle f32", |b| b.iter(|| case.candle()));
        group.bench_function("unmined", |b| b.iter(|| case.unmined()));
        group.bench_function("mined", |b| b.iter(|| case.mined()));
        group.bench_function("mined, A quantized and committed", |b| b.iter(|| case.mined_with_operand()));
        group.finish();
    }
    criterion.final_summary();
    if is_measuring() {
        println!("\ninterleaved, medians of {ROUNDS} rounds\n");
        for case in &cases {
            let comparison = Comparison::new(format!("product {}", case.name), case.macs)
                .with("candle f32", || case.candle())
                .with("unmined", || case.unmined())
                .with("mined", || case.mined())
                .with("mined, A from f32", || case.mined_with_operand());
            println!("{}", comparison.run(ROUNDS));
        }
    }
}
