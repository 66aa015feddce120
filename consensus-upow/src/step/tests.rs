//! Rescaling, scales, and what the step does not depend on.

use ml_kernels::gradient::EXPONENTS;
use ml_kernels::platform::Platform;
use proptest::prelude::*;

use super::*;
use crate::genesis::initial_checkpoint;
use crate::testing::engine;

/// Values with about one unit of r.m.s., different for each seed.
fn gradient(len: usize, seed: u64, scale: i16) -> Vec<i16> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into_iter().map(|b| i16::from(b % 3) - 1).map(|v| v * scale).collect()
}

struct Round {
    engine: Engine,
    checkpoint: Checkpoint,
    exponents: Vec<i8>,
    running: Vec<u64>,
    seals: Vec<Vec<u64>>,
    receipts: Vec<StepReceipt>,
}

impl Round {
    fn new() -> Self {
        let engine = engine(Platform::detect());
        let tensors = engine.tensors();
        let seals = vec![tensors.iter().map(|t| t.len() as u64).collect(); 3];
        let (exponents, running) = (vec![3; tensors.len()], vec![0; tensors.len()]);
        let receipts = (0..3).map(|i| Self::receipt(&engine, i, 1)).collect();
        Self { checkpoint: initial_checkpoint(&engine), engine, exponents, running, seals, receipts }
    }

    fn receipt(engine: &Engine, seed: u64, scale: i16) -> StepReceipt {
        StepReceipt { count: 2, loss_sum: 10 << 20, gradient: gradient(engine.task().model().weights(), seed, scale) }
    }

    fn step(&self) -> (Option<Checkpoint>, StepOutcome) {
        let checkpoint_root = checkpoint_root(self.engine.task().model(), &self.checkpoint);
        make_step(
            &self.engine,
            &StepInput {
                checkpoint: &self.checkpoint,
                checkpoint_root,
                exponents: &self.exponents,
                running: &self.running,
                seal_squares: &self.seals,
                receipts: &self.receipts,
            },
        )
    }

    fn tensor(&self, name: &str) -> usize {
        self.engine.tensors().iter().position(|t| t.name == name).expect("tensor of the model")
    }
}

proptest! {
    #[test]
    fn receipt_is_rescaled(
        squares in any::<u64>(), count in 1_u32..=256, median in any::<u64>(), running in any::<u64>(),
    ) {
        let squares = u128::from(squares) << 20;
        let shift = receipt_shift(squares, count, median, running);
        let (m, alike) = (u128::from(count), u128::from(count.max(4) * count) * u128::from(median));
        let sum = 4 * (m * u128::from(median) + ((m * m * u128::from(running)) >> 8));
        let limit = if running == 0 { alike } else { alike.min(sum) };
        prop_assert!(shift <= FRACTION_BITS);
        prop_assert!(shift == FRACTION_BITS || squares >> (2 * shift) <= limit);
        prop_assert!(shift == 0 || squares >> (2 * (shift - 1)) > limit);
    }

    #[test]
    fn total_is_rescaled(size in any::<u64>(), running in any::<u64>()) {
        let (shift, after) = total_shift(size, running);
        if running == 0 {
            prop_assert_eq!((shift, after), (0, size));
        } else {
            prop_assert!(after <= running.saturating_mul(TOTAL_FACTOR));
            prop_assert!(shift == 0 || size >> (2 * (shift - 1)) > running.saturating_mul(TOTAL_FACTOR));
        }
    }
}

#[test]
fn rescaling_at_its_bounds() {
    assert_eq!([400, 401, 1_600, 1_604, 6_400].map(|s| receipt_shift(s, 1, 100, 0)), [0, 1, 1, 2, 2]);
    assert_eq!(receipt_shift(0, 1, 0, 0), 0);
    assert_eq!(receipt_shift(1, 1, 0, 0), 1);
    assert_eq!(receipt_shift(u128::MAX, 256, 0, 0), FRACTION_BITS);
    // 256 leaves whose common part is a hundredth of a leaf: four times (256 * 100 + 65,536) instead of 65,536 * 100.
    let limit = 4 * (25_600 + 65_536);
    assert_eq!([limit, limit + 4].map(|s| receipt_shift(s, 256, 100, 256)), [0, 1]);
    assert_eq!(total_shift(160, 10), (0, 160));
    assert_eq!(total_shift(161, 10), (1, 40));
    assert_eq!(total_shift(u64::MAX, 1), (30, 15));
}

#[test]
fn poisoned_receipt_adds_no_more_than_an_honest_one() {
    let mut round = Round::new();
    let tensor = round.engine.tensors()[0].clone();
    let median = Some(tensor.len() as u64);
    round.receipts.push(Round::receipt(&round.engine, 9, 62));
    let mut sums = [0, 1].map(|_| vec![0_i64; tensor.len()]);
    total(&tensor, &round.receipts[..3], median, 0, &mut sums[0]);
    total(&tensor, &round.receipts, median, 0, &mut sums[1]);
    let added: i128 = sums[0].iter().zip(&sums[1]).map(|(a, b)| i128::from(b - a).pow(2)).sum();
    // At most 4 m = 8 times the median's size, in units of 2^-16.
    assert!(added > 0 && added <= (8 * tensor.len() as i128) << (2 * FRACTION_BITS));
    // Exactly: each value shifted by the same power of two.
    let shift = receipt_shift(squares(&round.receipts[3].gradient[tensor.range()]), 2, tensor.len() as u64, 0);
    assert_eq!(shift, 5);
    for ((a, b), g) in sums[0].iter().zip(&sums[1]).zip(&round.receipts[3].gradient) {
        assert_eq!(b - a, i64::from(*g) << (FRACTION_BITS - shift));
    }
}

