//! Quantization of f32 matrices to int7 operands.
//!
//! Per row of A or column of B: `scale = max / 63`, element = round(x * (63 / max)), where max is the largest
//! magnitude after NaN became 0 and magnitudes were clamped to 2^60. A vector whose max is below 2^-100 gives zeros
//! and scale 0, so the function is total.

use super::{CLAMP, INT7_MAX, Operand, ProductError, TILE, shape};
use crate::buffer::Buffer;
use crate::math::{round_small, round_small_to_int};
use crate::platform::{Path, Platform, dispatch};
use crate::rng::{LANES, Stream};
use rayon::prelude::*;

/// Vectors whose largest magnitude is below 2^-100 are zeros.
const TINY: f32 = 1.0 / ((1u128 << 100) as f32);

/// How a quotient becomes an integer.
#[derive(Clone, Copy, Debug)]
pub enum Rounding<'a> {
    /// To the nearest, half to even.
    Nearest,
    /// `floor(quotient + r / 2^16)`, with r the stream's value at the element's row-major index in the source: right
    /// on average.
    Stochastic(&'a Stream),
}

/// Quantizes `x`, row-major `[rows][k]`, along its rows: one scale per row.
///
/// # Errors
/// The shape is refused or `x` does not fill it.
pub fn quantize_rows(
    platform: Platform,
    x: &[f32],
    rows: usize,
    k: usize,
    rounding: Rounding<'_>,
) -> Result<Operand, ProductError> {
    let expected = shape(rows, k)?;
    if x.len() != expected {
        return Err(ProductError::Elements { got: x.len(), expected });
    }
    let (mut data, mut scales) = (Buffer::stale(expected), Buffer::stale(rows));
    let strips = data.par_chunks_exact_mut(TILE * k).zip(scales.par_chunks_exact_mut(TILE));
    strips.zip(x.par_chunks_exact(TILE * k)).enumerate().for_each(|(strip, ((data, scales), x))| {
        let first = (strip * TILE * k) as u64;
        rows_strip(platform, x, k, first, rounding, data, scales);
    });
    Ok(Operand::quantized(data, scales, k))
}

/// Quantizes `x`, row-major `[k][cols]`, along its columns: one scale per column.
///
/// # Errors
/// The shape is refused or `x` does not fill it.
pub fn quantize_columns(
    platform: Platform,
    x: &[f32],
    k: usize,
    cols: usize,
    rounding: Rounding<'_>,
) -> Result<Operand, ProductError> {
    let expected = shape(cols, k)?;
    if x.len() != expected {
        return Err(ProductError::Elements { got: x.len(), expected });
    }
    let (mut data, mut scales) = (Buffer::stale(expected), Buffer::stale(cols));
    let strips = data.par_chunks_exact_mut(TILE * k).zip(scales.par_chunks_exact_mut(TILE));
    strips.enumerate().for_each(|(strip, (data, scales))| {
        columns_strip(platform, x, cols, strip * TILE, rounding, data, scales);
    });
    Ok(Operand::quantized(data, scales, k))
}

/// NaN to 0, magnitudes to at most 2^60.
#[inline(always)]
fn sanitize(x: f32) -> f32 {
    let x = if x > CLAMP { CLAMP } else { x };
    let x = if x < -CLAMP { -CLAMP } else { x };
    if x.is_nan() { 0.0 } else { x }
}

/// The scale of a vector and the factor that takes it to -63..=63.
#[inline(always)]
fn scale_and_inverse(max: f32) -> (f32, f32) {
    if max < TINY { (0.0, 0.0) } else { (max / INT7_MAX as f32, INT7_MAX as f32 / max) }
}

/// The random values of 32 elements, as fractions; `first` is a multiple of 32.
#[inline(always)]
fn fractions(platform: Platform, stream: &Stream, first: u64) -> [f32; TILE] {
    let random = stream.four_blocks(platform, first / LANES as u64);
    let mut out = [0.0; TILE];
    for (value, r) in out.iter_mut().zip(random) {
        *value = f32::from(r) * (1.0 / 65536.0);
    }
    out
}

/// Rounds down, by rounding to the nearest and correcting upward errors.
#[inline(always)]
fn floor(x: f32) -> i32 {
    round_small_to_int(x) - i32::from(round_small(x) > x)
}

