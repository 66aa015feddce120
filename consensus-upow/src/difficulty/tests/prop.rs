//! What holds for all inputs.

use super::*;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = U256> {
    // A uniform shift reaches every magnitude, zero included.
    (any::<[u64; 4]>(), 0usize..=256).prop_map(|(words, shift)| U256(words) >> shift)
}

fn time() -> impl Strategy<Value = i128> {
    (any::<i128>(), 0u32..128).prop_map(|(t, shift)| t >> shift)
}

fn any_u64() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(t, shift)| t >> shift)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn asert_is_total_and_in_range(
        anchor in number(), ideal in any_u64(), half_life in any_u64(),
        time in time(), height in any::<i64>(), max in number(),
    ) {
        let target = asert(anchor, ideal, half_life, time, height, max);
        prop_assert!(target >= U256::one() && target <= max.max(U256::one()));
    }

    #[test]
    fn asert_rises_with_time_and_falls_with_height(
        anchor in number(), ideal in any_u64(), half_life in any_u64(),
        times in (time(), time()), heights in (any::<i64>(), any::<i64>()), max in number(),
    ) {
        let at = |time, height| asert(anchor, ideal, half_life, time, height, max);
        let ((t0, t1), (h0, h1)) = (times, heights);
        prop_assert!(at(t0.min(t1), h0) <= at(t0.max(t1), h0));
        prop_assert!(at(t0, h0.min(h1)) >= at(t0, h0.max(h1)));
    }

    #[test]
    fn one_more_half_life_doubles(
        anchor in number(), half_life in 1u64..1 << 40, late in 0i64..1 << 46,
    ) {
        // Late on both sides: truncation toward zero is a floor there, and the fractions agree.
        let at = |t: i128| asert(anchor, 10_000, half_life, t + 10_000, 0, U256::MAX);
        let [once, twice] = [at(late.into()), at(i128::from(late) + i128::from(half_life))];
        prop_assert!(twice / 2 == once || twice == U256::MAX);
    }

    #[test]
    fn next_target_is_total_and_never_easier_than_the_minimum(
        block_time_ms in any_u64(), half_life_ms in any_u64(),
        initial_difficulty in any::<u128>(), minimum_difficulty in any::<u128>(),
        parent in any::<u32>(), parent_ms in any_u64(), genesis_ms in any_u64(),
    ) {
        let times = ChainParams { block_time_ms, half_life_ms, ..params() };
        let p = ChainParams { initial_difficulty, minimum_difficulty, ..times };
        let target = next_target(&p, parent, parent_ms, genesis_ms);
        prop_assert!(target.value() >= U256::one());
        prop_assert!(target.difficulty().0 >= minimum_difficulty);
    }

    #[test]
    fn difficulties_of_128_bits_survive_their_target(d in 1..u128::MAX, shift in 0u32..128) {
        let d = (d >> shift).max(1);
        prop_assert_eq!(Difficulty(d).target().difficulty(), Difficulty(d));
    }

    #[test]
    fn threshold_is_the_exact_product_or_the_largest(target in number(), k in any::<u32>()) {
        let target = Target::new(target);
        let exact = target.value().full_mul(U256::from(u64::from(k) * 8192));
        let expected = U256::try_from(exact).unwrap_or(U256::MAX);
        prop_assert_eq!(ticket_threshold(target, k), expected.to_little_endian());
    }

    #[test]
    fn halves_compare_like_numbers(t in any::<[u8; 32]>(), bound in any::<[u8; 32]>()) {
        prop_assert_eq!(first_half_wins(&t, &bound), below(&t, U256::from_little_endian(&bound)));
        prop_assert_eq!(second_half_wins(&t), below(&t, U256::one() << 253));
    }
}
