//! The specification of the mined product: plain loops, straight from the definitions, slow.
//!
//! Matrices are row-major and unpacked: A is `[m][k]`, B is `[k][n]`, L is `[m][r]`, P is `[r][k]`, Q is `[k][r]`,
//! D is `[r][n]`. Nothing here is shared with the fast paths but the random stream and the operand's accessors.

use super::{Operand, Rounding};

/// The rank r of the noise, the side of a tile and the steps between folds.
const R: usize = 32;

/// A dense integer matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Row-major elements.
    pub data: Vec<i32>,
}

impl Matrix {
    /// The matrix whose element (i, j) is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> i32) -> Self {
        let data = (0..rows * cols).map(|e| f(e / cols, e % cols)).collect();
        Self { rows, cols, data }
    }

    /// Element (i, j).
    pub fn at(&self, i: usize, j: usize) -> i32 {
        self.data[i * self.cols + j]
    }

    /// The sum of two matrices of one shape.
    pub fn plus(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, self.cols, |i, j| self.at(i, j) + other.at(i, j))
    }

    /// The difference of two matrices of one shape.
    pub fn minus(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, self.cols, |i, j| self.at(i, j) - other.at(i, j))
    }

    /// The matrix product.
    pub fn times(&self, other: &Self) -> Self {
        Self::from_fn(self.rows, other.cols, |i, j| (0..self.cols).map(|kk| self.at(i, kk) * other.at(kk, j)).sum())
    }

    /// The transpose.
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self.at(j, i))
    }
}

/// The rows of an operand A, or the columns of an operand B as rows: element (v, kk) is byte `kk * 32 + v % 32` of
/// strip `v / 32`.
pub fn vectors(operand: &Operand) -> Matrix {
    Matrix::from_fn(operand.vectors(), operand.k(), |v, kk| operand.strip(v / 32)[kk * 32 + v % 32].into())
}

/// The quantization of `x`, row-major `[rows][cols]`: (elements, scales); along rows, or along columns.
pub fn quantize(x: &[f32], cols: usize, along_rows: bool, rounding: Rounding<'_>) -> (Matrix, Vec<f32>) {
    let rows = x.len() / cols;
    let limit = 2f32.powi(60);
    let clean = |e: usize| if x[e].is_nan() { 0.0 } else { x[e].clamp(-limit, limit) };
    let vector_of = |e: usize| if along_rows { e / cols } else { e % cols };
    let mut max = vec![0f32; if along_rows { rows } else { cols }];
    for e in 0..x.len() {
        max[vector_of(e)] = max[vector_of(e)].max(clean(e).abs());
    }
    let zero = |max: f32| max < 2f32.powi(-100);
    let matrix = Matrix::from_fn(rows, cols, |i, j| {
        let e = i * cols + j;
        let max = max[vector_of(e)];
        if zero(max) {
            return 0;
        }
        let quotient = clean(e) * (63.0 / max);
        let integer = match rounding {
            Rounding::Nearest => quotient.round_ties_even(),
            Rounding::Stochastic(stream) => (quotient + f32::from(stream.at(e as u64)) * 2f32.powi(-16)).floor(),
        };
        integer.clamp(-63.0, 63.0) as i32
    });
    (matrix, max.iter().map(|max| if zero(*max) { 0.0 } else { max / 63.0 }).collect())
}

fn stream_of_bytes(key: &[u8; 32], label: &str, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new_keyed(key).update(label.as_bytes()).finalize_xof().fill(&mut out);
    out
}

/// L as `[m][r]` (label `descent/noise/L`), or D transposed, `[n][r]` (label `descent/noise/D`).
pub fn dense(key: &[u8; 32], label: &str, vectors: usize) -> Matrix {
    let bytes = stream_of_bytes(key, label, vectors * R);
    Matrix::from_fn(vectors, R, |v, r| i32::from(bytes[(v / 32 * R + r) * 32 + v % 32] & 63) - 32)
}

