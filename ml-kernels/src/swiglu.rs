//! SwiGLU (Shazeer, "GLU Variants Improve Transformer", 2020): `silu(gate) * up`.

use rayon::prelude::*;

use crate::math::{exp, sanitize};
use crate::platform::{Platform, dispatch};

/// `1 / (1 + e^-x)`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Rows of `gate_up` hold `f` gates, then `f` ups; `out` gets rows of `f`: `(g * sigmoid(g)) * u`.
pub fn forward(platform: Platform, gate_up: &[f32], f: usize, out: &mut [f32]) {
    gate_up.par_chunks(2 * f).zip(out.par_chunks_mut(f)).for_each(|(gu, out)| row_forward(platform, gu, out));
}

fn row_forward(platform: Platform, gate_up: &[f32], out: &mut [f32]) {
    dispatch!(platform, body(gate_up: &[f32], out: &mut [f32]) {
        let (gate, up) = gate_up.split_at(out.len());
        for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
            *o = sanitize((*g * sigmoid(*g)) * *u);
        }
    });
}

/// Gradient of `gate_up` from that of the output: `s = sigmoid(g)`, `du = dy * (g * s)`,
/// `dg = (dy * u) * (s * fma(g, 1 - s, 1))`.
pub fn backward(platform: Platform, gate_up: &[f32], f: usize, dy: &[f32], d_gate_up: &mut [f32]) {
    let rows = gate_up.par_chunks(2 * f).zip(dy.par_chunks(f)).zip(d_gate_up.par_chunks_mut(2 * f));
    rows.for_each(|((gu, dy), d)| row_backward(platform, gu, dy, d));
}

fn row_backward(platform: Platform, gate_up: &[f32], dy: &[f32], d_gate_up: &mut [f32]) {
    dispatch!(platform, body(gate_up: &[f32], dy: &[f32], d_gate_up: &mut [f32]) {
        let f = dy.len();
        let (gate, up) = gate_up.split_at(f);
        let (dg, du) = d_gate_up.split_at_mut(f);
        for i in 0..f {
            let s = sigmoid(gate[i]);
            du[i] = sanitize(dy[i] * (gate[i] * s));
            dg[i] = sanitize((dy[i] * up[i]) * (s * gate[i].mul_add(1.0 - s, 1.0)));
        }
    });
}
