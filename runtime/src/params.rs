//! The parameters of a chain: one page of constants, and what makes them sensible together.

use codec::{Decode, Encode};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::types::{Balance, BlockNumber};

/// Everything the rules of a chain leave open. Fixed at genesis, whose state commits its hash.
#[derive(Encode, Decode, TypeInfo, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainParams {
    /// Milliseconds between blocks that the difficulty aims at.
    pub block_time_ms: u64,
    /// Blocks that share one set of base weights.
    pub round_blocks: u32,
    /// `V`: blocks left for recomputing samples before their verdict takes effect.
    pub verdict_slack: u32,
    /// Blocks on top of a block before it is shown as final.
    pub finality_depth: u32,
    /// Milliseconds of drift after which the difficulty has doubled or halved.
    pub half_life_ms: u64,
    /// Milliseconds by which a block's timestamp may run ahead of the local clock.
    pub max_future_ms: u64,
    /// Announced start, milliseconds since the epoch: block 1, which anchors the difficulty's schedule, is later.
    pub genesis_ms: u64,
    /// Difficulty of the first block, in multiply-adds per block.
    pub initial_difficulty: u128,
    /// Lowest difficulty, in multiply-adds per block.
    pub minimum_difficulty: u128,
    /// Bytes of all extrinsics of a block together.
    pub max_block_bytes: u32,
    /// Bytes of one receipt's details and gradient together.
    pub max_blob_bytes: u32,
    /// Receipts in one block.
    pub max_receipts_per_block: u32,
    /// Least balance an account may hold.
    pub existential_deposit: Balance,
    /// Burned for each byte of an extrinsic.
    pub byte_fee: Balance,
    /// Burned for each extrinsic.
    pub base_fee: Balance,
    /// Burned for each receipt: what recomputing its samples costs everyone.
    pub receipt_fee: Balance,
    /// What the decaying part of the emission approaches.
    pub emission_cap: Balance,
    /// A block emits this power of two's fraction of what is left below the cap.
    pub emission_shift: u32,
    /// What a block emits at least, for ever.
    pub tail_emission: Balance,
}

/// Parameters that don't fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Blocks take time.
    #[error("block time is {got} ms, expected 1 to {limit}")]
    BlockTime {
        /// Given milliseconds.
        got: u64,
        /// Most milliseconds.
        limit: u64,
    },
    /// A round must leave room for receipts whose verdicts are due before its step.
    #[error("round of {got} blocks, expected {expected} to {limit}")]
    RoundBlocks {
        /// Given blocks.
        got: u32,
        /// Fewest blocks: one more than `V + 2`.
        expected: u64,
        /// Most blocks.
        limit: u32,
    },
    /// Wallets make mortal transactions from the final block, and assume that it is near.
    #[error("finality depth is {got}, expected 1 to {limit}")]
    FinalityDepth {
        /// Given depth.
        got: u32,
        /// Greatest depth.
        limit: u32,
    },
    /// A short half-life lets the difficulty swing.
    #[error("half-life is {got} ms, expected at least 100 blocks: {expected} ms")]
    HalfLifeBlocks {
        /// Given milliseconds.
        got: u64,
        /// Fewest milliseconds.
        expected: u128,
    },
    /// Receipts come once a round: the difficulty must not follow that rhythm.
    #[error("half-life is {got} ms, expected at least two rounds: {expected} ms")]
    HalfLifeRounds {
        /// Given milliseconds.
        got: u64,
        /// Fewest milliseconds.
        expected: u128,
    },
    /// Clocks differ a little, but time must not be stretched as far as a half-life.
    #[error("timestamps may run ahead by {got} ms, expected 1 to {limit}")]
    MaxFuture {
        /// Given milliseconds.
        got: u64,
        /// Most milliseconds: the half-life.
        limit: u64,
    },
    /// A difficulty of zero is no work.
    #[error("minimum difficulty is 0, expected at least 1")]
    MinimumDifficulty,
    /// The chain starts at or above its minimum.
    #[error("initial difficulty is {got}, expected at least the minimum {expected}")]
    InitialDifficulty {
        /// Given difficulty.
        got: u128,
        /// The minimum.
        expected: u128,
    },
    /// A block must hold a few extrinsics, and fit into memory and a message.
    #[error("block limit is {got} bytes, expected {expected} to {limit}")]
    MaxBlockBytes {
        /// Given bytes.
        got: u32,
        /// Fewest bytes.
        expected: u32,
        /// Most bytes.
        limit: u32,
    },
    /// A gradient must fit into memory and a message.
    #[error("blob limit is {got} bytes, expected 1 to {limit}")]
    MaxBlobBytes {
        /// Given bytes.
        got: u32,
        /// Most bytes.
        limit: u32,
    },
    /// Each receipt costs every node a few recomputed microbatches.
    #[error("receipt limit of a block is {got}, expected 1 to {limit}")]
    MaxReceipts {
        /// Given receipts.
        got: u32,
        /// Most receipts.
        limit: u32,
    },
    /// Empty accounts would fill the state for nothing.
    #[error("existential deposit is 0, expected at least 1")]
    ExistentialDeposit,
    /// The highest fee must be a balance.
    #[error("fee of a block's bytes overflows: base {base}, byte {byte}, receipt {receipt}")]
    FeeOverflow {
        /// Given base fee.
        base: Balance,
        /// Given byte fee.
        byte: Balance,
        /// Given receipt fee.
        receipt: Balance,
    },
    /// Rewards never end: security must not rest on fees alone.
    #[error("tail emission is 0, expected at least 1")]
    TailEmission,
    /// The schedule falls from its first block on.
    #[error("first emission is {got}, expected at least the tail {expected}")]
    FirstEmission {
        /// What the first block would emit by decay.
        got: Balance,
        /// The tail.
        expected: Balance,
    },
    /// The issuance must stay far below what a balance can hold.
    #[error("emission cap is {got}, expected at most {limit}")]
    EmissionCap {
        /// Given cap.
        got: Balance,
        /// Highest cap.
        limit: Balance,
    },
}

