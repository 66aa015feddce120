//! The chain as seen from one block, over the store: what consensus reads.

use std::collections::HashMap;
use std::sync::Arc;

use consensus_upow::checkpoint::from_parts;
use consensus_upow::difficulty::Work;
use consensus_upow::verify::{PreparedBlock, prepare_with_verdicts};
use consensus_upow::view::{ChainView, HeaderView, ViewError};
use consensus_upow::{Checkpoint, PreparedWeights};
use descent_runtime::trie::{self, NodeChanges};
use descent_runtime::{
    BlockNumber, ChainParams, Changes, H256, Header, ReceiptStatus, StateRead, Verdict, receipts_due, storage,
};

use super::{Chain, ImportError, with_digest};
use crate::store::{BlockMeta, StoreError, TrieState};

/// A view from a stored block.
pub struct StoreView<'a> {
    chain: &'a Chain,
    hash: H256,
    header: Header,
    meta: BlockMeta,
    state: TrieState<'a>,
    sidecars: HashMap<H256, Vec<u8>>,
}

fn backend(error: impl std::fmt::Display) -> ViewError {
    ViewError::Backend(error.to_string())
}

impl<'a> StoreView<'a> {
    pub(super) fn new(chain: &'a Chain, hash: H256) -> Result<Self, ImportError> {
        let (header, meta) = (chain.store.header(&hash)?, chain.store.meta(&hash)?);
        let (Some(header), Some(meta)) = (header, meta) else {
            return Err(ImportError::UnknownParent(hash));
        };
        let state = chain.store.state_at(header.state_root)?;
        Ok(Self { chain, hash, header, meta, state, sidecars: HashMap::new() })
    }

    /// Cumulative verified work of the block.
    pub fn work(&self) -> Work {
        Work(self.meta.facts.work)
    }

    /// Adds parts that the store doesn't have yet.
    pub fn add_sidecars(&mut self, parts: impl IntoIterator<Item = Vec<u8>>) {
        self.sidecars.extend(parts.into_iter().map(with_digest));
    }

    pub(super) fn into_sidecars(self) -> Vec<(H256, Vec<u8>)> {
        self.sidecars.into_iter().collect()
    }

    /// The hash of the ancestor of a number: by the canonical index as soon as this branch has joined it.
    fn ancestor_hash(&self, number: BlockNumber) -> Result<H256, StoreError> {
        let (mut hash, mut at) = (self.hash, self.header.number);
        let mut parent = self.header.parent_hash;
        while at > number {
            if self.chain.store.hash_at(at)? == Some(hash) {
                let found = self.chain.store.hash_at(number)?;
                // Read again: between the two the best chain may have moved to another branch.
                if let (Some(found), true) = (found, self.chain.store.hash_at(at)? == Some(hash)) {
                    return Ok(found);
                }
            }
            (hash, at) = (parent, at - 1);
            if at > number {
                parent = self.chain.store.meta(&hash)?.map_or(hash, |m| m.parent);
            }
        }
        Ok(hash)
    }

    /// Replays the step that made a checkpoint: its block's inputs, from the chain below it.
    fn replay(&self, root: &H256) -> Result<Arc<Checkpoint>, ViewError> {
        let missing = ViewError::Missing { what: "checkpoint", hash: *root };
        let current = storage::CURRENT_ROUND.get(&self.state).map_err(backend)?;
        let mut made = None;
        for round in (1..=current).rev() {
            let info = storage::ROUNDS.get(&self.state, &round).map_err(backend)?.ok_or(missing.clone())?;
            if info.checkpoint_root == *root {
                // A skipped step keeps its root: the earliest round with it is the one that made it.
                made = Some(info.start_block);
            } else if made.is_some() {
                break;
            }
        }
        let block = made.ok_or(missing.clone())?;
        let (hash, parent) = (self.ancestor_hash(block), self.ancestor_hash(block - 1));
        let (hash, parent) = (hash.map_err(backend)?, parent.map_err(backend)?);
        let view = Self::new(self.chain, parent).map_err(backend)?;
        let after = Self::new(self.chain, hash).map_err(backend)?;
        // The block was verified when it came: its own state tells the verdicts, whose samples may need older weights.
        let due = receipts_due(view.params(), &view.state, block).map_err(backend)?;
        let mut verdicts = Vec::with_capacity(due.len());
        for record in due {
            let known = storage::RECEIPTS_AT.get_or_default(&after.state, &record.included_at).map_err(backend)?;
            let known = known.iter().find(|r| r.id == record.id).ok_or(missing.clone())?;
            verdicts.push(Verdict { receipt: record.id, valid: known.status == ReceiptStatus::Valid });
        }
        let prepared = prepare_with_verdicts(&self.chain.engine, &view, verdicts).map_err(backend)?;
        let made = prepared.inputs.step.map(|s| s.checkpoint_root);
        match (prepared.checkpoint, made) {
            (Some(checkpoint), Some(got)) if got == *root => Ok(checkpoint),
            _ => Err(missing),
        }
    }
}

