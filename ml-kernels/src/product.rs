//! The mined product: exact int7 matrix products whose running sums are lottery tickets.
//!
//! Operands are quantized to -63..=63 and laid out in *strips* of 32 rows of A or 32 columns of B. The miner
//! multiplies `(A + E)(B + F)`, with low-rank noise that depends on both operands, folds the running sums of every
//! 32x32 tile into a 64-byte state, hashes the state into a ticket, and peels the noise off exactly:
//! `AB = (A + E)(B + F) - (AQ) D - L (P (B + F))` with `E = L P` and `F = Q D`. The peel runs as `2 * RANK` more steps
//! of the same kernel, on the operands `[-AQ | -L]` and `[D ; P (B + F)]`.
//!
//! - [`reference`](mod@reference): the slow specification, from the definitions.
//! - `operand`, `quantize`: the operands. `noise`: E, F and the peel's operands. `tile`: one 32x32 tile, any platform.
//! - `tickets`: from folds to tickets, eight at a time.
//! - `portable`, `avx2`: the micro-kernels, one 4x16 block of a tile. `avx512`: both products whole, by VNNI.
//!
//! Every sum is an i32 and exact, so neither the order of summing nor the number of threads can show.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod noise;
mod operand;
mod portable;
mod quantize;
pub mod reference;
#[cfg(test)]
mod tests;
mod tickets;
mod tile;

pub use noise::NoiseB;
pub use operand::Operand;
pub use quantize::{Rounding, quantize_columns, quantize_rows};

use crate::platform::{Path, Platform};
use noise::{Side, permutations};
use rayon::prelude::*;
use tickets::{Tickets, state};
use tile::{Panels, Tile};

/// Rows and columns of a tile; rows of A or columns of B in a strip.
pub const TILE: usize = 32;
/// Rank of the noise, and steps along k between two folds.
pub const RANK: usize = 32;
/// The longest contraction: it keeps sums exact in f32 and the peel's operands in i16.
pub const MAX_K: usize = 4096;
/// The largest magnitude of a quantized element.
pub const INT7_MAX: i32 = 63;
/// The most rows of A or columns of B, so that sizes cannot overflow.
pub const MAX_VECTORS: usize = 1 << 19;
/// Results and inputs are clamped to this magnitude, 2^60, so that no infinity can arise.
pub const CLAMP: f32 = (1u64 << 60) as f32;

// The dequantization `acc as f32` is exact.
const _: () = assert!((MAX_K as i64) * (INT7_MAX as i64) * (INT7_MAX as i64) < 1 << 24);
// The peel's operands fit i16: |AQ| <= 126 k / r and |P (B + F)| <= 252 k / r.
const _: () = assert!(MAX_K <= 4 * RANK * RANK && 252 * (MAX_K / RANK) <= i16::MAX as usize);
// One rule for k serves the tiles and the noise.
const _: () = assert!(TILE == RANK && RANK.is_power_of_two());

/// Why an operand or a product was refused; always before any work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// The number of rows of A or columns of B.
    #[error("vectors must be a multiple of {TILE} from {TILE} to {MAX_VECTORS}, got {got}")]
    Vectors {
        /// The number given.
        got: usize,
    },
    /// The length of the contraction.
    #[error("k must be a multiple of {RANK} from {RANK} to {MAX_K}, got {got}")]
    Depth {
        /// The length given.
        got: usize,
    },
    /// The number of elements of an operand, of its source, or of a strip.
    #[error("elements do not fill the shape: got {got}, expected {expected}")]
    Elements {
        /// The number given.
        got: usize,
        /// The number that the shape asks for.
        expected: usize,
    },
    /// An element out of the int7 range.
    #[error("element {index} must be in -63..=63, got {got}")]
    Range {
        /// Its place in strip order.
        index: usize,
        /// Its value.
        got: i8,
    },
    /// A scale that no quantization gives.
    #[error("scale {index} must be in 0..=2^60, got the f32 of bits {bits:#010x}")]
    Scale {
        /// Its row of A or column of B.
        index: usize,
        /// Its bits, so that errors stay comparable.
        bits: u32,
    },
    /// The operands' contractions differ.
    #[error("contractions differ: got {b} for b, expected {a} as for a")]
    Contraction {
        /// k of A.
        a: usize,
        /// k of B.
        b: usize,
    },
    /// The length of the output.
    #[error("wrong output length: got {got}, expected {expected}")]
    Output {
        /// The length given.
        got: usize,
        /// Rows of A times columns of B.
        expected: usize,
    },
    /// Noise made for another shape.
    #[error("noise is for another shape: got {got:?}, expected {expected:?} (vectors, k)")]
    Noise {
        /// The shape the noise was made for.
        got: (usize, usize),
        /// The shape of the operand.
        expected: (usize, usize),
    },
}

