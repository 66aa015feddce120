//! Refusals, one by one; commitments; golden hashes.

use super::*;

#[test]
fn wrong_shapes_are_refused() {
    let x = vec![0.0; 64 * 64];
    let p = Platform::PORTABLE;
    let near = Rounding::Nearest;
    for vectors in [0, 1, 31, 33, MAX_VECTORS + 32, usize::MAX - 31] {
        let refused = ProductError::Vectors { got: vectors };
        assert_eq!(quantize_rows(p, &x, vectors, 64, near).unwrap_err(), refused);
        assert_eq!(quantize_columns(p, &x, 64, vectors, near).unwrap_err(), refused);
        assert_eq!(NoiseB::new(&KEY_B, vectors, 64).unwrap_err(), refused);
    }
    for k in [0, 1, 31, 48, MAX_K + 32, usize::MAX - 31] {
        let refused = ProductError::Depth { got: k };
        assert_eq!(quantize_rows(p, &x, 64, k, near).unwrap_err(), refused);
        assert_eq!(quantize_columns(p, &x, k, 64, near).unwrap_err(), refused);
        assert_eq!(NoiseB::new(&KEY_B, 64, k).unwrap_err(), refused);
        assert_eq!(Operand::from_parts(vec![0; 64], vec![0.0; 32], k).unwrap_err(), refused);
        assert_eq!(tile_state(&[], &[], k, 0, 0, &KEY_A, &KEY_B).unwrap_err(), refused);
    }
    let refused = ProductError::Elements { got: 64 * 64, expected: 64 * 96 };
    assert_eq!(quantize_rows(p, &x, 64, 96, near).unwrap_err(), refused);
    assert_eq!(quantize_columns(p, &x, 96, 64, near).unwrap_err(), refused);
}

#[test]
fn wrong_operands_are_refused() {
    let refused = |data: Vec<i8>, scales: Vec<f32>| Operand::from_parts(data, scales, 32).unwrap_err();
    assert_eq!(refused(vec![0; 1024], vec![0.0; 31]), ProductError::Vectors { got: 31 });
    assert_eq!(refused(vec![0; 1024], vec![0.0; 64]), ProductError::Elements { got: 1024, expected: 2048 });
    for value in [64, -64, i8::MIN, i8::MAX] {
        let mut data = vec![63; 1024];
        data[77] = value;
        assert_eq!(refused(data, vec![0.0; 32]), ProductError::Range { index: 77, got: value });
    }
    for value in [-1.0, f32::NAN, f32::INFINITY, 1.2e18] {
        let mut scales = vec![CLAMP; 32];
        scales[5] = value;
        assert_eq!(refused(vec![-63; 1024], scales), ProductError::Scale { index: 5, bits: value.to_bits() });
    }
}

#[test]
fn wrong_products_are_refused() {
    let (a, b) = (random(32, 64, 1), random(64, 64, 2));
    let noise = |vectors, k| NoiseB::new(&KEY_B, vectors, k).unwrap();
    for p in Platform::available() {
        let mined = |a: &Operand, b: &Operand, noise: &NoiseB, len: usize| {
            mined_product(p, a, b, noise, &KEY_A, &ANY, &mut vec![0.0; len]).unwrap_err()
        };
        let other = random(64, 32, 3);
        let refused = ProductError::Contraction { a: 64, b: 32 };
        assert_eq!(product(p, &a, &other, &mut [0.0; 2048]).unwrap_err(), refused);
        assert_eq!(mined(&a, &other, &noise(64, 32), 2048), refused);
        for len in [0, 2047, 2049] {
            let refused = ProductError::Output { got: len, expected: 2048 };
            assert_eq!(product(p, &a, &b, &mut vec![0.0; len]).unwrap_err(), refused);
            assert_eq!(mined(&a, &b, &noise(64, 64), len), refused);
        }
        for shape in [(32, 64), (64, 32)] {
            let refused = ProductError::Noise { got: shape, expected: (64, 64) };
            assert_eq!(mined(&a, &b, &noise(shape.0, shape.1), 2048), refused);
        }
    }
}

