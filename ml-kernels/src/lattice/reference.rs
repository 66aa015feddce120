//! The lattice hash in plain code: the definition that the fast path is compared with.
//!
//! Nothing here is shared with the fast path but the constants of the definition. Cost is quadratic in the degree.

use super::{DEGREE, DOMAIN, GROUP, LANES, LeafHash, PRIMES, Prime};

/// `base^exponent` modulo the prime.
fn power(prime: Prime, base: u64, exponent: usize) -> u64 {
    (0..exponent).fold(1, |product, _| product * base % u64::from(prime.modulus))
}

/// The point whose value slot `slot` holds: `root^(2 * bitreverse10(slot) + 1)`.
pub fn point(prime: Prime, slot: usize) -> u64 {
    let reversed = (0..10).fold(0, |r, bit| r | (slot >> bit & 1) << (9 - bit));
    power(prime, u64::from(prime.root), 2 * reversed + 1)
}

/// The residue of a signed weight.
pub fn residue(prime: Prime, value: i64) -> u64 {
    value.rem_euclid(i64::from(prime.modulus)) as u64 // in 0..modulus
}

/// The value of a polynomial (lowest coefficient first, reduced) at a point, by Horner's rule.
pub fn evaluate(prime: Prime, polynomial: &[u64], x: u64) -> u64 {
    polynomial.iter().rev().fold(0, |value, c| (value * x + c) % u64::from(prime.modulus))
}

/// The product of two polynomials modulo `X^1024 + 1`, by the schoolbook.
pub fn negacyclic_product(prime: Prime, a: &[u64], b: &[u64]) -> Vec<u64> {
    let q = u64::from(prime.modulus);
    let mut product = vec![0; DEGREE];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let term = a * b % q;
            // X^1024 = -1
            let (place, term) = if i + j < DEGREE { (i + j, term) } else { (i + j - DEGREE, q - term) };
            product[place] = (product[place] + term) % q;
        }
    }
    product
}

/// The public values of one group modulo prime number `index`: `GROUP` of them, value `16 s + p` for polynomial `p` at
/// slot `s`.
pub fn public_values(seed: &[u8; 32], index: usize, group: u64) -> Vec<u64> {
    let q = u64::from(PRIMES[index].modulus);
    let message = [DOMAIN, &[index as u8], &group.to_le_bytes()].concat(); // the index is 0 or 1
    let mut stream = blake3::Hasher::new_keyed(seed).update(&message).finalize_xof();
    let mut values = Vec::with_capacity(GROUP);
    while values.len() < GROUP {
        let mut word = [0; 2];
        stream.fill(&mut word);
        let word = u64::from(u16::from_le_bytes(word));
        if word < 65_536 / q * q {
            values.push(word % q);
        }
    }
    values
}

/// Coefficients of polynomial `lane` of a group of weights (padded with zeros), reduced.
pub fn polynomial(prime: Prime, group: &[i16], lane: usize) -> Vec<u64> {
    (0..DEGREE).map(|j| residue(prime, i64::from(*group.get(LANES * j + lane).unwrap_or(&0)))).collect()
}

/// The hash of a gradient.
pub fn hash(seed: &[u8; 32], g: &[i16]) -> LeafHash {
    let mut residues = Box::new([[0; DEGREE]; 2]);
    for (index, prime) in PRIMES.into_iter().enumerate() {
        let points: Vec<u64> = (0..DEGREE).map(|slot| point(prime, slot)).collect();
        let mut sums = [0; DEGREE];
        for (number, group) in g.chunks(GROUP).enumerate() {
            let public = public_values(seed, index, number as u64);
            for lane in 0..LANES {
                let polynomial = polynomial(prime, group, lane);
                for (slot, sum) in sums.iter_mut().enumerate() {
                    *sum += public[LANES * slot + lane] * evaluate(prime, &polynomial, points[slot]);
                }
            }
        }
        for (residue, sum) in residues[index].iter_mut().zip(sums) {
            *residue = (sum % u64::from(prime.modulus)) as u16; // below a 15-bit prime
        }
    }
    LeafHash::from_residues(residues)
}
