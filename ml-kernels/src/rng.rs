//! The counter-based generator: any element of any stream can be computed alone.
//!
//! Philox4x32 with 7 rounds (Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011),
//! keyed by BLAKE3 from the attempt's key. One counter gives eight 16-bit values.

use crate::platform::{Path, Platform};

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 7;

/// Values that one counter yields.
pub const LANES: usize = 8;

/// Philox4x32-7: one block of four 32-bit words.
#[inline(always)]
pub fn philox4x32(mut ctr: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let p0 = u64::from(MULTIPLIER[0]) * u64::from(ctr[0]);
        let p1 = u64::from(MULTIPLIER[1]) * u64::from(ctr[2]);
        ctr = [(p1 >> 32) as u32 ^ ctr[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ ctr[3] ^ key[1], p0 as u32];
    }
    ctr
}

/// One stream of 16-bit random values, indexed by element.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    high: [u32; 2],
}

impl Stream {
    /// The stream that `domain` and `index` name under a 32-byte key: `BLAKE3_keyed(key, domain || index)` gives the
    /// Philox key (first 8 bytes) and the upper half of the counter (next 8 bytes), little-endian.
    pub fn new(key: &[u8; 32], domain: &str, index: u32) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(domain.as_bytes());
        hasher.update(&index.to_le_bytes());
        let digest = hasher.finalize();
        let word = |i: usize| {
            let b = digest.as_bytes();
            u32::from_le_bytes([b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]])
        };
        Self { key: [word(0), word(1)], high: [word(2), word(3)] }
    }

    /// The eight values of elements `8 * block ..= 8 * block + 7`; the low half of each word comes first.
    #[inline(always)]
    pub fn block(&self, block: u64) -> [u16; LANES] {
        let words = philox4x32([block as u32, (block >> 32) as u32, self.high[0], self.high[1]], self.key);
        let mut out = [0; LANES];
        for (pair, word) in out.chunks_exact_mut(2).zip(words) {
            pair[0] = word as u16;
            pair[1] = (word >> 16) as u16;
        }
        out
    }

    /// The values of the four blocks from `first` on, as [`block`](Self::block) gives them.
    #[inline(always)]
    pub fn four_blocks(&self, platform: Platform, first: u64) -> [u16; 4 * LANES] {
        match platform.path() {
            // SAFETY: such a `Platform` only exists where AVX2 was detected.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::four_blocks(self.key, self.high, first) },
            // SAFETY: such a `Platform` only exists where AVX-512 was detected.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::four_blocks(self.key, self.high, first) },
            Path::Portable => {
                let mut out = [0; 4 * LANES];
                for (i, block) in out.as_chunks_mut().0.iter_mut().enumerate() {
                    *block = self.block(first + i as u64);
                }
                out
            }
        }
    }

    /// The value of one element.
    pub fn at(&self, element: u64) -> u16 {
        self.block(element / LANES as u64)[(element % LANES as u64) as usize]
    }
}

/// Four Philox blocks at a time: compilers don't vectorize it. A word is the low half of a 64-bit lane; what is left
/// in the upper half never enters a product.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{LANES, MULTIPLIER, ROUNDS, WEYL};
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn four_blocks(mut key: [u32; 2], high: [u32; 2], first: u64) -> [u16; 4 * LANES] {
        let every = |word: u32| _mm256_set1_epi64x(word.into());
        let multiplier = [every(MULTIPLIER[0]), every(MULTIPLIER[1])];
        // The lower half of the counter, whose two words are one 64-bit number.
        let counter = _mm256_add_epi64(_mm256_set1_epi64x(first.cast_signed()), _mm256_setr_epi64x(0, 1, 2, 3));
        let mut ctr = [counter, _mm256_srli_epi64::<32>(counter), every(high[0]), every(high[1])];
        for round in 0..ROUNDS {
            if round > 0 {
                key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            }
            let p0 = _mm256_mul_epu32(multiplier[0], ctr[0]);
            let p1 = _mm256_mul_epu32(multiplier[1], ctr[2]);
            let mixed = |p, word, key| _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64::<32>(p), word), every(key));
            ctr = [mixed(p1, ctr[1], key[0]), p1, mixed(p0, ctr[3], key[1]), p0];
        }
        // Words 0 and 1 of a block are neighbours, then words 2 and 3.
        let pair = |low, high| _mm256_blend_epi32::<0b1010_1010>(low, _mm256_slli_epi64::<32>(high));
        let (front, back) = (pair(ctr[0], ctr[1]), pair(ctr[2], ctr[3]));
        let (even, odd) = (_mm256_unpacklo_epi64(front, back), _mm256_unpackhi_epi64(front, back));
        let halves = [_mm256_permute2x128_si256::<0x20>(even, odd), _mm256_permute2x128_si256::<0x31>(even, odd)];
        let mut out = [0; 4 * LANES];
        for (target, half) in out.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().zip(halves) {
            // SAFETY: the target is 32 writable bytes, and the store needs no alignment.
            unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), half) };
        }
        out
    }
}

