//! The encoding of hashes, its errors, and the golden vector.

use super::*;

fn sample_gradient() -> Vec<i16> {
    (0..20_000i32).map(|i| (i * i % 63 - 31) as i16).collect() // -31..=31
}

fn sample() -> LeafHash {
    let g = sample_gradient();
    hash(&LatticeKey::new(&SEED, g.len()), &g)
}

#[test]
fn encoding_round_trips() {
    let largest = LeafHash::from_residues(Box::new([[12_288; DEGREE], [18_432; DEGREE]]));
    for hash in [LeafHash::zero(), sample(), largest] {
        let bytes = hash.to_bytes();
        assert_eq!(bytes.len(), LeafHash::BYTES);
        assert_eq!(LeafHash::from_bytes(&bytes), Ok(hash));
    }
    assert_eq!(LeafHash::BYTES, 3_712);
}

/// Slot 0 and slot 1 bit by bit.
#[test]
fn slots_are_packed_little_endian() {
    let mut residues = Box::new([[0; DEGREE]; 2]);
    (residues[0][0], residues[1][0], residues[0][1]) = (1, 1, 1);
    assert_eq!(LeafHash::from_residues(residues).to_bytes()[..4], [0x01, 0x40, 0, 0x20]);
}

#[test]
fn any_other_length_is_refused() {
    for got in [0, LeafHash::BYTES - 1, LeafHash::BYTES + 1] {
        let expected = LeafHash::BYTES;
        assert_eq!(LeafHash::from_bytes(&vec![0; got]), Err(LatticeError::HashLength { got, expected }));
    }
}

#[test]
fn unreduced_residues_are_refused() {
    for slot in [0, 1, 500, DEGREE - 1] {
        for got in [12_289, 16_383] {
            let mut residues = Box::new([[0; DEGREE]; 2]);
            residues[0][slot] = got;
            let bytes = LeafHash::from_residues(residues).to_bytes();
            assert_eq!(LeafHash::from_bytes(&bytes), Err(LatticeError::FirstResidue { slot, got }));
        }
        for got in [18_433, 32_767] {
            let mut residues = Box::new([[0; DEGREE]; 2]);
            residues[1][slot] = got;
            let bytes = LeafHash::from_residues(residues).to_bytes();
            assert_eq!(LeafHash::from_bytes(&bytes), Err(LatticeError::SecondResidue { slot, got }));
        }
    }
}

/// Sums stay reduced, so that equal hashes have equal residues.
#[test]
fn sums_wrap_at_the_primes() {
    let mut sum = LeafHash::from_residues(Box::new([[12_288; DEGREE], [18_432; DEGREE]]));
    sum.add_assign(&LeafHash::from_residues(Box::new([[1; DEGREE], [1; DEGREE]])));
    assert_eq!(sum, LeafHash::zero());
}

#[test]
fn golden_vector() {
    let hash = sample();
    assert_eq!(hash.residues().map(|r| [r[0], r[1], r[1023]]), [[11_745, 6_089, 4_455], [7_891, 5_625, 4_967]]);
    assert_eq!(reference::hash(&SEED, &sample_gradient()), hash);
    assert_eq!(
        blake3::Hash::from(hash.digest()).to_string(),
        "c556141b54cc7b7e20a0a14987d815adb75cfe595fa8d7b185bee74e64e5bb85"
    );
    let zero = blake3::Hash::from(LeafHash::zero().digest());
    assert_eq!(zero.to_string(), "bdba2ac61ac632d175f4b7512a851e7ba41cfa38826c11087a15717a297cd10e");
}
