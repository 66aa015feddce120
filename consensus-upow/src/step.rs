//! The optimizer step that ends a round: summed gradients, rescaled where they are too large, and new scales.

use descent_runtime::{H256, StepOutcome};
use ml_kernels::config::TensorSpec;
use ml_kernels::gradient::next_exponent;
use ml_kernels::math::exp2_int;
use ml_kernels::optimizer::{self, Checkpoint};
use rayon::prelude::*;

use crate::checkpoint::checkpoint_root;
use crate::engine::Engine;

/// Fractional bits of the summed gradient: a receipt is rescaled by at most `2^-16`, exactly.
pub const FRACTION_BITS: u32 = 16;
/// Fractional bits of the running sizes.
const RUNNING_BITS: u32 = 8;
/// A round's total may exceed the running mean square by this factor before it is rescaled.
const TOTAL_FACTOR: u64 = 16;

/// One receipt's part of the step.
#[derive(Clone, Debug)]
pub struct StepReceipt {
    /// Microbatches summed in it.
    pub count: u32,
    /// Sum of their losses, each nats times 2^20.
    pub loss_sum: u64,
    /// Summed gradient.
    pub gradient: Vec<i16>,
}

/// What the step starts from.
#[derive(Clone, Debug)]
pub struct StepInput<'a> {
    /// Weights and moments of the ending round.
    pub checkpoint: &'a Checkpoint,
    /// Their commitment.
    pub checkpoint_root: H256,
    /// Exponents of the ending round's gradients.
    pub exponents: &'a [i8],
    /// Running sizes in state.
    pub running: &'a [u64],
    /// Sums of squares that the round's seals reported.
    pub seal_squares: &'a [Vec<u64>],
    /// The receipts that enter, in order of inclusion.
    pub receipts: &'a [StepReceipt],
}

/// Sum of squares of a tensor of a receipt.
fn squares(g: &[i16]) -> u128 {
    g.par_chunks(1 << 14)
        .map(|c| c.iter().map(|v| (i64::from(*v) * i64::from(*v)) as u64).sum::<u64>())
        .map(u128::from)
        .sum()
}

