//! Which trie nodes may go: a count per node of who needs it.
//!
//! The oldest kept state of the best chain is the base. A node's count is one if the base has it,
//! plus one for each unpruned block that inserted it. That is exact: a block's insertions are not
//! in its parent's state, so as the base moves on to a block, that block's insertions pass from its
//! journal to the base, its removals leave the base, and those of discarded blocks just go. Nearly
//! every node counts one, hence only references beyond the first are written down.

use codec::Encode;

use super::StoreError;
use super::columns::Column;
use super::database::Transaction;
use super::read::Read;

/// Adds a reference to a node, and the node if it is not there.
pub(super) fn retain(batch: &mut Transaction<'_>, key: Vec<u8>, node: Vec<u8>) -> Result<(), StoreError> {
    if !batch.has(Column::Nodes, &key)? {
        batch.put(Column::Nodes, key, node);
        return Ok(());
    }
    let more = batch.decode::<u32>(Column::NodeRefs, &key)?.unwrap_or(0);
    batch.put(Column::NodeRefs, key, more.saturating_add(1).encode());
    Ok(())
}

/// Takes a reference away, and the node with the last one.
pub(super) fn release(batch: &mut Transaction<'_>, key: Vec<u8>) -> Result<(), StoreError> {
    match batch.decode::<u32>(Column::NodeRefs, &key)? {
        None | Some(0) => {
            if !batch.has(Column::Nodes, &key)? {
                let cause = format!("trie node 0x{} is missing", hex::encode(key));
                return Err(StoreError::corrupted(batch.path(), cause));
            }
            batch.delete(Column::Nodes, key);
        }
        Some(1) => batch.delete(Column::NodeRefs, key),
        Some(more) => batch.put(Column::NodeRefs, key, (more - 1).encode()),
    }
    Ok(())
}