/// An hour: anything slower is a mistake of units.
const MAX_BLOCK_TIME_MS: u64 = 3_600_000;
/// Settlement walks over two rounds of blocks.
const MAX_ROUND_BLOCKS: u32 = 1 << 16;
/// Clients use mortal eras of 32 blocks.
const MAX_FINALITY_DEPTH: u32 = 31;
const MIN_HALF_LIFE_BLOCKS: u128 = 100;
const MIN_HALF_LIFE_ROUNDS: u128 = 2;
const MIN_BLOCK_BYTES: u32 = 4 << 10;
const MAX_BLOCK_BYTES: u32 = 16 << 20;
const MAX_BLOB_BYTES: u32 = 256 << 20;
const MAX_RECEIPTS: u32 = 1024;
/// Leaves room for centuries of tail emission below `u128::MAX`.
const MAX_EMISSION_CAP: Balance = 1 << 100;

impl ChainParams {
    /// Checks that the parameters fit together.
    ///
    /// # Errors
    ///
    /// The first rule that they break.
    pub fn validate(&self) -> Result<(), ParamsError> {
        self.timing_is_valid()?;
        self.difficulty_is_valid()?;
        self.sizes_are_valid()?;
        self.money_is_valid()
    }

    /// `L = V + 2`: blocks from a receipt's inclusion to the effect of its verdict.
    pub fn verdict_delay(&self) -> u64 {
        u64::from(self.verdict_slack) + 2
    }

    /// Round of an attempt whose header's parent has this number.
    pub fn round_after(&self, parent: BlockNumber) -> u32 {
        parent.checked_div(self.round_blocks).unwrap_or(0)
    }

    /// Round that a block's own attempt belongs to; the genesis block counts to round 0.
    pub fn round_of(&self, number: BlockNumber) -> u32 {
        self.round_after(number.saturating_sub(1))
    }

    /// Whether a block's execution ends a round with an optimizer step.
    pub fn is_step_block(&self, number: BlockNumber) -> bool {
        number != 0 && number.checked_rem(self.round_blocks) == Some(0)
    }

    /// Block whose execution settles a round: every verdict on its receipts is known by then.
    pub fn settlement_block(&self, round: u32) -> u64 {
        (u64::from(round) + 2) * u64::from(self.round_blocks) + self.verdict_delay()
    }

    /// How many rounds are settled once this block has executed; rounds settle in order.
    pub fn settled_rounds(&self, number: BlockNumber) -> u32 {
        let rounds = u64::from(number)
            .checked_sub(self.verdict_delay())
            .and_then(|blocks| blocks.checked_div(u64::from(self.round_blocks)))
            .unwrap_or(0);
        // Never above the block number, which is a u32.
        rounds.saturating_sub(1) as u32
    }

