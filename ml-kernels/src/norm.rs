//! RMSNorm (Zhang and Sennrich, 2019): `y = x / sqrt(mean(x^2) + epsilon) * w`.

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::math::{LANES, dot, dot3, sanitize};
use crate::platform::{Platform, dispatch};

/// Added to the mean square, as Llama checkpoints state it.
pub const EPSILON: f32 = 1e-5;

/// Normalizes rows of `w.len()` elements into `y`; returns each row's `1 / sqrt(mean + epsilon)`.
///
/// Order: `mean = dot(x, x) / d` (32 lanes), `y = (x * inverse) * w`.
pub fn forward(platform: Platform, x: &[f32], w: &[f32], y: &mut [f32]) -> Buffer<f32> {
    let d = w.len();
    let mut inverse = Buffer::stale(x.len() / d);
    x.par_chunks(d)
        .zip(y.par_chunks_mut(d))
        .zip(&mut *inverse)
        .for_each(|((x, y), inv)| *inv = row_forward(platform, x, w, y));
    inverse
}

fn row_forward(platform: Platform, x: &[f32], w: &[f32], y: &mut [f32]) -> f32 {
    dispatch!(platform, body(x: &[f32], w: &[f32], y: &mut [f32]) -> f32 {
        let inverse = 1.0 / (dot(x, x) / x.len() as f32 + EPSILON).sqrt();
        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
            *y = sanitize((*x * inverse) * *w);
        }
        inverse
    })
}

/// Adds the input gradient to `dx` and writes the weight gradient to `dw`.
///
/// With `i` the row's inverse: `c = dot3(dy, w, x) * i^3 / d`, `dx += fma(dy * w, i, -c * x)`;
/// `dw[j] =` sum over rows of `dy * (x * i)`, 32 lanes strided over the rows, then the tree.
pub fn backward(platform: Platform, x: &[f32], w: &[f32], inverse: &[f32], dy: &[f32], dx: &mut [f32], dw: &mut [f32]) {
    let d = w.len();
    let rows = x.par_chunks(d).zip(dy.par_chunks(d)).zip(dx.par_chunks_mut(d)).zip(inverse);
    rows.for_each(|(((x, dy), dx), inv)| row_backward(platform, x, w, *inv, dy, dx));
    weight_gradient(platform, x, inverse, dy, dw);
}

fn row_backward(platform: Platform, x: &[f32], w: &[f32], inverse: f32, dy: &[f32], dx: &mut [f32]) {
    dispatch!(platform, body(x: &[f32], w: &[f32], inverse: f32, dy: &[f32], dx: &mut [f32]) {
        let c = dot3(dy, w, x) * (inverse * inverse * inverse) / x.len() as f32;
        for i in 0..x.len() {
            dx[i] = sanitize(dx[i] + (dy[i] * w[i]).mul_add(inverse, -(c * x[i])));
        }
    });
}

fn weight_gradient(platform: Platform, x: &[f32], inverse: &[f32], dy: &[f32], dw: &mut [f32]) {
    dispatch!(platform, body(x: &[f32], inverse: &[f32], dy: &[f32], dw: &mut [f32]) {
        let d = dw.len();
        let mut lanes = vec![0.0_f32; LANES * d];
        for (t, inv) in inverse.iter().enumerate() {
            let lane = &mut lanes[t % LANES * d..][..d];
            let (x, dy) = (&x[t * d..][..d], &dy[t * d..][..d]);
            for i in 0..d {
                lane[i] = dy[i].mul_add(x[i] * *inv, lane[i]);
            }
        }
        let mut width = LANES / 2;
        while width > 0 {
            let (low, high) = lanes.split_at_mut(width * d);
            for (a, b) in low.iter_mut().zip(&high[..width * d]) {
                *a += *b;
            }
            width /= 2;
        }
        for (g, lane) in dw.iter_mut().zip(&lanes[..d]) {
            *g = sanitize(*lane);
        }
    });
}
