//! Products, folds, peels and tickets against the reference.

use super::*;
use crate::product::noise::{Dense, mask};
use crate::product::tile::{Panels, Tile};
use proptest::prelude::*;

/// Shapes and operands that stress the sums: (name, A, B).
fn cases() -> Vec<(String, Operand, Operand)> {
    let mut out = Vec::new();
    for (m, k, n) in [(32, 32, 32), (64, 96, 32), (32, 256, 96), (96, 288, 64), (32, 544, 64), (64, 1024, 32)] {
        out.push((format!("random {m}x{k}x{n}"), random(m, k, 1), random(n, k, 2)));
    }
    for k in [32, 768, 4096] {
        let sign = |even: bool| if even { 63 } else { -63 };
        out.push((format!("max {k}"), operand(32, k, |_, _| 63), operand(32, k, |_, _| 63)));
        out.push((format!("min {k}"), operand(32, k, |_, _| -63), operand(32, k, |_, _| 63)));
        out.push((format!("zero {k}"), operand(32, k, |_, _| 0), operand(32, k, |_, _| 63)));
        out.push((
            format!("alternating {k}"),
            operand(32, k, |v, kk| sign((v + kk) % 2 == 0)),
            operand(32, k, |_, kk| sign(kk % 2 == 0)),
        ));
        out.push((
            format!("spikes {k}"),
            operand(32, k, |v, kk| if kk == k - 1 && v == 31 { 63 } else { 0 }),
            operand(32, k, |v, kk| if kk == k - 1 && v == 17 { -63 } else { 0 }),
        ));
    }
    out
}

/// Every platform gives the reference's product, mined or not, its tickets, and its states.
fn product_matches_reference(name: &str, a: &Operand, b: &Operand) {
    let (m, k, n) = (a.vectors(), a.k(), b.vectors());
    let (matrix_a, matrix_b) = matrices(a, b);
    let expected = reference::mine(&matrix_a, &matrix_b, &reference::Noise::new(&KEY_A, &KEY_B, m, k, n));
    assert_eq!(expected.product, matrix_a.times(&matrix_b), "{name}: the peel is exact");
    let expected_out = bits(&reference::dequantize(&expected.product, a.scales(), b.scales()));
    let tiles = (0..m / 32).flat_map(|row| (0..n / 32).map(move |col| (row as u32, col as u32)));
    let tickets: Vec<Candidate> = tiles
        .zip(&expected.states)
        .map(|((row, col), state)| Candidate { row, col, t0: ticket(&KEY_A, state) })
        .collect();

    let noise = NoiseB::new(&KEY_B, n, k).unwrap();
    for platform in Platform::available() {
        let (mut plain, mut mined) = (vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
        product(platform, a, b, &mut plain).unwrap();
        let found = mined_product(platform, a, b, &noise, &KEY_A, &ANY, &mut mined).unwrap();
        assert_eq!(bits(&plain), expected_out, "{name}: product, {platform:?}");
        assert_eq!(bits(&mined), expected_out, "{name}: mined product, {platform:?}");
        assert_eq!(found, tickets, "{name}: tickets, {platform:?}");
    }
    for (Candidate { row, col, .. }, state) in tickets.iter().zip(&expected.states) {
        let (strip_a, strip_b) = (a.strip(*row as usize), b.strip(*col as usize));
        let again = tile_state(strip_a, strip_b, k, *row, *col, &KEY_A, &KEY_B).unwrap();
        assert_eq!(again, *state, "{name}: a witness recomputes the state of tile ({row}, {col})");
    }
}

#[test]
fn every_platform_matches_the_reference() {
    for (name, a, b) in cases() {
        product_matches_reference(&name, &a, &b);
    }
}

/// A threshold at one of the tickets keeps exactly those below it.
#[test]
fn candidates_are_those_below_the_threshold() {
    let (a, b) = (random(96, 64, 3), random(96, 64, 4));
    let noise = NoiseB::new(&KEY_B, 96, 64).unwrap();
    let mut out = vec![0.0; 96 * 96];
    for platform in Platform::available() {
        let all = mined_product(platform, &a, &b, &noise, &KEY_A, &ANY, &mut out).unwrap();
        assert_eq!(all.len(), 9);
        for threshold in all.iter().map(|c| c.t0) {
            let some = mined_product(platform, &a, &b, &noise, &KEY_A, &threshold, &mut out).unwrap();
            let expected: Vec<_> = all.iter().copied().filter(|c| below(&c.t0, &threshold)).collect();
            assert_eq!(some, expected);
            assert!(some.iter().all(|c| c.t0 != threshold), "strictly below");
        }
        assert_eq!(mined_product(platform, &a, &b, &noise, &KEY_A, &[0; 32], &mut out).unwrap(), []);
    }
}

#[test]
fn thresholds_are_little_endian() {
    let at = |i: usize, v: u8| std::array::from_fn(|j| if i == j { v } else { 0 });
    assert!(below(&at(0, 255), &at(1, 1)));
    assert!(below(&at(30, 255), &at(31, 1)));
    assert!(!below(&at(31, 1), &at(0, 255)));
    assert!(!below(&at(3, 7), &at(3, 7)));
}

#[test]
fn threads_do_not_show() {
    let (a, b) = (random(256, 96, 5), random(160, 96, 6));
    let x = floats(256 * 96, 7);
    let stream = Stream::new(&KEY_A, "test", 0);
    for platform in Platform::available() {
        let run = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let noise = NoiseB::new(&KEY_B, 160, 96).unwrap();
                let (mut plain, mut mined) = (vec![0.0; 256 * 160], vec![0.0; 256 * 160]);
                product(platform, &a, &b, &mut plain).unwrap();
                let found = mined_product(platform, &a, &b, &noise, &KEY_A, &ANY, &mut mined).unwrap();
                let rows = quantize_rows(platform, &x, 256, 96, Rounding::Stochastic(&stream)).unwrap();
                (bits(&plain), bits(&mined), found, rows.strip_hashes(), bits(rows.scales()))
            })
        };
        let one = run(1);
        assert_eq!(one.0, one.1);
        for threads in [2, 4] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }
}

