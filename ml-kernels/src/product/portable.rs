//! The micro-kernel in plain Rust, for any processor.

use super::tile::{Block, LineA, LineB};

/// Adds the products of `a.len() * 8` steps along k to a 4x16 block.
#[inline(always)]
pub(super) fn multiply(a: &[LineA], b: &[LineB], block: &mut Block) {
    for (pairs_a, pairs_b) in a.iter().zip(b.as_chunks::<4>().0) {
        for (pair_a, LineB(pair_b)) in pairs_a.0.iter().zip(pairs_b) {
            for (row, a) in block.0.iter_mut().zip(pair_a.as_chunks::<2>().0) {
                for (sum, b) in row.iter_mut().zip(pair_b.as_chunks::<2>().0) {
                    *sum += i32::from(a[0]) * i32::from(b[0]) + i32::from(a[1]) * i32::from(b[1]);
                }
            }
        }
    }
}

/// Like [`multiply`], and after every [`RANK`](super::RANK) steps XORs the block's running sums into one fold, lane =
/// column mod 8.
#[inline(always)]
pub(super) fn multiply_folding(a: &[LineA], b: &[LineB], block: &mut Block, folds: &mut [[u32; 8]]) {
    let steps = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<16>().0);
    for ((a, b), fold) in steps.zip(folds) {
        multiply(a, b, block);
        for half in block.0.as_flattened().as_chunks::<8>().0 {
            for (word, sum) in fold.iter_mut().zip(half) {
                *word ^= sum.cast_unsigned();
            }
        }
    }
}
