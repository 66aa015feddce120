//! Quantization of 32 elements.

use crate::product::{CLAMP, INT7_MAX, TILE};
use std::arch::x86_64::*;

/// As [`avx2::quantize_32`](crate::product::avx2::quantize_32).
#[inline]
#[target_feature(enable = "avx512f")]
pub(in crate::product) fn quantize_32(
    x: &[f32; TILE],
    inverse: &[f32; TILE],
    fractions: Option<&[f32; TILE]>,
) -> [i8; TILE] {
    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    let (limit, low_limit) = (_mm512_set1_ps(CLAMP), _mm512_set1_ps(-CLAMP));
    let (largest, least) = (_mm512_set1_ps(INT7_MAX as f32), _mm512_set1_ps(-INT7_MAX as f32));
    let mut out = [0; TILE];
    for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        // SAFETY: half is below 2, so sixteen elements are readable; the loads need no alignment.
        let (x, inverse) =
            unsafe { (_mm512_loadu_ps(x.as_ptr().add(16 * half)), _mm512_loadu_ps(inverse.as_ptr().add(16 * half))) };
        // NaN to 0 first: the minimum and maximum would turn it into a limit.
        let x = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x), x);
        let quotient = _mm512_mul_ps(_mm512_max_ps(_mm512_min_ps(x, limit), low_limit), inverse);
        let rounded = match fractions {
            None => _mm512_roundscale_ps::<NEAREST>(quotient),
            Some(fractions) => {
                // SAFETY: as above.
                let fractions = unsafe { _mm512_loadu_ps(fractions.as_ptr().add(16 * half)) };
                _mm512_roundscale_ps::<DOWN>(_mm512_add_ps(quotient, fractions))
            }
        };
        let clamped = _mm512_max_ps(_mm512_min_ps(rounded, largest), least);
        let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(clamped));
        // SAFETY: sixteen writable bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) };
    }
    out
}
