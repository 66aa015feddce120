//! Units, boundary values and statistics; `vectors` holds frozen results, `prop` what holds for all
//! inputs.

use super::*;

mod prop;
mod vectors;

/// A chain of 10 s blocks whose half-life is 360 blocks.
fn params() -> ChainParams {
    ChainParams {
        block_time_ms: 10_000,
        round_blocks: 64,
        verdict_slack: 2,
        finality_depth: 12,
        half_life_ms: 3_600_000,
        max_future_ms: 30_000,
        genesis_ms: 0,
        initial_difficulty: 4_000_000_000_000,
        minimum_difficulty: 20_000_000_000,
        max_block_bytes: 1 << 20,
        max_blob_bytes: 1 << 24,
        max_receipts_per_block: 64,
        existential_deposit: 1,
        byte_fee: 1,
        base_fee: 1,
        receipt_fee: 1,
        emission_cap: 1 << 60,
        emission_shift: 20,
        tail_emission: 1,
    }
}

const GENESIS_MS: u64 = 1_700_000_000_000;

fn below(hash: &[u8; 32], bound: U256) -> bool {
    U256::from_little_endian(hash) < bound
}

#[test]
fn difficulty_survives_its_target() {
    for d in [1, 2, 3, 1_000, u128::from(u64::MAX), u128::MAX - 1, u128::MAX] {
        assert_eq!(Difficulty(d).target().difficulty(), Difficulty(d));
        assert_eq!(Difficulty(d).target().work(), Work(U256::from(d)));
    }
    assert_eq!(Difficulty(0).target(), Target::MAX);
    assert_eq!(Difficulty(1).target(), Target::MAX);
    assert_eq!(Difficulty(2).target().value(), (U256::one() << 255) - 1);
}

#[test]
fn zero_is_no_target() {
    assert_eq!(Target::new(U256::zero()), Target::new(U256::one()));
    // Harder than 128 bits of difficulty can say; the work is not capped.
    assert_eq!(Target::new(U256::one()).difficulty(), Difficulty(u128::MAX));
    assert_eq!(Target::new(U256::one()).work(), Work(U256::MAX));
}

#[test]
fn work_adds_up_and_never_wraps() {
    let [one, most] = [Work(U256::one()), Work(U256::MAX)];
    assert_eq!(Work::ZERO.checked_add(one), Some(one));
    assert_eq!(one.saturating_add(one), Work(U256::from(2)));
    assert_eq!(most.checked_add(one), None);
    assert_eq!(most.saturating_add(one), most);
}

#[test]
fn on_schedule_the_target_stays() {
    let p = params();
    let initial = Difficulty(p.initial_difficulty).target();
    for n in [0, 1, 2, 63, 64, 360, 1_000_000, u32::MAX] {
        let time = GENESIS_MS + u64::from(n) * p.block_time_ms;
        assert_eq!(next_target(&p, n, time, GENESIS_MS), initial, "parent {n}");
    }
}

#[test]
fn each_half_life_of_drift_halves_or_doubles_the_difficulty() {
    let p = params();
    let initial = p.initial_difficulty;
    let n = 5_000;
    let on_time = GENESIS_MS + u64::from(n) * p.block_time_ms;
    for power in 0..7 {
        let late = next_target(&p, n, on_time + power * p.half_life_ms, GENESIS_MS);
        let early = next_target(&p, n, on_time - power * p.half_life_ms, GENESIS_MS);
        assert_eq!(late.difficulty(), Difficulty(initial >> power));
        // A target cut off at its last bit can show one unit more.
        assert!(early.difficulty().0.abs_diff(initial << power) <= 1);
    }
}

#[test]
fn difficulty_never_falls_below_the_minimum() {
    let p = params();
    let easiest = Difficulty(p.minimum_difficulty).target();
    // log2(200) half-lives lead there.
    let almost = next_target(&p, 0, GENESIS_MS + 7 * p.half_life_ms, GENESIS_MS);
    assert!(almost < easiest);
    for halvings in [8, 100, 1_000_000] {
        let time = GENESIS_MS + halvings * p.half_life_ms;
        assert_eq!(next_target(&p, 0, time, GENESIS_MS), easiest);
    }
    assert_eq!(next_target(&p, 0, u64::MAX, 0), easiest);
    // A chain that starts below its minimum starts at it.
    let p = ChainParams { initial_difficulty: 1, ..p };
    assert_eq!(next_target(&p, 0, GENESIS_MS, GENESIS_MS), easiest);
}

