//! Rotary position embedding (Su et al., "RoFormer", 2021) in the half-split form that Llama checkpoints use.

use crate::platform::{Platform, dispatch};

/// Base of the angles, as in Llama.
pub const THETA: f64 = 10_000.0;

/// Cosines and sines, `[seq_len][head_width / 2]`.
#[derive(Clone, Debug)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Builds the table from basic operations only, in f64, rounded to f32 at the end.
    ///
    /// `theta^(1/half)` is a repeated square root (the half width is a power of two), inverse frequencies are
    /// running quotients, the first sine and cosine come from their Taylor series (angles are at most one radian)
    /// and the next positions from the addition theorem.
    pub fn new(seq_len: usize, head_width: usize) -> Self {
        let half = head_width / 2;
        let mut root = THETA;
        let mut n = half;
        while n > 1 {
            root = root.sqrt();
            n /= 2;
        }
        let (mut cos, mut sin) = (vec![0.0; seq_len * half], vec![0.0; seq_len * half]);
        let mut frequency = 1.0_f64;
        for i in 0..half {
            let (step_sin, step_cos) = sin_cos(frequency);
            let (mut s, mut c) = (0.0_f64, 1.0_f64);
            for t in 0..seq_len {
                cos[t * half + i] = c as f32;
                sin[t * half + i] = s as f32;
                (s, c) = (s * step_cos + c * step_sin, c * step_cos - s * step_sin);
            }
            frequency /= root;
        }
        Self { half, cos, sin }
    }

    /// Cosines and sines, `[seq_len][head_width / 2]` each.
    pub fn into_parts(self) -> (Vec<f32>, Vec<f32>) {
        (self.cos, self.sin)
    }

    /// Rotates the heads of one row (`row[h * width ..]`) at position `t`; `inverse` rotates back (the backward pass).
    pub fn rotate(&self, platform: Platform, row: &mut [f32], t: usize, inverse: bool) {
        let table = t * self.half..(t + 1) * self.half;
        rotate(platform, row, &self.cos[table.clone()], &self.sin[table], if inverse { -1.0 } else { 1.0 });
    }
}

fn rotate(platform: Platform, row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    dispatch!(platform, body(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let (x, y, c, s) = (a[i], b[i], cos[i], sign * sin[i]);
                a[i] = (-y).mul_add(s, x * c);
                b[i] = x.mul_add(s, y * c);
            }
        }
    })
}

/// Sine and cosine of an angle of at most one radian: Taylor series to the 19th and 18th power, in Horner form.
fn sin_cos(x: f64) -> (f64, f64) {
    let z = x * x;
    let (mut s, mut c) = (1.0, 1.0);
    for k in (1..=9).rev() {
        let k = f64::from(k);
        s = 1.0 - z / ((2.0 * k) * (2.0 * k + 1.0)) * s;
        c = 1.0 - z / ((2.0 * k - 1.0) * (2.0 * k)) * c;
    }
    (x * s, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_close_to_libm() {
        let (seq, width) = (512, 64);
        let table = RopeTable::new(seq, width);
        for t in 0..seq {
            for i in 0..width / 2 {
                let angle = t as f64 * THETA.powf(-(2.0 * i as f64) / width as f64);
                assert!((f64::from(table.cos[t * 32 + i]) - angle.cos()).abs() < 1e-7, "cos at {t}, {i}");
                assert!((f64::from(table.sin[t * 32 + i]) - angle.sin()).abs() < 1e-7, "sin at {t}, {i}");
            }
        }
    }

    #[test]
    fn inverse_rotation_undoes_and_platforms_agree() {
        let table = RopeTable::new(64, 32);
        let row: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
        let mut first = None;
        for platform in Platform::available() {
            let mut x = row.clone();
            table.rotate(platform, &mut x, 17, false);
            assert_eq!(first.get_or_insert(x.clone()), &x);
            table.rotate(platform, &mut x, 17, true);
            assert!(x.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}