/// P as `[r][k]` (label `descent/noise/P`), or Q transposed (label `descent/noise/Q`).
pub fn sparse(key: &[u8; 32], label: &str, k: usize) -> Matrix {
    let bytes = stream_of_bytes(key, label, 4 * k);
    let mut out = Matrix::from_fn(R, k, |_, _| 0);
    for t in 0..k / R {
        let mut pi: Vec<usize> = (0..R).collect();
        for i in (1..R).rev() {
            let at = 4 * (t * R + i);
            let word = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            pi.swap(i, ((word as u64 * (i as u64 + 1)) >> 32) as usize);
        }
        for j in 0..R {
            out.data[pi[j] * k + t * R + j] += 1;
            out.data[pi[(j + 1) % R] * k + t * R + j] -= 1;
        }
    }
    out
}

/// The four factors of the noise: `E = L P`, `F = Q D`.
#[derive(Clone, Debug)]
pub struct Noise {
    /// L, `[m][r]`.
    pub l: Matrix,
    /// P, `[r][k]`.
    pub p: Matrix,
    /// Q, `[k][r]`.
    pub q: Matrix,
    /// D, `[r][n]`.
    pub d: Matrix,
}

impl Noise {
    /// The noise of an `m x k` by `k x n` product under its keys.
    pub fn new(key_a: &[u8; 32], key_b: &[u8; 32], m: usize, k: usize, n: usize) -> Self {
        Self {
            l: dense(key_a, "descent/noise/L", m),
            p: sparse(key_a, "descent/noise/P", k),
            q: sparse(key_b, "descent/noise/Q", k).transposed(),
            d: dense(key_b, "descent/noise/D", n).transposed(),
        }
    }
}

/// What mining gives: the clean product, and the state of every tile by row, then column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// AB, peeled out of the noised product.
    pub product: Matrix,
    /// The states.
    pub states: Vec<[u8; 64]>,
}

/// Mines `a` times `b`.
pub fn mine(a: &Matrix, b: &Matrix, noise: &Noise) -> Mined {
    let noised_a = a.plus(&noise.l.times(&noise.p));
    let noised_b = b.plus(&noise.q.times(&noise.d));
    let mut states = Vec::new();
    for row in 0..a.rows / 32 {
        for col in 0..b.cols / 32 {
            states.push(state(&noised_a, &noised_b, row, col));
        }
    }
    let peel = a.times(&noise.q).times(&noise.d).plus(&noise.l.times(&noise.p.times(&noised_b)));
    Mined { product: noised_a.times(&noised_b).minus(&peel), states }
}

/// The state of one tile of the product of `a` and `b`, both noised.
pub fn state(a: &Matrix, b: &Matrix, row: usize, col: usize) -> [u8; 64] {
    let mut acc = [[0i32; 32]; 32];
    let mut words = [0u32; 16];
    words[0] = row as u32;
    words[1] = col as u32;
    for s in 0..a.cols / R {
        for kk in s * R..(s + 1) * R {
            for (i, sums) in acc.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum += a.at(row * 32 + i, kk) * b.at(kk, col * 32 + j);
                }
            }
        }
        for c in 0..8 {
            let mut w = 0;
            for sums in &acc {
                for (j, sum) in sums.iter().enumerate() {
                    if j % 8 == c {
                        w ^= *sum as u32;
                    }
                }
            }
            let word = &mut words[8 * (s & 1) + c];
            *word = word.rotate_left(13) ^ w;
        }
    }
    let mut out = [0; 64];
    for (i, word) in words.iter().enumerate() {
        out[4 * i..4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// The f32 output: `(sum as f32 * scale_a) * scale_b`, clamped to 2^60.
pub fn dequantize(product: &Matrix, scales_a: &[f32], scales_b: &[f32]) -> Vec<f32> {
    let limit = 2f32.powi(60);
    let value = |e: usize| {
        let (i, j) = (e / product.cols, e % product.cols);
        ((product.at(i, j) as f32 * scales_a[i]) * scales_b[j]).clamp(-limit, limit)
    };
    (0..product.data.len()).map(value).collect()
}
