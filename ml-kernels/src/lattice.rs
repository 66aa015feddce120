//! The linear lattice hash of an integer gradient.
//!
//! `h(g) = sum_i a_i * g_i` over `Z_q[X] / (X^1024 + 1)`, `q = 12289 * 18433`: the gradient is cut into polynomials
//! `g_i`, each is multiplied by its own public pseudo-random polynomial `a_i`, and the products are summed. The map is
//! linear over the integers, so the hash of a sum of gradients is the sum of their hashes: whoever holds a receipt's
//! leaf hashes and its summed gradient checks one against the other without the leaves. Everything is an exact sum
//! modulo small primes: no order of groups, threads or vector lanes can change a bit.
//!
//! # Definition
//!
//! Both primes are 1 modulo 2048, so `X^1024 + 1` splits into linear factors and a polynomial is its 1024 values at
//! the odd powers of a root `psi` of order 2048 ([`PRIMES`]: the smallest such root). Slot `s` holds the value at
//! `psi^(2 * bitreverse10(s) + 1)`. This is a linear bijection, so the public polynomials are drawn uniformly *as
//! values*, and hashes stay values: there is no inverse transform anywhere.
//!
//! - **Layout.** A flat gradient of N weights, padded with zeros to a multiple of 16,384, is read as groups of 16
//!   interleaved polynomials: coefficient `j` of polynomial `p` of group `b` is weight `16384 b + 16 j + p`. A vector
//!   of 16 consecutive weights then holds one coefficient of 16 polynomials, and no kernel ever moves a lane.
//! - **Public values.** Those of group `b` modulo prime number `i` (0 or 1) come from the keyed BLAKE3 stream of
//!   `"descent/lattice" || i (u8) || b (u64)` under the seed. Each 16-bit little-endian word below the largest
//!   multiple of the prime is reduced modulo the prime, every other word is skipped: exactly uniform. The order is
//!   that of the weights: polynomial `p` at slot `s` is value `16 s + p` of the group.
//! - **Hash.** For each prime and slot, the sum over all polynomials of public value times gradient value.
//!
//! # Security
//!
//! A false sum that passes next to true leaf hashes is a nonzero integer vector `z` with `h(z) = 0`: the difference of
//! two sums of at most 256 leaves of magnitude 31, so `|z_j| <= B = 62 * 256 = 15,872`. That is the ring-SIS problem
//! in dimension `n = 1024` with `log2 q = 27.755`.
//!
//! An attacker free to pick `m` of the coordinates finds vectors of length `d^m q^(n/m)` by lattice reduction of
//! root-Hermite factor `d`, and needs `B sqrt(m)` (generous to him: each coordinate is bounded, not just the length):
//! `log2 d = max over m of (log2 B + log2(m)/2 - n log2(q)/m) / m`. The maximum is at `m = 2990`: `d = 1.00237`. With
//! `d = ((b/(2 pi e)) (pi b)^(1/b))^(1/(2(b-1)))` this is block size `b = 820`, and `0.292 b = 239` bits (`0.265 b =
//! 217` with a quantum sieve) for one sieve call. The protocol claims less: a factor below 1.0029, block size above
//! 635, 185 bits.
//!
//! Other ways in, all more expensive: multiples of 12289 are zero modulo the first prime and fit the bound, but leave
//! ternary SIS modulo 18433 (`d = 1.00045`, block size above 6,600); generalized birthday over `2^t` lists of disjoint
//! coordinates needs lists of `n log2(q) / (t+1)` bits, above 1,000 for any model below `2^30` weights.
//!
//! `X^1024 - 1` would be worthless instead: it has the factor `X - 1`, so `u = 1 + X + .. + X^1023` satisfies
//! `a u = a(1) u`, the hashes of all multiples of `u` lie in one dimension (28 bits), and three polynomials `c_i u` with
//! small `c_i` collide by counting. `X^1024 + 1` is irreducible over the integers.
//!
//! # Speed
//!
//! Two 15-bit primes let 16-bit lanes do Montgomery arithmetic, and one source serves every platform. The
//! public values are a table of 4 bytes per weight, made once per seed.
//!
//! [`reference`](mod@reference) is the definition in plain code.

mod field;
mod leaf;
mod ntt;
pub mod reference;
#[cfg(test)]
mod tests;
mod vector;

pub use leaf::LeafHash;

use rayon::prelude::*;

use crate::platform::Platform;
use ntt::{Accumulator, CHUNK_GROUPS, Weight};

/// Coefficients of a polynomial, slots of a hash.
pub const DEGREE: usize = 1024;
/// Polynomials that are interleaved in one group.
pub const LANES: usize = 16;
/// Weights of one group.
pub const GROUP: usize = DEGREE * LANES;

