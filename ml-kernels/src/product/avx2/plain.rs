//! The unmined product by `vpmaddubsw`, which multiplies unsigned by signed bytes and adds pairs in i16.
//!
//! A is offset by 64 into 1..=127. A pair is at most 2 * 127 * 63 = 16,002, and two pairs 32,004: i16 holds both, so
//! nothing saturates. The offset adds 64 times a column's sum, so the sums start from minus that. Noised operands,
//! in -126..=126, would saturate: the mined product cannot use this.

use super::{load_block, store_block};
use crate::platform::Platform;
use crate::product::tile::{Block, Tile};
use crate::product::{Operand, TILE};
use rayon::prelude::*;
use std::arch::asm;
use std::arch::x86_64::{
    _mm_storeu_si128, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_setzero_si256,
    _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};

/// Steps along k between visits of the same block: the panels of one visit stay in the first-level cache.
const VISIT: usize = 512;
/// What makes elements of A unsigned.
const OFFSET: u8 = 64;

/// Sixteen steps of 4 rows of A, offset: four quads of steps, each `[row][4]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct LineA([[u8; 16]; 4]);

/// Four steps of 16 columns of B: `[column group][column][4]`, groups of 4 columns.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct LineB([[u8; 16]; 4]);

/// The packed strips of B: `k / 2` lines each, and where the sums of each column start.
struct PanelsB {
    lines: Vec<LineB>,
    starts: Vec<[i32; TILE]>,
}

/// As [`product`](crate::product::product); the shapes were checked.
#[target_feature(enable = "avx2")]
pub(in crate::product) fn product(platform: Platform, a: &Operand, b: &Operand, out: &mut [f32]) {
    let (k, n) = (a.k(), b.vectors());
    let panels = pack_strips(b);
    out.par_chunks_mut(TILE * n).enumerate().for_each_init(
        || (vec![LineA([[0; 16]; 4]); k / 2], Tile::new(k)),
        |(panel_a, tile), (row, out)| {
            pack_a(a.strip(row), panel_a);
            for (col, (panel_b, starts)) in panels.lines.chunks_exact(k / 2).zip(&panels.starts).enumerate() {
                multiply_tile(panel_a, panel_b, starts, tile);
                tile.dequantize(platform, a.strip_scales(row), b.strip_scales(col), &mut out[col * TILE..], n);
            }
        },
    );
}

#[target_feature(enable = "avx2")]
fn pack_strips(b: &Operand) -> PanelsB {
    let lines = b.k() / 2;
    let mut panels =
        PanelsB { lines: vec![LineB([[0; 16]; 4]); b.strips() * lines], starts: vec![[0; TILE]; b.strips()] };
    panels.lines.par_chunks_exact_mut(lines).zip(&mut panels.starts).enumerate().for_each(
        |(strip, (panel, starts))| {
            pack_b(b.strip(strip), panel, starts);
        },
    );
    panels
}

/// Four steps, interleaved: eight groups of 4 vectors, each `[vector][4]`.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(steps: &[[i8; TILE]; 4]) -> [[u8; 16]; 8] {
    let mut v = [_mm256_setzero_si256(); 4];
    for (v, step) in v.iter_mut().zip(steps) {
        // SAFETY: a step is 32 readable bytes, and the load needs no alignment.
        *v = unsafe { _mm256_loadu_si256(step.as_ptr().cast()) };
    }
    let (low, high) = (_mm256_unpacklo_epi8(v[0], v[1]), _mm256_unpackhi_epi8(v[0], v[1]));
    let (low2, high2) = (_mm256_unpacklo_epi8(v[2], v[3]), _mm256_unpackhi_epi8(v[2], v[3]));
    // Vectors 0-3 and 16-19, 4-7 and 20-23, and so on.
    let quads = [
        _mm256_unpacklo_epi16(low, low2),
        _mm256_unpackhi_epi16(low, low2),
        _mm256_unpacklo_epi16(high, high2),
        _mm256_unpackhi_epi16(high, high2),
    ];
    let mut out = [[0; 16]; 8];
    for (i, quad) in quads.into_iter().enumerate() {
        // SAFETY: both targets are 16 writable bytes, and the stores need no alignment.
        unsafe {
            _mm_storeu_si128(out[i].as_mut_ptr().cast(), _mm256_castsi256_si128(quad));
            _mm_storeu_si128(out[i + 4].as_mut_ptr().cast(), _mm256_extracti128_si256(quad, 1));
        }
    }
    out
}