/// A tile whose ticket is below the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The tile's row, in tiles: the strip of A.
    pub row: u32,
    /// The tile's column, in tiles: the strip of B.
    pub col: u32,
    /// The ticket, `BLAKE3_keyed(key_A, state)`.
    pub t0: [u8; 32],
}

/// Refuses shapes that the kernels do not take; returns the number of elements.
fn shape(vectors: usize, k: usize) -> Result<usize, ProductError> {
    if vectors == 0 || vectors > MAX_VECTORS || !vectors.is_multiple_of(TILE) {
        return Err(ProductError::Vectors { got: vectors });
    }
    if k == 0 || k > MAX_K || !k.is_multiple_of(RANK) {
        return Err(ProductError::Depth { got: k });
    }
    vectors.checked_mul(k).ok_or(ProductError::Vectors { got: vectors })
}

fn operands_fit(a: &Operand, b: &Operand, out: &[f32]) -> Result<(), ProductError> {
    if a.k() != b.k() {
        return Err(ProductError::Contraction { a: a.k(), b: b.k() });
    }
    let expected = a.vectors().saturating_mul(b.vectors());
    if out.len() != expected {
        return Err(ProductError::Output { got: out.len(), expected });
    }
    Ok(())
}

/// The plain product: `out[i][j] = (sum of a * b as f32 * scale_a[i]) * scale_b[j]`, clamped to 2^60; row-major.
///
/// # Errors
/// The operands' contractions differ, or `out` has the wrong length.
pub fn product(platform: Platform, a: &Operand, b: &Operand, out: &mut [f32]) -> Result<(), ProductError> {
    operands_fit(a, b, out)?;
    match platform.path() {
        Path::Portable => {}
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => {
            // SAFETY: such a `Platform` only exists where AVX2 was detected.
            unsafe { avx2::product(platform, a, b, out) };
            return Ok(());
        }
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => {
            // SAFETY: such a `Platform` only exists where these features were detected.
            unsafe { avx512::product(a, b, out) };
            return Ok(());
        }
    }
    let (k, n) = (a.k(), b.vectors());
    let panels_b = tile::pack_strips(platform, b);
    out.par_chunks_mut(TILE * n).enumerate().for_each_init(
        || (Panels::new(k), Tile::new(k)),
        |(scratch, tile), (row, out)| {
            scratch.pack_a(platform, a.strip(row));
            for (col, panel_b) in panels_b.chunks_exact(k).enumerate() {
                tile.multiply(platform, &scratch.a, panel_b);
                tile.dequantize(platform, a.strip_scales(row), b.strip_scales(col), &mut out[col * TILE..], n);
            }
        },
    );
    Ok(())
}

