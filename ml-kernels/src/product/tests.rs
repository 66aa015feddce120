//! One body of checks for every platform, against the reference; then properties, totality, errors, golden hashes.

mod mining;
mod quantization;
mod rules;

use super::reference::{self, Matrix};
use super::*;
use crate::rng::Stream;

const KEY_A: [u8; 32] = [11; 32];
const KEY_B: [u8; 32] = [22; 32];
/// Every ticket is below it but for one in 2^256.
const ANY: [u8; 32] = [0xff; 32];

/// An operand whose element (vector, kk) is `f(vector, kk)`, with scales that differ by vector.
fn operand(vectors: usize, k: usize, mut f: impl FnMut(usize, usize) -> i8) -> Operand {
    let mut data = vec![0; vectors * k];
    for v in 0..vectors {
        for kk in 0..k {
            data[(v / TILE) * TILE * k + kk * TILE + v % TILE] = f(v, kk);
        }
    }
    let scales = (0..vectors).map(|v| 0.01 + v as f32 / 1000.0).collect();
    Operand::from_parts(data, scales, k).expect("the tests ask for legal operands")
}

/// Random elements over the whole int7 range.
fn random(vectors: usize, k: usize, seed: u32) -> Operand {
    let stream = Stream::new(&[5; 32], "test/operand", seed);
    operand(vectors, k, |v, kk| (stream.at((v * k + kk) as u64) % 127) as i8 - 63)
}

/// Random f32 elements in -1..1.
fn floats(len: usize, seed: u32) -> Vec<f32> {
    let stream = Stream::new(&[6; 32], "test/floats", seed);
    (0..len).map(|e| f32::from(stream.at(e as u64)) / 32768.0 - 1.0).collect()
}

/// A, and B with its columns as columns.
fn matrices(a: &Operand, b: &Operand) -> (Matrix, Matrix) {
    (reference::vectors(a), reference::vectors(b).transposed())
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}
