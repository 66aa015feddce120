//! Parameters for a network of strangers. No public network exists yet, so no specification carries these: they are
//! where one starts, and the tests keep them valid.

use consensus_upow::ModelConfig;
use descent_runtime::ChainParams;

use crate::dev::{self, DSNT};

/// Microbatches of a block's initial difficulty: some tens of machines with two cores.
const INITIAL_MICROBATCHES: u128 = 4_096;

/// The parameters of a public chain, for a model.
pub fn params(model: &ModelConfig) -> ChainParams {
    ChainParams {
        // A header and its seal cross the world in a second or two; most receipts' blobs in some more.
        block_time_ms: 10_000,
        // Gradients of the last `L = 4` blocks come too late for their step: one sixteenth.
        round_blocks: 64,
        // Twenty seconds more to recompute samples.
        verdict_slack: 2,
        // Two minutes; still well under 32 blocks.
        finality_depth: 12,
        // Two rounds, the least that keeps the rounds' rhythm out of the difficulty.
        half_life_ms: 1_280_000,
        max_future_ms: 30_000,
        // 2026-11-01: block 1 anchors the schedule of the difficulty, so nobody may date it long before.
        genesis_ms: 1_793_491_200_000,
        initial_difficulty: INITIAL_MICROBATCHES * u128::from(model.microbatch_macs()),
        max_block_bytes: 1 << 20,
        // 24 recomputed microbatches and 8 blobs in ten seconds, which a machine with few cores still keeps up with.
        max_receipts_per_block: 8,
        // 2.98 DSNT a block at first, a factor of e less after 10.6 years of ten-second blocks.
        emission_shift: 25,
        // Reached after some 36 years; 0.3 % of the cap a year, falling as a fraction.
        tail_emission: DSNT / 10,
        ..dev::params(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_valid_for_every_preset() {
        for name in ModelConfig::PRESETS {
            let model = ModelConfig::preset(name).expect("listed");
            assert_eq!(params(&model).validate(), Ok(()), "{name}");
        }
    }
}
