//! `dev`: one node that mines alone on whatever machine is at hand, with a block a second.

use consensus_upow::ModelConfig;
use descent_runtime::{Balance, ChainParams};

use crate::builtin::{MIN_MICROBATCHES, blob_bytes};
use crate::spec::ChainType;

/// Identifier.
pub const ID: &str = "dev";
/// Name that wallets show.
pub const NAME: &str = "Descent Development";
/// Kind of network.
pub const CHAIN_TYPE: ChainType = ChainType::Development;

/// One coin: 12 decimals.
pub const DSNT: Balance = 1_000_000_000_000;
/// What each well-known account starts with.
pub const ENDOWMENT: Balance = 100_000 * DSNT;

/// The parameters of the chain, for a model.
pub fn params(model: &ModelConfig) -> ChainParams {
    let minimum_difficulty = MIN_MICROBATCHES * u128::from(model.microbatch_macs());
    ChainParams {
        block_time_ms: 1_000,
        // A step every six seconds or so: the step reads what 4 of the 6 blocks included (`L = 2`).
        round_blocks: 6,
        // Blocks are light and the miner alone: verdicts need no slack.
        verdict_slack: 0,
        // Well under the 32 blocks for which clients' mortal transactions live.
        finality_depth: 8,
        // 120 blocks, 20 rounds: mining speed settles within minutes and does not swing with the rounds.
        half_life_ms: 120_000,
        // Five blocks: clocks kept by NTP differ by less, and the difficulty can be bent by 3 % at most.
        max_future_ms: 5_000,
        // Starts whenever somebody starts it.
        genesis_ms: 0,
        // About a second of two cores with `nano`, and a few with a larger model. A faster machine soon raises it.
        initial_difficulty: minimum_difficulty,
        minimum_difficulty,
        // Some 1,700 transfers.
        max_block_bytes: 256 << 10,
        max_blob_bytes: blob_bytes(model),
        // Each receipt costs up to three recomputed microbatches: as many as a block's own work at most.
        max_receipts_per_block: 4,
        existential_deposit: DSNT / 1_000,
        // A transfer of 150 bytes costs 0.00025 DSNT.
        byte_fee: DSNT / 1_000_000,
        base_fee: DSNT / 10_000,
        // Half of what one microbatch earns at first, so a receipt over few microbatches does not pay.
        receipt_fee: DSNT / 100,
        // A hundred million coins, of which each block emits 2^-28: 0.37 DSNT at first, a factor of e less after
        // 8.5 years of one-second blocks. A power of two makes the schedule a shift.
        emission_cap: 100_000_000 * DSNT,
        emission_shift: 28,
        // 0.01 DSNT a second for ever, reached after some 30 years: 0.3 % of the cap a year, falling as a fraction.
        tail_emission: DSNT / 100,
    }
}
