//! Sixteen lanes in an AVX2 register.
//!
//! A value of this type only exists inside functions that a [`Platform`](crate::platform::Platform) with AVX2
//! selects, or in tests after the same detection; everything here is inlined into them.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{LANES, Partial, Vector};

#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(__m256i);

/// Wraps one intrinsic.
macro_rules! avx2 {
    ($($call:tt)*) => {
        // SAFETY: this code only runs after AVX2 was detected, see the head of the file.
        unsafe { $($call)* }
    };
}

/// The first sixteen elements: the check that makes the unaligned accesses below sound.
#[inline(always)]
fn lanes<T>(from: &[T]) -> &[T; LANES] {
    from.first_chunk().expect("sixteen lanes")
}

/// `_mm256_mulhi_epi16`. The compiler sees the intrinsic as a widening product, keeps loop-invariant factors widened
/// and narrows them again at each use; so the instruction is spelled out.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_half(a: __m256i, b: __m256i) -> __m256i {
    let high;
    // SAFETY: reads and writes registers only.
    unsafe {
        asm!("vpmulhw {}, {}, {}", out(ymm_reg) high, in(ymm_reg) a, in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    high
}

impl Vector for Avx2 {
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn load(from: &[i16]) -> Self {
        let from = lanes(from).as_ptr().cast();
        // SAFETY: 32 readable bytes, any alignment; AVX2 as above.
        Self(unsafe { _mm256_loadu_si256(from) })
    }

    #[inline(always)]
    fn load_i8(from: &[i8]) -> Self {
        let from = lanes(from).as_ptr().cast();
        // SAFETY: 16 readable bytes, any alignment; AVX2 as above.
        Self(unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from)) })
    }

    #[inline(always)]
    fn store(self, to: &mut [i16]) {
        let to: &mut [i16; LANES] = to.first_chunk_mut().expect("sixteen lanes");
        // SAFETY: 32 writable bytes, any alignment; AVX2 as above.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn splat(value: i16) -> Self {
        Self(avx2!(_mm256_set1_epi16(value)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(avx2!(_mm256_add_epi16(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(avx2!(_mm256_sub_epi16(self.0, other.0)))
    }

    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        Self(avx2!(_mm256_sub_epi16(self.0, other.0)))
    }

    #[inline(always)]
    fn low(self, other: Self) -> Self {
        Self(avx2!(_mm256_mullo_epi16(self.0, other.0)))
    }

    #[inline(always)]
    fn high(self, other: Self) -> Self {
        Self(avx2!(upper_half(self.0, other.0)))
    }

    #[inline(always)]
    fn quotient(self) -> Self {
        Self(avx2!(_mm256_srai_epi16::<14>(_mm256_adds_epi16(self.0, _mm256_set1_epi16(1 << 13)))))
    }

    #[inline(always)]
    fn add_products(partial: &mut Partial, values: &[i16; LANES], public: &[i16; LANES]) {
        let products = avx2!(_mm256_madd_epi16(Self::load(values).0, Self::load(public).0));
        let sums = partial.as_mut_ptr().cast();
        // SAFETY: 32 readable and writable bytes, any alignment; AVX2 as above.
        unsafe { _mm256_storeu_si256(sums, _mm256_add_epi32(_mm256_loadu_si256(sums), products)) }
    }
}
