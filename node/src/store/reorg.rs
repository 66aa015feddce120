//! Moving the best chain: its numbers and the flat state follow the best block.

use codec::Encode;

use super::StoreError;
use super::columns::{Column, keys};
use super::database::Transaction;
use super::read::Read;
use super::records::{BlockRef, Journal, Route, Undo};

/// Makes a stored block the best one.
///
/// Blocks below the finalized one have neither journal nor undo record; the caller has checked that
/// the block descends from it, as the best one does.
pub(super) fn switch(batch: &mut Transaction<'_>, to: BlockRef) -> Result<Route, StoreError> {
    let route = route(batch, batch.best()?, to)?;
    for block in &route.retracted {
        retract(batch, *block)?;
    }
    for block in &route.enacted {
        enact(batch, *block)?;
    }
    batch.put(Column::Chain, keys::BEST, to.encode());
    Ok(route)
}

/// The way between two blocks over their last common ancestor.
fn route(batch: &Transaction<'_>, from: BlockRef, to: BlockRef) -> Result<Route, StoreError> {
    let (mut old, mut new) = (from, to);
    let mut route = Route::default();
    while old != new {
        // The higher of the two steps back; at the same height, both do.
        let (old_number, new_number) = (old.number, new.number);
        if old_number >= new_number {
            route.retracted.push(old);
            old = parent(batch, old)?;
        }
        if new_number >= old_number {
            route.enacted.push(new);
            new = parent(batch, new)?;
        }
    }
    route.enacted.reverse();
    Ok(route)
}

fn parent(batch: &Transaction<'_>, block: BlockRef) -> Result<BlockRef, StoreError> {
    let rootless = || StoreError::corrupted(batch.path(), format!("block {} is on no common chain", block.hash));
    let number = block.number.checked_sub(1).ok_or_else(rootless)?;
    Ok(BlockRef { number, hash: batch.known_meta(&block.hash)?.parent })
}

fn retract(batch: &mut Transaction<'_>, block: BlockRef) -> Result<(), StoreError> {
    for (key, old) in batch.undo(&block.hash)? {
        batch.set(Column::Flat, key, old);
    }
    batch.delete(Column::Undo, block.hash.as_bytes());
    batch.delete(Column::Numbers, block.number.to_be_bytes());
    Ok(())
}

fn enact(batch: &mut Transaction<'_>, block: BlockRef) -> Result<(), StoreError> {
    let Journal { changes, .. } = batch.journal(&block.hash)?;
    let mut undo = Undo::with_capacity(changes.len());
    for (key, new) in changes {
        let old = batch.get(Column::Flat, &key)?;
        batch.set(Column::Flat, key.clone(), new);
        undo.push((key, old));
    }
    batch.put(Column::Undo, block.hash.as_bytes(), undo.encode());
    batch.put(Column::Numbers, block.number.to_be_bytes(), block.hash.encode());
    Ok(())
}