/// 32 elements, element i with factor `inverse[i]`; `first` is the row-major index of the first.
#[inline(always)]
fn quantize_32(
    platform: Platform,
    x: &[f32; TILE],
    inverse: &[f32; TILE],
    stream: Option<&Stream>,
    first: u64,
) -> [i8; TILE] {
    #[expect(clippy::manual_map, reason = "a closure would be compiled without its caller's vector instructions")]
    let fractions = if let Some(stream) = stream { Some(fractions(platform, stream, first)) } else { None };
    match platform.path() {
        // SAFETY: such a `Platform` only exists where AVX2 was detected.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { super::avx2::quantize_32(x, inverse, fractions.as_ref()) },
        // SAFETY: such a `Platform` only exists where AVX-512 was detected.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { super::avx512::quantize_32(x, inverse, fractions.as_ref()) },
        Path::Portable => {
            let mut integers = [0; TILE];
            if let Some(fractions) = &fractions {
                for i in 0..TILE {
                    integers[i] = floor(sanitize(x[i]) * inverse[i] + fractions[i]);
                }
            } else {
                for i in 0..TILE {
                    integers[i] = round_small_to_int(sanitize(x[i]) * inverse[i]);
                }
            }
            let mut out = [0; TILE];
            for (out, integer) in out.iter_mut().zip(integers) {
                // Clamped, so it fits.
                *out = integer.clamp(-INT7_MAX, INT7_MAX) as i8;
            }
            out
        }
    }
}

/// Folds 32 elements into 32 maxima of magnitudes.
#[inline(always)]
fn maxima(max: &mut [f32; TILE], x: &[f32; TILE]) {
    for (max, x) in max.iter_mut().zip(x) {
        let x = sanitize(*x).abs();
        *max = if x > *max { x } else { *max };
    }
}

fn rows_strip(
    platform: Platform,
    x: &[f32],
    k: usize,
    first: u64,
    rounding: Rounding<'_>,
    data: &mut [i8],
    scales: &mut [f32],
) {
    let stream = match rounding {
        Rounding::Nearest => None,
        Rounding::Stochastic(stream) => Some(stream),
    };
    dispatch!(platform, quantize_strip_of_rows(
        platform: Platform,
        x: &[f32],
        k: usize,
        first: u64,
        stream: Option<&Stream>,
        data: &mut [i8],
        scales: &mut [f32],
    ) {
        let mut inverses = [0.0; TILE];
        for (x, (scale, inverse)) in x.chunks_exact(k).zip(scales.iter_mut().zip(&mut inverses)) {
            let mut lanes = [0.0; TILE];
            for x in x.as_chunks::<TILE>().0 {
                maxima(&mut lanes, x);
            }
            let max = lanes.iter().fold(0.0, |max, x| if *x > max { *x } else { max });
            (*scale, *inverse) = scale_and_inverse(max);
        }
        let mut square = [[0; TILE]; TILE];
        for (tile, out) in data.as_chunks_mut::<TILE>().0.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let from = tile * TILE;
            for (i, (x, quantized)) in x.chunks_exact(k).zip(&mut square).enumerate() {
                let Some(x) = x[from..].first_chunk() else { return };
                *quantized = quantize_32(platform, x, &[inverses[i]; TILE], stream, first + (i * k + from) as u64);
            }
            transpose(platform, &square, out);
        }
    });
}

fn columns_strip(
    platform: Platform,
    x: &[f32],
    cols: usize,
    first: usize,
    rounding: Rounding<'_>,
    data: &mut [i8],
    scales: &mut [f32],
) {
    let stream = match rounding {
        Rounding::Nearest => None,
        Rounding::Stochastic(stream) => Some(stream),
    };
    dispatch!(platform, quantize_strip_of_columns(
        platform: Platform,
        x: &[f32],
        cols: usize,
        first: usize,
        stream: Option<&Stream>,
        data: &mut [i8],
        scales: &mut [f32],
    ) {
        let mut max = [0.0; TILE];
        for x in x.chunks_exact(cols) {
            let Some(x) = x[first..].first_chunk() else { return };
            maxima(&mut max, x);
        }
        let mut inverses = [0.0; TILE];
        for ((scale, inverse), max) in scales.iter_mut().zip(&mut inverses).zip(max) {
            (*scale, *inverse) = scale_and_inverse(max);
        }
        for (row, (x, out)) in x.chunks_exact(cols).zip(data.as_chunks_mut::<TILE>().0).enumerate() {
            let Some(x) = x[first..].first_chunk() else { return };
            *out = quantize_32(platform, x, &inverses, stream, (row * cols + first) as u64);
        }
    });
}

/// Rows to columns of one tile.
#[inline(always)]
fn transpose(platform: Platform, square: &[[i8; TILE]; TILE], out: &mut [[i8; TILE]; TILE]) {
    match platform.path() {
        // SAFETY: such a `Platform` only exists where AVX2 was detected.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 | Path::Avx512 => unsafe { super::avx2::transpose(square, out) },
        Path::Portable => {
            for (i, row) in square.iter().enumerate() {
                for (j, v) in row.iter().enumerate() {
                    out[j][i] = *v;
                }
            }
        }
    }
}
