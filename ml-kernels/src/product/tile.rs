//! One 32x32 tile: packed strips in, running sums, folds and state out. The platforms share all of it but the
//! micro-kernel, which adds to one 4x16 block of the tile.
//!
//! Both strips are packed in pairs of steps along k, widened to i16, as `vpmaddwd` takes them: A in eight groups of
//! 4 rows, B in two groups of 16 columns, each group contiguous along k.

use super::noise::{Dense, NoiseB, Row, Side, mask};
use super::{CLAMP, Operand, RANK, TILE, portable};
use crate::platform::{Path, Platform, dispatch};
use rayon::prelude::*;

/// Steps along k between visits of the same block: the panels of one visit stay in the first-level cache.
const VISIT: usize = 256;
/// Groups of 4 rows in a strip of A.
const GROUPS_A: usize = TILE / 4;
/// Groups of 16 columns in a strip of B.
const GROUPS_B: usize = TILE / 16;

/// Eight steps of 4 rows of A: four pairs of steps, each `[row][2]`. A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct LineA(pub(super) [[i16; 8]; 4]);

/// Two steps of 16 columns of B: `[column][2]`. A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct LineB(pub(super) [i16; 32]);

/// The running sums of 4 rows and 16 columns.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [[i32; 16]; 4]);

/// The packed strips of one tile, and room to make them. A strip takes one line per step.
pub(super) struct Panels {
    pub(super) a: Vec<LineA>,
    pub(super) b: Vec<LineB>,
    rows: Vec<Row>,
}

impl Panels {
    pub(super) fn new(steps: usize) -> Self {
        Self { a: vec![LineA([[0; 8]; 4]); steps], b: vec![LineB([0; 32]); steps], rows: vec![[0; TILE]; steps] }
    }

    pub(super) fn pack_a(&mut self, platform: Platform, strip: &[i8]) {
        widen(platform, strip, &mut self.rows);
        pack_a(platform, &self.rows, &mut self.a);
    }

    pub(super) fn mask_a(&mut self, platform: Platform, strip: &[i8], dense: &Dense, own: &[u8], other: &[u8]) {
        mask(platform, Side::A, strip, dense, own, other, &mut self.rows);
        pack_a(platform, &self.rows, &mut self.a);
    }

    pub(super) fn mask_b(&mut self, platform: Platform, strip: &[i8], dense: &Dense, own: &[u8], other: &[u8]) {
        mask(platform, Side::B, strip, dense, own, other, &mut self.rows);
        pack_b(platform, &self.rows, &mut self.b);
    }
}

/// All strips of B, packed: `k` lines each.
pub(super) fn pack_strips(platform: Platform, b: &Operand) -> Vec<LineB> {
    let steps = b.k();
    let mut panels = vec![LineB([0; 32]); b.strips() * steps];
    panels.par_chunks_exact_mut(steps).enumerate().for_each_init(
        || vec![[0; TILE]; steps],
        |rows, (strip, panel)| {
            widen(platform, b.strip(strip), rows);
            pack_b(platform, rows, panel);
        },
    );
    panels
}

/// All strips of B with their noise and their side of the peel, packed: `k + 2 * RANK` lines each.
pub(super) fn mask_strips(platform: Platform, b: &Operand, noise: &NoiseB, other: &[u8]) -> Vec<LineB> {
    let steps = b.k() + 2 * RANK;
    let mut panels = vec![LineB([0; 32]); b.strips() * steps];
    panels.par_chunks_exact_mut(steps).enumerate().for_each_init(
        || vec![[0; TILE]; steps],
        |rows, (strip, panel)| {
            mask(platform, Side::B, b.strip(strip), noise.dense(strip), noise.permutations(), other, rows);
            pack_b(platform, rows, panel);
        },
    );
    panels
}

fn widen(platform: Platform, strip: &[i8], rows: &mut [Row]) {
    dispatch!(platform, widen_rows(strip: &[i8], rows: &mut [Row]) {
        for (row, source) in rows.iter_mut().zip(strip.as_chunks::<TILE>().0) {
            for (wide, v) in row.iter_mut().zip(source) {
                *wide = i16::from(*v);
            }
        }
    });
}

/// Two steps, interleaved: `[vector][2]`.
#[inline(always)]
fn interleave(even: &Row, odd: &Row) -> [i16; 2 * TILE] {
    let mut out = [0; 2 * TILE];
    for (pair, (e, o)) in out.as_chunks_mut::<2>().0.iter_mut().zip(even.iter().zip(odd)) {
        *pair = [*e, *o];
    }
    out
}

fn pack_a(platform: Platform, rows: &[Row], panel: &mut [LineA]) {
    dispatch!(platform, pack_rows_a(rows: &[Row], panel: &mut [LineA]) {
        let group_len = panel.len() / GROUPS_A;
        for (at, steps) in rows.as_chunks::<8>().0.iter().enumerate() {
            for (pair, [even, odd]) in steps.as_chunks::<2>().0.iter().enumerate() {
                let both = interleave(even, odd);
                for (group, values) in both.as_chunks::<8>().0.iter().enumerate() {
                    panel[group * group_len + at].0[pair] = *values;
                }
            }
        }
    });
}

fn pack_b(platform: Platform, rows: &[Row], panel: &mut [LineB]) {
    dispatch!(platform, pack_rows_b(rows: &[Row], panel: &mut [LineB]) {
        let (left, right) = panel.split_at_mut(panel.len() / GROUPS_B);
        for ([even, odd], (left, right)) in rows.as_chunks::<2>().0.iter().zip(left.iter_mut().zip(right)) {
            let both = interleave(even, odd);
            left.0.copy_from_slice(&both[..TILE]);
            right.0.copy_from_slice(&both[TILE..]);
        }
    });
}

