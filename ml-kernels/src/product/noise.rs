//! The noise of the lottery: `E = L P` on A and `F = Q D` on B, and the operands of the peel.
//!
//! `L` and `D` are dense, uniform in -32..=31. `P` and `Q` are sparse and balanced: of each block of 32 columns
//! (rows), number j has +1 at `pi(j)` and -1 at `pi(j + 1)`, `pi` a permutation of the block's own. So
//! `E[:, tR + j] = L[:, pi(j)] - L[:, pi(j + 1)]`, which is in -63..=63, and `A + E` is in -126..=126.
//!
//! Balance is also what bounds the peel: each block adds to a column of `AQ` one difference of two elements of A,
//! at most 126, and to a row of `P (B + F)` one difference of two elements of `B + F`, at most 252. With at most 128
//! blocks that is 16,128 and 32,256: both fit i16.

use super::{ProductError, RANK, TILE, shape};
use crate::platform::{Platform, dispatch};
use rayon::prelude::*;

/// One step along k of a strip, widened.
pub(super) type Row = [i16; TILE];
/// The dense noise of one strip.
pub(super) type Dense = [[i8; TILE]; RANK];

/// Which operand a noise is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    const fn dense_label(self) -> &'static [u8] {
        match self {
            Self::A => b"descent/noise/L",
            Self::B => b"descent/noise/D",
        }
    }

    const fn permutation_label(self) -> &'static [u8] {
        match self {
            Self::A => b"descent/noise/P",
            Self::B => b"descent/noise/Q",
        }
    }
}

/// The noise of a whole operand B. It is free of the attempt's index, so for weights it is made once per template.
#[derive(Clone, Debug)]
pub struct NoiseB {
    dense: Vec<Dense>,
    permutations: Vec<u8>,
}

impl NoiseB {
    /// The noise that `key_b` gives an operand of `vectors` columns and `k` rows.
    ///
    /// # Errors
    /// The shape is refused.
    pub fn new(key_b: &[u8; 32], vectors: usize, k: usize) -> Result<Self, ProductError> {
        shape(vectors, k)?;
        let dense = (0..vectors / TILE).into_par_iter().map(|strip| dense(key_b, Side::B, strip as u64)).collect();
        Ok(Self { dense, permutations: permutations(key_b, Side::B, k) })
    }

    /// Columns of B.
    pub fn vectors(&self) -> usize {
        self.dense.len() * TILE
    }

    /// Length of the contraction.
    pub fn k(&self) -> usize {
        self.permutations.len()
    }

    pub(super) fn dense(&self, strip: usize) -> &Dense {
        &self.dense[strip]
    }

    pub(super) fn permutations(&self) -> &[u8] {
        &self.permutations
    }
}

/// The dense noise of one strip: bytes `strip * 1024 ..` of the keyed output stream, each `(byte & 63) - 32`.
pub(super) fn dense(key: &[u8; 32], side: Side, strip: u64) -> Dense {
    let mut bytes = [0; RANK * TILE];
    let mut reader = blake3::Hasher::new_keyed(key).update(side.dense_label()).finalize_xof();
    reader.set_position(strip * (RANK * TILE) as u64);
    reader.fill(&mut bytes);
    let mut out = [[0; TILE]; RANK];
    for (value, byte) in out.as_flattened_mut().iter_mut().zip(bytes) {
        // At most 63, so it fits.
        *value = (byte & 63) as i8 - 32;
    }
    out
}

/// The permutations of all blocks of 32 along k: Fisher-Yates, from the last place down, with one 32-bit word a place.
pub(super) fn permutations(key: &[u8; 32], side: Side, k: usize) -> Vec<u8> {
    let mut words = vec![0; k * 4];
    blake3::Hasher::new_keyed(key).update(side.permutation_label()).finalize_xof().fill(&mut words);
    let mut out = Vec::with_capacity(k);
    for block in words.chunks_exact(4 * RANK) {
        let mut pi: [u8; RANK] = std::array::from_fn(|i| i as u8);
        for i in (1..RANK).rev() {
            let word = u32::from_le_bytes(*block[4 * i..].first_chunk().expect("a word is four bytes"));
            let j = (u64::from(word) * (i as u64 + 1)) >> 32;
            // At most i: the word is below 2^32.
            pi.swap(i, j as usize);
        }
        out.extend_from_slice(&pi);
    }
    out
}

/// One strip with its noise added, followed by its side of the peel.
///
/// `rows` is `k + 2 * RANK` steps long: the masked strip; then, for A, the columns of `-AQ` and of `-L`; for B, the
/// rows of `D` and of `P (B + F)`. `own` are the permutations of this side, `other` those of the other one.
pub(super) fn mask(
    platform: Platform,
    side: Side,
    strip: &[i8],
    dense: &Dense,
    own: &[u8],
    other: &[u8],
    rows: &mut [Row],
) {
    let (masked, peel) = rows.split_at_mut(rows.len() - 2 * RANK);
    let of_a = side == Side::A;
    let sums = dispatch!(platform, mask_blocks(
        of_a: bool,
        strip: &[i8],
        dense: &Dense,
        own: &[u8],
        other: &[u8],
        masked: &mut [Row],
    ) -> [Row; RANK] {
        let mut sums = [[0; TILE]; RANK];
        let blocks = strip.as_chunks::<TILE>().0.as_chunks::<RANK>().0;
        let permutations = own.as_chunks::<RANK>().0.iter().zip(other.as_chunks::<RANK>().0);
        for ((block, rows), (own, other)) in blocks.iter().zip(masked.as_chunks_mut::<RANK>().0).zip(permutations) {
            for (j, row) in rows.iter_mut().enumerate() {
                let plus = &dense[usize::from(own[j]) % RANK];
                let minus = &dense[usize::from(own[(j + 1) % RANK]) % RANK];
                for lane in 0..TILE {
                    // At most 63 + 31 + 32: even i8 holds it.
                    row[lane] = i16::from(block[j][lane] + (plus[lane] - minus[lane]));
                }
            }
            for j in 0..RANK {
                let before = (j + RANK - 1) % RANK;
                let sum = &mut sums[usize::from(other[j]) % RANK];
                for lane in 0..TILE {
                    sum[lane] += if of_a {
                        i16::from(block[j][lane]) - i16::from(block[before][lane])
                    } else {
                        rows[j][lane] - rows[before][lane]
                    };
                }
            }
        }
        sums
    });
    let (first, second) = peel.split_at_mut(RANK);
    match side {
        Side::A => {
            first.copy_from_slice(&sums.map(|row| row.map(|v| -v)));
            second.copy_from_slice(&dense.map(|row| row.map(|v| -i16::from(v))));
        }
        Side::B => {
            first.copy_from_slice(&dense.map(|row| row.map(i16::from)));
            second.copy_from_slice(&sums);
        }
    }
}
