//! The node's database: blocks, states, model checkpoints and what receipts carry beside blocks.
//!
//! Everything is in one RocksDB folder, and every import is one synced batch: after a crash, a block
//! is there with everything that belongs to it, or not at all, and whatever was reported as stored
//! is stored.
//!
//! Layout:
//!
//! - `records`: what is stored; `columns`: where; `error`: what can go wrong;
//! - `database` and `read`: snapshots and transactions over RocksDB, typed reading;
//! - `open`: telling an own database from anything else, and making a new one;
//! - `commit`, `reorg`, `finality`: an import, from its checks to what it prunes;
//! - `refs`: when a trie node may go; `retention`: when checkpoints and sidecars do;
//! - `state`: reading state.
//!
//! # Choices
//!
//! **State twice.** Trie nodes under their path and hash let the states of all forks lie side by
//! side; a flat copy of the best block's state makes the reads of execution and wallets one look-up.
//! The flat copy moves along a reorganisation by undo records and the enacted blocks' own changes.
//!
//! **Finality is a depth** below the best block. It never moves back, a block that does not descend
//! from the finalized one is refused, and forks left behind are forgotten with everything they have.
//!
//! **The disk is the only truth.** Nothing of the chain is kept in memory between calls, so a write
//! that fails leaves nothing to repair.

mod columns;
mod commit;
mod database;
mod error;
mod finality;
mod open;
mod read;
mod records;
mod refs;
mod reorg;
mod retention;
mod state;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use descent_runtime::{H256, Header};

use columns::{Column, keys};
use database::Database;
use read::Read;

pub use error::StoreError;
pub use records::{BlockFacts, BlockMeta, BlockRef, CheckpointParts, GenesisRecord, ImportCommit, Route, StoredBody};
pub use retention::{Pruned, Retention};
pub use state::{FlatState, TrieBackend, TrieState};

/// How many states behind the best block are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePruning {
    /// So many, or down to the finalized block if that is older.
    Blocks(u32),
    /// All of the final chain. States pruned before do not come back.
    Archive,
}

impl Default for StatePruning {
    fn default() -> Self {
        Self::Blocks(256)
    }
}

/// Settings that may differ each time a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// A block of the best chain with so many blocks above it is final.
    pub finality_depth: u32,
    /// How long states are kept.
    pub state_pruning: StatePruning,
}

/// The open database of one chain.
///
/// Reads may run from any thread at any time; each is of one moment. Writers wait for each other.
pub struct Store {
    database: Database,
    options: StoreOptions,
    /// Held while a transaction reads and writes.
    writer: Mutex<()>,
}

impl Store {
    /// Opens a chain's database; makes it where the folder is absent or empty.
    ///
    /// # Errors
    ///
    /// What is in the folder instead, or why it can't be used. The folder is then as it was.
    pub fn open(path: &Path, genesis: &GenesisRecord, options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self { database: open::open(path, genesis)?, options, writer: Mutex::new(()) })
    }

    /// Stores a block; where it is the new best one, moves the best chain, finality and pruning.
    ///
    /// # Errors
    ///
    /// The rule that the block breaks, or the failure of the disk; nothing is changed then, and the
    /// same block may be committed again.
    pub fn commit(&self, import: ImportCommit) -> Result<Route, StoreError> {
        let _writer = self.lock();
        commit::commit(&self.database, &self.options, import)
    }

    /// Removes checkpoints and sidecars that the policy no longer keeps; best called once a round.
    ///
    /// Whatever a fork above the finalized block may need stays under any policy.
    ///
    /// # Errors
    ///
    /// When the database fails; nothing is removed then.
    pub fn prune(&self, policy: &Retention) -> Result<Pruned, StoreError> {
        let _writer = self.lock();
        retention::prune(&self.database, policy)
    }

    /// The lock guards no data, so a panic under it has broken nothing.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reading.
///
/// Every method fails when the database does: [`StoreError::Io`], or [`StoreError::Corrupted`] when
/// a record is damaged or one that must be there is missing.
#[allow(clippy::missing_errors_doc)]
impl Store {
    /// A block's header.
    pub fn header(&self, hash: &H256) -> Result<Option<Header>, StoreError> {
        self.database.header(hash)
    }

    /// A block's extrinsics and witness.
    pub fn body(&self, hash: &H256) -> Result<Option<StoredBody>, StoreError> {
        self.database.body(hash)
    }

    /// A block in short.
    pub fn meta(&self, hash: &H256) -> Result<Option<BlockMeta>, StoreError> {
        self.database.meta(hash)
    }

    /// Hash of the best chain's block with this number.
    pub fn hash_at(&self, number: u32) -> Result<Option<H256>, StoreError> {
        self.database.hash_at(number)
    }

    /// The best block.
    pub fn best(&self) -> Result<BlockRef, StoreError> {
        self.database.best()
    }

    /// The newest final block.
    pub fn finalized(&self) -> Result<BlockRef, StoreError> {
        self.database.finalized()
    }

    /// Number of the oldest block of the best chain whose state is kept.
    pub fn oldest_state(&self) -> Result<u32, StoreError> {
        self.database.expect(Column::Chain, keys::PRUNED)
    }

    /// Blocks without children that may still get one.
    pub fn leaves(&self) -> Result<Vec<BlockRef>, StoreError> {
        self.database.snapshot().leaves()
    }

    /// A block's children, in no particular order.
    pub fn children(&self, hash: &H256) -> Result<Vec<H256>, StoreError> {
        self.database.children(hash)
    }

    /// Receipt details or a gradient blob, by digest.
    pub fn sidecar(&self, digest: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.sidecar(digest)
    }

    /// Whether a sidecar is stored.
    pub fn has_sidecar(&self, digest: &H256) -> Result<bool, StoreError> {
        self.database.has(Column::Sidecars, digest.as_bytes())
    }

    /// A stored checkpoint's part numbers, ascending; nothing for a checkpoint that is not stored.
    pub fn checkpoint(&self, root: &H256) -> Result<Option<Vec<u32>>, StoreError> {
        self.database.checkpoint(root)
    }

    /// One part of a checkpoint; nothing if it is not stored, or has no such part.
    pub fn checkpoint_part(&self, root: &H256, part: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let view = self.database.snapshot();
        match view.checkpoint(root)? {
            Some(parts) if parts.contains(&part) => view.checkpoint_part(root, part).map(Some),
            _ => Ok(None),
        }
    }

    /// Number of the oldest block that can be executed again: the checkpoint in its parent's
    /// post-state is stored (that of genesis counts), and the sidecars from a round before it on.
    pub fn oldest_replayable(&self) -> Result<u32, StoreError> {
        self.database.expect(Column::Chain, keys::REPLAYABLE)
    }

    /// State of the best block, from the flat copy.
    pub fn best_state(&self) -> Result<FlatState<'_>, StoreError> {
        FlatState::new(self.database.snapshot())
    }

    /// Any kept state; [`StoreError::UnknownState`] if no stored block has it, or it was pruned.
    pub fn state_at(&self, root: H256) -> Result<TrieState<'_>, StoreError> {
        TrieState::new(self.database.snapshot(), root)
    }

    /// Trie nodes of all kept states.
    pub fn trie_backend(&self) -> TrieBackend<'_> {
        TrieBackend::new(self.database.snapshot())
    }
}
