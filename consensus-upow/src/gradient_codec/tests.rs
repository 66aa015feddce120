use proptest::prelude::*;

use super::*;

fn round_trip(tensors: &[usize], m: u32, g: &[i16]) -> Vec<u8> {
    let blob = encode(tensors, g);
    assert!(blob.len() <= max_encoded_len(tensors));
    assert_eq!(decode(tensors, m, &blob).as_deref(), Ok(g));
    blob
}

/// The definition, bit by bit: packs a section for any parameter, canonical or not.
fn section(k: u8, codes: &[(u32, u64)]) -> Vec<u8> {
    let bits: Vec<u8> = codes.iter().flat_map(|(len, code)| (0..*len).map(move |i| (code >> i & 1) as u8)).collect();
    let bytes = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
    std::iter::once(k).chain(bytes).collect()
}

fn code(k: u8, value: i16) -> (u32, u64) {
    let z = if value >= 0 { 2 * i64::from(value) } else { -2 * i64::from(value) - 1 } as u64;
    let quotient = z >> k;
    if quotient <= 23 {
        let ones = (1 << quotient) - 1;
        (quotient as u32 + 1 + u32::from(k), ones | (z & ((1 << k) - 1)) << (quotient + 1))
    } else {
        (40, 0xFF_FFFF | z << 24)
    }
}

/// Reproducible 64-bit values.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

