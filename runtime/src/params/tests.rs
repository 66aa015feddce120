use super::*;
use crate::testing::params;

fn broken(edit: impl FnOnce(&mut ChainParams)) -> ParamsError {
    let mut params = params();
    edit(&mut params);
    params.validate().expect_err("a rule is broken")
}

#[test]
fn every_rule_is_checked() {
    use ParamsError as E;
    assert_eq!(params().validate(), Ok(()));
    assert!(matches!(broken(|p| p.block_time_ms = 0), E::BlockTime { got: 0, .. }));
    assert!(matches!(broken(|p| p.block_time_ms = 4_000_000), E::BlockTime { .. }));
    assert!(matches!(broken(|p| p.verdict_slack = 6), E::RoundBlocks { got: 8, expected: 9, .. }));
    assert!(matches!(broken(|p| p.verdict_slack = u32::MAX), E::RoundBlocks { .. }));
    assert!(matches!(broken(|p| p.round_blocks = 1 << 17), E::RoundBlocks { .. }));
    assert!(matches!(broken(|p| p.finality_depth = 0), E::FinalityDepth { got: 0, .. }));
    assert!(matches!(broken(|p| p.finality_depth = 32), E::FinalityDepth { limit: 31, .. }));
    assert!(matches!(broken(|p| p.half_life_ms = 99_999), E::HalfLifeBlocks { .. }));
    assert!(matches!(broken(|p| p.round_blocks = 51), E::HalfLifeRounds { expected: 102_000, .. }));
    assert!(matches!(broken(|p| p.max_future_ms = 0), E::MaxFuture { .. }));
    assert!(matches!(broken(|p| p.max_future_ms = 100_001), E::MaxFuture { .. }));
    assert_eq!(broken(|p| p.minimum_difficulty = 0), E::MinimumDifficulty);
    assert!(matches!(broken(|p| p.initial_difficulty = 1), E::InitialDifficulty { got: 1, .. }));
    assert!(matches!(broken(|p| p.max_block_bytes = 9), E::MaxBlockBytes { got: 9, .. }));
    assert!(matches!(broken(|p| p.max_blob_bytes = 0), E::MaxBlobBytes { .. }));
    assert!(matches!(broken(|p| p.max_receipts_per_block = 0), E::MaxReceipts { .. }));
    assert_eq!(broken(|p| p.existential_deposit = 0), E::ExistentialDeposit);
    assert!(matches!(broken(|p| p.byte_fee = u128::MAX), E::FeeOverflow { .. }));
    assert!(matches!(broken(|p| p.receipt_fee = u128::MAX), E::FeeOverflow { .. }));
    assert!(matches!(broken(|p| p.emission_cap = u128::MAX), E::EmissionCap { .. }));
    assert_eq!(broken(|p| p.tail_emission = 0), E::TailEmission);
    assert!(matches!(broken(|p| p.emission_shift = 128), E::FirstEmission { got: 0, .. }));
}

#[test]
fn emission_decays_to_its_tail() {
    let params = params();
    let first = params.emission_cap >> params.emission_shift;
    assert_eq!(params.emission(0), first);
    assert_eq!(params.emission(first), (params.emission_cap - first) >> params.emission_shift);
    assert_eq!(params.emission(params.emission_cap), params.tail_emission);
    assert_eq!(params.emission(u128::MAX), params.tail_emission);
}

/// A round settles when the last of its receipts has its verdict.
#[test]
fn rounds_settle_in_order() {
    let params = params();
    assert_eq!(params.settlement_block(0), 18);
    for number in 0..200 {
        let settled = params.settled_rounds(number);
        let expected = (0..).take_while(|round| params.settlement_block(*round) <= u64::from(number)).count();
        assert_eq!(settled as usize, expected, "block {number}");
    }
}

#[test]
fn rounds_follow_the_parent() {
    let params = params();
    assert_eq!([0, 1, 8, 9].map(|number| params.round_of(number)), [0, 0, 0, 1]);
    assert_eq!([0, 7, 8].map(|parent| params.round_after(parent)), [0, 0, 1]);
    assert_eq!([0, 7, 8, 16].map(|n| params.is_step_block(n)), [false, false, true, true]);
}