impl HeaderView for StoreView<'_> {
    fn params(&self) -> &ChainParams {
        &self.chain.spec.params
    }

    fn parent_hash(&self) -> H256 {
        self.hash
    }

    fn parent(&self) -> &Header {
        &self.header
    }

    fn ancestor(&self, number: BlockNumber) -> Result<(H256, Header), ViewError> {
        let hash = self.ancestor_hash(number).map_err(backend)?;
        let header = self.chain.store.header(&hash).map_err(backend)?;
        let header = header.filter(|h| h.number == number).ok_or(ViewError::Missing { what: "ancestor", hash })?;
        Ok((hash, header))
    }
}

impl ChainView for StoreView<'_> {
    fn genesis_hash(&self) -> H256 {
        self.chain.genesis_hash
    }

    fn state(&self) -> &dyn StateRead {
        &self.state
    }

    fn sidecar(&self, digest: &H256) -> Result<Option<Vec<u8>>, ViewError> {
        match self.sidecars.get(digest) {
            Some(part) => Ok(Some(part.clone())),
            None => self.chain.store.sidecar(digest).map_err(backend),
        }
    }

    fn checkpoint(&self, root: &H256) -> Result<Arc<Checkpoint>, ViewError> {
        if let Some(checkpoint) = self.chain.caches.checkpoint(root) {
            return Ok(checkpoint);
        }
        let store = &self.chain.store;
        let checkpoint = if store.checkpoint(root).map_err(backend)?.is_some() {
            let mut failed = None;
            let part = |n| {
                store.checkpoint_part(root, n).unwrap_or_else(|e| {
                    failed = Some(e);
                    None
                })
            };
            let read = from_parts(self.chain.engine.task().model(), *root, part);
            if let Some(error) = failed {
                return Err(backend(error));
            }
            Arc::new(read.map_err(backend)?)
        } else if *root == self.chain.genesis_root {
            Arc::new(consensus_upow::genesis::initial_checkpoint(&self.chain.engine))
        } else {
            self.replay(root)?
        };
        self.chain.caches.put_checkpoint(*root, checkpoint.clone());
        Ok(checkpoint)
    }

    fn weights(&self, root: &H256) -> Result<Arc<PreparedWeights>, ViewError> {
        if let Some(weights) = self.chain.caches.weights(root) {
            return Ok(weights);
        }
        let checkpoint = self.checkpoint(root)?;
        let engine = &self.chain.engine;
        let weights = PreparedWeights::new(engine.platform(), engine.task().model(), checkpoint.weights.clone());
        let weights = Arc::new(weights.map_err(backend)?);
        self.chain.caches.put_weights(*root, weights.clone());
        Ok(weights)
    }

    fn apply_changes(&self, changes: &Changes) -> Result<(H256, NodeChanges), ViewError> {
        trie::apply_changes(self.state.backend(), self.header.state_root, changes).map_err(backend)
    }

    fn known_preparation(&self) -> Option<PreparedBlock> {
        self.chain.caches.prepared(&self.hash)
    }

    fn remember_preparation(&self, prepared: &PreparedBlock) {
        self.chain.caches.put_prepared(self.hash, prepared.clone());
    }

    fn known_verdict(&self, coin: &H256) -> Option<bool> {
        self.chain.caches.verdict(coin)
    }

    fn remember_verdict(&self, coin: &H256, valid: bool) {
        self.chain.caches.put_verdict(*coin, valid);
    }
}
