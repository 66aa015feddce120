//! What verification reads of the chain below a block. The node's storage implements it, and so do tests.

use std::sync::Arc;

use descent_runtime::trie::NodeChanges;
use descent_runtime::{BlockNumber, ChainParams, Changes, H256, Header, StateRead, pre_digest, storage};
use ml_kernels::optimizer::Checkpoint;
use ml_kernels::weights::PreparedWeights;

use crate::difficulty::{Target, next_target};
use crate::engine::RoundContext;
use crate::timestamp::{MEDIAN_TIME_BLOCKS, median_time_past};
use crate::verify::{BlockError, PreparedBlock};

/// Data that could not be read. Says nothing about the block being checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The backend failed; the text is its own.
    #[error("chain data: {0}")]
    Backend(String),
    /// Something that every complete node has at this height is not there.
    #[error("chain data: {what} {hash} is missing")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        hash: H256,
    },
}

/// The headers below a block that is checked: all that its header's own rules read.
pub trait HeaderView {
    /// The chain's parameters.
    fn params(&self) -> &ChainParams;
    /// Hash of the parent block.
    fn parent_hash(&self) -> H256;
    /// The parent's header, sealed.
    fn parent(&self) -> &Header;
    /// Hash and sealed header of the ancestor of this number, the parent included.
    ///
    /// # Errors
    /// [`ViewError`] if there is none or it can't be read.
    fn ancestor(&self, number: BlockNumber) -> Result<(H256, Header), ViewError>;
}

/// The chain as seen from a parent block: its ancestors, its state, and what travels beside blocks.
pub trait ChainView: HeaderView {
    /// Hash of the genesis block.
    fn genesis_hash(&self) -> H256;
    /// State after the parent.
    fn state(&self) -> &dyn StateRead;
    /// A part that travels beside blocks, by its digest.
    ///
    /// # Errors
    /// [`ViewError`] if it can't be read.
    fn sidecar(&self, digest: &H256) -> Result<Option<Vec<u8>>, ViewError>;
    /// The checkpoint of a round that this chain has reached.
    ///
    /// # Errors
    /// [`ViewError`] if it can't be had.
    fn checkpoint(&self, root: &H256) -> Result<Arc<Checkpoint>, ViewError>;
    /// Its weights, quantized.
    ///
    /// # Errors
    /// [`ViewError`] if they can't be had.
    fn weights(&self, root: &H256) -> Result<Arc<PreparedWeights>, ViewError>;
    /// Root of the state trie after changes, and the nodes that they insert and remove.
    ///
    /// # Errors
    /// [`ViewError`] if the trie can't be read.
    fn apply_changes(&self, changes: &Changes) -> Result<(H256, NodeChanges), ViewError>;
    /// The next block's inputs, if they were computed before: they follow from the parent alone.
    fn known_preparation(&self) -> Option<PreparedBlock> {
        None
    }
    /// Remembers the next block's inputs.
    fn remember_preparation(&self, _prepared: &PreparedBlock) {}
    /// A verdict that was found before: pure in the receipt and its coin, so it may be remembered.
    fn known_verdict(&self, _coin: &H256) -> Option<bool> {
        None
    }
    /// Remembers a verdict.
    fn remember_verdict(&self, _coin: &H256, _valid: bool) {}
}

/// Time of a header; the genesis block has none.
fn timestamp(header: &Header) -> Option<u64> {
    pre_digest(header).ok().map(|pre| pre.timestamp_ms)
}

/// Rule `target_follows_schedule`: the target of the next block.
///
/// ASERT's anchor is block 1, taken to be on schedule: a chain whose genesis was written long before its first block
/// would otherwise start years late.
///
/// # Errors
/// [`ViewError`].
pub fn target_of_next(view: &dyn HeaderView) -> Result<Target, ViewError> {
    let (params, parent) = (view.params(), view.parent());
    if parent.number == 0 {
        return Ok(next_target(params, 0, 0, 0));
    }
    let missing = |hash| ViewError::Missing { what: "time of block", hash };
    let (first_hash, first) = view.ancestor(1)?;
    let first = timestamp(&first).ok_or(missing(first_hash))?;
    let time = timestamp(parent).ok_or(missing(view.parent_hash()))?;
    // Block 1's own parent-time is one block time before it; times below that only make the schedule start at zero.
    let genesis = first.saturating_sub(params.block_time_ms);
    Ok(next_target(params, parent.number, time, genesis))
}

/// The median time past of the parent; for the genesis block the chain's announced start.
///
/// # Errors
/// [`ViewError`].
pub fn median_time(view: &dyn HeaderView) -> Result<u64, ViewError> {
    let parent = view.parent().number;
    // Eleven at most.
    let oldest = parent.saturating_sub(MEDIAN_TIME_BLOCKS as u32 - 1).max(1);
    let times =
        (oldest..=parent).rev().map(|n| Ok(timestamp(&view.ancestor(n)?.1))).collect::<Result<Vec<_>, ViewError>>()?;
    Ok(median_time_past(times.into_iter().flatten()).unwrap_or(view.params().genesis_ms))
}

/// What attempts of a round share, for a round that this chain has reached.
///
/// # Errors
/// [`BlockError`] if the state lacks the round or data can't be had.
pub fn round_context(view: &dyn ChainView, round: u32) -> Result<RoundContext, BlockError> {
    let info = storage::ROUNDS.get(view.state(), &round)?.ok_or(BlockError::UnknownRound { round })?;
    let beacon = view.ancestor(info.start_block)?.0;
    let weights = view.weights(&info.checkpoint_root)?;
    Ok(RoundContext::new(round, beacon, &info.checkpoint_root, info.exponents, weights))
}

#[cfg(test)]
mod tests;