/// As `avx2`, with words 0 and 2 of four blocks in one register, 1 and 3 in another: one product a round.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{LANES, MULTIPLIER, ROUNDS, WEYL};
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    pub(super) fn four_blocks(mut key: [u32; 2], high: [u32; 2], first: u64) -> [u16; 4 * LANES] {
        let halves = |low, high| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        let every = |words: [u32; 2]| halves(_mm256_set1_epi64x(words[0].into()), _mm256_set1_epi64x(words[1].into()));
        let multiplier = every(MULTIPLIER);
        // The lower half of the counter, whose two words are one 64-bit number.
        let counter = _mm256_add_epi64(_mm256_set1_epi64x(first.cast_signed()), _mm256_setr_epi64x(0, 1, 2, 3));
        let mut even = halves(counter, _mm256_set1_epi64x(high[0].into()));
        let mut odd = halves(_mm256_srli_epi64::<32>(counter), _mm256_set1_epi64x(high[1].into()));
        for round in 0..ROUNDS {
            if round > 0 {
                key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            }
            let p = _mm512_mul_epu32(multiplier, even);
            let crossed = _mm512_shuffle_i64x2::<0b01_00_11_10>(p, p);
            // The exclusive or of all three.
            even = _mm512_ternarylogic_epi64::<0b1001_0110>(_mm512_srli_epi64::<32>(crossed), odd, every(key));
            odd = crossed;
        }
        // Words 0 and 1 of each block, then words 2 and 3 of each.
        let pairs = _mm512_mask_blend_epi32(0b1010_1010_1010_1010, even, _mm512_slli_epi64::<32>(odd));
        let blocks = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), pairs);
        let mut out = [0; 4 * LANES];
        // SAFETY: 64 writable bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), blocks) };
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 library (`kat_vectors`, philox4x32, 7 rounds).
    #[test]
    fn philox_matches_published_vectors() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x5f6f_b709, 0x0d89_3f64, 0x4f12_1f81, 0x4f73_0a48]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x5207_ddc2, 0x4516_5e59, 0x4d8e_e751, 0x8c52_f662]);
    }

    #[test]
    fn four_blocks_are_four_blocks() {
        let stream = Stream::new(&[7; 32], "test", 5);
        for platform in Platform::available() {
            for first in [0, 4, 1003, u64::from(u32::MAX) - 1, u64::MAX / 8 - 3] {
                let one_by_one: Vec<u16> = (0..4).flat_map(|i| stream.block(first + i)).collect();
                assert_eq!(stream.four_blocks(platform, first)[..], one_by_one, "{platform:?} {first}");
            }
        }
    }

    #[test]
    fn any_element_can_be_computed_alone() {
        let stream = Stream::new(&[7; 32], "test", 3);
        let all: Vec<u16> = (0..5).flat_map(|b| stream.block(b)).collect();
        for (i, v) in all.iter().enumerate() {
            assert_eq!(*v, stream.at(i as u64));
        }
        assert_ne!(Stream::new(&[7; 32], "test", 4).block(0), stream.block(0));
    }
}
