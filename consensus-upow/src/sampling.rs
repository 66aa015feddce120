//! Sampling after commitment: which indices of a receipt are recomputed, and what one mismatch says.

use std::collections::BTreeSet;

use descent_runtime::{AccountId, H256, ReceiptSummary};
use ml_kernels::error::KernelError;
use ml_kernels::lattice::LeafHash;

use crate::attempt::derive;
use crate::engine::{Engine, RoundContext};
use crate::receipt::ReceiptDetails;
use crate::ticket::{TileId, first_half, second_half, second_hash};

/// Claims drawn for each receipt.
pub const SAMPLED_CLAIMS: usize = 2;

/// The coin: `H("descent/sample", receipt id, ticket of the block after the inclusion)`. It comes after publication.
pub fn coin(receipt: &H256, next_ticket: &H256) -> H256 {
    H256(derive("descent/sample v1", &(receipt, next_ticket)))
}

/// Draws two claims uniformly from all claims and one index uniformly; returns the offsets to recompute.
pub fn sampled_offsets(coin: &H256, summary: &ReceiptSummary, details: &ReceiptDetails) -> BTreeSet<u16> {
    let mut output = blake3::Hasher::new_derive_key("descent/sample/draw v1").update(coin.as_bytes()).finalize_xof();
    let mut draw = |n: u64| {
        // Words at or beyond the largest multiple of n are drawn again: no modulo bias.
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let mut word = [0; 8];
            output.fill(&mut word);
            let word = u64::from_le_bytes(word);
            if word < limit {
                return word % n;
            }
        }
    };
    let mut offsets = BTreeSet::new();
    if !details.claims.is_empty() {
        for _ in 0..SAMPLED_CLAIMS {
            offsets.insert(details.claims[draw(details.claims.len() as u64) as usize].offset);
        }
    }
    if summary.count > 0 {
        // Counts are at most 256.
        offsets.insert(draw(summary.count.into()) as u16);
    }
    offsets
}

/// What was false about a receipt's index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleMismatch {
    /// The leaf hash.
    #[error("leaf hash of index {index} is false")]
    Leaf {
        /// The index.
        index: u32,
    },
    /// The loss.
    #[error("loss of index {index} is {got}, expected {expected}")]
    Loss {
        /// The index.
        index: u32,
        /// Claimed.
        got: u32,
        /// Recomputed.
        expected: u32,
    },
    /// A share claim: the tile draws no share.
    #[error("share claim of index {index} at {tile:?} is false")]
    Claim {
        /// The index.
        index: u32,
        /// The tile.
        tile: TileId,
    },
}

/// Recomputes one index of a checked receipt with all its claims.
///
/// # Errors
/// [`KernelError`] if the context is another model's; a caller's mistake. The inner result is the finding.
pub fn index_is_honest(
    engine: &Engine,
    context: &RoundContext,
    account: &AccountId,
    summary: &ReceiptSummary,
    details: &ReceiptDetails,
    offset: u16,
) -> Result<Result<(), SampleMismatch>, KernelError> {
    let index = summary.start.saturating_add(offset.into());
    let tiles: Vec<TileId> = details.claims.iter().filter(|c| c.offset == offset).map(|c| c.tile).collect();
    let at = usize::from(offset);
    // A checked receipt has a record and a template for each offset below its count.
    let (Some(record), Some(sigma)) = (details.indices.get(at), details.sigma(at)) else {
        return Ok(Err(SampleMismatch::Leaf { index }));
    };
    let attempt = context.attempt(account, summary.lane, index, sigma);
    let recomputed = engine.recompute(context, &attempt, &tiles)?;
    if LeafHash::from_bytes(&record.leaf).as_ref() != Ok(&recomputed.leaf) {
        return Ok(Err(SampleMismatch::Leaf { index }));
    }
    if record.loss != recomputed.output.loss {
        return Ok(Err(SampleMismatch::Loss { index, got: record.loss, expected: recomputed.output.loss }));
    }
    let leaf = H256(recomputed.leaf.digest());
    for (tile, drawn) in tiles.into_iter().zip(recomputed.tiles) {
        // The receipt's check made sure that the tile exists.
        let wins = tile.product(engine.task().model()).is_ok_and(|(_, dims)| {
            first_half(&drawn.t0, engine.task().share_target(), dims) && second_half(&second_hash(&drawn.t0, &leaf))
        });
        if !wins {
            return Ok(Err(SampleMismatch::Claim { index, tile }));
        }
    }
    Ok(Ok(()))
}

/// The verdict on a receipt: all sampled indices, stopping at the first mismatch.
///
/// # Errors
/// As [`index_is_honest`].
pub fn receipt_verdict(
    engine: &Engine,
    context: &RoundContext,
    account: &AccountId,
    summary: &ReceiptSummary,
    details: &ReceiptDetails,
    coin: &H256,
) -> Result<Result<(), SampleMismatch>, KernelError> {
    for offset in sampled_offsets(coin, summary, details) {
        let finding = index_is_honest(engine, context, account, summary, details, offset)?;
        if finding.is_err() {
            return Ok(finding);
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests;
