//! Causal attention. Every output of its small products is one `fma` chain in ascending index.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::config::ModelConfig;
use crate::math::{dot, exp, sanitize, sum};
use crate::platform::{Platform, dispatch};

/// Rows that share their loads of the other operand; window lengths are multiples of it.
const ROWS: usize = 4;
/// Outputs of a row in the remainder's passes; window lengths and head widths are multiples of it.
const NARROW: usize = 8;

/// Some rows of a matrix: element `(r, i)` is `values[r * row + i * step]`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    row: usize,
    step: usize,
}

/// `out[r * stride + j] = fma chain over ascending i in ranges[r] of a(r, i) * b[i][j]` for `j < len`, `b` row-major
/// with rows of `width`; `len` is a multiple of eight. `N` outputs of each row at a time stay in registers.
#[inline(always)]
fn chain_rows<const N: usize>(
    out: &mut [f32],
    stride: usize,
    len: usize,
    a: Rows<'_>,
    ranges: &[Range<usize>; ROWS],
    b: &[f32],
    width: usize,
) {
    let mut j = 0;
    while j + N <= len {
        chain_block::<N>(&mut out[j..], stride, a, ranges, &b[j..], width);
        j += N;
    }
    while j + NARROW <= len {
        chain_block::<NARROW>(&mut out[j..], stride, a, ranges, &b[j..], width);
        j += NARROW;
    }
}

#[inline(always)]
fn chain_block<const N: usize>(
    out: &mut [f32],
    stride: usize,
    a: Rows<'_>,
    ranges: &[Range<usize>; ROWS],
    b: &[f32],
    width: usize,
) {
    let mut acc = [[0.0_f32; N]; ROWS];
    // What all rows have in common; their ranges overlap.
    let (mut first, mut last) = (0, usize::MAX);
    for range in ranges {
        first = if range.start > first { range.start } else { first };
        last = if range.end < last { range.end } else { last };
    }
    for (r, acc) in acc.iter_mut().enumerate() {
        for i in ranges[r].start..first {
            add_product(acc, a.values[r * a.row + i * a.step], &b[i * width..]);
        }
    }
    for i in first..last {
        let b = &b[i * width..];
        for (r, acc) in acc.iter_mut().enumerate() {
            add_product(acc, a.values[r * a.row + i * a.step], b);
        }
    }
    for (r, acc) in acc.iter_mut().enumerate() {
        for i in last..ranges[r].end {
            add_product(acc, a.values[r * a.row + i * a.step], &b[i * width..]);
        }
        out[r * stride..r * stride + N].copy_from_slice(acc);
    }
}

#[inline(always)]
fn add_product<const N: usize>(acc: &mut [f32; N], x: f32, row: &[f32]) {
    let row: &[f32; N] = row.first_chunk().expect("a whole pass");
    for l in 0..N {
        acc[l] = x.mul_add(row[l], acc[l]);
    }
}

/// One head of one window: `[len][width]` each, gathered from the fused rows.
struct Head {
    len: usize,
    width: usize,
    scale: f32,
    q: Buffer<f32>,
    k: Buffer<f32>,
    v: Buffer<f32>,
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
fn columns(x: &[f32], stride: usize, first: usize, width: usize) -> Buffer<f32> {
    let mut out = Buffer::stale(x.len() / stride * width);
    for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(stride)) {
        out.copy_from_slice(&row[first..first + width]);
    }
    out
}

/// The inverse of [`columns`].
fn set_columns(x: &mut [f32], stride: usize, first: usize, width: usize, part: &[f32]) {
    for (row, part) in x.chunks_exact_mut(stride).zip(part.chunks_exact(width)) {
        row[first..first + width].copy_from_slice(part);
    }
}

fn transpose(x: &[f32], cols: usize) -> Buffer<f32> {
    let rows = x.len() / cols;
    let mut out = Buffer::stale(x.len());
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
pub fn forward(platform: Platform, model: &ModelConfig, qkv: &[f32]) -> (Buffer<f32>, Buffer<f32>) {
    let (t, d, width) = (model.seq_len, model.d_model, model.head_width());
    let mut probabilities = Buffer::stale(model.batch * model.n_heads * t * t);
    let outputs: Vec<Buffer<f32>> = probabilities
        .par_chunks_mut(t * t)
        .enumerate()
        .map(|(i, p)| {
            let head = Head::gather(model, qkv, i);
            let keys = transpose(&head.k, width);
            let mut out = Buffer::stale(t * width);
            head_forward(platform, &head, &keys, p, &mut out);
            out
        })
        .collect();
    let mut out = Buffer::stale(model.tokens() * d);
    for (i, part) in outputs.iter().enumerate() {
        set_columns(&mut out[i / model.n_heads * t * d..][..t * d], d, i % model.n_heads * width, width, part);
    }
    (out, probabilities)
}

fn head_forward(platform: Platform, head: &Head, keys: &[f32], p: &mut [f32], out: &mut [f32]) {
    dispatch!(platform, body(platform: Platform, head: &Head, keys: &[f32], p: &mut [f32], out: &mut [f32]) {
        if platform.has_wide_registers() {
            head_forward_in::<32>(head, keys, p, out);
        } else {
            head_forward_in::<16>(head, keys, p, out);
        }
    });
}

#[inline(always)]
fn head_forward_in<const N: usize>(head: &Head, keys: &[f32], p: &mut [f32], out: &mut [f32]) {
    let (t, width) = (head.len, head.width);
    for first in (0..t).step_by(ROWS) {
        let rows = &mut p[first * t..(first + ROWS) * t];
        // Rounded up to whole passes; what lies beyond the diagonal is then zeroed.
        let queries = Rows { values: &head.q[first * width..], row: width, step: 1 };
        let all = [0..width, 0..width, 0..width, 0..width];
        chain_rows::<N>(rows, t, (first + ROWS).next_multiple_of(NARROW), queries, &all, keys, t);
        for (r, row) in rows.chunks_exact_mut(t).enumerate() {
            row[first + r + 1..].fill(0.0);
            softmax(&mut row[..=first + r], head.scale);
        }
        let weights = Rows { values: rows, row: t, step: 1 };
        let o = &mut out[first * width..(first + ROWS) * width];
        chain_rows::<N>(o, width, width, weights, &up_to_diagonal(first), &head.v, width);
        for x in o {
            *x = sanitize(*x);
        }
    }
}

/// Scores to probabilities.
#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let mut max = f32::MIN;
    for s in row.iter_mut() {
        *s = sanitize(*s * scale);
        max = if *s > max { *s } else { max };
    }
    for s in row.iter_mut() {
        *s = exp(*s - max);
    }
    let inverse = 1.0 / sum(row);
    for s in row.iter_mut() {
        *s *= inverse;
    }
}

