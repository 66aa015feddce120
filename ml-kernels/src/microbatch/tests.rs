use super::*;
use crate::baseline::{Baseline, Linear};
use crate::config::ModelConfig;
use crate::gradient::calibrate;
use crate::weights::initial;

fn text(model: &ModelConfig, seed: u64) -> Vec<u8> {
    // Letters with structure: a walk over a small alphabet, so that gradients aren't all noise.
    let mut state = seed;
    (0..model.batch * (model.seq_len + 1))
        .map(|i| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b"the quick brown fox "[(i + (state >> 61) as usize) % 20]
        })
        .collect()
}

fn setup() -> (ModelConfig, PreparedWeights, Vec<u8>) {
    let model = ModelConfig::TINY;
    let weights = PreparedWeights::new(Platform::detect(), &model, initial(&model, &[5; 32])).unwrap();
    (model, weights, text(&model, 1))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn gradient_agrees_with_candle_autograd_on_the_same_f32_model() {
    let (model, weights, windows) = setup();
    let ours = gradient(Platform::detect(), &weights, &windows, &[1; 32], &mut Plain(Platform::detect())).unwrap();
    let baseline = Baseline::new(&model, weights.flat(), Linear::Float).unwrap();
    let loss = baseline.loss_sum(&windows).unwrap();
    let mean = loss.to_scalar::<f32>().unwrap() / model.tokens() as f32;
    assert!((mean - ours.loss).abs() < 0.02, "loss {} against {mean}", ours.loss);
    let grads = loss.backward().unwrap();
    for (tensor, var) in model.tensors().iter().zip(baseline.vars()) {
        let theirs = grads.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let cosine = cosine(&ours.gradient[tensor.range()], &theirs);
        assert!(cosine > 0.99, "{}: cosine {cosine}", tensor.name);
    }
}

fn calibrated(weights: &PreparedWeights, windows: &[u8]) -> Vec<i8> {
    let g = gradient(Platform::PORTABLE, weights, windows, &[0; 32], &mut Plain(Platform::PORTABLE)).unwrap().gradient;
    let tensors = weights.model().tensors();
    tensors.iter().map(|t| calibrate(crate::math::dot(&g[t.range()], &g[t.range()]), t.len())).collect()
}

#[test]
fn same_bits_on_every_platform_and_thread_count() {
    let (_, weights, windows) = setup();
    let exponents = calibrated(&weights, &windows);
    let input = MicrobatchInput { windows: &windows, key: &[2; 32], exponents: &exponents };
    let mut first = None;
    for platform in Platform::available() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let out = pool.install(|| run(platform, &weights, input, &mut Plain(platform)).unwrap());
            assert_eq!(first.get_or_insert(out.clone()), &out, "{platform:?}, {threads} threads");
        }
    }
    let out = first.expect("ran");
    for (tensor, squares) in weights.model().tensors().iter().zip(&out.squares) {
        let mean = *squares as f64 / tensor.len() as f64;
        assert!((0.3..4.0).contains(&mean), "{}: mean square {mean}", tensor.name);
    }
}

/// Pins the bits of a whole microbatch, for every path: this test also runs unoptimized.
#[test]
fn golden_microbatch() {
    let (_, weights, windows) = setup();
    let exponents = calibrated(&weights, &windows);
    let input = MicrobatchInput { windows: &windows, key: &[2; 32], exponents: &exponents };
    for platform in Platform::available() {
        let out = run(platform, &weights, input, &mut Plain(platform)).unwrap();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&out.gradient.iter().map(|g| g.cast_unsigned()).collect::<Vec<u8>>());
        out.squares.iter().for_each(|s| {
            hasher.update(&s.to_le_bytes());
        });
        hasher.update(&out.loss.to_le_bytes());
        assert_eq!(&hasher.finalize().to_hex()[..16], "8ad383a6cf3a92ac", "{platform:?}");
    }
}

/// Records the data of every A operand.
struct Recorder(Plain, Vec<(ProductId, Vec<i8>)>);

impl Products for Recorder {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        self.1.push((id, a.data().to_vec()));
        self.0.product(id, a, b, out)
    }
}

#[test]
fn another_attempt_changes_a_tenth_of_every_operand() {
    let (model, weights, windows) = setup();
    let record = |key| {
        let mut recorder = Recorder(Plain(Platform::detect()), Vec::new());
        gradient(Platform::detect(), &weights, &windows, &key, &mut recorder).unwrap();
        recorder.1
    };
    let (one, two) = (record([1; 32]), record([2; 32]));
    assert_eq!(one.len(), model.products().count());
    for ((id, a), (_, b)) in one.iter().zip(&two) {
        let changed = a.iter().zip(b).filter(|(x, y)| x != y).count() as f64 / a.len() as f64;
        assert!(changed >= 0.1, "{id:?}: {changed}");
    }
}

#[test]
fn kernels_are_total_over_poisonous_weights() {
    let (model, _, windows) = setup();
    for poison in [f32::NAN, f32::INFINITY, f32::MAX, 1e-45, -1e30, 0.0] {
        let mut flat = initial(&model, &[5; 32]);
        for t in model.tensors() {
            flat[t.offset] = poison;
            flat[t.offset + t.len() - 1] = -poison;
        }
        let exponents = vec![0; model.tensors().len()];
        let input = MicrobatchInput { windows: &windows, key: &[2; 32], exponents: &exponents };
        let mut first = None;
        for platform in Platform::available() {
            let weights = PreparedWeights::new(platform, &model, flat.clone()).unwrap();
            let out = run(platform, &weights, input, &mut Plain(platform)).unwrap();
            let g = gradient(platform, &weights, &windows, &[2; 32], &mut Plain(platform)).unwrap();
            assert!(g.gradient.iter().all(|g| g.is_finite()) && g.loss.is_finite(), "{poison}");
            assert_eq!(first.get_or_insert(out.clone()), &out, "{poison}");
        }
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let (model, weights, windows) = setup();
    let run = |windows: &[u8], exponents: &[i8]| {
        run(
            Platform::PORTABLE,
            &weights,
            MicrobatchInput { windows, key: &[0; 32], exponents },
            &mut Plain(Platform::PORTABLE),
        )
        .unwrap_err()
    };
    let exponents = vec![0; model.tensors().len()];
    assert!(matches!(run(&windows[1..], &exponents), KernelError::Length { name: "windows", .. }));
    assert!(matches!(run(&windows, &exponents[1..]), KernelError::Length { name: "exponents", .. }));
}
