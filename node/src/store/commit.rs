//! Storing a block: one transaction from its header to the pruning that it sets off.

use std::collections::BTreeSet;

use codec::Encode;
use descent_runtime::trie::NodeChanges;
use descent_runtime::{Changes, H256, Header, header_hash};

use super::columns::{Column, hash_key, height_key, keys};
use super::database::{Database, Transaction};
use super::read::Read;
use super::records::{BlockFacts, BlockMeta, BlockRef, CheckpointParts, ImportCommit, Journal, Route, StoredBody};
use super::{StoreError, StoreOptions, finality, refs, reorg};

/// Checks a block against the stored ones and writes it.
pub(super) fn commit(database: &Database, options: &StoreOptions, import: ImportCommit) -> Result<Route, StoreError> {
    let mut transaction = database.transaction();
    let batch = &mut transaction;
    let ImportCommit { header, body, facts, trie, changes, sidecars, checkpoint, new_best } = import;
    let block = BlockRef { number: header.number, hash: header_hash(&header) };
    place_is_valid(batch, block, header.parent_hash)?;
    let import_order = batch.expect::<u64>(Column::Chain, keys::IMPORTS)?;
    batch.put(Column::Chain, keys::IMPORTS, (import_order + 1).encode());
    put_sidecars(batch, &block.hash, &facts, sidecars)?;
    if let Some((root, parts)) = checkpoint {
        if root != facts.checkpoint_root {
            return Err(StoreError::WrongCheckpoint { hash: block.hash, got: root, expected: facts.checkpoint_root });
        }
        put_checkpoint(batch, &root, parts)?;
    }
    let (number, parent, state_root) = (header.number, header.parent_hash, header.state_root);
    let meta = BlockMeta { number, parent, state_root, facts, import_order };
    put_block(batch, block, &header, &body, &meta);
    put_state(batch, &block.hash, trie, changes)?;
    let mut route = Route::default();
    if new_best {
        route = reorg::switch(batch, block)?;
        finality::advance(batch, options)?;
    }
    transaction.commit()?;
    Ok(route)
}

/// The block is new, follows a stored parent and descends from the finalized block.
fn place_is_valid(batch: &Transaction<'_>, block: BlockRef, parent: H256) -> Result<(), StoreError> {
    let BlockRef { number, hash } = block;
    if batch.meta(&hash)?.is_some() {
        return Err(StoreError::KnownBlock { hash });
    }
    let Some(meta) = batch.meta(&parent)? else {
        return Err(StoreError::UnknownParent { hash, parent });
    };
    // No child fits a parent at the last number there is.
    let expected = meta.number.saturating_add(1);
    if number != expected || number == meta.number {
        return Err(StoreError::WrongNumber { hash, got: number, expected });
    }
    let finalized = batch.finalized()?;
    if !batch.descends_from(BlockRef { number: meta.number, hash: parent }, finalized)? {
        let BlockRef { number: finalized, hash: finalized_hash } = finalized;
        return Err(StoreError::BelowFinalized { hash, number, finalized_hash, finalized });
    }
    Ok(())
}

/// Writes a block's own records and makes it a leaf in its parent's place.
pub(super) fn put_block(
    batch: &mut Transaction<'_>,
    block: BlockRef,
    header: &Header,
    body: &StoredBody,
    meta: &BlockMeta,
) {
    let key = block.hash.as_bytes();
    batch.put(Column::Headers, key, header.encode());
    batch.put(Column::Bodies, key, body.encode());
    batch.put(Column::Meta, key, meta.encode());
    batch.put(Column::Heights, height_key(block.number, &block.hash), []);
    batch.put(Column::Children, hash_key(&meta.parent, key), []);
    batch.delete(Column::Leaves, meta.parent.as_bytes());
    batch.put(Column::Leaves, key, block.number.encode());
}

/// Writes what the block's receipts name, and notes that the block needs it.
fn put_sidecars(
    batch: &mut Transaction<'_>,
    hash: &H256,
    facts: &BlockFacts,
    sidecars: Vec<(H256, Vec<u8>)>,
) -> Result<(), StoreError> {
    let named: BTreeSet<H256> = facts.sidecars().collect();
    for (digest, bytes) in sidecars {
        if !named.contains(&digest) {
            return Err(StoreError::UnreferencedSidecar { hash: *hash, digest });
        }
        batch.put(Column::Sidecars, digest.as_bytes(), bytes);
    }
    for digest in named {
        if !batch.has(Column::Sidecars, digest.as_bytes())? {
            return Err(StoreError::MissingSidecar { hash: *hash, digest });
        }
        batch.put(Column::SidecarRefs, hash_key(&digest, hash.as_bytes()), []);
    }
    Ok(())
}

fn put_checkpoint(batch: &mut Transaction<'_>, root: &H256, parts: CheckpointParts) -> Result<(), StoreError> {
    // A fork may have made the same one; it is big, and the same root means the same bytes.
    if batch.has(Column::Checkpoints, root.as_bytes())? {
        return Ok(());
    }
    let numbers: BTreeSet<u32> = parts.iter().map(|(number, _)| *number).collect();
    batch.put(Column::Checkpoints, root.as_bytes(), numbers.into_iter().collect::<Vec<u32>>().encode());
    for (number, bytes) in parts {
        batch.put(Column::CheckpointParts, hash_key(root, &number.to_be_bytes()), bytes);
    }
    Ok(())
}

/// Writes the block's trie nodes, and the journal that enacts and prunes it later.
fn put_state(batch: &mut Transaction<'_>, hash: &H256, trie: NodeChanges, changes: Changes) -> Result<(), StoreError> {
    let journal = Journal {
        inserted: trie.inserted.keys().cloned().collect(),
        removed: trie.removed.into_iter().collect(),
        changes: changes.into_iter().collect(),
    };
    batch.put(Column::Journal, hash.as_bytes(), journal.encode());
    for (key, node) in trie.inserted {
        refs::retain(batch, key, node)?;
    }
    Ok(())
}
