//! The rules of a receipt at inclusion. What it contains is consensus's business; here are its
//! sizes, its range and its time.

use crate::params::ChainParams;
use crate::state::{Overlay, StateError, StateRead};
use crate::storage;
use crate::types::{AccountId, Balance, BlockNumber};

use super::{ReceiptRecord, ReceiptStatus, ReceiptSummary};

/// Most microbatches in a receipt: the leaf hash's security estimate counts on it.
pub const MAX_RECEIPT_COUNT: u32 = 256;
/// Most share claims of a microbatch.
pub const MAX_SHARES_PER_INDEX: u32 = 32;

/// A receipt that can't be included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// A receipt covers at least one microbatch, and not too many.
    #[error("receipt covers {got} microbatches, expected 1 to {limit}")]
    Count {
        /// Given microbatches.
        got: u32,
        /// Most microbatches.
        limit: u32,
    },
    /// The number of claims is limited for each microbatch.
    #[error("receipt claims {got} shares, expected at most {limit}")]
    Shares {
        /// Given claims.
        got: u32,
        /// Most claims.
        limit: u32,
    },
    /// A microbatch has tokens.
    #[error("receipt has 0 tokens, expected at least 1")]
    Tokens,
    /// What travels beside the block is limited.
    #[error("receipt's details and gradient are {got} bytes, expected at most {limit}")]
    Size {
        /// Declared bytes.
        got: u64,
        /// Most bytes.
        limit: u32,
    },
    /// A receipt comes in its own round or in the next.
    #[error("receipt of round {got} in a block of round {current}")]
    Round {
        /// Given round.
        got: u32,
        /// Round of the block.
        current: u32,
    },
    /// Ranges follow each other without gaps, and never repeat.
    #[error("receipt starts at index {got}, expected {expected}")]
    Start {
        /// Given index.
        got: u32,
        /// Next index of the round, account and lane.
        expected: u32,
    },
    /// Indices are numbers of 32 bits.
    #[error("receipt's {count} indices from {start} overflow")]
    IndexOverflow {
        /// Given start.
        start: u32,
        /// Given count.
        count: u32,
    },
    /// One receipt of a round, account and lane in a block.
    #[error("second receipt of round {round} and lane {lane} of the account in this block")]
    Repeated {
        /// The round.
        round: u32,
        /// The lane.
        lane: u32,
    },
    /// Samples cost every node: a block has a budget.
    #[error("block has {limit} receipts already, the limit")]
    BlockFull {
        /// Most receipts in a block.
        limit: u32,
    },
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Checks everything about a receipt that depends on neither block nor state.
///
/// # Errors
///
/// The rule that the receipt breaks.
pub fn sizes_are_valid(params: &ChainParams, summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    count_is_valid(summary)?;
    shares_are_valid(summary)?;
    tokens_are_valid(summary)?;
    bytes_are_valid(params, summary)
}

/// Checks a receipt against the block that would include it, but not against that block's others.
///
/// # Errors
///
/// The rule that the receipt breaks.
pub fn receipt_is_valid(
    params: &ChainParams,
    state: &dyn StateRead,
    number: BlockNumber,
    account: &AccountId,
    summary: &ReceiptSummary,
) -> Result<(), ReceiptError> {
    sizes_are_valid(params, summary)?;
    round_is_open(params, number, summary)?;
    range_end(summary)?;
    start_is_next(state, account, summary)
}

/// Includes a receipt: checks it, also against the block's `earlier` receipts, and takes its range.
pub(crate) fn include(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    earlier: &[ReceiptRecord],
    account: &AccountId,
    summary: &ReceiptSummary,
    block: &Inclusion<'_>,
) -> Result<ReceiptRecord, ReceiptError> {
    block_has_room(params, earlier)?;
    is_first_of_lane(earlier, account, summary)?;
    receipt_is_valid(params, &*state, block.number, account, summary)?;
    let key = (summary.round, account.clone(), summary.lane);
    storage::NEXT_INDEX.put(state, &key, &range_end(summary)?);
    Ok(ReceiptRecord {
        id: summary.id(account),
        account: account.clone(),
        includer: block.includer.clone(),
        included_at: block.number,
        summary: summary.clone(),
        status: ReceiptStatus::Pending,
        fee: block.fee,
    })
}

/// The block that includes a receipt, and what the receipt will cost.
pub(crate) struct Inclusion<'a> {
    pub(crate) number: BlockNumber,
    pub(crate) includer: &'a AccountId,
    pub(crate) fee: Balance,
}

fn count_is_valid(summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let (got, limit) = (summary.count, MAX_RECEIPT_COUNT);
    if got == 0 || got > limit {
        return Err(ReceiptError::Count { got, limit });
    }
    Ok(())
}

fn shares_are_valid(summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let (got, limit) = (summary.shares, summary.count.saturating_mul(MAX_SHARES_PER_INDEX));
    if got > limit {
        return Err(ReceiptError::Shares { got, limit });
    }
    Ok(())
}

fn tokens_are_valid(summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    if summary.tokens == 0 {
        return Err(ReceiptError::Tokens);
    }
    Ok(())
}

fn bytes_are_valid(params: &ChainParams, summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let got = u64::from(summary.details_len) + u64::from(summary.blob_len);
    let limit = params.max_blob_bytes;
    if got > u64::from(limit) {
        return Err(ReceiptError::Size { got, limit });
    }
    Ok(())
}

fn round_is_open(params: &ChainParams, number: BlockNumber, summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let (got, current) = (summary.round, params.round_of(number));
    if got != current && got.checked_add(1) != Some(current) {
        return Err(ReceiptError::Round { got, current });
    }
    Ok(())
}

fn range_end(summary: &ReceiptSummary) -> Result<u32, ReceiptError> {
    let (start, count) = (summary.start, summary.count);
    start.checked_add(count).ok_or(ReceiptError::IndexOverflow { start, count })
}

fn start_is_next(state: &dyn StateRead, account: &AccountId, summary: &ReceiptSummary) -> Result<(), ReceiptError> {
    let key = (summary.round, account.clone(), summary.lane);
    let expected = storage::NEXT_INDEX.get_or_default(state, &key)?;
    let got = summary.start;
    if got != expected {
        return Err(ReceiptError::Start { got, expected });
    }
    Ok(())
}

fn is_first_of_lane(
    earlier: &[ReceiptRecord],
    account: &AccountId,
    summary: &ReceiptSummary,
) -> Result<(), ReceiptError> {
    let (round, lane) = (summary.round, summary.lane);
    let repeats = |record: &ReceiptRecord| {
        record.account == *account && record.summary.round == round && record.summary.lane == lane
    };
    if earlier.iter().any(repeats) {
        return Err(ReceiptError::Repeated { round, lane });
    }
    Ok(())
}

fn block_has_room(params: &ChainParams, earlier: &[ReceiptRecord]) -> Result<(), ReceiptError> {
    let limit = params.max_receipts_per_block;
    // A block's receipts are counted against this very limit: the length fits a u32.
    if earlier.len() as u64 >= u64::from(limit) {
        return Err(ReceiptError::BlockFull { limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
