//! Causal attention. Every output of its small products is one `fma` chain in ascending index.

use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::math::{dot, exp, sanitize, sum};
use crate::platform::{Platform, dispatch};

/// Outputs of a row that one pass keeps in registers.
const BLOCK: usize = 64;
/// Outputs of a row in the remainder's passes; window lengths and head widths are multiples of it.
const NARROW: usize = 8;

/// `out[j] = fma chain over ascending i of a[i * stride] * b[i][j]`, `b` row-major with rows of `width`.
///
/// `out` is a multiple of eight long.
#[inline(always)]
fn chain_row(out: &mut [f32], a: &[f32], stride: usize, count: usize, b: &[f32], width: usize) {
    let mut j = 0;
    while j + BLOCK <= out.len() {
        chain_block::<BLOCK>(&mut out[j..], a, stride, count, &b[j..], width);
        j += BLOCK;
    }
    while j + NARROW <= out.len() {
        chain_block::<NARROW>(&mut out[j..], a, stride, count, &b[j..], width);
        j += NARROW;
    }
}

#[inline(always)]
fn chain_block<const N: usize>(out: &mut [f32], a: &[f32], stride: usize, count: usize, b: &[f32], width: usize) {
    let mut acc = [0.0_f32; N];
    for i in 0..count {
        let x = a[i * stride];
        let row: &[f32; N] = b[i * width..i * width + N].try_into().expect("slice of N");
        for l in 0..N {
            acc[l] = x.mul_add(row[l], acc[l]);
        }
    }
    out[..N].copy_from_slice(&acc);
}

