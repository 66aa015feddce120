//! A whole state in memory: for genesis roots and tests.

use std::collections::HashMap;

use crate::state::{Changes, StateError, StateRead};
use crate::trie::{self, NodeStore, Pairs, TrieError};
use crate::types::H256;

/// A trie with all its nodes, at one root.
#[derive(Clone, Debug)]
pub struct MemoryState {
    nodes: MemoryNodes,
    root: H256,
}

/// Trie nodes in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryNodes(HashMap<Vec<u8>, Vec<u8>>);

impl MemoryNodes {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: the empty trie's node is not stored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl NodeStore for MemoryNodes {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(key).cloned())
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self { nodes: MemoryNodes::default(), root: trie::empty_root() }
    }
}

impl MemoryState {
    /// The state that these changes make of the empty one.
    ///
    /// # Errors
    ///
    /// See [`Self::apply`].
    pub fn new(changes: &Changes) -> Result<Self, TrieError> {
        let mut state = Self::default();
        state.apply(changes)?;
        Ok(state)
    }

    /// The state's root.
    pub fn root(&self) -> H256 {
        self.root
    }

    /// The nodes of its trie.
    pub fn nodes(&self) -> &MemoryNodes {
        &self.nodes
    }

    /// Changes the state; returns its new root.
    ///
    /// # Errors
    ///
    /// Never for a state made by this type: all its nodes are here.
    pub fn apply(&mut self, changes: &Changes) -> Result<H256, TrieError> {
        let (root, delta) = trie::apply_changes(&self.nodes, self.root, changes)?;
        for key in &delta.removed {
            self.nodes.0.remove(key);
        }
        self.nodes.0.extend(delta.inserted);
        self.root = root;
        Ok(root)
    }

    /// Every pair whose key starts with `prefix`.
    ///
    /// # Errors
    ///
    /// See [`Self::apply`].
    pub fn pairs(&self, prefix: &[u8]) -> Result<Pairs, TrieError> {
        trie::pairs(&self.nodes, self.root, prefix, None, usize::MAX)
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        trie::read(&self.nodes, self.root, key).map_err(|error| match error {
            TrieError::Store(error) => error,
            other => StateError::Backend(other.to_string()),
        })
    }
}
