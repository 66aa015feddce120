//! Scalar functions and reductions: IEEE-754 `+ - * / sqrt` and explicit `fma` only, never libm.
//!
//! `f32::mul_add` is the correctly rounded fused multiply-add on every target, whether one instruction or a call.

/// Magnitude above which kernels clamp, so that no infinity leaves one.
pub const LIMIT: f32 = 1.152_921_5e18; // 2^60

/// NaN becomes zero, magnitudes clamp at 2^60.
#[inline(always)]
pub fn sanitize(x: f32) -> f32 {
    // Comparisons instead of `clamp`: a NaN fails them and is tested for by itself.
    if x >= LIMIT {
        LIMIT
    } else if x <= -LIMIT {
        -LIMIT
    } else if x.is_nan() {
        0.0
    } else {
        x
    }
}

/// `2^e` for `-126 <= e <= 127`.
#[inline(always)]
pub fn exp2_int(e: i32) -> f32 {
    // Wrapping, for the NaN of a caller that sanitizes its result.
    f32::from_bits((e.wrapping_add(127) as u32) << 23)
}

/// 1.5 * 2^23: a float of this size has no room for a fraction.
const ROUNDER: f32 = 12_582_912.0;

/// Rounds to the nearest integer, ties to even, for `|x| < 2^22`.
#[inline(always)]
pub fn round_small(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

/// [`round_small`] as an integer: the low bits of the sum. A conversion by `as` saturates, which costs vectorization.
#[inline(always)]
pub fn round_small_to_int(x: f32) -> i32 {
    (x + ROUNDER).to_bits().cast_signed().wrapping_sub(ROUNDER.to_bits().cast_signed())
}

/// `e^x` for any finite `x`; arguments beyond +-87 are clamped. Relative error below 2^-22.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`; Taylor polynomial of degree seven in Horner form, one `fma` a term
/// (W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980, for the two-part `ln 2`).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    use std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4; // 355/512, nine bits: n * LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let scaled = x * LOG2_E;
    let n = round_small(scaled);
    let r = (-n).mul_add(LN2_HIGH, x);
    let r = (-n).mul_add(LN2_LOW, r);
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, c);
    }
    // |n| <= 126 after the clamp, so the power is a normal number.
    p * exp2_int(round_small_to_int(scaled))
}

/// Natural logarithm of a positive normal number. Absolute error below 2^-22 near one, relative elsewhere.
///
/// `x = m 2^e` with `m` in `[3/4, 3/2)`; `ln m = 2 atanh(s)`, `s = (m - 1) / (m + 1)`, odd series to `s^11`.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bits = x.to_bits();
    // Subtracting the bits of 3/4 makes the exponent field count from there.
    let e = ((bits.wrapping_sub(0x3f40_0000)) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e as u32) << 23));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 1.0 / 11.0;
    for c in [1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0] {
        p = z.mul_add(p, c);
    }
    let twice = s + s;
    let fraction = (twice * z).mul_add(p, twice);
    let e = e as f32;
    e.mul_add(LN2_HIGH, e.mul_add(LN2_LOW, fraction))
}

/// Lanes of a reduction.
pub const LANES: usize = 32;

/// Adds 32 lanes by a fixed binary tree: halves first.
#[inline(always)]
pub fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Sum: lane `i % 32` adds its elements in ascending order, then [`tree`].
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += *v;
        }
    }
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += *v;
    }
    tree(lanes)
}

/// Dot product: lane `i % 32` is one `fma` chain in ascending order, then [`tree`].
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let n = a.len() / LANES * LANES;
    for (x, y) in a[..n].chunks_exact(LANES).zip(b[..n].chunks_exact(LANES)) {
        for i in 0..LANES {
            lanes[i] = x[i].mul_add(y[i], lanes[i]);
        }
    }
    for (i, (x, y)) in a[n..].iter().zip(&b[n..]).enumerate() {
        lanes[i] = x.mul_add(*y, lanes[i]);
    }
    tree(lanes)
}

/// Dot product of three vectors: lane chains of `fma(a * b, c, lane)`.
#[inline(always)]
pub fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for i in 0..a.len() {
        lanes[i % LANES] = (a[i] * b[i]).mul_add(c[i], lanes[i % LANES]);
    }
    tree(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_are_close_to_the_true_functions() {
        for i in -8700..=8700 {
            let x = i as f32 / 100.0;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) / truth - 1.0).abs() < 3e-7, "exp({x})");
        }
        for i in 1..20_000 {
            let x = i as f32 / 64.0;
            let truth = f64::from(x).ln();
            assert!((f64::from(ln(x)) - truth).abs() < 3e-7 * truth.abs().max(1.0), "ln({x})");
        }
        assert_eq!((exp(0.0), ln(1.0)), (1.0, 0.0));
        assert!(exp(-1e30) > 0.0 && exp(1e30).is_finite());
    }

    #[test]
    fn sanitize_is_total() {
        assert_eq!(sanitize(f32::NAN), 0.0);
        assert_eq!(sanitize(f32::INFINITY), LIMIT);
        assert_eq!(sanitize(-1e30), -LIMIT);
        assert_eq!(sanitize(1.5), 1.5);
        assert_eq!(LIMIT, exp2_int(60));
    }

    #[test]
    fn reductions_follow_the_documented_order() {
        let x: Vec<f32> = (0..100).map(|i| 1.0 / (i + 1) as f32).collect();
        let mut lanes = [0.0_f32; 32];
        for (i, v) in x.iter().enumerate() {
            lanes[i % 32] += v;
        }
        for width in [16, 8, 4, 2, 1] {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        assert_eq!(sum(&x).to_bits(), lanes[0].to_bits());
        let ones = vec![1.0; 100];
        assert_eq!(dot(&x, &ones).to_bits(), sum(&x).to_bits());
        assert_eq!(dot3(&x, &ones, &ones).to_bits(), sum(&x).to_bits());
    }

    /// Pins the bits: another machine, profile or compiler must reproduce them.
    #[test]
    fn golden_scalar_bits() {
        let mut hasher = blake3::Hasher::new();
        for i in -2000..2000 {
            hasher.update(&exp(i as f32 * 0.0437).to_le_bytes());
            hasher.update(&ln((i + 2001) as f32 * 0.13).to_le_bytes());
        }
        assert_eq!(&hasher.finalize().to_hex()[..16], "b9e6602957936ee7");
    }
}
