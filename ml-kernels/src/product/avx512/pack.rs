//! Strips in the order of the VNNI kernels, with or without their noise.
//!
//! A line is 4 steps along k in bytes, or 2 in i16: of A, 8 rows (`[row][step]`, one i32 a row); of B, 32 columns
//! (`[column][step]`, two registers).

use super::{BLOCKS, QUAD, ROWS};
use crate::buffer::{Buffer, pooled};
use crate::product::noise::{Dense, NoiseB};
use crate::product::{Operand, RANK, TILE};
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Steps of the peel, and the lines they take.
const PEEL_LINES: usize = RANK;

/// 8 rows of A.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct LineA(pub(super) [i32; ROWS]);

/// 32 columns of B.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct LineB(pub(super) [[i32; 16]; 2]);

/// One strip of A: the lines of each block of 8 rows, its elements offset by 128; then those of the peel.
pub(super) struct PanelA {
    lines: Buffer<LineA>,
    peel: Buffer<LineA>,
}

pooled!(LineA, LineA([0; ROWS]));
pooled!(LineB, LineB([[0; 16]; 2]));
pooled!([i32; TILE], [0; TILE]);

/// All strips of B.
pub(super) struct PanelsB {
    lines: Buffer<LineB>,
    offsets: Buffer<[i32; TILE]>,
    peel: Buffer<LineB>,
    strips: usize,
}

/// One strip of B.
pub(super) struct StripB<'a> {
    /// `k / 4` lines.
    pub(super) lines: &'a [LineB],
    /// What takes the offset of A off again: for all steps, or for each fold's.
    pub(super) offsets: &'a [[i32; TILE]],
    /// Lines in i16 of the peel's side of B, if masked.
    pub(super) peel: &'a [LineB],
}

impl PanelA {
    pub(super) fn new(k: usize) -> Self {
        Self { lines: Buffer::stale(k / QUAD * BLOCKS), peel: Buffer::stale(PEEL_LINES * BLOCKS) }
    }

    /// The lines of one block of rows.
    pub(super) fn block(&self, block: usize) -> &[LineA] {
        let len = self.lines.len() / BLOCKS;
        &self.lines[block * len..(block + 1) * len]
    }

    /// The peel's lines of one block of rows.
    pub(super) fn peel(&self, block: usize) -> &[LineA] {
        &self.peel[block * PEEL_LINES..(block + 1) * PEEL_LINES]
    }

    /// Packs a clean strip.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    pub(super) fn pack(&mut self, strip: &[i8]) {
        for (at, steps) in strip.as_chunks::<TILE>().0.as_chunks::<QUAD>().0.iter().enumerate() {
            self.put(at, load_quad(steps));
        }
    }

    /// Packs a strip with its noise added, and `[-AQ | -L]`.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    pub(super) fn mask(&mut self, strip: &[i8], dense: &Dense, own: &[u8], other: &[u8]) {
        let mut sums = [_mm512_setzero_si512(); RANK];
        let blocks = strip.as_chunks::<TILE>().0.as_chunks::<RANK>().0;
        let permutations = own.as_chunks::<RANK>().0.iter().zip(other.as_chunks::<RANK>().0);
        for ((t, block), (own, other)) in blocks.iter().enumerate().zip(permutations) {
            for (q, quad) in mask_block(block, dense, own).as_chunks::<QUAD>().0.iter().enumerate() {
                self.put(t * RANK / QUAD + q, *quad);
            }
            let mut clean = [_mm256_setzero_si256(); RANK];
            for (clean, row) in clean.iter_mut().zip(block) {
                *clean = load_row(row);
            }
            add_differences(&clean, other, &mut sums);
        }
        let negate = |v| _mm512_sub_epi16(_mm512_setzero_si512(), v);
        for (pair, at) in sums.as_chunks::<2>().0.iter().zip(0..) {
            self.put_words(at, pair.map(negate));
        }
        for (pair, at) in dense.as_chunks::<2>().0.iter().zip(RANK / 2..) {
            self.put_words(at, pair.each_ref().map(|row| negate(widen(load_row(row)))));
        }
    }

    /// Line `at` of each block, from four steps.
    #[inline]
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    fn put(&mut self, at: usize, quad: [__m256i; QUAD]) {
        let len = self.lines.len() / BLOCKS;
        let offset = _mm256_set1_epi8(-128);
        for (block, rows) in interleave(quad).into_iter().enumerate() {
            let rows = _mm256_xor_si256(rows, offset);
            // SAFETY: a line is one register's 32 writable bytes, aligned.
            unsafe { _mm256_store_si256(self.lines[block * len + at].0.as_mut_ptr().cast(), rows) };
        }
    }

    /// Line `at` of each block's peel, from two steps in i16.
    #[inline]
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    fn put_words(&mut self, at: usize, pair: [__m512i; 2]) {
        let [left, right] = interleave_words(pair);
        let blocks = [
            _mm512_castsi512_si256(left),
            _mm512_extracti64x4_epi64::<1>(left),
            _mm512_castsi512_si256(right),
            _mm512_extracti64x4_epi64::<1>(right),
        ];
        for (block, rows) in blocks.into_iter().enumerate() {
            // SAFETY: as in `put`.
            unsafe { _mm256_store_si256(self.peel[block * PEEL_LINES + at].0.as_mut_ptr().cast(), rows) };
        }
    }
}

