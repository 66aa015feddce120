//! `local`: a few nodes on one machine or in one room, for trying out networking.

use consensus_upow::ModelConfig;
use descent_runtime::ChainParams;

use crate::builtin::difficulty_of;
use crate::dev;
use crate::spec::ChainType;

/// Identifier.
pub const ID: &str = "local";
/// Name that wallets show.
pub const NAME: &str = "Descent Local Testnet";
/// Kind of network.
pub const CHAIN_TYPE: ChainType = ChainType::Local;

/// The parameters of the chain, for a model: those of `dev`, but for the time that nodes need to hear of each other.
pub fn params(model: &ModelConfig) -> ChainParams {
    let dev = dev::params(model);
    ChainParams {
        // Several nodes share the cores, and every one of them recomputes what the others mine.
        block_time_ms: 2_000,
        // One block longer for samples, so that checking them does not delay mining.
        verdict_slack: 1,
        // Half a minute; the step reads what 13 of the 16 blocks included (`L = 3`).
        round_blocks: 16,
        half_life_ms: 240_000,
        max_future_ms: 10_000,
        // Starts whenever somebody starts it.
        genesis_ms: 0,
        initial_difficulty: difficulty_of(2).max(dev.minimum_difficulty),
        max_receipts_per_block: 8,
        // As much a second as `dev`.
        emission_shift: 27,
        tail_emission: 2 * dev.tail_emission,
        ..dev
    }
}