/// A sum of leaves: each a Gaussian of r.m.s. 1, rounded stochastically, clipped at 31.
fn gaussian_sum(leaves: u32, len: usize, seed: u64) -> Vec<i16> {
    let mut next = random(seed);
    let mut uniform = move || (next() >> 11) as f64 / (1u64 << 53) as f64;
    let mut leaf = move || {
        let gaussian = (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        (gaussian + uniform()).floor().clamp(-31.0, 31.0) as i16
    };
    (0..len).map(|_| (0..leaves).map(|_| leaf()).sum()).collect()
}

#[test]
fn sums_of_gaussian_leaves_take_four_to_five_and_a_half_bits() {
    const LEN: usize = 200_000;
    for (leaves, most) in [(1, 2.5), (16, 4.4), (60, 5.3)] {
        let g = gaussian_sum(leaves, LEN, u64::from(leaves));
        let bits = 8.0 * round_trip(&[LEN], leaves, &g).len() as f64 / LEN as f64;
        let mut counts = std::collections::BTreeMap::new();
        g.iter().for_each(|v| *counts.entry(v).or_insert(0.0) += 1.0 / LEN as f64);
        let entropy: f64 = counts.values().map(|p: &f64| -p * p.log2()).sum();
        println!("{leaves} leaves: {bits:.3} bits per weight, entropy {entropy:.3}");
        assert!(bits < most, "{leaves} leaves: {bits} bits per weight");
    }
}

#[test]
fn encoding_is_that_of_the_definition() {
    for (seed, spread) in [(1, 0), (2, 1), (3, 9), (4, 500), (5, 7_936)] {
        let mut next = random(seed);
        let g: Vec<i16> = (0..777).map(|_| (next() % (2 * spread + 1)) as i16 - spread as i16).collect();
        let sections = (0..=MAX_PARAMETER)
            .map(|k| (k, g.iter().map(|v| code(k, *v)).collect::<Vec<_>>()))
            .min_by_key(|(k, codes)| (codes.iter().map(|(len, _)| len).sum::<u32>(), *k));
        let (k, codes) = sections.expect("fourteen parameters");
        assert_eq!(round_trip(&[777], 256, &g), section(k, &codes));
    }
}

#[test]
fn golden_blob() {
    // Seven bits for each of the small values; 300 has quotient 9 and no remainder beyond 24.
    let first = [6, 0x00, 0x01, 0x81, 0xA2, 0xF9, 0x0F, 0x03];
    // An empty tensor; then two zeros and a quotient of three.
    let rest = [0, 0, 0b01_1100];
    assert_eq!(encode(&[6, 0, 3], &[0, -1, 1, 5, -7, 300, 0, 0, -2]), [&first[..], &rest].concat());
    // Sixteen zeros and an escape.
    let mut g = [0; 17];
    g[16] = 300;
    assert_eq!(encode(&[17], &g), [0, 0, 0, 0xFF, 0xFF, 0xFF, 0x58, 0x02]);
}

#[test]
fn extremes_round_trip() {
    for value in [0, 1, -1, 7_936, -7_936] {
        for len in [0, 1, 7, 8, 9, 2_000] {
            round_trip(&[len], 256, &vec![value; len]);
        }
    }
    round_trip(&[], 1, &[]);
    round_trip(&[0, 0], 1, &[]);
    round_trip(&[2, 2], u32::MAX, &[i16::MAX, -i16::MAX, 0, 0]);
    // One large value among zeros is escaped; many are not.
    let mut g = vec![0; 1_000];
    g[500] = -7_936;
    assert_eq!(round_trip(&[1_000], 256, &g).len(), 1 + (999usize + 40).div_ceil(8));
}

/// The bound is reached: values that are longest under every parameter.
#[test]
fn no_encoding_is_longer_than_the_bound() {
    assert_eq!(max_encoded_len(&[]), 0);
    assert_eq!(max_encoded_len(&[0, 8, 1]), 1 + 1 + 21 + 1 + 3);
    assert_eq!(encode(&[8], &[i16::MIN; 8]).len(), max_encoded_len(&[8]));
    assert!(max_encoded_len(&[usize::MAX, 5]) > usize::MAX / 8);
}

#[test]
#[should_panic(expected = "tensor lengths must add up")]
fn encoding_with_wrong_lengths_panics() {
    encode(&[2, 3], &[0; 6]);
}

#[test]
fn too_long_blob_is_refused() {
    let max = max_encoded_len(&[4]);
    assert_eq!(decode(&[4], 1, &vec![0; max + 1]), Err(GradientCodecError::TooLong { got: max + 1, max }));
}

#[test]
fn truncated_blob_is_refused() {
    let g = gaussian_sum(16, 300, 9);
    let blob = encode(&[100, 200], &g);
    let first = encode(&[100], &g[..100]).len();
    for got in 0..blob.len() {
        let error = decode(&[100, 200], 16, &blob[..got]).expect_err("a truncated blob");
        let GradientCodecError::Truncated { tensor, got: reported } = error else {
            panic!("{got} bytes: {error}");
        };
        assert_eq!(reported, got);
        // Blobs below one bit per value are refused by their length alone, which names a later tensor.
        assert!(tensor == usize::from(got >= first) || got < 40, "{got} bytes: tensor {tensor}");
    }
    // Not even one bit for each value: refused before anything is allocated.
    let error = GradientCodecError::Truncated { tensor: 0, got: 1 };
    assert_eq!(decode(&[usize::MAX, usize::MAX], 1, &[0]), Err(error));
}

#[test]
fn parameter_out_of_range_is_refused() {
    let error = GradientCodecError::ParameterOutOfRange { tensor: 1, got: 14 };
    assert_eq!(decode(&[1, 1], 1, &[0, 0, 14, 0, 0]), Err(error));
}

#[test]
fn every_other_parameter_is_refused() {
    for g in [vec![0; 9], vec![1, -1, 1, 2], vec![-300; 5], gaussian_sum(16, 64, 1), vec![]] {
        let (best, _) = best_parameter(&g);
        for k in (0..=MAX_PARAMETER).filter(|k| *k != best) {
            let blob = section(k, &g.iter().map(|v| code(k, *v)).collect::<Vec<_>>());
            if blob.len() <= max_encoded_len(&[g.len()]) {
                let error = GradientCodecError::ParameterNotMinimal { tensor: 0, got: k, expected: best };
                assert_eq!(decode(&[g.len()], 256, &blob), Err(error));
            }
        }
    }
    // Zigzag 2 and 0 take four bits under parameters 0 and 1: the smaller one is right.
    assert_eq!(encode(&[2], &[1, 0]), section(0, &[code(0, 1), code(0, 0)]));
}

#[test]
fn needless_escape_is_refused() {
    let blob = section(0, &[code(0, 0), (40, 0xFF_FFFF | 23 << 24), code(0, 0), code(0, 0), code(0, 0)]);
    let error = GradientCodecError::NeedlessEscape { tensor: 0, index: 1, got: 23 };
    assert_eq!(decode(&[5], 1, &blob), Err(error));
}

#[test]
fn value_out_of_range_is_refused() {
    for (m, value) in [(1, 32), (1, -32), (2, 63), (256, 7_937), (256, -7_937), (u32::MAX, i16::MIN)] {
        let blob = encode(&[3], &[0, value, 0]);
        let max = (31 * u64::from(m)).min(32_767) as u32;
        let error = GradientCodecError::ValueOutOfRange { tensor: 0, index: 1, got: i32::from(value), max };
        assert_eq!(decode(&[3], m, &blob), Err(error));
    }
    // A quotient that takes more than sixteen bits.
    let blob = section(13, &[code(13, 0), (9 + 13, 0xFF), code(13, 0), code(13, 0), code(13, 0)]);
    let error = GradientCodecError::ValueOutOfRange { tensor: 0, index: 1, got: 32_768, max: 32_767 };
    assert_eq!(decode(&[5], u32::MAX, &blob), Err(error));
}

#[test]
fn nonzero_padding_is_refused() {
    let mut blob = encode(&[3, 3], &[0; 6]);
    assert_eq!(blob, [0, 0, 0, 0]);
    for bit in 3..8 {
        blob[3] = 1 << bit;
        let error = GradientCodecError::NonzeroPadding { tensor: 1, got: 1 << (bit - 3) };
        assert_eq!(decode(&[3, 3], 1, &blob), Err(error));
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut blob = encode(&[3, 3], &[0; 6]);
    blob.push(0);
    assert_eq!(decode(&[3, 3], 1, &blob), Err(GradientCodecError::TrailingBytes { got: 5, expected: 4 }));
    assert_eq!(decode(&[], 1, &[]), Ok(vec![]));
    assert_eq!(decode(&[], 1, &[0]), Err(GradientCodecError::TooLong { got: 1, max: 0 }));
}

/// Tensors and a gradient whose magnitudes differ between tensors, with rare large values.
fn gradients() -> impl Strategy<Value = (Vec<usize>, Vec<i16>)> {
    let tensor = (0u32..=13, 0usize..80).prop_flat_map(|(bits, len)| {
        let bound = (1i16 << bits).min(7_936);
        prop::collection::vec(prop_oneof![20 => -bound..=bound, 1 => -7_936i16..=7_936], len)
    });
    prop::collection::vec(tensor, 0..6).prop_map(|tensors| (tensors.iter().map(Vec::len).collect(), tensors.concat()))
}

proptest! {
    #[test]
    fn any_gradient_round_trips((tensors, g) in gradients()) {
        round_trip(&tensors, 256, &g);
    }

    #[test]
    fn whatever_decodes_is_canonical(
        lens in prop::collection::vec(0usize..12, 0..4),
        m in 0u32..300,
        mut blob in prop::collection::vec(any::<u8>(), 0..64),
        k in 0u8..16,
    ) {
        if let Some(first) = blob.first_mut() {
            *first = k;
        }
        for len in 0..=blob.len() {
            if let Ok(g) = decode(&lens, m, &blob[..len]) {
                prop_assert_eq!(encode(&lens, &g), &blob[..len]);
            }
        }
    }

    /// Every change of a valid blob is refused or is another gradient's one blob.
    #[test]
    fn no_gradient_has_two_blobs((tensors, g) in gradients(), place in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut blob = encode(&tensors, &g);
        let blob_len = blob.len();
        if blob_len > 0 {
            blob[place.index(blob_len)] ^= flip;
            if let Ok(other) = decode(&tensors, 256, &blob) {
                prop_assert_ne!(&other, &g);
                prop_assert_eq!(encode(&tensors, &other), blob);
            }
        }
    }
}