/// The tile of two strips under noise given outright: its state and its clean sums.
fn mine_tile(platform: Platform, a: &Operand, b: &Operand, noise: &Factors) -> ([u8; 64], Matrix) {
    let k = a.k();
    #[cfg(target_arch = "x86_64")]
    if platform.path() == Path::Avx512 {
        let side_a = || avx512::TileSide { strip: a.strip(0), dense: &noise.l, permutations: &noise.p };
        let side_b = || avx512::TileSide { strip: b.strip(0), dense: &noise.d, permutations: &noise.q };
        // SAFETY: such a `Platform` only exists where these features were detected.
        let (folds, sums) =
            unsafe { (avx512::tile_folds(k, side_a(), side_b()), avx512::tile_sums(k, side_a(), side_b())) };
        return (state(7, 9, folds.into_iter()), Matrix::from_fn(32, 32, |i, j| sums[32 * i + j]));
    }
    let mut panels = Panels::new(k + 2 * RANK);
    panels.mask_a(platform, a.strip(0), &noise.l, &noise.p, &noise.q);
    panels.mask_b(platform, b.strip(0), &noise.d, &noise.q, &noise.p);
    let mut tile = Tile::new(k);
    tile.mine(platform, &panels.a, &panels.b);
    (state(7, 9, tile.folds().iter().copied()), Matrix::from_fn(32, 32, |i, j| tile.sum(i, j)))
}

/// Noise as the fast paths hold it.
struct Factors {
    l: Dense,
    d: Dense,
    p: Vec<u8>,
    q: Vec<u8>,
}

impl Factors {
    fn matrices(&self) -> reference::Noise {
        let dense = |x: &Dense| Matrix::from_fn(32, 32, |lane, r| x[r][lane].into());
        let sparse = |pi: &[u8]| {
            Matrix::from_fn(32, pi.len(), |r, kk| {
                let (block, j) = (&pi[kk / 32 * 32..][..32], kk % 32);
                i32::from(usize::from(block[j]) == r) - i32::from(usize::from(block[(j + 1) % 32]) == r)
            })
        };
        reference::Noise {
            l: dense(&self.l),
            p: sparse(&self.p),
            q: sparse(&self.q).transposed(),
            d: dense(&self.d).transposed(),
        }
    }
}

