//! Quantized operands in strip order, and their commitments.

use super::{CLAMP, INT7_MAX, ProductError, TILE, shape};
use crate::buffer::Buffer;
use rayon::prelude::*;

/// A quantized operand: rows of A or columns of B, 32 to a strip, one scale each.
///
/// A strip is `k x 32` bytes, k-major: its 32x32 tiles one after the other, each one BLAKE3 chunk.
#[derive(Clone, Debug)]
pub struct Operand {
    data: Buffer<i8>,
    scales: Buffer<f32>,
    k: usize,
}

impl Operand {
    /// An operand from its strips and scales.
    ///
    /// # Errors
    /// The shape (one vector per scale) is refused, `data` does not fill it, an element is out of -63..=63 or a scale out of 0..=2^60.
    pub fn from_parts(data: Vec<i8>, scales: Vec<f32>, k: usize) -> Result<Self, ProductError> {
        let expected = shape(scales.len(), k)?;
        if data.len() != expected {
            return Err(ProductError::Elements { got: data.len(), expected });
        }
        range_is_int7(&data)?;
        if let Some((index, scale)) = scales.iter().enumerate().find(|(_, s)| !(0.0..=CLAMP).contains(*s)) {
            return Err(ProductError::Scale { index, bits: scale.to_bits() });
        }
        Ok(Self { data: data.into(), scales: scales.into(), k })
    }

    /// An operand whose shape was checked and whose elements and scales came out of the quantizer.
    pub(super) fn quantized(data: Buffer<i8>, scales: Buffer<f32>, k: usize) -> Self {
        Self { data, scales, k }
    }

    /// Rows of A or columns of B, a multiple of 32.
    pub fn vectors(&self) -> usize {
        self.scales.len()
    }

    /// Length of the contraction.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of strips.
    pub fn strips(&self) -> usize {
        self.vectors() / TILE
    }

    /// Strip `i`, `[k][32]`.
    ///
    /// # Panics
    /// `i` is not below [`strips`](Self::strips).
    pub fn strip(&self, i: usize) -> &[i8] {
        &self.data[i * TILE * self.k..(i + 1) * TILE * self.k]
    }

    /// All strips, one after the other.
    pub fn data(&self) -> &[i8] {
        &self.data
    }

    /// One scale per row of A or column of B: an element stands for `value * scale`.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The 32 scales of strip `i`.
    pub(super) fn strip_scales(&self, i: usize) -> &[f32; TILE] {
        self.scales[i * TILE..].first_chunk().expect("there are 32 scales to a strip")
    }

    /// BLAKE3 of each strip: with [`commitment`](Self::commitment), what a witness opens a strip against.
    pub fn strip_hashes(&self) -> Vec<[u8; 32]> {
        self.data.par_chunks_exact(TILE * self.k).map(|strip| *blake3::hash(bytes(strip)).as_bytes()).collect()
    }

    /// BLAKE3 of the list of strip hashes.
    pub fn commitment(hashes: &[[u8; 32]]) -> [u8; 32] {
        *blake3::hash(hashes.as_flattened()).as_bytes()
    }
}

/// Elements must be in -63..=63.
pub(super) fn range_is_int7(data: &[i8]) -> Result<(), ProductError> {
    let out_of_range = |v: &i8| i32::from(*v).abs() > INT7_MAX;
    // A branch-free pass first: it vectorizes, and strips of untrusted witnesses are large.
    if data.iter().fold(false, |bad, v| bad | out_of_range(v)) {
        let index = data.iter().position(out_of_range).expect("the pass above met one");
        return Err(ProductError::Range { index, got: data[index] });
    }
    Ok(())
}

/// The bytes that are hashed: two's complement.
pub(super) fn bytes(data: &[i8]) -> &[u8] {
    // SAFETY: i8 and u8 have the same size and alignment, every bit pattern is valid in both, and the lifetime and
    // length are those of `data`.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len()) }
}
