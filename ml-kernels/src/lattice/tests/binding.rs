//! Linearity, and that small changes change the hash.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const WEIGHTS: usize = GROUP + 3_000;

static KEY: LazyLock<LatticeKey> = LazyLock::new(|| LatticeKey::new(&SEED, WEIGHTS));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn hash_of_a_sum_is_the_sum_of_hashes(seeds in prop::collection::vec(any::<u64>(), 1..12), magnitude in 0i16..=127) {
        let mut sum = vec![0i16; WEIGHTS];
        let mut hashes = LeafHash::zero();
        for seed in seeds {
            let leaf = random(seed, WEIGHTS, magnitude);
            for (s, g) in sum.iter_mut().zip(&leaf) {
                *s += g;
            }
            hashes.add_assign(&KEY.hash_i8(Platform::detect(), &narrow(&leaf)).expect("the right length"));
        }
        prop_assert_eq!(hash(&KEY, &sum), hashes);
    }

    #[test]
    fn hash_is_linear_over_the_whole_range(a in any::<u64>(), b in any::<u64>()) {
        let (a, b) = (random(a, WEIGHTS, i16::MAX / 2), random(b, WEIGHTS, i16::MAX / 2));
        let sum: Vec<i16> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let mut hashes = hash(&KEY, &a);
        hashes.add_assign(&hash(&KEY, &b));
        prop_assert_eq!(hash(&KEY, &sum), hashes);
    }
}

/// The largest sum of a receipt.
#[test]
fn the_sum_of_256_extreme_leaves_is_checked_exactly() {
    let leaf: Vec<i16> = random(20, WEIGHTS, 1).iter().map(|x| if *x > 0 { 31 } else { -31 }).collect();
    let leaf_hash = hash(&KEY, &leaf);
    let mut hashes = LeafHash::zero();
    (0..256).for_each(|_| hashes.add_assign(&leaf_hash));
    assert_eq!(hash(&KEY, &leaf.iter().map(|g| 256 * g).collect::<Vec<_>>()), hashes);
}

#[test]
fn changed_swapped_and_shifted_weights_change_the_hash() {
    let g = random(21, WEIGHTS, 31);
    let mut seen = HashSet::from([hash(&KEY, &g).digest()]);
    let mut is_new = |what: &str, place: usize, g: &[i16]| {
        assert!(seen.insert(hash(&KEY, g).digest()), "{what} at {place} collides");
    };
    for place in (0..WEIGHTS).step_by(499).chain([WEIGHTS - 1]) {
        let mut changed = g.clone();
        changed[place] += 1;
        is_new("one more", place, &changed);
        changed[place] = -g[place] - 1;
        is_new("other sign", place, &changed);
    }
    for place in (0..WEIGHTS - LANES).step_by(997) {
        for distance in [1, LANES] {
            let mut swapped = g.clone();
            if swapped[place] != swapped[place + distance] {
                swapped.swap(place, place + distance);
                is_new("swap", place, &swapped);
            }
        }
    }
    // Multiplication of one polynomial, and of all of them, by powers of X.
    for shift in [1, 2, 512, 1023] {
        for lanes in [0..1, 0..LANES] {
            let mut shifted = g.clone();
            for lane in lanes.clone() {
                for j in 0..DEGREE {
                    let to = (j + shift) % DEGREE;
                    let value = g[LANES * j + lane];
                    shifted[LANES * to + lane] = if j + shift < DEGREE { value } else { -value };
                }
            }
            is_new("shift", shift, &shifted);
        }
    }
}

/// Every weight has its own image.
#[test]
fn single_weights_have_distinct_hashes() {
    const FEW: usize = 2_000;
    let key = LatticeKey::new(&SEED, FEW);
    let mut seen = HashSet::from([LeafHash::zero().digest()]);
    for place in 0..FEW {
        for value in [1, -1] {
            let mut g = [0; FEW];
            g[place] = value;
            assert!(seen.insert(key.hash_i8(Platform::detect(), &g).expect("the right length").digest()));
        }
    }
}

#[test]
fn another_seed_is_another_hash() {
    let g = random(22, WEIGHTS, 31);
    assert_ne!(hash(&LatticeKey::new(&[8; 32], WEIGHTS), &g), hash(&KEY, &g));
}