/// `j <= i` for rows `i` from `first` on.
#[inline(always)]
fn up_to_diagonal(first: usize) -> [Range<usize>; ROWS] {
    [0..first + 1, 0..first + 2, 0..first + 3, 0..first + 4]
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
) -> Buffer<f32> {
    let (t, d, width) = (model.seq_len, model.d_model, model.head_width());
    let parts: Vec<[Buffer<f32>; 3]> = probabilities
        .par_chunks(t * t)
        .enumerate()
        .map(|(i, p)| {
            let head = Head::gather(model, qkv, i);
            let window = &d_out[i / model.n_heads * t * d..][..t * d];
            let d_head = columns(window, d, i % model.n_heads * width, width);
            let values = transpose(&head.v, width);
            let mut grads = [(); 3].map(|()| Buffer::stale(t * width));
            head_backward(platform, &head, &values, p, &d_head, &mut grads);
            grads
        })
        .collect();
    let mut d_qkv = Buffer::stale(model.tokens() * 3 * d);
    for (i, grads) in parts.iter().enumerate() {
        let window = &mut d_qkv[i / model.n_heads * t * 3 * d..][..t * 3 * d];
        for (which, part) in grads.iter().enumerate() {
            set_columns(window, 3 * d, which * d + i % model.n_heads * width, width, part);
        }
    }
    d_qkv
}

fn head_backward(
    platform: Platform,
    head: &Head,
    values: &[f32],
    p: &[f32],
    d_out: &[f32],
    grads: &mut [Buffer<f32>; 3],
) {
    dispatch!(platform, body(
        platform: Platform,
        head: &Head,
        values: &[f32],
        p: &[f32],
        d_out: &[f32],
        grads: &mut [Buffer<f32>; 3],
    ) {
        if platform.has_wide_registers() {
            head_backward_in::<32>(head, values, p, d_out, grads);
        } else {
            head_backward_in::<16>(head, values, p, d_out, grads);
        }
    });
}

#[inline(always)]
fn head_backward_in<const N: usize>(
    head: &Head,
    values: &[f32],
    p: &[f32],
    d_out: &[f32],
    [dq, dk, dv]: &mut [Buffer<f32>; 3],
) {
    let (t, width) = (head.len, head.width);
    let mut ds = Buffer::stale(t * t);
    for first in (0..t).step_by(ROWS) {
        let rows = &mut ds[first * t..(first + ROWS) * t];
        let d_rows = Rows { values: &d_out[first * width..], row: width, step: 1 };
        let all = [0..width, 0..width, 0..width, 0..width];
        chain_rows::<N>(rows, t, (first + ROWS).next_multiple_of(NARROW), d_rows, &all, values, t);
        for (r, row) in rows.chunks_exact_mut(t).enumerate() {
            let i = first + r;
            row[i + 1..].fill(0.0);
            let (p, row) = (&p[i * t..=i * t + i], &mut row[..=i]);
            let mean = dot(p, row);
            for (s, p) in row.iter_mut().zip(p) {
                *s = sanitize((*p * (*s - mean)) * head.scale);
            }
        }
        let scores = Rows { values: rows, row: t, step: 1 };
        chain_rows::<N>(&mut dq[first * width..], width, width, scores, &up_to_diagonal(first), &head.k, width);
    }
    for first in (0..t).step_by(ROWS) {
        let ranges = [first..t, first + 1..t, first + 2..t, first + 3..t];
        let columns = |values| Rows { values, row: 1, step: t };
        chain_rows::<N>(&mut dk[first * width..], width, width, columns(&ds[first..]), &ranges, &head.q, width);
        chain_rows::<N>(&mut dv[first * width..], width, width, columns(&p[first..]), &ranges, d_out, width);
    }
    for x in dq.iter_mut().chain(dk.iter_mut()).chain(dv.iter_mut()) {
        *x = sanitize(*x);
    }
}
