//! The hash value: its sums and its one encoding.

use std::fmt;

use super::{DEGREE, LatticeError, PRIMES};

/// Bits of a residue modulo the first prime, and of a whole slot, in the encoding.
const FIRST_BITS: u32 = 14;
const SLOT_BITS: u32 = 29;

/// Domain of [`LeafHash::digest`].
const DIGEST_CONTEXT: &str = "descent/lattice leaf digest";

/// The hash of an integer gradient, or of a sum of them: the residues of 1024 slots modulo both primes.
#[derive(Clone, PartialEq, Eq)]
pub struct LeafHash {
    /// Always reduced, so that equality of hashes is equality of residues.
    residues: Box<[[u16; DEGREE]; 2]>,
}

impl LeafHash {
    /// Length of the encoding: 1024 slots of 29 bits.
    pub const BYTES: usize = DEGREE * SLOT_BITS as usize / 8;

    /// The hash of the zero gradient.
    pub fn zero() -> Self {
        Self { residues: Box::new([[0; DEGREE]; 2]) }
    }

    /// Makes the hash of residues that are below their primes.
    pub(super) fn from_residues(residues: Box<[[u16; DEGREE]; 2]>) -> Self {
        Self { residues }
    }

    /// The residues modulo [`PRIMES`], by slot.
    pub fn residues(&self) -> &[[u16; DEGREE]; 2] {
        &self.residues
    }

    /// Adds another hash: the hash of the sum of both gradients.
    pub fn add_assign(&mut self, other: &Self) {
        for ((own, other), prime) in self.residues.iter_mut().zip(other.residues.iter()).zip(PRIMES) {
            for (a, b) in own.iter_mut().zip(other) {
                let sum = *a + *b; // below 2^16: the primes are below 2^15
                *a = if sum >= prime.modulus { sum - prime.modulus } else { sum };
            }
        }
    }

    /// The encoding: slot by slot 29 bits, `r1 | r2 << 14`, packed little-endian without gaps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        let (mut buffer, mut fill) = (0u64, 0);
        for (first, second) in self.residues[0].iter().zip(&self.residues[1]) {
            buffer |= (u64::from(*first) | u64::from(*second) << FIRST_BITS) << fill;
            fill += SLOT_BITS;
            while fill >= 8 {
                out.push(buffer as u8); // the low byte
                buffer >>= 8;
                fill -= 8;
            }
        }
        out
    }

    /// Decodes a hash; every hash has one encoding.
    ///
    /// # Errors
    /// [`LatticeError::HashLength`], [`LatticeError::FirstResidue`], [`LatticeError::SecondResidue`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LatticeError> {
        if bytes.len() != Self::BYTES {
            return Err(LatticeError::HashLength { got: bytes.len(), expected: Self::BYTES });
        }
        let mut hash = Self::zero();
        let mut input = bytes.iter();
        let (mut buffer, mut fill) = (0u64, 0);
        for slot in 0..DEGREE {
            while fill < SLOT_BITS {
                let byte = input.next().expect("the length was checked, and it is 1024 slots exactly");
                buffer |= u64::from(*byte) << fill;
                fill += 8;
            }
            // Masked to 14 and 15 bits, so both fit.
            let first = (buffer & ((1 << FIRST_BITS) - 1)) as u16;
            let second = (buffer >> FIRST_BITS & ((1 << (SLOT_BITS - FIRST_BITS)) - 1)) as u16;
            buffer >>= SLOT_BITS;
            fill -= SLOT_BITS;
            if first >= PRIMES[0].modulus {
                return Err(LatticeError::FirstResidue { slot, got: first });
            }
            if second >= PRIMES[1].modulus {
                return Err(LatticeError::SecondResidue { slot, got: second });
            }
            hash.residues[0][slot] = first;
            hash.residues[1][slot] = second;
        }
        Ok(hash)
    }

    /// A short name of the hash: BLAKE3 of the encoding, in a domain of its own.
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key(DIGEST_CONTEXT, &self.to_bytes())
    }
}

impl fmt::Debug for LeafHash {
    /// Shows the digest: 2048 residues tell a reader nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafHash({})", blake3::Hash::from(self.digest()))
    }
}
