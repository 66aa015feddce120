//! AVX2: the micro-kernel of the mined product, and the transposition of the quantizer. `plain` holds the unmined
//! product.
//!
//! The kernel is assembly because compilers spill some of its sixteen registers, which costs up to two thirds of the
//! speed. Registers: ymm0-7 the sums of 4 rows x 16 columns, ymm8-9 two steps of 16 columns of B, ymm10-15 scratch.

mod plain;

pub(super) use plain::product;

use super::tile::{Block, LineA, LineB};
use super::{CLAMP, INT7_MAX, TILE};
use std::arch::asm;
use std::arch::x86_64::*;

/// The block at `{block}` to registers; kept with [`store_block`] so that both kernels agree on the order.
macro_rules! load_block {
    () => {
        "vmovdqa ymm0, [{block}]
         vmovdqa ymm1, [{block} + 32]
         vmovdqa ymm2, [{block} + 64]
         vmovdqa ymm3, [{block} + 96]
         vmovdqa ymm4, [{block} + 128]
         vmovdqa ymm5, [{block} + 160]
         vmovdqa ymm6, [{block} + 192]
         vmovdqa ymm7, [{block} + 224]"
    };
}

/// Registers to the block at `{block}`; the upper halves are cleared for the caller, which may use SSE.
macro_rules! store_block {
    () => {
        "vmovdqa [{block}], ymm0
         vmovdqa [{block} + 32], ymm1
         vmovdqa [{block} + 64], ymm2
         vmovdqa [{block} + 96], ymm3
         vmovdqa [{block} + 128], ymm4
         vmovdqa [{block} + 160], ymm5
         vmovdqa [{block} + 192], ymm6
         vmovdqa [{block} + 224], ymm7
         vzeroupper"
    };
}
use {load_block, store_block};

/// Two steps along k: `$a` and `$b` are byte offsets from `{a}` and `{b}`.
macro_rules! pair {
    ($a:literal, $b:literal) => {
        concat!(
            "vmovdqa ymm8, [{b} + ",
            $b,
            "]\n",
            "vmovdqa ymm9, [{b} + ",
            $b,
            " + 32]\n",
            "vpbroadcastd ymm10, dword ptr [{a} + ",
            $a,
            "]\n",
            "vpmaddwd ymm11, ymm10, ymm8\n",
            "vpmaddwd ymm12, ymm10, ymm9\n",
            "vpaddd ymm0, ymm0, ymm11\n",
            "vpaddd ymm1, ymm1, ymm12\n",
            "vpbroadcastd ymm13, dword ptr [{a} + ",
            $a,
            " + 4]\n",
            "vpmaddwd ymm14, ymm13, ymm8\n",
            "vpmaddwd ymm15, ymm13, ymm9\n",
            "vpaddd ymm2, ymm2, ymm14\n",
            "vpaddd ymm3, ymm3, ymm15\n",
            "vpbroadcastd ymm10, dword ptr [{a} + ",
            $a,
            " + 8]\n",
            "vpmaddwd ymm11, ymm10, ymm8\n",
            "vpmaddwd ymm12, ymm10, ymm9\n",
            "vpaddd ymm4, ymm4, ymm11\n",
            "vpaddd ymm5, ymm5, ymm12\n",
            "vpbroadcastd ymm13, dword ptr [{a} + ",
            $a,
            " + 12]\n",
            "vpmaddwd ymm14, ymm13, ymm8\n",
            "vpmaddwd ymm15, ymm13, ymm9\n",
            "vpaddd ymm6, ymm6, ymm14\n",
            "vpaddd ymm7, ymm7, ymm15",
        )
    };
}