/// The mined product: the same bits in `out` as [`product`], and the tiles whose ticket is below `threshold` (a
/// 256-bit little-endian integer), by row, then column.
///
/// # Errors
/// The operands' contractions differ, `out` has the wrong length, or `noise_b` was made for another shape.
pub fn mined_product(
    platform: Platform,
    a: &Operand,
    b: &Operand,
    noise_b: &NoiseB,
    key_a: &[u8; 32],
    threshold: &[u8; 32],
    out: &mut [f32],
) -> Result<Vec<Candidate>, ProductError> {
    operands_fit(a, b, out)?;
    let (k, n) = (a.k(), b.vectors());
    if (noise_b.vectors(), noise_b.k()) != (n, k) {
        return Err(ProductError::Noise { got: (noise_b.vectors(), noise_b.k()), expected: (n, k) });
    }
    let perm_a = permutations(key_a, Side::A, k);
    let tickets = Tickets::new(platform, key_a, threshold);
    #[cfg(target_arch = "x86_64")]
    if platform.path() == Path::Avx512 {
        // SAFETY: such a `Platform` only exists where these features were detected.
        return Ok(unsafe { avx512::mined_product(a, b, noise_b, &perm_a, tickets, out) });
    }
    let steps = k + 2 * RANK;
    let panels_b = tile::mask_strips(platform, b, noise_b, &perm_a);
    let rows: Vec<Vec<Candidate>> = out
        .par_chunks_mut(TILE * n)
        .enumerate()
        .map_init(
            || (Panels::new(steps), Tile::new(k), tickets.clone()),
            |(scratch, tile, tickets), (row, out)| {
                let dense = noise::dense(key_a, Side::A, row as u64);
                scratch.mask_a(platform, a.strip(row), &dense, &perm_a, noise_b.permutations());
                for (col, panel_b) in panels_b.chunks_exact(steps).enumerate() {
                    tile.mine(platform, &scratch.a, panel_b);
                    tile.dequantize(platform, a.strip_scales(row), b.strip_scales(col), &mut out[col * TILE..], n);
                    // Both fit u32: there are at most MAX_VECTORS / TILE strips.
                    let (row, col) = (row as u32, col as u32);
                    tickets.push(row, col, &state(row, col, tile.folds().iter().copied()));
                }
                tickets.finish()
            },
        )
        .collect();
    Ok(rows.concat())
}

/// The state of tile (`row`, `col`), from its strip of A, its strip of B and the keys: what a witness check recomputes,
/// on the fastest path of this processor.
///
/// # Errors
/// `k` is refused, a strip does not have `32 * k` elements, or an element is out of the int7 range.
pub fn tile_state(
    a_strip: &[i8],
    b_strip: &[i8],
    k: usize,
    row: u32,
    col: u32,
    key_a: &[u8; 32],
    key_b: &[u8; 32],
) -> Result<[u8; 64], ProductError> {
    let expected = shape(TILE, k)?;
    for strip in [a_strip, b_strip] {
        if strip.len() != expected {
            return Err(ProductError::Elements { got: strip.len(), expected });
        }
        operand::range_is_int7(strip)?;
    }
    let platform = Platform::detect();
    let (perm_a, perm_b) = (permutations(key_a, Side::A, k), permutations(key_b, Side::B, k));
    let (dense_a, dense_b) = (noise::dense(key_a, Side::A, row.into()), noise::dense(key_b, Side::B, col.into()));
    #[cfg(target_arch = "x86_64")]
    if platform.path() == Path::Avx512 {
        let a = avx512::TileSide { strip: a_strip, dense: &dense_a, permutations: &perm_a };
        let b = avx512::TileSide { strip: b_strip, dense: &dense_b, permutations: &perm_b };
        // SAFETY: such a `Platform` only exists where these features were detected.
        let folds = unsafe { avx512::tile_folds(k, a, b) };
        return Ok(state(row, col, folds.into_iter()));
    }
    let mut panels = Panels::new(k + 2 * RANK);
    panels.mask_a(platform, a_strip, &dense_a, &perm_a, &perm_b);
    panels.mask_b(platform, b_strip, &dense_b, &perm_b, &perm_a);
    let mut tile = Tile::new(k);
    tile.mine(platform, &panels.a, &panels.b);
    Ok(state(row, col, tile.folds().iter().copied()))
}

/// The ticket of a tile: `BLAKE3_keyed(key_A, state)`.
pub fn ticket(key_a: &[u8; 32], state: &[u8; 64]) -> [u8; 32] {
    *blake3::keyed_hash(key_a, state).as_bytes()
}

/// Whether a ticket is strictly below a threshold, both 256-bit little-endian integers.
pub fn below(t: &[u8; 32], threshold: &[u8; 32]) -> bool {
    t.iter().rev().lt(threshold.iter().rev())
}