impl PanelsB {
    fn new(strips: usize, k: usize, offsets: usize, peel: usize) -> Self {
        Self {
            lines: Buffer::stale(strips * k / QUAD),
            offsets: Buffer::stale(strips * offsets),
            peel: Buffer::stale(strips * peel),
            strips,
        }
    }

    /// Clean strips, one offset each.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn plain(b: &Operand) -> Self {
        let mut panels = Self::new(b.strips(), b.k(), 1, 0);
        let lines = panels.lines.par_chunks_exact_mut(b.k() / QUAD);
        lines.zip(&mut *panels.offsets).enumerate().for_each(|(strip, (lines, offset))| {
            pack(b.strip(strip), lines, offset);
        });
        panels
    }

    /// Strips with their noise added, an offset for each fold, and `[D ; P (B + F)]`.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn masked(b: &Operand, noise: &NoiseB, perm_a: &[u8]) -> Self {
        let folds = b.k() / RANK;
        let mut panels = Self::new(b.strips(), b.k(), folds, PEEL_LINES);
        let lines = panels.lines.par_chunks_exact_mut(b.k() / QUAD).zip(panels.offsets.par_chunks_exact_mut(folds));
        lines.zip(panels.peel.par_chunks_exact_mut(PEEL_LINES)).enumerate().for_each(
            |(strip, ((lines, offsets), peel))| {
                let (dense, own) = (noise.dense(strip), noise.permutations());
                mask(b.strip(strip), dense, own, perm_a, lines, offsets, peel);
            },
        );
        panels
    }

    /// One strip, as [`masked`](Self::masked) has it.
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn masked_strip(strip: &[i8], dense: &Dense, own: &[u8], other: &[u8]) -> Self {
        let mut panels = Self::new(1, own.len(), own.len() / RANK, PEEL_LINES);
        mask(strip, dense, own, other, &mut panels.lines, &mut panels.offsets, &mut panels.peel);
        panels
    }

    /// The strips in order.
    pub(super) fn strips(&self) -> impl Iterator<Item = StripB<'_>> {
        let len = |all: usize| all / self.strips;
        let (lines, offsets, peel) = (len(self.lines.len()), len(self.offsets.len()), len(self.peel.len()));
        (0..self.strips).map(move |i| StripB {
            lines: &self.lines[i * lines..(i + 1) * lines],
            offsets: &self.offsets[i * offsets..(i + 1) * offsets],
            peel: &self.peel[i * peel..(i + 1) * peel],
        })
    }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn pack(strip: &[i8], lines: &mut [LineB], offset: &mut [i32; TILE]) {
    for (steps, line) in strip.as_chunks::<TILE>().0.as_chunks::<QUAD>().0.iter().zip(&mut *lines) {
        put(line, load_quad(steps));
    }
    *offset = offset_of(lines);
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn mask(
    strip: &[i8],
    dense: &Dense,
    own: &[u8],
    other: &[u8],
    lines: &mut [LineB],
    offsets: &mut [[i32; TILE]],
    peel: &mut [LineB],
) {
    let mut sums = [_mm512_setzero_si512(); RANK];
    let blocks = strip.as_chunks::<TILE>().0.as_chunks::<RANK>().0.iter().zip(lines.chunks_exact_mut(RANK / QUAD));
    let permutations = own.as_chunks::<RANK>().0.iter().zip(other.as_chunks::<RANK>().0);
    for (((block, lines), offset), (own, other)) in blocks.zip(offsets).zip(permutations) {
        let masked = mask_block(block, dense, own);
        for (quad, line) in masked.as_chunks::<QUAD>().0.iter().zip(&mut *lines) {
            put(line, *quad);
        }
        *offset = offset_of(lines);
        add_differences(&masked, other, &mut sums);
    }
    let dense = dense.as_chunks::<2>().0.iter().map(|pair| pair.each_ref().map(|row| widen(load_row(row))));
    for (pair, line) in dense.chain(sums.as_chunks::<2>().0.iter().copied()).zip(peel) {
        put_words(line, pair);
    }
}

/// Minus 128 times the sum of each column.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn offset_of(lines: &[LineB]) -> [i32; TILE] {
    let ones = _mm512_set1_epi8(1);
    let mut sums = [_mm512_setzero_si512(); 2];
    for line in lines {
        for (sum, values) in sums.iter_mut().zip(super::load_line(line)) {
            *sum = _mm512_dpbusd_epi32(*sum, ones, values);
        }
    }
    let mut out = [0; TILE];
    for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
        let offset = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sum));
        // SAFETY: 16 writable values, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), offset) };
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn put(line: &mut LineB, quad: [__m256i; QUAD]) {
    let groups = interleave(quad);
    for (half, pair) in line.0.iter_mut().zip(groups.as_chunks::<2>().0) {
        let values = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(pair[0]), pair[1]);
        // SAFETY: half a line is one register, aligned.
        unsafe { _mm512_store_si512(half.as_mut_ptr().cast(), values) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn put_words(line: &mut LineB, pair: [__m512i; 2]) {
    for (half, values) in line.0.iter_mut().zip(interleave_words(pair)) {
        // SAFETY: half a line is one register, aligned.
        unsafe { _mm512_store_si512(half.as_mut_ptr().cast(), values) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_row(row: &[i8; TILE]) -> __m256i {
    // SAFETY: a row is 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_quad(steps: &[[i8; TILE]; QUAD]) -> [__m256i; QUAD] {
    [load_row(&steps[0]), load_row(&steps[1]), load_row(&steps[2]), load_row(&steps[3])]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn widen(row: __m256i) -> __m512i {
    _mm512_cvtepi8_epi16(row)
}

/// 32 steps with their noise: at most 63 + 31 + 32, so that i8 holds them.
#[inline]
#[target_feature(enable = "avx2")]
fn mask_block(block: &[[i8; TILE]; RANK], dense: &Dense, own: &[u8; RANK]) -> [__m256i; RANK] {
    let mut out = [_mm256_setzero_si256(); RANK];
    for (j, (out, row)) in out.iter_mut().zip(block).enumerate() {
        let plus = load_row(&dense[usize::from(own[j]) % RANK]);
        let minus = load_row(&dense[usize::from(own[(j + 1) % RANK]) % RANK]);
        *out = _mm256_add_epi8(load_row(row), _mm256_sub_epi8(plus, minus));
    }
    out
}

/// Adds each row's difference from the one before, in a circle, to the sum that its number names.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add_differences(rows: &[__m256i; RANK], names: &[u8; RANK], sums: &mut [__m512i; RANK]) {
    let mut before = widen(rows[RANK - 1]);
    for (row, name) in rows.iter().zip(names) {
        let (row, sum) = (widen(*row), &mut sums[usize::from(*name) % RANK]);
        *sum = _mm512_add_epi16(*sum, _mm512_sub_epi16(row, before));
        before = row;
    }
}

/// Four steps of 32 vectors to `[vector][4]`: four registers of 8 vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(v: [__m256i; QUAD]) -> [__m256i; BLOCKS] {
    let (low, high) = (_mm256_unpacklo_epi8(v[0], v[1]), _mm256_unpackhi_epi8(v[0], v[1]));
    let (low2, high2) = (_mm256_unpacklo_epi8(v[2], v[3]), _mm256_unpackhi_epi8(v[2], v[3]));
    // Vectors 0-3 and 16-19, 4-7 and 20-23, and so on.
    let a = _mm256_unpacklo_epi16(low, low2);
    let b = _mm256_unpackhi_epi16(low, low2);
    let c = _mm256_unpacklo_epi16(high, high2);
    let d = _mm256_unpackhi_epi16(high, high2);
    [
        _mm256_permute2x128_si256::<0x20>(a, b),
        _mm256_permute2x128_si256::<0x20>(c, d),
        _mm256_permute2x128_si256::<0x31>(a, b),
        _mm256_permute2x128_si256::<0x31>(c, d),
    ]
}

/// Two steps of 32 vectors in i16 to `[vector][2]`: two registers of 16 vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave_words([even, odd]: [__m512i; 2]) -> [__m512i; 2] {
    // Quarters hold vectors 0-3, 8-11, 16-19, 24-27 and the rest.
    let (low, high) = (_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd));
    let left = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let right = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    [_mm512_permutex2var_epi64(low, left, high), _mm512_permutex2var_epi64(low, right, high)]
}
