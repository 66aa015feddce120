//! Reading state: flat at the best block, through the trie at any other.

use std::ops::ControlFlow;

use descent_runtime::trie::{self, NodeStore, Pairs, TrieError};
use descent_runtime::{H256, StateError, StateRead};

use super::StoreError;
use super::columns::Column;
use super::database::View;
use super::read::Read;
use super::records::BlockRef;

/// The state of the best block, as it was when this was made; later commits do not show.
pub struct FlatState<'a> {
    view: View<'a>,
    block: BlockRef,
}

impl<'a> FlatState<'a> {
    pub(super) fn new(view: View<'a>) -> Result<Self, StoreError> {
        let block = view.best()?;
        Ok(Self { view, block })
    }

    /// The block whose state this is.
    pub fn block(&self) -> BlockRef {
        self.block
    }

    /// Pairs whose keys start with `prefix`, in ascending order, from behind `after` on.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn pairs(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        let mut pairs = Pairs::new();
        if limit == 0 {
            return Ok(pairs);
        }
        self.for_each(prefix, after, |key, value| {
            pairs.push((key, value));
            if pairs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(pairs)
    }

    /// Calls a function with each such pair until it breaks off; holds one pair at a time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn for_each(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut visit: impl FnMut(Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for pair in self.view.pairs(Column::Flat, prefix, after.unwrap_or(prefix))? {
            let (key, value) = pair?;
            let behind = after.is_none_or(|after| key.as_slice() > after);
            if behind && visit(key, value).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl StateRead for FlatState<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.view.get(Column::Flat, key)?)
    }
}

/// The trie nodes of all kept states, as they were when this was made.
///
/// Pruning does not show, so a state that was there stays readable as long as this lives.
pub struct TrieBackend<'a> {
    view: View<'a>,
}

impl<'a> TrieBackend<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        Self { view }
    }
}

impl NodeStore for TrieBackend<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.view.get(Column::Nodes, key)?)
    }
}

/// Any kept state, by its root.
pub struct TrieState<'a> {
    backend: TrieBackend<'a>,
    root: H256,
}

impl<'a> TrieState<'a> {
    /// Checks that the state is there; pruning takes the root together with all that needs it.
    pub(super) fn new(view: View<'a>, root: H256) -> Result<Self, StoreError> {
        // The root's path is empty, so its key is its hash alone.
        if root != trie::empty_root() && !view.has(Column::Nodes, root.as_bytes())? {
            return Err(StoreError::UnknownState { root });
        }
        Ok(Self { backend: TrieBackend::new(view), root })
    }

    /// The state's root.
    pub fn root(&self) -> H256 {
        self.root
    }

    /// The nodes, to apply changes to this state or to prove its values.
    pub fn backend(&self) -> &TrieBackend<'a> {
        &self.backend
    }

    /// Pairs whose keys start with `prefix`, in ascending order, from behind `after` on.
    ///
    /// # Errors
    ///
    /// When the database fails, or lacks a node of this state.
    pub fn pairs(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Pairs, TrieError> {
        trie::pairs(&self.backend, self.root, prefix, after, limit)
    }
}

impl StateRead for TrieState<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        trie::read(&self.backend, self.root, key).map_err(|error| match error {
            TrieError::Store(error) => error,
            other => StateError::Backend(other.to_string()),
        })
    }
}