#[test]
fn step_does_not_depend_on_the_order_of_receipts() {
    let mut round = Round::new();
    round.receipts.push(Round::receipt(&round.engine, 9, 62));
    let forth = round.step();
    round.receipts.reverse();
    assert_eq!(round.step(), forth);
    round.receipts.swap(0, 2);
    assert_eq!(round.step(), forth);
    assert_eq!((forth.1.microbatches, forth.1.tokens, forth.1.loss), (8, 8 * 128, 5 << 20));
}

#[test]
fn step_is_the_same_on_every_platform() {
    let mut round = Round::new();
    let expected = round.step();
    for platform in Platform::available() {
        round.engine = engine(platform);
        assert_eq!(round.step(), expected, "{platform:?}");
    }
}

#[test]
fn step_without_tokens_is_skipped_but_scales_follow() {
    let mut round = Round::new();
    round.receipts.clear();
    round.running.fill(640);
    for squares in &mut round.seals {
        squares.iter_mut().for_each(|s| *s *= 3);
    }
    let (checkpoint, outcome) = round.step();
    assert_eq!(checkpoint, None);
    assert_eq!(outcome.checkpoint_root, checkpoint_root(round.engine.task().model(), &round.checkpoint));
    assert_eq!((outcome.tokens, outcome.microbatches, outcome.loss), (0, 0, 0));
    assert!(outcome.exponents.iter().all(|e| *e == 2));
    assert!(outcome.running.iter().all(|r| *r == 160));
}

#[test]
fn exponent_follows_the_median_and_rescales_the_running_size() {
    let mut round = Round::new();
    round.receipts.clear();
    round.running.fill(256);
    let [head, norm, embed] = ["head", "final_norm", "embed"].map(|name| round.tensor(name));
    let (head_len, norm_len) = (round.engine.tensors()[head].len() as u64, round.engine.tensors()[norm].len() as u64);
    // Two of three seals decide; the third is an outlier.
    for (seal, squares) in round.seals.iter_mut().enumerate() {
        squares[head] = if seal == 0 { 0 } else { 17 * head_len };
        squares[norm] = if seal == 0 { u64::MAX } else { norm_len / 2 - 1 };
    }
    let (_, outcome) = round.step();
    assert_eq!([head, norm, embed].map(|t| outcome.exponents[t]), [1, 4, 3]);
    assert_eq!([head, norm, embed].map(|t| outcome.running[t]), [256 >> 4, 256 << 2, 256]);
}

#[test]
fn unit_of_the_sum_follows_the_exponent() {
    // Twice the gradient at one exponent more is the same step.
    let mut round = Round::new();
    round.seals.clear();
    round.running.fill(0);
    let (one, _) = round.step();
    round.exponents.fill(4);
    round.receipts = (0..3).map(|i| Round::receipt(&round.engine, i, 2)).collect();
    let (two, _) = round.step();
    assert!(one.is_some());
    assert_eq!(one, two);
}

#[test]
fn exponents_stay_in_range() {
    let mut round = Round::new();
    for (end, squares) in [(*EXPONENTS.start(), u64::MAX), (*EXPONENTS.end(), 0)] {
        round.exponents.fill(end);
        round.seals.iter_mut().for_each(|s| s.fill(squares));
        let (checkpoint, outcome) = round.step();
        assert!(outcome.exponents.iter().all(|e| *e == end));
        let next = checkpoint.expect("has tokens");
        assert!(next.weights.iter().all(|w| w.is_finite()));
    }
}

#[test]
fn round_without_seals_keeps_scales_and_rescales_nothing() {
    let mut round = Round::new();
    round.seals.clear();
    let (checkpoint, outcome) = round.step();
    assert!(checkpoint.is_some());
    assert_eq!(outcome.exponents, round.exponents);
}

#[test]
fn total_of_a_round_is_held_near_its_running_size() {
    let mut round = Round::new();
    round.seals.clear();
    // A quarter of one squared unit a microbatch: the receipts below are far beyond sixteen times that.
    round.running.fill(64);
    round.receipts = vec![Round::receipt(&round.engine, 1, 32)];
    let (held, outcome) = round.step();
    let seen = |t: &TensorSpec| squares(&round.receipts[0].gradient[t.range()]) as u64 * 256 / 4;
    for (tensor, running) in round.engine.tensors().iter().zip(&outcome.running) {
        let (shift, after) = total_shift(seen(tensor), 64);
        assert!(shift > 2 && after <= 1_024, "{tensor:?}");
        assert_eq!(*running, 64 - 8 + after / 8);
    }
    // The same sum divided by the same powers of two, with nothing to compare it with, makes the same step.
    let mut divided = Round::new();
    divided.seals.clear();
    divided.receipts = round.receipts.clone();
    for (e, t) in divided.exponents.iter_mut().zip(round.engine.tensors()) {
        *e += total_shift(seen(t), 64).0 as i8;
    }
    assert_eq!(divided.step().0, held);
}