/// As [`portable::multiply`](super::portable::multiply).
#[target_feature(enable = "avx2")]
pub(super) fn multiply(a: &[LineA], b: &[LineB], block: &mut Block) {
    assert!(!a.is_empty() && b.len() == 4 * a.len(), "a line of A goes with four of B");
    // SAFETY: the loop reads 32 bytes of A and 128 of B at a time from inside the slices, whose lengths were just
    // checked; lines and blocks are aligned to 64 bytes; the block is written through its own unique reference.
    unsafe {
        asm!(
            load_block!(),
            "2:",
            pair!("0", "0"),
            pair!("16", "64"),
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

/// As [`portable::multiply_folding`](super::portable::multiply_folding).
#[target_feature(enable = "avx2")]
pub(super) fn multiply_folding(a: &[LineA], b: &[LineB], block: &mut Block, folds: &mut [[u32; 8]]) {
    assert!(!a.is_empty() && b.len() == 4 * a.len(), "a line of A goes with four of B");
    assert!(a.len() == 4 * folds.len(), "a fold takes 32 steps");
    // SAFETY: as in `multiply`; the outer loop runs once per fold, since 256 bytes of A are the 32 steps of one fold,
    // and the folds are written through their own unique reference.
    unsafe {
        asm!(
            load_block!(),
            "2:",
            "lea {stop}, [{a} + 256]",
            "3:",
            pair!("0", "0"),
            pair!("16", "64"),
            "add {a}, 32",
            "add {b}, 128",
            "cmp {a}, {stop}",
            "jb 3b",
            "vpxor ymm8, ymm0, ymm1",
            "vpxor ymm9, ymm2, ymm3",
            "vpxor ymm10, ymm4, ymm5",
            "vpxor ymm11, ymm6, ymm7",
            "vpxor ymm8, ymm8, ymm9",
            "vpxor ymm10, ymm10, ymm11",
            "vpxor ymm8, ymm8, ymm10",
            "vpxor ymm8, ymm8, [{folds}]",
            "vmovdqu [{folds}], ymm8",
            "add {folds}, 32",
            "cmp {a}, {end}",
            "jb 2b",
            store_block!(),
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            folds = inout(reg) folds.as_mut_ptr() => _,
            stop = out(reg) _,
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

/// As the plain code of `quantize`: 32 elements, element i with factor `inverse[i]`, rounded down after the addition of
/// its fraction, or to the nearest.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn quantize_32(x: &[f32; TILE], inverse: &[f32; TILE], fractions: Option<&[f32; TILE]>) -> [i8; TILE] {
    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    let (limit, largest) = (_mm256_set1_ps(CLAMP), _mm256_set1_ps(INT7_MAX as f32));
    let mut integers = [_mm256_setzero_si256(); 4];
    for (part, integers) in integers.iter_mut().enumerate() {
        // SAFETY: part is below 4, so eight elements are readable; the loads need no alignment.
        let (x, inverse) =
            unsafe { (_mm256_loadu_ps(x.as_ptr().add(8 * part)), _mm256_loadu_ps(inverse.as_ptr().add(8 * part))) };
        // NaN to 0 first: the minimum and maximum would turn it into a limit.
        let x = _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_ORD_Q>(x, x));
        let x = _mm256_max_ps(_mm256_min_ps(x, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
        let quotient = _mm256_mul_ps(x, inverse);
        let rounded = match fractions {
            None => _mm256_round_ps::<NEAREST>(quotient),
            Some(fractions) => {
                // SAFETY: as above.
                let fractions = unsafe { _mm256_loadu_ps(fractions.as_ptr().add(8 * part)) };
                _mm256_round_ps::<DOWN>(_mm256_add_ps(quotient, fractions))
            }
        };
        let clamped = _mm256_max_ps(_mm256_min_ps(rounded, largest), _mm256_sub_ps(_mm256_setzero_ps(), largest));
        *integers = _mm256_cvtps_epi32(clamped);
    }
    let low = _mm256_packs_epi32(integers[0], integers[1]);
    let high = _mm256_packs_epi32(integers[2], integers[3]);
    // Packing works in halves of registers: quarters 0, 4, 1, 5, and so on have to be put back in order.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    let mut out = [0; TILE];
    // SAFETY: `out` is 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) };
    out
}

/// Rows to columns of one tile, as four squares of 16 by 16.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transpose(square: &[[i8; TILE]; TILE], out: &mut [[i8; TILE]; TILE]) {
    for (top, left) in [(0, 0), (0, 16), (16, 0), (16, 16)] {
        let mut rows = [_mm_setzero_si128(); 16];
        for (row, source) in rows.iter_mut().zip(&square[top..top + 16]) {
            let half: &[i8; 16] = source[left..].first_chunk().expect("left is 0 or 16");
            // SAFETY: `half` is 16 readable bytes, and the load needs no alignment.
            *row = unsafe { _mm_loadu_si128(half.as_ptr().cast()) };
        }
        // Interleaving i with i + 8 four times rotates the four bits of the row index into the column index.
        for _ in 0..4 {
            let old: [__m128i; 16] = rows;
            for i in 0..8 {
                rows[2 * i] = _mm_unpacklo_epi8(old[i], old[i + 8]);
                rows[2 * i + 1] = _mm_unpackhi_epi8(old[i], old[i + 8]);
            }
        }
        for (row, target) in rows.iter().zip(&mut out[left..left + 16]) {
            let half: &mut [i8; 16] = target[top..].first_chunk_mut().expect("top is 0 or 16");
            // SAFETY: `half` is 16 writable bytes, and the store needs no alignment.
            unsafe { _mm_storeu_si128(half.as_mut_ptr().cast(), *row) };
        }
    }
}
