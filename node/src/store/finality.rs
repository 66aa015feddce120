//! Finality by depth, and the pruning of states that follows it.

use codec::Encode;
use descent_runtime::H256;

use super::columns::{Column, hash_key, height_key, keys};
use super::database::Transaction;
use super::read::Read;
use super::records::BlockRef;
use super::{StatePruning, StoreError, StoreOptions, refs, retention};

/// How many heights one commit prunes at most: more are due only after the window was made smaller.
const PRUNED_PER_COMMIT: u32 = 64;

/// Moves finality and the oldest kept state after the best block, never back.
pub(super) fn advance(batch: &mut Transaction<'_>, options: &StoreOptions) -> Result<(), StoreError> {
    let best = batch.best()?;
    let mut finalized = batch.finalized()?;
    let number = best.number.saturating_sub(options.finality_depth);
    if number > finalized.number {
        finalized = BlockRef { number, hash: batch.known_hash_at(number)? };
        batch.put(Column::Chain, keys::FINALIZED, finalized.encode());
        drop_dead_leaves(batch, finalized)?;
    }
    // An archive keeps every final state, but neither the means to leave it nor abandoned forks.
    let oldest = match options.state_pruning {
        StatePruning::Archive => finalized.number,
        StatePruning::Blocks(window) => finalized.number.min(best.number.saturating_sub(window)),
    };
    let mut pruned = batch.expect::<u32>(Column::Chain, keys::PRUNED)?;
    for _ in 0..PRUNED_PER_COMMIT {
        if pruned >= oldest {
            break;
        }
        pruned += 1;
        prune_height(batch, pruned, options.state_pruning)?;
        batch.put(Column::Chain, keys::PRUNED, pruned.encode());
    }
    Ok(())
}

/// Leaves beside the finalized chain will never get a child.
fn drop_dead_leaves(batch: &mut Transaction<'_>, finalized: BlockRef) -> Result<(), StoreError> {
    for leaf in batch.leaves()? {
        if !batch.descends_from(leaf, finalized)? {
            batch.delete(Column::Leaves, leaf.hash.as_bytes());
        }
    }
    Ok(())
}

/// Makes the final block at a height the oldest with a state, and forgets all forks below it.
fn prune_height(batch: &mut Transaction<'_>, number: u32, pruning: StatePruning) -> Result<(), StoreError> {
    let kept = batch.known_hash_at(number)?;
    let journal = batch.journal(&kept)?;
    if pruning != StatePruning::Archive {
        for key in journal.removed {
            refs::release(batch, key)?;
        }
    }
    batch.delete(Column::Journal, kept.as_bytes());
    batch.delete(Column::Undo, kept.as_bytes());
    // Forks that branch off lower went with lower heights, so these hang on the final chain.
    for hash in batch.hashes(Column::Heights, &number.to_be_bytes())? {
        if hash != kept {
            discard(batch, BlockRef { number, hash })?;
        }
    }
    Ok(())
}

/// Forgets a block beside the final chain, with all its descendants.
fn discard(batch: &mut Transaction<'_>, root: BlockRef) -> Result<(), StoreError> {
    let mut doomed = vec![root];
    while let Some(BlockRef { number, hash }) = doomed.pop() {
        for child in batch.children(&hash)? {
            doomed.push(BlockRef { number: number + 1, hash: child });
        }
        for key in batch.journal(&hash)?.inserted {
            refs::release(batch, key)?;
        }
        let meta = batch.known_meta(&hash)?;
        retention::release_sidecars(batch, &hash, &meta.facts)?;
        forget(batch, number, &hash, &meta.parent);
    }
    Ok(())
}

fn forget(batch: &mut Transaction<'_>, number: u32, hash: &H256, parent: &H256) {
    for column in [Column::Headers, Column::Bodies, Column::Meta, Column::Journal, Column::Undo, Column::Leaves] {
        batch.delete(column, hash.as_bytes());
    }
    batch.delete(Column::Heights, height_key(number, hash));
    batch.delete(Column::Children, hash_key(parent, hash.as_bytes()));
}