#[target_feature(enable = "avx2")]
fn pack_a(strip: &[i8], panel: &mut [LineA]) {
    let group_len = panel.len() / 8;
    for (at, steps) in strip.as_chunks::<TILE>().0.as_chunks::<4>().0.iter().enumerate() {
        for (group, mut values) in interleave(steps).into_iter().enumerate() {
            for value in &mut values {
                *value = value.wrapping_add(OFFSET);
            }
            panel[group * group_len + at / 4].0[at % 4] = values;
        }
    }
}

#[target_feature(enable = "avx2")]
fn pack_b(strip: &[i8], panel: &mut [LineB], starts: &mut [i32; TILE]) {
    let (left, right) = panel.split_at_mut(panel.len() / 2);
    let lines = left.iter_mut().zip(right);
    for (steps, (left, right)) in strip.as_chunks::<TILE>().0.as_chunks::<4>().0.iter().zip(lines) {
        let groups = interleave(steps);
        left.0.copy_from_slice(&groups[..4]);
        right.0.copy_from_slice(&groups[4..]);
        for step in steps {
            for (start, v) in starts.iter_mut().zip(step) {
                *start -= i32::from(OFFSET) * i32::from(*v);
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn multiply_tile(a: &[LineA], b: &[LineB], starts: &[i32; TILE], tile: &mut Tile) {
    let groups_b = b.chunks_exact(b.len() / 2);
    let k = b.len() * 2;
    for ((blocks, starts), group_b) in tile.blocks_by_columns().zip(starts.as_chunks::<16>().0).zip(groups_b) {
        blocks.fill(Block([*starts; 4]));
        for first in (0..k).step_by(VISIT) {
            let last = k.min(first + VISIT);
            let visit_b = &group_b[first / 4..last / 4];
            for (block, group_a) in blocks.iter_mut().zip(a.chunks_exact(a.len() / 8)) {
                multiply(&group_a[first / 16..last / 16], visit_b, block);
            }
        }
    }
}

/// One row and two quads of steps: `$a` is the row's byte offset from `{a}`, `$left` and `$right` its sums.
macro_rules! row {
    ($a:literal, $left:literal, $right:literal) => {
        concat!(
            "vpbroadcastd ymm10, dword ptr [{a} + ",
            $a,
            "]\n",
            "vpbroadcastd ymm11, dword ptr [{a} + ",
            $a,
            " + 16]\n",
            "vpmaddubsw ymm12, ymm10, ymm8\n",
            "vpmaddubsw ymm13, ymm11, [{b} + 64]\n",
            "vpmaddubsw ymm10, ymm10, ymm9\n",
            "vpmaddubsw ymm11, ymm11, [{b} + 96]\n",
            "vpaddw ymm12, ymm12, ymm13\n",
            "vpaddw ymm10, ymm10, ymm11\n",
            "vpmaddwd ymm12, ymm12, ymm14\n",
            "vpmaddwd ymm10, ymm10, ymm14\n",
            "vpaddd ",
            $left,
            ", ",
            $left,
            ", ymm12\n",
            "vpaddd ",
            $right,
            ", ",
            $right,
            ", ymm10",
        )
    };
}

/// Adds the products of `a.len() * 16` steps along k to a block.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply(a: &[LineA], b: &[LineB], block: &mut Block) {
    assert!(!a.is_empty() && b.len() == 4 * a.len(), "a line of A goes with four of B");
    // SAFETY: the loop reads 32 bytes of A and 128 of B at a time from inside the slices, whose lengths were just
    // checked; lines and blocks are aligned to 64 bytes; the block is written through its own unique reference.
    unsafe {
        asm!(
            load_block!(),
            // Sixteen times 1, to add neighbours.
            "vpcmpeqw ymm14, ymm14, ymm14",
            "vpsrlw ymm14, ymm14, 15",
            "2:",
            "vmovdqa ymm8, [{b}]",
            "vmovdqa ymm9, [{b} + 32]",
            row!("0", "ymm0", "ymm1"),
            row!("4", "ymm2", "ymm3"),
            row!("8", "ymm4", "ymm5"),
            row!("12", "ymm6", "ymm7"),
            "add {a}, 32",
            "add {b}, 128",
            "cmp {a}, {end}",
            "jb 2b",
            store_block!(),
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            end = in(reg) a.as_ptr().add(a.len()),
            block = in(reg) block,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
            out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        );
    }
}
