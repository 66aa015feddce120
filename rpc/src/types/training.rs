//! Wire types of the `descent_*` methods.

use descent_runtime::H256;
use serde::{Deserialize, Serialize};

/// Where training stands on the best chain. Losses are mean nats per token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingStatus {
    /// Name of the chain.
    pub chain: String,
    /// Height of the best block.
    pub height: u32,
    /// Round that the next block belongs to.
    pub round: u32,
    /// Blocks that the round has already.
    pub round_block: u32,
    /// Blocks of a whole round.
    pub round_blocks: u32,
    /// Optimizer steps made since genesis.
    pub step: u32,
    /// Tokens that entered the model since genesis.
    pub tokens: u64,
    /// Microbatches that entered the model since genesis.
    pub microbatches: u64,
    /// Loss on the microbatches of the latest step; null before the first.
    pub training_loss: Option<f64>,
    /// Latest loss on held-out data that this node computed; null before the first.
    pub held_out_loss: Option<f64>,
    /// Round whose checkpoint has that held-out loss.
    pub held_out_round: Option<u32>,
    /// Commitment to the weights that the current round trains.
    pub checkpoint_root: H256,
    /// Exponents that scale the gradients to integers, one per tensor.
    pub exponents: Vec<i8>,
    /// Expected multiply-adds per block, in decimal: it outgrows the numbers of JSON.
    #[serde(with = "decimal")]
    pub difficulty: u128,
    /// What this node's miner computes per second; 0 when it does not mine.
    pub multiply_adds_per_second: f64,
    /// What the whole network computes per second, estimated from recent blocks.
    pub network_multiply_adds_per_second: f64,
    /// Tokens that the network trains on per second, estimated from recent rounds.
    pub tokens_per_second: f64,
    /// Milliseconds between blocks that the difficulty aims at.
    pub expected_block_time_ms: u64,
    /// Whether this node mines.
    pub mining: bool,
}

/// One round's line in `descent_rounds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundSummary {
    /// The round.
    pub round: u32,
    /// Commitment to the weights that the round trains.
    pub checkpoint_root: H256,
    /// Block whose execution made these weights.
    pub start_block: u32,
    /// Tokens summed into the step that made these weights.
    pub tokens: u64,
    /// Microbatches summed into that step.
    pub microbatches: u32,
    /// Mean nats per token on those microbatches; null for the initial weights.
    pub training_loss: Option<f64>,
    /// Mean nats per token of these weights on held-out data; null until computed.
    pub held_out_loss: Option<f64>,
}

/// Answer of `descent_checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointInfo {
    /// The round that starts from this checkpoint.
    pub round: u32,
    /// Commitment to the tensors below.
    pub checkpoint_root: H256,
    /// Optimizer steps made up to this checkpoint; steps without tokens are not made.
    pub step: u32,
    /// Block whose execution made the checkpoint.
    pub start_block: u32,
    /// Hash of that block.
    pub block_hash: H256,
    /// Whether this node holds the tensors themselves.
    pub stored: bool,
    /// The tensors, in the order of the commitment.
    pub tensors: Vec<TensorInfo>,
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// Its name in exported checkpoints.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<u32>,
    /// Hash of its bytes.
    pub hash: H256,
}

/// A large integer as a string of decimal digits.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
