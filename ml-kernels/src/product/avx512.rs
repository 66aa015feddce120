//! AVX-512 with VNNI: both products, a block of 8 rows and 32 columns at a time in sixteen registers.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes and adds four products to an i32, without saturation. A is offset by
//! 128 to be unsigned: `(a + 128) b` sums to `a b` plus 128 times the column's sum, which is taken off in advance: once
//! before the first step of the unmined product, and before each fold's 32 steps of the mined one, so that the folds see
//! the exact running sums. Noised operands are in -126..=126 and fit both bytes. The peel's operands need i16, and take
//! `vpdpwssd`.
//!
//! There is no assembly here: with 32 registers compilers don't spill.

mod pack;
mod quantize;

pub(super) use quantize::quantize_32;

use super::noise::{self, Dense, NoiseB, Side};
use super::tickets::{Tickets, state};
use super::{CLAMP, Candidate, Operand, RANK, TILE};
use pack::{LineA, LineB, PanelA, PanelsB, StripB};
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Rows of a block.
const ROWS: usize = 8;
/// Blocks of a tile.
const BLOCKS: usize = TILE / ROWS;
/// Steps along k that one instruction takes.
const QUAD: usize = 4;
/// Lines of B that one fold takes.
const FOLD_LINES: usize = RANK / QUAD;

/// The sums of 8 rows and 32 columns.
type Sums = [[__m512i; 2]; ROWS];

/// As [`product`](super::product); the shapes were checked.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn product(a: &Operand, b: &Operand, out: &mut [f32]) {
    let n = b.vectors();
    let panels = PanelsB::plain(b);
    out.par_chunks_mut(TILE * n)
        .enumerate()
        .for_each_init(|| PanelA::new(a.k()), |panel, (row, out)| plain_row(a, b, row, panel, &panels, out));
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn plain_row(a: &Operand, b: &Operand, row: usize, panel: &mut PanelA, panels: &PanelsB, out: &mut [f32]) {
    let n = b.vectors();
    panel.pack(a.strip(row));
    for (col, strip) in panels.strips().enumerate() {
        let scales_b = b.strip_scales(col);
        for block in 0..BLOCKS {
            let mut sums = [load(&strip.offsets[0]); ROWS];
            multiply(&mut sums, panel.block(block), strip.lines);
            let scales_a = &a.strip_scales(row)[ROWS * block..];
            dequantize(&sums, scales_a, scales_b, &mut out[ROWS * block * n + TILE * col..], n);
        }
    }
}

/// As [`mined_product`](super::mined_product); the shapes were checked, and `perm_a` are A's permutations.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn mined_product(
    a: &Operand,
    b: &Operand,
    noise_b: &NoiseB,
    perm_a: &[u8],
    tickets: Tickets<'_>,
    out: &mut [f32],
) -> Vec<Candidate> {
    let panels = PanelsB::masked(b, noise_b, perm_a);
    let rows: Vec<Vec<Candidate>> = out
        .par_chunks_mut(TILE * b.vectors())
        .enumerate()
        .map_init(
            || (PanelA::new(a.k()), tickets.clone(), vec![[0; 16]; a.k() / RANK]),
            |(panel, tickets, folds), (row, out)| {
                let dense = noise::dense(tickets.key_a(), Side::A, row as u64);
                panel.mask(a.strip(row), &dense, perm_a, noise_b.permutations());
                mined_row(a, b, row, panel, &panels, folds, tickets, out);
                tickets.finish()
            },
        )
        .collect();
    rows.concat()
}

#[allow(clippy::too_many_arguments, reason = "one row of `mined_product`, and its scratch")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn mined_row(
    a: &Operand,
    b: &Operand,
    row: usize,
    panel: &PanelA,
    panels: &PanelsB,
    folds: &mut [[u32; 16]],
    tickets: &mut Tickets<'_>,
    out: &mut [f32],
) {
    let n = b.vectors();
    for (col, strip) in panels.strips().enumerate() {
        let scales_b = b.strip_scales(col);
        folds.fill([0; 16]);
        for block in 0..BLOCKS {
            let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
            fold_multiply(&mut sums, panel.block(block), &strip, folds);
            multiply_words(&mut sums, panel.peel(block), strip.peel);
            let scales_a = &a.strip_scales(row)[ROWS * block..];
            dequantize(&sums, scales_a, scales_b, &mut out[ROWS * block * n + TILE * col..], n);
        }
        // Both fit u32: there are at most MAX_VECTORS / TILE strips.
        let (row, col) = (row as u32, col as u32);
        tickets.push(row, col, &state(row, col, folds.iter().map(lanes)));
    }
}

/// Columns j and j + 8 share a lane.
fn lanes(fold: &[u32; 16]) -> [u32; 8] {
    std::array::from_fn(|lane| fold[lane] ^ fold[lane + 8])
}

/// One side of a single tile: its strip, its own dense noise and its own permutations.
pub(super) struct TileSide<'a> {
    pub(super) strip: &'a [i8],
    pub(super) dense: &'a Dense,
    pub(super) permutations: &'a [u8],
}