/// A prime of the modulus and the root that fixes the order of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prime {
    /// The prime, 1 modulo 2048.
    pub modulus: u16,
    /// The smallest element of order 2048.
    pub root: u16,
}

/// The two primes whose product is the hash's modulus.
pub const PRIMES: [Prime; 2] = [Prime { modulus: 12_289, root: 7 }, Prime { modulus: 18_433, root: 19 }];

const DOMAIN: &[u8] = b"descent/lattice";

/// Why a gradient can't be hashed or bytes are no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LatticeError {
    /// The gradient has another length than the key was made for.
    #[error("gradient length does not match the key: got {got} weights, expected {expected}")]
    GradientLength {
        /// Weights given.
        got: usize,
        /// Weights of the key.
        expected: usize,
    },
    /// The encoding of a hash has one length only.
    #[error("leaf hash has the wrong length: got {got} bytes, expected {expected}")]
    HashLength {
        /// Bytes given.
        got: usize,
        /// [`LeafHash::BYTES`].
        expected: usize,
    },
    /// A residue modulo the first prime is not below it.
    #[error("first residue of slot {slot} is not reduced: got {got}, expected less than 12289")]
    FirstResidue {
        /// The first slot at fault.
        slot: usize,
        /// Its residue.
        got: u16,
    },
    /// A residue modulo the second prime is not below it.
    #[error("second residue of slot {slot} is not reduced: got {got}, expected less than 18433")]
    SecondResidue {
        /// The first slot at fault.
        slot: usize,
        /// Its residue.
        got: u16,
    },
}

/// The public polynomials for gradients of one length: 4 bytes per weight.
pub struct LatticeKey {
    weights: usize,
    /// Public values in the order of the padded weights, one vector per prime, centred (`|a| <= (q - 1) / 2`).
    public: [Vec<i16>; 2],
}

impl LatticeKey {
    /// Draws the public polynomials for gradients of `weights` weights.
    pub fn new(seed: &[u8; 32], weights: usize) -> Self {
        let draw = |index: usize| {
            let mut values = vec![0; weights.div_ceil(GROUP) * GROUP];
            values.par_chunks_mut(GROUP).enumerate().for_each(|(group, out)| fill_uniform(seed, index, group, out));
            values
        };
        Self { weights, public: [draw(0), draw(1)] }
    }

    /// The length of the gradients this key hashes.
    pub fn weights(&self) -> usize {
        self.weights
    }

    /// Hashes one microbatch's gradient.
    ///
    /// # Errors
    /// [`LatticeError::GradientLength`].
    pub fn hash_i8(&self, platform: Platform, g: &[i8]) -> Result<LeafHash, LatticeError> {
        self.hash(platform, g)
    }

    /// Hashes a sum of gradients. Any `i16` is hashed right; the binding argument assumes sums of at most 256 leaves.
    ///
    /// # Errors
    /// [`LatticeError::GradientLength`].
    pub fn hash_i16(&self, platform: Platform, g: &[i16]) -> Result<LeafHash, LatticeError> {
        self.hash(platform, g)
    }

    fn hash<T: Weight>(&self, platform: Platform, g: &[T]) -> Result<LeafHash, LatticeError> {
        if g.len() != self.weights {
            return Err(LatticeError::GradientLength { got: g.len(), expected: self.weights });
        }
        let chunk = CHUNK_GROUPS * GROUP;
        let total = g
            .par_chunks(chunk)
            .zip(self.public[0].par_chunks(chunk))
            .zip(self.public[1].par_chunks(chunk))
            .fold(Accumulator::new, |mut sums, ((g, public0), public1)| {
                sums.add(platform, g, [public0, public1]);
                sums
            })
            .reduce(Accumulator::new, Accumulator::merge);
        Ok(total.finish())
    }
}

/// Fills one group's public values modulo prime number `index`.
fn fill_uniform(seed: &[u8; 32], index: usize, group: usize, out: &mut [i16]) {
    let modulus = PRIMES[index].modulus;
    let limit = u16::MAX / modulus * modulus;
    let mut stream = blake3::Hasher::new_keyed(seed)
        .update(DOMAIN)
        .update(&[index as u8]) // 0 or 1
        .update(&(group as u64).to_le_bytes())
        .finalize_xof();
    let mut block = [0; 4096];
    let mut filled = 0;
    while filled < out.len() {
        stream.fill(&mut block);
        for word in block.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])) {
            // Branch-free: a skipped word's place is written again by the next one.
            let Some(place) = out.get_mut(filled) else { break };
            let value = word % modulus;
            // Wrapping: a value above half the prime becomes negative.
            *place = if value > modulus / 2 { value.wrapping_sub(modulus) } else { value } as i16;
            filled += usize::from(word < limit);
        }
    }
}