#[test]
fn a_timestamp_before_genesis_is_only_early() {
    let p = params();
    let before = next_target(&p, 1, 0, GENESIS_MS);
    assert_eq!(before, Target::new(U256::one()));
    // A genesis time shorter than a block time has a parent before time zero.
    assert_eq!(next_target(&p, 0, 5, 5), Difficulty(p.initial_difficulty).target());
}

#[test]
fn every_fraction_of_a_half_life_is_close_to_the_power_and_monotone() {
    let anchor = U256::one() << 200;
    let mut last = U256::zero();
    for step in 0..=65_536u32 {
        // One unit of time is one unit of the exponent; height -1 takes the schedule out.
        let target = asert(anchor, 1, 65_536, i128::from(step), -1, U256::MAX);
        // The curve starts at 0.7 units a step, so that neighbours can round to one value.
        assert!(target >= last, "step {step}");
        last = target;
        let factor = (target >> 184).as_u64() as f64 / 65_536.0;
        let exact = (f64::from(step) / 65_536.0).exp2();
        // The specification promises 0.013 %.
        assert!((factor / exact - 1.0).abs() < 1.3e-4, "step {step}: {factor} for {exact}");
    }
    assert_eq!(last, anchor << 1);
}

#[test]
fn share_target_yields_eight_shares_a_microbatch() {
    assert_eq!(SHARES_PER_MICROBATCH, 8);
    assert_eq!(share_target(8_000_000_000).difficulty(), Difficulty(1_000_000_000));
    assert_eq!(share_target(7), Target::MAX);
    assert_eq!(share_target(0), Target::MAX);
}

#[test]
fn threshold_is_little_endian_and_saturates() {
    let target = Target::new(U256::from(3));
    let expected = U256::from(3u64 * 8 * 1024 * 64).to_little_endian();
    assert_eq!(ticket_threshold(target, 64), expected);
    assert_eq!(ticket_threshold(target, 0), [0; 32]);
    assert_eq!(ticket_threshold(Target::MAX, 1), [0xff; 32]);
    // The last difficulty that is not saturated, and the next.
    let full = 8 * 1024 * 64;
    assert_ne!(ticket_threshold(Difficulty(full).target(), 64), [0xff; 32]);
    assert_eq!(ticket_threshold(Difficulty(full - 1).target(), 64), [0xff; 32]);
}

#[test]
fn hashes_compare_as_little_endian_numbers_strictly() {
    let bound = (U256::one() << 253).to_little_endian();
    let less = ((U256::one() << 253) - 1).to_little_endian();
    assert!(first_half_wins(&less, &bound) && !first_half_wins(&bound, &bound));
    assert!(second_half_wins(&less) && !second_half_wins(&bound));
    assert!(second_half_wins(&[0; 32]) && !second_half_wins(&[0xff; 32]));
    assert!(!first_half_wins(&[0; 32], &[0; 32]));
    // The first byte is the least significant one.
    let [mut high, mut low] = [[0; 32]; 2];
    (high[31], low[0]) = (1, 255);
    assert!(first_half_wins(&low, &high) && !first_half_wins(&high, &low));
}

/// Hashes as uniform as tickets are: one stream, so that the test has one outcome.
#[test]
fn a_tile_wins_with_its_share_of_the_difficulty() {
    const DRAWS: u64 = 2_000_000;
    // Contraction length, and the number of tiles that the difficulty is worth.
    let cases = [(64u32, 8u64), (64, 50), (384, 64), (1_024, 1_000), (4_096, 4_096)];
    let thresholds = cases.map(|(k, tiles)| {
        let difficulty = Difficulty(u128::from(1024 * u64::from(k) * tiles));
        ticket_threshold(difficulty.target(), k)
    });
    let mut stream = blake3::Hasher::new().update(b"ticket statistics").finalize_xof();
    let mut wins = [0u64; 5];
    let mut second = 0;
    let mut hashes = [[0u8; 32]; 2];
    for _ in 0..DRAWS {
        hashes.iter_mut().for_each(|h| stream.fill(h));
        let passes = second_half_wins(&hashes[1]);
        assert_eq!(passes, below(&hashes[1], U256::one() << 253));
        second += u64::from(passes);
        for (count, threshold) in wins.iter_mut().zip(&thresholds) {
            *count += u64::from(passes && first_half_wins(&hashes[0], threshold));
        }
    }
    let within_4_sigma = |count: u64, odds: u64| {
        let mean = DRAWS as f64 / odds as f64;
        let sigma = (mean * (1.0 - 1.0 / odds as f64)).sqrt();
        assert!((count as f64 - mean).abs() < 4.0 * sigma, "{count} wins, expected {mean}");
    };
    within_4_sigma(second, 8);
    for (count, (_, tiles)) in wins.into_iter().zip(cases) {
        within_4_sigma(count, tiles);
    }
}