/// The running sums of a tile, block (group of A, group of B) at `group_b * 8 + group_a`, and its folds.
pub(super) struct Tile {
    blocks: [Block; GROUPS_A * GROUPS_B],
    folds: Vec<[u32; 8]>,
}

impl Tile {
    /// Room for a tile of contraction `k`.
    pub(super) fn new(k: usize) -> Self {
        Self { blocks: [Block([[0; 16]; 4]); GROUPS_A * GROUPS_B], folds: vec![[0; 8]; k / RANK] }
    }

    /// The tile's product, without folds.
    pub(super) fn multiply(&mut self, platform: Platform, a: &[LineA], b: &[LineB]) {
        self.blocks = [Block([[0; 16]; 4]); GROUPS_A * GROUPS_B];
        for first in (0..a.len()).step_by(VISIT) {
            self.visit(platform, a, b, first, VISIT.min(a.len() - first), false);
        }
    }

    /// The mined tile: its folds, from the masked steps; then its clean product, by the `2 * RANK` steps of the peel.
    pub(super) fn mine(&mut self, platform: Platform, a: &[LineA], b: &[LineB]) {
        self.blocks = [Block([[0; 16]; 4]); GROUPS_A * GROUPS_B];
        self.folds.fill([0; 8]);
        let k = self.folds.len() * RANK;
        for first in (0..k).step_by(VISIT) {
            self.visit(platform, a, b, first, VISIT.min(k - first), true);
        }
        self.visit(platform, a, b, k, 2 * RANK, false);
    }

    /// Adds steps `first .. first + steps` to every block.
    fn visit(&mut self, platform: Platform, a: &[LineA], b: &[LineB], first: usize, steps: usize, folding: bool) {
        let groups_b = b.chunks_exact(b.len() / GROUPS_B);
        for (blocks, group_b) in self.blocks.as_chunks_mut::<GROUPS_A>().0.iter_mut().zip(groups_b) {
            let group_b = &group_b[first / 2..(first + steps) / 2];
            let groups_a = a.chunks_exact(a.len() / GROUPS_A);
            for (block, group_a) in blocks.iter_mut().zip(groups_a) {
                let group_a = &group_a[first / 8..(first + steps) / 8];
                if folding {
                    let folds = &mut self.folds[first / RANK..(first + steps) / RANK];
                    multiply_folding(platform, group_a, group_b, block, folds);
                } else {
                    multiply(platform, group_a, group_b, block);
                }
            }
        }
    }

    /// The tile's folds.
    pub(super) fn folds(&self) -> &[[u32; 8]] {
        &self.folds
    }

    /// Writes the product in f32 to the tile whose first element is `out[0]`, rows `stride` apart.
    ///
    /// `(acc as f32 * scale_a) * scale_b` in this order; `acc as f32` is exact. Scales are finite, so no NaN arises,
    /// and an infinity is clamped.
    pub(super) fn dequantize(
        &self,
        platform: Platform,
        scales_a: &[f32; TILE],
        scales_b: &[f32; TILE],
        out: &mut [f32],
        stride: usize,
    ) {
        let blocks = &self.blocks;
        dispatch!(platform, dequantize_blocks(
            blocks: &[Block; GROUPS_A * GROUPS_B],
            scales_a: &[f32; TILE],
            scales_b: &[f32; TILE],
            out: &mut [f32],
            stride: usize,
        ) {
            let (left, right) = blocks.split_at(GROUPS_A);
            for (i, (row, scale_a)) in out.chunks_mut(stride).zip(scales_a).enumerate() {
                for (half, blocks) in [left, right].into_iter().enumerate() {
                    let values = dequantize_16(&blocks[i / 4].0[i % 4], *scale_a, &scales_b.as_chunks().0[half]);
                    row[16 * half..16 * (half + 1)].copy_from_slice(&values);
                }
            }
        });
    }

    /// The blocks of each group of 16 columns, by rows.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn blocks_by_columns(&mut self) -> impl Iterator<Item = &mut [Block; GROUPS_A]> {
        self.blocks.as_chunks_mut().0.iter_mut()
    }

    /// The clean sum of row `i`, column `j`.
    #[cfg(test)]
    pub(super) fn sum(&self, i: usize, j: usize) -> i32 {
        self.blocks[(j / 16) * GROUPS_A + i / 4].0[i % 4][j % 16]
    }
}

/// Into a buffer of its own: written to the output directly, it is not vectorized.
#[inline(always)]
fn dequantize_16(sums: &[i32; 16], scale_a: f32, scales_b: &[f32; 16]) -> [f32; 16] {
    let mut out = [0.0; 16];
    for j in 0..16 {
        let product = (sums[j] as f32 * scale_a) * scales_b[j];
        let product = if product > CLAMP { CLAMP } else { product };
        out[j] = if product < -CLAMP { -CLAMP } else { product };
    }
    out
}

fn multiply(platform: Platform, a: &[LineA], b: &[LineB], block: &mut Block) {
    match platform.path() {
        // SAFETY: such a `Platform` only exists where AVX2 was detected.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 | Path::Avx512 => unsafe { super::avx2::multiply(a, b, block) },
        Path::Portable => portable::multiply(a, b, block),
    }
}

fn multiply_folding(platform: Platform, a: &[LineA], b: &[LineB], block: &mut Block, folds: &mut [[u32; 8]]) {
    match platform.path() {
        // SAFETY: such a `Platform` only exists where AVX2 was detected.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 | Path::Avx512 => unsafe { super::avx2::multiply_folding(a, b, block, folds) },
        Path::Portable => portable::multiply_folding(a, b, block, folds),
    }
}
