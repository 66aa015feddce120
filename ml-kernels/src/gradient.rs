//! Gradients as integers: stochastic rounding to units of `2^-e` per tensor, exact sums of squares, delayed scales.

use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::math::{exp2_int, round_small, round_small_to_int, sanitize};
use crate::platform::{Platform, dispatch};
use crate::rng::{LANES, Stream};

/// Largest magnitude of one element of a leaf.
pub const LEAF_MAX: i32 = 31;
/// Range of a tensor's exponent.
pub const EXPONENTS: std::ops::RangeInclusive<i8> = -40..=60;
/// Elements handled by one task, a multiple of the generator's lanes.
const CHUNK: usize = 1 << 14;
/// Elements rounded together: four blocks of the generator.
const WIDTH: usize = 4 * LANES;

/// `floor(g * 2^e + r / 2^16)` clipped to +-31 for every element of every tensor, `r` from the attempt's stream
/// `("gradient", tensor)` at the element's index in its tensor; and each tensor's sum of squares.
pub fn to_integers(
    platform: Platform,
    model: &ModelConfig,
    gradient: &[f32],
    exponents: &[i8],
    key: &[u8; 32],
) -> (Vec<i8>, Vec<u64>) {
    let mut leaf = vec![0_i8; gradient.len()];
    let mut squares = Vec::new();
    for (index, (tensor, e)) in model.tensors().iter().zip(exponents).enumerate() {
        let stream = Stream::new(key, "gradient", index as u32);
        let unit = exp2_int(i32::from(*e));
        let out =
            leaf[tensor.range()].par_chunks_mut(CHUNK).zip(gradient[tensor.range()].par_chunks(CHUNK)).enumerate();
        squares.push(
            out.map(|(i, (out, g))| round_chunk(platform, g, unit, stream, (i * CHUNK / LANES) as u64, out)).sum(),
        );
    }
    (leaf, squares)
}

fn round_chunk(platform: Platform, g: &[f32], unit: f32, stream: Stream, block: u64, out: &mut [i8]) -> u64 {
    dispatch!(platform, body(platform: Platform, g: &[f32], unit: f32, stream: Stream, block: u64, out: &mut [i8]) -> u64 {
        let mut squares = 0;
        // Tensor lengths are multiples of 32, so every chunk is a whole number of these.
        for (i, (g, out)) in g.as_chunks::<WIDTH>().0.iter().zip(out.as_chunks_mut::<WIDTH>().0).enumerate() {
            let random = stream.four_blocks(platform, block + (i * WIDTH / LANES) as u64);
            let mut sum = 0_i32;
            for l in 0..WIDTH {
                let x = sanitize(g[l]) * unit + f32::from(random[l]) * (1.0 / 65536.0);
                // Clamped before the floor, which then is a rounding and a correction.
                let x = if x > 31.5 { 31.5 } else { x };
                let x = if x < -31.0 { -31.0 } else { x };
                let v = round_small_to_int(x) - i32::from(round_small(x) > x);
                out[l] = v as i8;
                sum += v * v;
            }
            squares += sum as u64;
        }
        squares
    })
}

/// The exponent that brings a tensor's root mean square nearest to one unit: how genesis calibrates.
///
/// `sum_of_squares` of the f32 gradient (any value, zero included) over `len` elements.
pub fn calibrate(sum_of_squares: f32, len: usize) -> i8 {
    let mean = sanitize(sum_of_squares) / len as f32;
    if mean < f32::MIN_POSITIVE {
        return *EXPONENTS.end();
    }
    // mean = m 4^h with m in [1, 4): scaling by 2^-h leaves a mean square in [1, 4), by 2^(-h + 1)... so the split
    // at 2 keeps it in [1/2, 2).
    let exponent = (mean.to_bits() >> 23) as i32 - 127;
    let half = (exponent + 1).div_euclid(2);
    (-half).clamp(i32::from(*EXPONENTS.start()), i32::from(*EXPONENTS.end())) as i8
}

/// Delayed scaling (named `scale_follows_median`): the next exponent of a tensor of `len` elements from the median
/// sum of squares that the round's seals reported, aiming at a mean square of one unit.
pub fn next_exponent(exponent: i8, median_squares: u64, len: usize) -> i8 {
    let n = len as u64;
    let change = if median_squares > 16 * n {
        -2
    } else if median_squares > 2 * n {
        -1
    } else if median_squares < n / 16 {
        2
    } else if median_squares < n / 2 {
        1
    } else {
        0
    };
    (exponent + change).clamp(*EXPONENTS.start(), *EXPONENTS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_centres_the_mean_square() {
        for p in -40..40 {
            for m in [1.0_f32, 1.3, 1.9, 2.0, 3.7] {
                let mean = m * exp2_int(p);
                let e = calibrate(mean * 64.0, 64);
                let scaled = f64::from(mean) * f64::from(e).exp2().powi(2);
                assert!((0.5..=2.0).contains(&scaled), "{mean}: {scaled}");
            }
        }
        assert_eq!(calibrate(0.0, 64), 60);
        assert_eq!(calibrate(f32::NAN, 64), 60);
    }

    #[test]
    fn scale_follows_median_within_bounds() {
        assert_eq!([100, 201, 1601, 49, 5].map(|s| next_exponent(0, s, 100)), [0, -1, -2, 1, 2]);
        assert_eq!(next_exponent(60, 0, 100), 60);
        assert_eq!(next_exponent(-40, u64::MAX, 100), -40);
    }

    #[test]
    fn rounding_is_unbiased_total_and_the_same_on_every_platform() {
        let model = ModelConfig::TINY;
        let mut g: Vec<f32> = (0..model.weights()).map(|i| (i % 200) as f32 * 0.01 - 1.0).collect();
        g[..5].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 1e-40]);
        let exponents = vec![1; model.tensors().len()];
        let mut seen = None;
        for platform in Platform::available() {
            let got = to_integers(platform, &model, &g, &exponents, &[3; 32]);
            assert_eq!(&got.0[..5], &[0, 31, -31, 31, 0]);
            let mean = got.0.iter().map(|v| f64::from(*v)).sum::<f64>() / g.len() as f64;
            let truth = g[5..].iter().map(|v| f64::from(*v) * 2.0).sum::<f64>() / g.len() as f64;
            assert!((mean - truth).abs() < 0.01, "{mean} {truth}");
            let squares: u64 =
                got.0[model.tensors()[0].range()].iter().map(|v| (i64::from(*v) * i64::from(*v)) as u64).sum();
            assert_eq!(got.1[0], squares);
            assert_eq!(seen.get_or_insert(got.clone()), &got);
        }
    }
}
