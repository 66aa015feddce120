//! The memory chain as consensus reads it.

use std::sync::Arc;

use descent_runtime::trie::{self, NodeChanges, TrieError};
use descent_runtime::{BlockNumber, ChainParams, Changes, H256, Header, StateRead};
use ml_kernels::optimizer::Checkpoint;
use ml_kernels::weights::PreparedWeights;

use super::{State, TestChain};
use crate::view::{ChainView, HeaderView, ViewError};

/// [`TestChain`] from one block.
pub(crate) struct View<'a> {
    pub(super) chain: &'a TestChain,
    pub(super) parent: H256,
    pub(super) header: &'a Header,
    pub(super) state: State<'a>,
}

impl HeaderView for View<'_> {
    fn params(&self) -> &ChainParams {
        &self.chain.params
    }

    fn parent_hash(&self) -> H256 {
        self.parent
    }

    fn parent(&self) -> &Header {
        self.header
    }

    fn ancestor(&self, number: BlockNumber) -> Result<(H256, Header), ViewError> {
        let mut at = (self.parent, self.header);
        while at.1.number > number {
            let hash = at.1.parent_hash;
            let header = self.chain.headers.get(&hash).ok_or(ViewError::Missing { what: "header", hash })?;
            at = (hash, header);
        }
        if at.1.number == number {
            Ok((at.0, at.1.clone()))
        } else {
            Err(ViewError::Backend(format!("no block {number}")))
        }
    }
}

impl ChainView for View<'_> {
    fn genesis_hash(&self) -> H256 {
        self.chain.genesis
    }

    fn state(&self) -> &dyn StateRead {
        &self.state
    }

    fn sidecar(&self, digest: &H256) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.chain.sidecars.get(digest).cloned())
    }

    fn checkpoint(&self, root: &H256) -> Result<Arc<Checkpoint>, ViewError> {
        let missing = ViewError::Missing { what: "checkpoint", hash: *root };
        self.chain.checkpoints.get(root).cloned().ok_or(missing)
    }

    fn weights(&self, root: &H256) -> Result<Arc<PreparedWeights>, ViewError> {
        let mut known = self.chain.weights.lock().expect("no panic under the lock");
        if let Some(weights) = known.get(root) {
            return Ok(weights.clone());
        }
        let engine = &self.chain.engine;
        let weights = self.checkpoint(root)?.weights.clone();
        let weights = PreparedWeights::new(engine.platform(), engine.task().model(), weights);
        let weights = Arc::new(weights.map_err(|e| ViewError::Backend(e.to_string()))?);
        known.insert(*root, weights.clone());
        Ok(weights)
    }

    fn apply_changes(&self, changes: &Changes) -> Result<(H256, NodeChanges), ViewError> {
        let backend = |e: TrieError| ViewError::Backend(e.to_string());
        trie::apply_changes(self.state.nodes, self.state.root, changes).map_err(backend)
    }

    fn known_verdict(&self, coin: &H256) -> Option<bool> {
        self.chain.verdicts.lock().expect("no panic under the lock").get(coin).copied()
    }

    fn remember_verdict(&self, coin: &H256, valid: bool) {
        self.chain.verdicts.lock().expect("no panic under the lock").insert(*coin, valid);
    }
}
