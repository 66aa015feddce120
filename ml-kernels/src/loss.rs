//! Cross-entropy over bytes.

use rayon::prelude::*;

use crate::config::VOCAB;
use crate::math::{exp, ln, sanitize, sum};
use crate::platform::{Platform, dispatch};

/// Fractional bits of a loss reported as an integer.
pub const LOSS_BITS: u32 = 20;

/// Turns each row of logits into the gradient of its loss (`softmax - one_hot`, summed over tokens, not averaged)
/// and returns the mean loss in nats.
///
/// Per row: `m = max` (ascending), `p = exp(x - m)`, `s = sum(p)` (32 lanes), `loss = ln(s) - (x[target] - m)`.
pub fn forward_backward(platform: Platform, logits: &mut [f32], targets: &[u8]) -> f32 {
    let losses: Vec<f32> =
        logits.par_chunks_mut(VOCAB).zip(targets).map(|(row, t)| row_loss(platform, row, *t)).collect();
    sum(&losses) / losses.len() as f32
}

fn row_loss(platform: Platform, row: &mut [f32], target: u8) -> f32 {
    dispatch!(platform, body(row: &mut [f32], target: u8) -> f32 {
        let target = usize::from(target);
        let mut max = row[0];
        for x in row.iter() {
            max = if *x > max { *x } else { max };
        }
        let at = row[target] - max;
        for x in row.iter_mut() {
            *x = exp(*x - max);
        }
        let total = sum(row);
        let inverse = 1.0 / total;
        for x in row.iter_mut() {
            *x *= inverse;
        }
        row[target] -= 1.0;
        sanitize(ln(total) - at)
    })
}

/// A loss in nats as fixed point with 20 fractional bits, half to even, saturating.
pub fn to_fixed(loss: f32) -> u32 {
    // `as` saturates and takes NaN to zero.
    (loss * (1_u32 << LOSS_BITS) as f32).round_ties_even() as u32
}

/// The inverse of [`to_fixed`], for people to read.
pub fn from_fixed(loss: u32) -> f64 {
    f64::from(loss) / f64::from(1_u32 << LOSS_BITS)
}