/// Lower median of the seals' sums of squares of one tensor; nothing without seals.
fn median(seals: &[Vec<u64>], tensor: usize) -> Option<u64> {
    let mut values: Vec<u64> = seals.iter().filter_map(|s| s.get(tensor).copied()).collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// What the sum of squares of an honest receipt of `count` leaves stays below, loosely.
///
/// A sum of `m` leaves has `m` times a leaf's noise and `m^2` times the part that all leaves share, whose size the
/// running total tells: four times both. A receipt that hides one false leaf among honest ones then weighs at most about
/// twice an honest one. Never above `m^2` leaves' (all leaves alike), which also serves until a total is known; a
/// single leaf may be four times the median.
fn receipt_limit(count: u32, median: u64, running: u64) -> u128 {
    let (m, median) = (u128::from(count), u128::from(median));
    let alike = (m * m).max(4 * m) * median;
    if running == 0 {
        return alike;
    }
    let expected = m * median + ((m * m * u128::from(running)) >> RUNNING_BITS);
    alike.min(4 * expected)
}

/// Rule `receipt_is_rescaled`: the least `s` that brings `S2 / 4^s` to the limit, at most 16. Never a rejection.
pub fn receipt_shift(squares: u128, count: u32, median: u64, running: u64) -> u32 {
    let limit = receipt_limit(count, median, running);
    (0..FRACTION_BITS).find(|s| squares >> (2 * s) <= limit).unwrap_or(FRACTION_BITS)
}

/// Rule `total_is_rescaled`: the least `s` that brings the total's size to at most 16 times the running one, and the
/// size after it. Without a running size anything is accepted.
pub fn total_shift(size: u64, running: u64) -> (u32, u64) {
    if running == 0 {
        return (0, size);
    }
    let limit = running.saturating_mul(TOTAL_FACTOR);
    let shift = (0..32).find(|s| size >> (2 * s) <= limit).unwrap_or(32);
    (shift, if shift < 32 { size >> (2 * shift) } else { 0 })
}

/// The tensor's total as fixed point with 16 fractional bits: each receipt by an exact left shift.
fn total(tensor: &TensorSpec, receipts: &[StepReceipt], median: Option<u64>, running: u64, sum: &mut [i64]) {
    for receipt in receipts {
        let g = &receipt.gradient[tensor.range()];
        let shift = median.map_or(0, |m| receipt_shift(squares(g), receipt.count, m, running));
        sum.par_iter_mut().zip(g).for_each(|(sum, g)| *sum += i64::from(*g) << (FRACTION_BITS - shift));
    }
}

/// Size of a total: its sum of squares over the square of the number of microbatches, 8 fractional bits.
fn size(sum: &[i64], microbatches: u64) -> u64 {
    let squares = |c: &[i64]| c.iter().map(|v| u128::from((v >> FRACTION_BITS).unsigned_abs()).pow(2)).sum::<u128>();
    let squares: u128 = sum.par_chunks(1 << 14).map(squares).sum();
    let size = (squares << RUNNING_BITS) / u128::from(microbatches).pow(2).max(1);
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A running size after a change of exponent: values scale by `2^change`, squares by `4^change`.
fn rescaled(running: u64, change: i32) -> u64 {
    if change >= 0 { running.saturating_mul(1 << (2 * change)) } else { running >> (2 * -change) }
}

/// Makes the step. A round without tokens is skipped: the weights stay, the scales follow the seals all the same.
///
/// # Panics
/// If the input is another model's; it comes from this chain's own state.
pub fn make_step(engine: &Engine, input: &StepInput<'_>) -> (Option<Checkpoint>, StepOutcome) {
    let model = engine.task().model();
    let tensors = engine.tensors();
    let microbatches: u64 = input.receipts.iter().map(|r| u64::from(r.count)).sum();
    let tokens = microbatches * model.tokens() as u64;
    let medians: Vec<Option<u64>> = (0..tensors.len()).map(|t| median(input.seal_squares, t)).collect();

    let mut running = input.running.to_vec();
    let mut checkpoint = None;
    let mut root = input.checkpoint_root;
    if tokens > 0 {
        let mut sum = vec![0_i64; model.weights()];
        let mut units = Vec::with_capacity(tensors.len());
        for (t, tensor) in tensors.iter().enumerate() {
            let part = &mut sum[tensor.range()];
            total(tensor, input.receipts, medians[t], running[t], part);
            let (shift, size) = total_shift(size(part, microbatches), running[t]);
            running[t] = if running[t] == 0 { size } else { running[t] - running[t] / 8 + size / 8 };
            // Products of powers of two are exact; one division by the tokens rounds.
            let exponent = i32::from(input.exponents[t]) + FRACTION_BITS as i32 + shift as i32;
            units.push(exp2_int(-exponent) / tokens as f32);
        }
        let optimizer = engine.task().params().optimizer.into();
        let next = optimizer::step(engine.platform(), model, &optimizer, input.checkpoint, &sum, &units);
        root = checkpoint_root(model, &next);
        checkpoint = Some(next);
    }
    let exponents: Vec<i8> = (tensors.iter().zip(input.exponents).zip(&medians))
        .map(|((tensor, e), median)| median.map_or(*e, |m| next_exponent(*e, m, tensor.len())))
        .collect();
    for (running, (new, old)) in running.iter_mut().zip(exponents.iter().zip(input.exponents)) {
        *running = rescaled(*running, i32::from(*new) - i32::from(*old));
    }
    let loss: u64 = input.receipts.iter().map(|r| r.loss_sum).sum();
    let outcome = StepOutcome {
        checkpoint_root: root,
        exponents,
        running,
        tokens,
        // Receipts of a block and blocks of a round are bounded far below 2^32 microbatches.
        microbatches: u32::try_from(microbatches).unwrap_or(u32::MAX),
        loss: u32::try_from(loss / microbatches.max(1)).unwrap_or(u32::MAX),
    };
    (checkpoint, outcome)
}

#[cfg(test)]
mod tests;