/// The folds of one tile; see [`tile_state`](super::tile_state).
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn tile_folds(k: usize, a: TileSide<'_>, b: TileSide<'_>) -> Vec<[u32; 8]> {
    let mut panel = PanelA::new(k);
    panel.mask(a.strip, a.dense, a.permutations, b.permutations);
    let panels = PanelsB::masked_strip(b.strip, b.dense, b.permutations, a.permutations);
    let mut folds = vec![[0; 16]; k / RANK];
    for strip in panels.strips() {
        for block in 0..BLOCKS {
            fold_multiply(&mut [[_mm512_setzero_si512(); 2]; ROWS], panel.block(block), &strip, &mut folds);
        }
    }
    folds.iter().map(lanes).collect()
}

/// The clean sums of one tile, `[row][column]`: what is left once the noise is peeled off.
#[cfg(test)]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn tile_sums(k: usize, a: TileSide<'_>, b: TileSide<'_>) -> Vec<i32> {
    let mut panel = PanelA::new(k);
    panel.mask(a.strip, a.dense, a.permutations, b.permutations);
    let panels = PanelsB::masked_strip(b.strip, b.dense, b.permutations, a.permutations);
    let mut out = Vec::new();
    for strip in panels.strips() {
        for block in 0..BLOCKS {
            let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
            fold_multiply(&mut sums, panel.block(block), &strip, &mut vec![[0; 16]; k / RANK]);
            multiply_words(&mut sums, panel.peel(block), strip.peel);
            for values in sums.as_flattened() {
                let mut row = [0; 16];
                // SAFETY: a register's 16 writable values; the store needs no alignment.
                unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), *values) };
                out.extend(row);
            }
        }
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[i32; TILE]) -> [__m512i; 2] {
    // SAFETY: 16 readable values each; the loads need no alignment.
    unsafe { [_mm512_loadu_si512(values.as_ptr().cast()), _mm512_loadu_si512(values.as_ptr().add(16).cast())] }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line(line: &LineB) -> [__m512i; 2] {
    // SAFETY: a line is two aligned registers.
    unsafe { [_mm512_load_si512(line.0[0].as_ptr().cast()), _mm512_load_si512(line.0[1].as_ptr().cast())] }
}

/// Adds the products of `a.len()` quads of steps.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply(sums: &mut Sums, a: &[LineA], b: &[LineB]) {
    for (LineA(a), b) in a.iter().zip(b) {
        let [left, right] = load_line(b);
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = _mm512_set1_epi32(*a);
            sums[0] = _mm512_dpbusd_epi32(sums[0], a, left);
            sums[1] = _mm512_dpbusd_epi32(sums[1], a, right);
        }
    }
}

/// Adds the products of `a.len()` pairs of steps in i16.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply_words(sums: &mut Sums, a: &[LineA], b: &[LineB]) {
    for (LineA(a), b) in a.iter().zip(b) {
        let [left, right] = load_line(b);
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = _mm512_set1_epi32(*a);
            sums[0] = _mm512_dpwssd_epi32(sums[0], a, left);
            sums[1] = _mm512_dpwssd_epi32(sums[1], a, right);
        }
    }
}

/// [`multiply`], and after every 32 steps XORs the running sums into one fold, lane = column mod 16.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn fold_multiply(sums: &mut Sums, a: &[LineA], b: &StripB<'_>, folds: &mut [[u32; 16]]) {
    let steps = a.chunks_exact(FOLD_LINES).zip(b.lines.chunks_exact(FOLD_LINES));
    for (((a, b), offset), fold) in steps.zip(b.offsets).zip(folds) {
        let offset = load(offset);
        for sums in &mut *sums {
            *sums = [_mm512_add_epi32(sums[0], offset[0]), _mm512_add_epi32(sums[1], offset[1])];
        }
        multiply(sums, a, b);
        // SAFETY: a fold is one register, and neither load nor store needs alignment.
        let mut all = unsafe { _mm512_loadu_si512(fold.as_ptr().cast()) };
        for [left, right] in &*sums {
            // The exclusive or of all three.
            all = _mm512_ternarylogic_epi32::<0b1001_0110>(all, *left, *right);
        }
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(fold.as_mut_ptr().cast(), all) };
    }
}

/// As [`Tile::dequantize`](super::tile::Tile::dequantize), for one block.
#[inline]
#[target_feature(enable = "avx512f")]
fn dequantize(sums: &Sums, scales_a: &[f32], scales_b: &[f32; TILE], out: &mut [f32], stride: usize) {
    // SAFETY: 32 readable values; the loads need no alignment.
    let scales_b = unsafe { [_mm512_loadu_ps(scales_b.as_ptr()), _mm512_loadu_ps(scales_b.as_ptr().add(16))] };
    let (low, high) = (_mm512_set1_ps(-CLAMP), _mm512_set1_ps(CLAMP));
    for ((sums, scale_a), row) in sums.iter().zip(scales_a).zip(out.chunks_mut(stride)) {
        let scale_a = _mm512_set1_ps(*scale_a);
        let row = row.first_chunk_mut::<TILE>().expect("a tile is inside the row");
        for (half, (sums, scale_b)) in sums.iter().zip(scales_b).enumerate() {
            let product = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(*sums), scale_a), scale_b);
            let product = _mm512_max_ps(_mm512_min_ps(product, high), low);
            // SAFETY: the row has 32 values, and the store needs no alignment.
            unsafe { _mm512_storeu_ps(row.as_mut_ptr().add(16 * half), product) };
        }
    }
}