fn tile_matches_reference(a: &Operand, b: &Operand, noise: &Factors) {
    let (matrix_a, matrix_b) = matrices(a, b);
    let factors = noise.matrices();
    let noised_a = matrix_a.plus(&factors.l.times(&factors.p));
    let noised_b = matrix_b.plus(&factors.q.times(&factors.d));
    let mut expected = reference::state(&noised_a, &noised_b, 0, 0);
    // The coordinates enter linearly: rotated once for each later fold of the first half.
    let turns = 13 * (a.k() / RANK).div_ceil(2) as u32;
    for (at, coordinate) in [(0, 7u32), (4, 9)] {
        for (byte, turned) in expected[at..at + 4].iter_mut().zip(coordinate.rotate_left(turns % 32).to_le_bytes()) {
            *byte ^= turned;
        }
    }
    for platform in Platform::available() {
        let (state, sums) = mine_tile(platform, a, b, noise);
        assert_eq!(state, expected, "{platform:?}: state");
        assert_eq!(sums, matrix_a.times(&matrix_b), "{platform:?}: peeled sums");
    }
}

/// The largest noise and operands, aligned so that the peel's operands reach their bounds: 126 and 252 a block.
#[test]
fn extreme_noise_stays_in_range_and_peels_exactly() {
    for k in [32, 4096] {
        let identity: Vec<u8> = (0..k).map(|kk| (kk % 32) as u8).collect();
        let alternating: Dense = std::array::from_fn(|r| [if r % 2 == 0 { 31 } else { -32 }; 32]);
        let opposite: Dense = std::array::from_fn(|r| [if r % 2 == 0 { -32 } else { 31 }; 32]);
        let sign = |even: bool| if even { 63 } else { -63 };
        let waves = [
            (operand(32, k, |_, kk| sign(kk % 2 == 0)), operand(32, k, |_, kk| sign(kk % 2 == 0))),
            (operand(32, k, |_, kk| sign(kk % 2 == 1)), operand(32, k, |_, kk| sign(kk % 2 == 0))),
            (operand(32, k, |_, _| 63), operand(32, k, |_, _| -63)),
        ];
        for (a, b) in &waves {
            for (l, d) in [(alternating, alternating), (opposite, alternating), (alternating, opposite)] {
                let noise = Factors { l, d, p: identity.clone(), q: identity.clone() };
                tile_matches_reference(a, b, &noise);
            }
        }
        // The bounds are met, not only respected.
        let mut rows = vec![[0; TILE]; k + 2 * RANK];
        let blocks = (k / RANK) as i16;
        mask(Platform::PORTABLE, Side::A, waves[0].0.strip(0), &alternating, &identity, &identity, &mut rows);
        assert_eq!(rows[k..k + RANK].iter().flatten().map(|v| v.abs()).max(), Some(126 * blocks));
        mask(Platform::PORTABLE, Side::B, waves[0].1.strip(0), &alternating, &identity, &identity, &mut rows);
        assert_eq!(rows[..k].iter().flatten().map(|v| v.abs()).max(), Some(126));
        assert_eq!(rows[k + RANK..].iter().flatten().map(|v| v.abs()).max(), Some(252 * blocks));
    }
}

fn any_operand(k: usize) -> impl Strategy<Value = Operand> {
    proptest::collection::vec(prop_oneof![-63i8..=63, Just(63), Just(-63)], 32 * k)
        .prop_map(move |data| Operand::from_parts(data, vec![1.0; 32], k).unwrap())
}

fn any_dense() -> impl Strategy<Value = Dense> {
    proptest::collection::vec(prop_oneof![-32i8..=31, Just(31), Just(-32)], 32 * 32)
        .prop_map(|data| std::array::from_fn(|r| std::array::from_fn(|lane| data[r * 32 + lane])))
}

fn any_permutations(k: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(Just((0..32).collect::<Vec<u8>>()).prop_shuffle(), k / 32)
        .prop_map(|blocks| blocks.concat())
}

fn any_tile() -> impl Strategy<Value = (Operand, Operand, Factors)> {
    (1usize..=12).prop_flat_map(|blocks| {
        let k = 32 * blocks;
        let sparse = (any_permutations(k), any_permutations(k));
        (any_operand(k), any_operand(k), any_dense(), any_dense(), sparse)
            .prop_map(|(a, b, l, d, (p, q))| (a, b, Factors { l, d, p, q }))
    })
}

impl std::fmt::Debug for Factors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factors").field("l", &self.l).field("d", &self.d).finish_non_exhaustive()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `(A+E)(B+F) - (AQ)D - L(P(B+F)) = AB`, and the folds are the reference's, for any operands and noise.
    #[test]
    fn any_tile_folds_and_peels_as_the_reference((a, b, noise) in any_tile()) {
        tile_matches_reference(&a, &b, &noise);
    }
}
