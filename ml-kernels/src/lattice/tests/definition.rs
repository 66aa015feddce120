//! The fast path against the definition, and the definition against ring arithmetic.

use super::*;

#[test]
fn public_values_are_those_of_the_definition() {
    let key = LatticeKey::new(&SEED, GROUP + 1);
    for (index, prime) in PRIMES.into_iter().enumerate() {
        for (group, values) in key.public[index].chunks(GROUP).enumerate() {
            let fast: Vec<u64> = values.iter().map(|v| reference::residue(prime, i64::from(*v))).collect();
            assert_eq!(fast, reference::public_values(&SEED, index, group as u64));
            assert!(values.iter().all(|v| v.unsigned_abs() <= prime.modulus / 2));
        }
    }
}

#[test]
fn random_gradients_hash_as_defined() {
    for (seed, magnitude, len) in
        [(1, 31, 1), (2, 31, GROUP - 1), (3, 127, GROUP), (4, 7_936, GROUP + 1), (5, i16::MAX, 20_000)]
    {
        let g = random(seed, len, magnitude);
        assert_eq!(hash(&LatticeKey::new(&SEED, len), &g), reference::hash(&SEED, &g), "magnitude {magnitude}");
    }
}

/// More groups than one chunk holds, and a partial one.
#[test]
fn many_groups_hash_as_defined() {
    let g = random(6, CHUNK_GROUPS * GROUP + GROUP + 5, 31);
    assert_eq!(hash(&LatticeKey::new(&SEED, g.len()), &g), reference::hash(&SEED, &g));
}

#[test]
fn extreme_gradients_hash_as_defined() {
    let key = LatticeKey::new(&SEED, GROUP);
    let random = random(8, GROUP, 1);
    for (low, high) in [(-31, 31), (-127, 127), (-128, -128), (-7_936, 7_936), (i16::MIN, i16::MAX)] {
        let alternating: Vec<i16> =
            (0..GROUP).map(|i| if (i / LANES).is_multiple_of(2) { low } else { high }).collect();
        let mixed: Vec<i16> = random.iter().map(|x| if *x > 0 { low } else { high }).collect();
        for g in [alternating, mixed] {
            assert_eq!(hash(&key, &g), reference::hash(&SEED, &g), "extremes {low} and {high}");
        }
    }
}

/// A whole chunk at the extremes, for the longest sums of products in 32 bits: public values of the largest magnitude,
/// with the signs of the transformed weights, so that products add up. No seed draws those: they are put into the key.
#[test]
fn longest_sums_do_not_overflow() {
    let mut key = LatticeKey::new(&SEED, CHUNK_GROUPS * GROUP);
    let group = random(9, GROUP, 1).iter().map(|x| if *x > 0 { i16::MIN } else { i16::MAX }).collect::<Vec<_>>();
    let g = group.repeat(CHUNK_GROUPS);
    let mut expected = [[0; DEGREE]; 2];
    for (index, prime) in PRIMES.into_iter().enumerate() {
        let q = u64::from(prime.modulus);
        let half = prime.modulus as i16 / 2;
        let polynomials: Vec<_> = (0..LANES).map(|lane| reference::polynomial(prime, &group, lane)).collect();
        for (slot, expected) in expected[index].iter_mut().enumerate() {
            let x = reference::point(prime, slot);
            let mut sum = 0;
            for (lane, polynomial) in polynomials.iter().enumerate() {
                let value = reference::evaluate(prime, polynomial, x);
                let public = if value > q / 2 { -half } else { half };
                for copy in 0..CHUNK_GROUPS {
                    key.public[index][copy * GROUP + LANES * slot + lane] = public;
                }
                sum += value * reference::residue(prime, i64::from(public)) * CHUNK_GROUPS as u64;
            }
            *expected = (sum % q) as u16; // below the prime
        }
    }
    assert_eq!(hash(&key, &g).residues(), &expected);
}

/// Values at the points are ring elements: their products are products modulo `X^1024 + 1`.
#[test]
fn pointwise_products_are_negacyclic_products() {
    for (index, prime) in PRIMES.into_iter().enumerate() {
        let q = u64::from(prime.modulus);
        let points: Vec<u64> = (0..DEGREE).map(|slot| reference::point(prime, slot)).collect();
        let public: Vec<u64> = reference::public_values(&SEED, index, 0).into_iter().step_by(LANES).collect();
        // Interpolation: coefficient j is the mean of value / point^j over all points, and 1/x = -x^1023.
        let inverses: Vec<u64> = points.iter().map(|x| (0..1023).fold(q - 1, |product, _| product * x % q)).collect();
        let mut power = vec![(q - 1) / DEGREE as u64 * (q - 1) % q; DEGREE]; // 1/1024 = -(q - 1)/1024
        let mut coefficients = vec![];
        for _ in 0..DEGREE {
            coefficients.push(public.iter().zip(&power).map(|(v, p)| v * p).sum::<u64>() % q);
            for (power, inverse) in power.iter_mut().zip(&inverses) {
                *power = *power * inverse % q;
            }
        }
        let g = reference::polynomial(prime, &random(10, GROUP, i16::MAX), 3);
        let product = reference::negacyclic_product(prime, &coefficients, &g);
        for ((x, public), slot) in points.iter().zip(&public).zip(0..) {
            assert_eq!(reference::evaluate(prime, &coefficients, *x), *public, "slot {slot}");
            let pointwise = public * reference::evaluate(prime, &g, *x) % q;
            assert_eq!(reference::evaluate(prime, &product, *x), pointwise, "slot {slot}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_hash() {
    let g = random(11, 9 * GROUP + 100, 31);
    let hashes: Vec<_> = [1, 2, 4]
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            pool.install(|| hash(&LatticeKey::new(&SEED, g.len()), &g))
        })
        .into();
    assert!(hashes.iter().all(|h| *h == hashes[0]));
}

#[test]
fn wrong_length_is_refused() {
    let key = LatticeKey::new(&SEED, 100);
    assert_eq!(key.weights(), 100);
    for got in [0, 99, 101, GROUP] {
        let error = LatticeError::GradientLength { got, expected: 100 };
        assert_eq!(key.hash_i8(Platform::detect(), &vec![0; got]), Err(error.clone()));
        assert_eq!(key.hash_i16(Platform::detect(), &vec![0; got]), Err(error));
    }
}

#[test]
fn the_empty_gradient_hashes_to_zero() {
    assert_eq!(hash(&LatticeKey::new(&SEED, 0), &[]), LeafHash::zero());
    assert_eq!(hash(&LatticeKey::new(&SEED, 500), &[0; 500]), LeafHash::zero());
}