    /// What the next block emits after `emitted` units: a fixed fraction of what is left below
    /// the cap, but never less than the tail.
    pub fn emission(&self, emitted: Balance) -> Balance {
        let left = self.emission_cap.saturating_sub(emitted);
        left.checked_shr(self.emission_shift).unwrap_or(0).max(self.tail_emission)
    }

    /// What an extrinsic of so many bytes burns, receipts aside.
    pub fn length_fee(&self, bytes: u32) -> Balance {
        self.byte_fee.saturating_mul(Balance::from(bytes)).saturating_add(self.base_fee)
    }

    fn timing_is_valid(&self) -> Result<(), ParamsError> {
        let (got, limit) = (self.block_time_ms, MAX_BLOCK_TIME_MS);
        if got == 0 || got > limit {
            return Err(ParamsError::BlockTime { got, limit });
        }
        let (got, expected) = (self.round_blocks, self.verdict_delay() + 1);
        if u64::from(got) < expected || got > MAX_ROUND_BLOCKS {
            return Err(ParamsError::RoundBlocks { got, expected, limit: MAX_ROUND_BLOCKS });
        }
        let (got, limit) = (self.finality_depth, MAX_FINALITY_DEPTH);
        if got == 0 || got > limit {
            return Err(ParamsError::FinalityDepth { got, limit });
        }
        // Products of two u64 and small constants: far below u128::MAX.
        let got = self.half_life_ms;
        let expected = MIN_HALF_LIFE_BLOCKS * u128::from(self.block_time_ms);
        if u128::from(got) < expected {
            return Err(ParamsError::HalfLifeBlocks { got, expected });
        }
        let round_ms = u128::from(self.round_blocks) * u128::from(self.block_time_ms);
        let expected = MIN_HALF_LIFE_ROUNDS * round_ms;
        if u128::from(got) < expected {
            return Err(ParamsError::HalfLifeRounds { got, expected });
        }
        let (got, limit) = (self.max_future_ms, self.half_life_ms);
        if got == 0 || got > limit {
            return Err(ParamsError::MaxFuture { got, limit });
        }
        Ok(())
    }

    fn difficulty_is_valid(&self) -> Result<(), ParamsError> {
        if self.minimum_difficulty == 0 {
            return Err(ParamsError::MinimumDifficulty);
        }
        let (got, expected) = (self.initial_difficulty, self.minimum_difficulty);
        if got < expected {
            return Err(ParamsError::InitialDifficulty { got, expected });
        }
        Ok(())
    }

    fn sizes_are_valid(&self) -> Result<(), ParamsError> {
        let got = self.max_block_bytes;
        let (expected, limit) = (MIN_BLOCK_BYTES, MAX_BLOCK_BYTES);
        if got < expected || got > limit {
            return Err(ParamsError::MaxBlockBytes { got, expected, limit });
        }
        let (got, limit) = (self.max_blob_bytes, MAX_BLOB_BYTES);
        if got == 0 || got > limit {
            return Err(ParamsError::MaxBlobBytes { got, limit });
        }
        let (got, limit) = (self.max_receipts_per_block, MAX_RECEIPTS);
        if got == 0 || got > limit {
            return Err(ParamsError::MaxReceipts { got, limit });
        }
        Ok(())
    }

    fn money_is_valid(&self) -> Result<(), ParamsError> {
        if self.existential_deposit == 0 {
            return Err(ParamsError::ExistentialDeposit);
        }
        self.byte_fee
            .checked_mul(Balance::from(self.max_block_bytes))
            .and_then(|fee| fee.checked_add(self.base_fee))
            .and_then(|fee| fee.checked_add(self.receipt_fee))
            .ok_or(ParamsError::FeeOverflow { base: self.base_fee, byte: self.byte_fee, receipt: self.receipt_fee })?;
        let (got, limit) = (self.emission_cap, MAX_EMISSION_CAP);
        if got > limit {
            return Err(ParamsError::EmissionCap { got, limit });
        }
        if self.tail_emission == 0 {
            return Err(ParamsError::TailEmission);
        }
        let got = got.checked_shr(self.emission_shift).unwrap_or(0);
        let expected = self.tail_emission;
        if got < expected {
            return Err(ParamsError::FirstEmission { got, expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