/// One head of one window: `[len][width]` each, gathered from the fused rows.
struct Head {
    len: usize,
    width: usize,
    scale: f32,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Head {
    fn gather(model: &ModelConfig, qkv: &[f32], index: usize) -> Self {
        let (window, head, d, width) =
            (index / model.n_heads, index % model.n_heads, model.d_model, model.head_width());
        let rows = &qkv[window * model.seq_len * 3 * d..][..model.seq_len * 3 * d];
        let part = |offset: usize| columns(rows, 3 * d, offset + head * width, width);
        let scale = 1.0 / (width as f32).sqrt();
        Self { len: model.seq_len, width, scale, q: part(0), k: part(d), v: part(2 * d) }
    }
}

/// Columns `first .. first + width` of rows of `stride` elements.
fn columns(x: &[f32], stride: usize, first: usize, width: usize) -> Vec<f32> {
    x.chunks_exact(stride).flat_map(|row| &row[first..first + width]).copied().collect()
}

/// The inverse of [`columns`].
fn set_columns(x: &mut [f32], stride: usize, first: usize, width: usize, part: &[f32]) {
    for (row, part) in x.chunks_exact_mut(stride).zip(part.chunks_exact(width)) {
        row[first..first + width].copy_from_slice(part);
    }
}

fn transpose(x: &[f32], cols: usize) -> Vec<f32> {
    let rows = x.len() / cols;
    let mut out = vec![0.0; x.len()];
    for (r, row) in x.chunks_exact(cols).enumerate() {
        for (c, v) in row.iter().enumerate() {
            out[c * rows + r] = *v;
        }
    }
    out
}

/// Attention output `[tokens][d_model]` and the probabilities `[window][head][seq_len][seq_len]` for the backward pass.
///
/// Per row `i`: scores `s[j] = chain(q[i], k[j]) * scale` for `j <= i`, `p = exp(s - max)`, divided by their sum as
/// a product with its inverse; output `chain over j <= i of p[j] * v[j]`.
pub fn forward(platform: Platform, model: &ModelConfig, qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (t, d, width) = (model.seq_len, model.d_model, model.head_width());
    let mut probabilities = vec![0.0; model.batch * model.n_heads * t * t];
    let outputs: Vec<Vec<f32>> = probabilities
        .par_chunks_mut(t * t)
        .enumerate()
        .map(|(i, p)| {
            let head = Head::gather(model, qkv, i);
            let keys = transpose(&head.k, width);
            let mut out = vec![0.0; t * width];
            head_forward(platform, &head, &keys, p, &mut out);
            out
        })
        .collect();
    let mut out = vec![0.0; model.tokens() * d];
    for (i, part) in outputs.iter().enumerate() {
        set_columns(&mut out[i / model.n_heads * t * d..][..t * d], d, i % model.n_heads * width, width, part);
    }
    (out, probabilities)
}

fn head_forward(platform: Platform, head: &Head, keys: &[f32], p: &mut [f32], out: &mut [f32]) {
    dispatch!(platform, body(head: &Head, keys: &[f32], p: &mut [f32], out: &mut [f32]) {
        let (t, width) = (head.len, head.width);
        for i in 0..t {
            let row = &mut p[i * t..(i + 1) * t];
            // Rounded up to whole passes; what lies beyond the diagonal is then zeroed.
            chain_row(&mut row[..(i / NARROW + 1) * NARROW], &head.q[i * width..], 1, width, keys, t);
            row[i + 1..].fill(0.0);
            let row = &mut row[..=i];
            let mut max = f32::MIN;
            for s in row.iter_mut() {
                *s = sanitize(*s * head.scale);
                max = if *s > max { *s } else { max };
            }
            for s in row.iter_mut() {
                *s = exp(*s - max);
            }
            let inverse = 1.0 / sum(row);
            for s in row.iter_mut() {
                *s *= inverse;
            }
            let o = &mut out[i * width..(i + 1) * width];
            chain_row(o, row, 1, i + 1, &head.v, width);
            for x in o.iter_mut() {
                *x = sanitize(*x);
            }
        }
    });
}

/// Gradient of the fused `qkv` rows from that of the output.
///
/// `dp[i][j] = chain(do[i], v[j])`, `ds = (p * (dp - dot(p, dp))) * scale`, `dq[i] = chain over j <= i of ds * k[j]`,
/// `dk[j] = chain over i >= j of ds * q[i]`, `dv[j] = chain over i >= j of p * do[i]`.
pub fn backward(
    platform: Platform,
    model: &ModelConfig,
    qkv: &[f32],
    probabilities: &[f32],
    d_out: &[f32],
) -> Vec<f32> {
    let (t, d, width) = (model.seq_len, model.d_model, model.head_width());
    let parts: Vec<[Vec<f32>; 3]> = probabilities
        .par_chunks(t * t)
        .enumerate()
        .map(|(i, p)| {
            let head = Head::gather(model, qkv, i);
            let window = &d_out[i / model.n_heads * t * d..][..t * d];
            let d_head = columns(window, d, i % model.n_heads * width, width);
            let values = transpose(&head.v, width);
            let mut grads = [(); 3].map(|()| vec![0.0; t * width]);
            head_backward(platform, &head, &values, p, &d_head, &mut grads);
            grads
        })
        .collect();
    let mut d_qkv = vec![0.0; model.tokens() * 3 * d];
    for (i, grads) in parts.iter().enumerate() {
        let window = &mut d_qkv[i / model.n_heads * t * 3 * d..][..t * 3 * d];
        for (which, part) in grads.iter().enumerate() {
            set_columns(window, 3 * d, which * d + i % model.n_heads * width, width, part);
        }
    }
    d_qkv
}

fn head_backward(platform: Platform, head: &Head, values: &[f32], p: &[f32], d_out: &[f32], grads: &mut [Vec<f32>; 3]) {
    dispatch!(platform, body(head: &Head, values: &[f32], p: &[f32], d_out: &[f32], grads: &mut [Vec<f32>; 3]) {
        let (t, width) = (head.len, head.width);
        let [dq, dk, dv] = grads;
        let mut ds = vec![0.0_f32; t * t];
        for i in 0..t {
            let row = &mut ds[i * t..(i + 1) * t];
            chain_row(&mut row[..(i / NARROW + 1) * NARROW], &d_out[i * width..], 1, width, values, t);
            row[i + 1..].fill(0.0);
            let p = &p[i * t..=i * t + i];
            let row = &mut row[..=i];
            let mean = dot(p, row);
            for (s, p) in row.iter_mut().zip(p) {
                *s = sanitize((*p * (*s - mean)) * head.scale);
            }
            chain_row(&mut dq[i * width..(i + 1) * width], row, 1, i + 1, &head.k, width);
        }
        for j in 0..t {
            let out = j * width..(j + 1) * width;
            chain_row(&mut dk[out.clone()], &ds[j * t + j..], t, t - j, &head.q[j * width..], width);
            chain_row(&mut dv[out], &p[j * t + j..], t, t - j, &d_out[j * width..], width);
        }
        for x in dq.iter_mut().chain(dk.iter_mut()).chain(dv.iter_mut()) {
            *x = sanitize(*x);
        }
    });
}
