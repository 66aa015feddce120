//! Difficulty, target and cumulative work; the target of the next block (ASERT); what a ticket must
//! stay below.
//!
//! Difficulty is counted in multiply-adds: at difficulty `D` a block takes `D` mined multiply-adds
//! on average. A target is the same quantity upside down, `floor((2^256 - 1) / D)`, which is what
//! hashes are compared with. Only the target is consensus-critical; the difficulty shown to people
//! is read back from it.
//!
//! Everything here is integer arithmetic that saturates: no input makes it panic.

use codec::{Decode, Encode};
use descent_runtime::{BlockNumber, ChainParams};
use sp_core::{U256, U512};

use crate::task::SHARES_PER_MICROBATCH;

#[cfg(test)]
mod tests;

/// Multiply-adds of a 32x32 output tile per unit of the contraction's length.
const TILE_MACS_PER_K: u64 = 1024;
/// Inverse of the probability that a ticket's second hash passes; the first hash is let pass as
/// many times more often.
const SECOND_HASH_ODDS: u64 = 8;
/// Fractional bits of ASERT's exponent.
const RADIX_BITS: u32 = 16;

/// Expected multiply-adds per block. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Difficulty(pub u128);

impl Difficulty {
    /// Returns the target of this difficulty.
    ///
    /// The way back is exact: `d.target().difficulty() == d` for every `d` above zero.
    pub fn target(self) -> Target {
        Target(U256::MAX / U256::from(self.0.max(1)))
    }
}

/// Upper bound of a winning hash per multiply-add, all 256 bits consensus-critical; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

impl Target {
    /// The easiest target: every multiply-add wins.
    pub const MAX: Self = Self(U256::MAX);

    /// Takes a target; zero, which nothing could meet, becomes one.
    pub fn new(value: U256) -> Self {
        Self(value.max(U256::one()))
    }

    /// Returns the target as a number.
    pub fn value(self) -> U256 {
        self.0
    }

    /// Returns the difficulty, `floor((2^256 - 1) / target)`, capped at what 128 bits hold.
    pub fn difficulty(self) -> Difficulty {
        Difficulty(u128::try_from(self.work().0).unwrap_or(u128::MAX))
    }

    /// Returns the work that a block of this target proves: its difficulty, uncapped.
    pub fn work(self) -> Work {
        Work(U256::MAX / self.0)
    }
}

/// Expected multiply-adds behind a chain of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Work(pub U256);

impl Work {
    /// The work of a genesis block.
    pub const ZERO: Self = Self(U256::zero());

    /// Adds, or returns `None` past 2^256 - 1.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Adds and stops at 2^256 - 1.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Computes the target after the block `height_delta` above the anchor, `time_delta` after the
/// anchor's parent.
///
/// # Consensus
/// The algorithm aserti3-2d of Bitcoin Cash's specification of 2020-11-15:
/// `anchor_target * 2^((time_delta - ideal_time * (height_delta + 1)) / half_life)`
/// with the exponent in 16.16 fixed point, division truncating toward zero, the exponent's integer
/// part by arithmetic shift (a floor), and over its fraction the polynomial
/// `2^x = 1 + 0.695502049 x + 0.2262698 x^2 + 0.0782318 x^3`. The result lies in `1..=max_target`.
///
/// The three times share one unit of any size. For all inputs the result is that of integers
/// without bounds; where the algorithm defines none (`anchor_target`, `half_life` or `max_target`
/// zero), zero counts as one.
pub fn asert(
    anchor_target: U256,
    ideal_time: u64,
    half_life: u64,
    time_delta: i128,
    height_delta: i64,
    max_target: U256,
) -> U256 {
    // No product of these types exceeds 2^127: exact.
    let scheduled = i128::from(ideal_time) * (i128::from(height_delta) + 1);
    // Where this saturates, the exponent still means 2^47 doublings or halvings: the easiest or the
    // hardest target.
    let late = time_delta.saturating_sub(scheduled).saturating_mul(1 << RADIX_BITS);
    let exponent = late / i128::from(half_life.max(1));
    let doublings = exponent >> RADIX_BITS;
    // The low 16 bits fit.
    let fraction = (exponent & 0xffff) as u64;
    // Below 2^64 by about 2^47 at the largest fraction, hence unsigned.
    let polynomial = 195_766_423_245_049 * fraction
        + 971_821_376 * fraction * fraction
        + 5_127 * fraction * fraction * fraction
        + (1 << 47);
    let factor = (1 << RADIX_BITS) + (polynomial >> 48);
    let scaled = anchor_target.max(U256::one()).full_mul(U256::from(factor));

    // The specification shifts by `doublings`, then right by 16; one shift drops the same bits.
    let shift = doublings - i128::from(RADIX_BITS);
    // At most 512 fits.
    let distance = shift.unsigned_abs().min(512) as usize;
    let next = if shift < 0 {
        scaled >> distance
    } else if scaled.bits() + distance > 256 {
        U512::MAX
    } else {
        scaled << distance
    };
    U256::try_from(next).unwrap_or(U256::MAX).clamp(U256::one(), max_target.max(U256::one()))
}

/// Computes the target of the block after `parent_number`.
///
/// # Consensus
/// [`asert`] anchored at the genesis block, whose parent is taken to be one block time older. So
/// the schedule puts block `n` at `genesis + n * block_time`: block 1 has the initial difficulty,
/// and a parent exactly on schedule hands it on. Each half-life of delay halves the difficulty,
/// down to the minimum, which is the largest target.
pub fn next_target(
    params: &ChainParams,
    parent_number: BlockNumber,
    parent_timestamp_ms: u64,
    genesis_timestamp_ms: u64,
) -> Target {
    let anchor_parent_ms = i128::from(genesis_timestamp_ms) - i128::from(params.block_time_ms);
    Target::new(asert(
        Difficulty(params.initial_difficulty).target().0,
        params.block_time_ms,
        params.half_life_ms,
        i128::from(parent_timestamp_ms) - anchor_parent_ms,
        i64::from(parent_number),
        Difficulty(params.minimum_difficulty).target().0,
    ))
}

/// Returns the target of a share: a microbatch of so many multiply-adds yields
/// [`SHARES_PER_MICROBATCH`] on average.
pub fn share_target(microbatch_macs: u64) -> Target {
    Difficulty(u128::from(microbatch_macs / SHARES_PER_MICROBATCH)).target()
}

/// Returns what the first hash of a ticket must stay below, as a little-endian number: `8 * target
/// * (1024 * k)` for a tile of contraction length `k`, at most 2^256 - 1.
///
/// With [`second_half_wins`] a tile of `1024 * k` multiply-adds wins with probability `1024 * k /
/// difficulty`. Below a difficulty of `8 * 1024 * k` the bound saturates and a tile wins one time
/// in eight.
pub fn ticket_threshold(target: Target, k: u32) -> [u8; 32] {
    // Below 2^45.
    let tile = U256::from(SECOND_HASH_ODDS * TILE_MACS_PER_K * u64::from(k));
    target.0.saturating_mul(tile).to_little_endian()
}

/// Tells whether a ticket's first hash `t0`, before the gradient is known, is below its
/// [`ticket_threshold`].
pub fn first_half_wins(t0: &[u8; 32], threshold: &[u8; 32]) -> bool {
    t0.iter().rev().lt(threshold.iter().rev())
}

/// Tells whether a ticket's second hash `t1`, which includes the leaf hash, is below 2^253 as a
/// little-endian number.
pub fn second_half_wins(t1: &[u8; 32]) -> bool {
    t1[31] < 1 << 5
}
