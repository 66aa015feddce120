mod binding;
mod definition;
mod encoding;

use super::*;

const SEED: [u8; 32] = [7; 32];

/// Reproducible weights, spread over `-magnitude..=magnitude`.
fn random(seed: u64, len: usize, magnitude: i16) -> Vec<i16> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let range = 2 * u64::from(magnitude.unsigned_abs()) + 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The product's upper half is below the range.
        (((u128::from(state) * u128::from(range)) >> 64) as i32 - i32::from(magnitude)) as i16
    })
    .take(len)
    .collect()
}

fn narrow(g: &[i16]) -> Vec<i8> {
    g.iter().map(|x| i8::try_from(*x).expect("a test value that fits")).collect()
}

/// The hash by every path, which must be one hash.
fn hash(key: &LatticeKey, g: &[i16]) -> LeafHash {
    let mut hashes: Vec<_> = Platform::available()
        .into_iter()
        .map(|platform| key.hash_i16(platform, g).expect("the right length"))
        .collect();
    if let Ok(g) = g.iter().map(|x| i8::try_from(*x)).collect::<Result<Vec<_>, _>>() {
        hashes.extend(Platform::available().into_iter().map(|p| key.hash_i8(p, &g).expect("the right length")));
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
    hashes.swap_remove(0)
}