#[test]
fn wrong_strips_are_refused() {
    let strip = vec![0; 1024];
    let state = |a: &[i8], b: &[i8]| tile_state(a, b, 32, 0, 0, &KEY_A, &KEY_B);
    assert!(state(&strip, &strip).is_ok());
    for len in [0, 1023, 1025, 2048] {
        let refused = ProductError::Elements { got: len, expected: 1024 };
        assert_eq!(state(&vec![0; len], &strip).unwrap_err(), refused);
        assert_eq!(state(&strip, &vec![0; len]).unwrap_err(), refused);
    }
    let mut bad = strip.clone();
    bad[1000] = -64;
    assert_eq!(state(&bad, &strip).unwrap_err(), ProductError::Range { index: 1000, got: -64 });
    assert_eq!(state(&strip, &bad).unwrap_err(), ProductError::Range { index: 1000, got: -64 });
    let state = tile_state(&strip, &strip, 32, u32::MAX, u32::MAX, &KEY_A, &KEY_B);
    assert!(state.is_ok(), "any coordinate is computed");
}

/// Every input of a state shows in it.
#[test]
fn states_depend_on_every_input() {
    let (a, b) = (random(32, 96, 8), random(32, 96, 9));
    let state = |a: &[i8], b: &[i8], row, col, key_a, key_b| tile_state(a, b, 96, row, col, key_a, key_b).unwrap();
    let (a, b) = (a.strip(0), b.strip(0));
    let base = state(a, b, 1, 2, &KEY_A, &KEY_B);
    let mut changed = a.to_vec();
    changed[95 * 32] ^= 1;
    let mut states = vec![
        base,
        state(&changed, b, 1, 2, &KEY_A, &KEY_B),
        state(a, &changed, 1, 2, &KEY_A, &KEY_B),
        state(a, b, 0, 2, &KEY_A, &KEY_B),
        state(a, b, 1, 3, &KEY_A, &KEY_B),
        state(a, b, 1, 2, &KEY_B, &KEY_B),
        state(a, b, 1, 2, &KEY_A, &KEY_A),
    ];
    states.sort();
    states.dedup();
    assert_eq!(states.len(), 7);
}

#[test]
fn commitments_are_of_strips() {
    let operand = random(96, 64, 10);
    let hashes = operand.strip_hashes();
    let mut list = Vec::new();
    for (i, hash) in hashes.iter().enumerate() {
        let bytes: Vec<u8> = operand.strip(i).iter().map(|v| *v as u8).collect();
        assert_eq!(blake3::hash(&bytes), *hash);
        list.extend_from_slice(hash);
    }
    assert_eq!((hashes.len(), operand.strips()), (3, 3));
    assert_eq!(Operand::commitment(&hashes), *blake3::hash(&list).as_bytes());
}

/// Pins the bits of the whole module: operands, product, tickets and states of one small product.
#[test]
fn golden_hashes() {
    let stream = Stream::new(&KEY_A, "test/golden", 0);
    let (x, w) = (floats(64 * 96, 60), floats(96 * 32, 61));
    for platform in Platform::available() {
        let a = quantize_rows(platform, &x, 64, 96, Rounding::Stochastic(&stream)).unwrap();
        let b = quantize_columns(platform, &w, 96, 32, Rounding::Nearest).unwrap();
        let noise = NoiseB::new(&KEY_B, 32, 96).unwrap();
        let mut out = vec![0.0; 64 * 32];
        let found = mined_product(platform, &a, &b, &noise, &KEY_A, &ANY, &mut out).unwrap();
        let mut outputs = blake3::Hasher::new();
        for value in out.iter().chain(a.scales()).chain(b.scales()) {
            outputs.update(&value.to_le_bytes());
        }
        let mut states = blake3::Hasher::new();
        for candidate in &found {
            states.update(&candidate.t0);
            let strip = a.strip(candidate.row as usize);
            states.update(&tile_state(strip, b.strip(0), 96, candidate.row, 0, &KEY_A, &KEY_B).unwrap());
        }
        let hex = |hash: [u8; 32]| blake3::Hash::from(hash).to_hex().to_string();
        let got = [
            hex(Operand::commitment(&a.strip_hashes())),
            hex(Operand::commitment(&b.strip_hashes())),
            hex(*outputs.finalize().as_bytes()),
            hex(*states.finalize().as_bytes()),
        ];
        assert_eq!(got, GOLDEN, "{platform:?}");
    }
}

/// Commitment of A, commitment of B, outputs and scales, tickets and states.
const GOLDEN: [&str; 4] = [
    "6fdddd6147555b03a6f7ac7bbc8bd4aade8d668c14db48af3f83c8e8391e1607",
    "7420042848bcde1bdbf17bd3f6366e43eb4bb06ca27da99f642d0408a898fa36",
    "2cfb932cce472e3286b2d131696b5346fd97ba79d69d2c311b62d8d908dccdca",
    "3652910248b3c18840e17f3f8e4042fc070874deaf5d0bebd2a22ea7a39636e9",
];
