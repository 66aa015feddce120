//! The state trie: Substrate's, layout V1, over any store of nodes.
//!
//! Nodes are stored under their path in the trie followed by their hash, so that equal subtrees
//! at different places are different entries, and a node can be removed without counting.

use hash_db::{AsHashDB, HashDB, Prefix};
use sp_runtime::traits::BlakeTwo256;
use sp_trie::{DBValue, LayoutV1, PrefixedMemoryDB, Trie, TrieDBBuilder, TrieDBMutBuilder, TrieMut, prefixed_key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::state::{Changes, StateError};
use crate::types::H256;

type Layout = LayoutV1<BlakeTwo256>;
type LibraryError = sp_trie::TrieError<Layout>;

/// Pairs of keys and values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A store that has trie nodes by their keys.
pub trait NodeStore: Send + Sync {
    /// A node's bytes, if the store has it.
    ///
    /// # Errors
    ///
    /// When the store fails.
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

impl<T: NodeStore + ?Sized> NodeStore for &T {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).node(key)
    }
}

/// A trie that could not be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrieError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StateError),
    /// The store lacks the root, or a node below it.
    #[error("trie node {hash} is missing")]
    Missing {
        /// Hash of the node.
        hash: H256,
    },
    /// A node does not decode.
    #[error("trie node does not decode: {text}")]
    Corrupt {
        /// What the trie library says.
        text: String,
    },
}

/// What a change of the trie does to its store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChanges {
    /// Nodes that the new trie has and the old one lacks.
    pub inserted: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keys of nodes that the old trie has and the new one lacks.
    pub removed: BTreeSet<Vec<u8>>,
}

/// Root of the trie without entries.
pub fn empty_root() -> H256 {
    sp_trie::empty_trie_root::<Layout>()
}

/// Root of the trie that holds exactly these pairs.
pub fn root_of(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> H256 {
    let pairs: BTreeMap<_, _> = pairs.into_iter().collect();
    <Layout as sp_trie::TrieConfiguration>::trie_root(pairs)
}

/// Changes a trie. The store itself stays as it is: what to do to it is in the answer.
///
/// # Errors
///
/// When the store fails or its nodes are not those of a trie with this root.
pub fn apply_changes(store: &dyn NodeStore, root: H256, changes: &Changes) -> Result<(H256, NodeChanges), TrieError> {
    let mut nodes = Nodes::new(store);
    let mut new_root = root;
    let applied = (|| {
        let mut trie = if root == empty_root() {
            TrieDBMutBuilder::<Layout>::new(&mut nodes, &mut new_root).build()
        } else {
            TrieDBMutBuilder::<Layout>::from_existing(&mut nodes, &mut new_root).build()
        };
        for (key, value) in changes {
            match value {
                Some(value) => drop(trie.insert(key, value)?),
                // trie-db 0.32 takes the removal of a missing key for that of a longer one, when
                // the missing key ends where that one's branch begins: ask first.
                None if trie.contains(key)? => drop(trie.remove(key)?),
                None => {}
            }
        }
        trie.commit();
        Ok(())
    })();
    nodes.check(applied)?;
    Ok((new_root, nodes.into_changes()))
}

/// Root of a trie after changes.
///
/// # Errors
///
/// Like [`apply_changes`].
pub fn state_root_after(store: &dyn NodeStore, root: H256, changes: &Changes) -> Result<H256, TrieError> {
    apply_changes(store, root, changes).map(|(root, _)| root)
}

/// A value of a trie.
///
/// # Errors
///
/// When the store fails or its nodes are not those of a trie with this root.
pub fn read(store: &dyn NodeStore, root: H256, key: &[u8]) -> Result<Option<Vec<u8>>, TrieError> {
    let nodes = Nodes::new(store);
    let db = &nodes as &dyn HashDB<BlakeTwo256, DBValue>;
    let value = TrieDBBuilder::<Layout>::new(&db, &root).build().get(key);
    nodes.check(value)
}

/// Pairs of a trie whose keys start with `prefix`, in ascending order, from behind `after` on.
///
/// # Errors
///
/// When the store fails or its nodes are not those of a trie with this root.
pub fn pairs(
    store: &dyn NodeStore,
    root: H256,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Pairs, TrieError> {
    let nodes = Nodes::new(store);
    let db = &nodes as &dyn HashDB<BlakeTwo256, DBValue>;
    let found = (|| {
        let trie = TrieDBBuilder::<Layout>::new(&db, &root).build();
        let iter = match after {
            Some(after) => sp_trie::TrieDBIterator::new_prefixed_then_seek(&trie, prefix, after)?,
            None => sp_trie::TrieDBIterator::new_prefixed(&trie, prefix)?,
        };
        iter.filter(|pair| !matches!((pair, after), (Ok((key, _)), Some(after)) if &key[..] <= after))
            .take(limit)
            .collect::<Result<Pairs, _>>()
    })();
    nodes.check(found)
}

/// Nodes that prove, against the root, the values of these keys or their absence.
///
/// # Errors
///
/// When the store fails or its nodes are not those of a trie with this root.
pub fn read_proof(store: &dyn NodeStore, root: H256, keys: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, TrieError> {
    let nodes = Nodes::new(store);
    let db = &nodes as &dyn HashDB<BlakeTwo256, DBValue>;
    let mut recorder = sp_trie::Recorder::<Layout>::new();
    let read = {
        let trie = TrieDBBuilder::<Layout>::new(&db, &root).with_recorder(&mut recorder).build();
        keys.iter().try_for_each(|key| trie.get(key).map(drop))
    };
    nodes.check(read)?;
    let distinct: BTreeSet<_> = recorder.drain().into_iter().map(|record| record.data).collect();
    Ok(distinct.into_iter().collect())
}

/// A store with inserted and removed nodes on top.
struct Nodes<'a> {
    store: &'a dyn NodeStore,
    /// Counts insertions and removals of each node; also knows the empty trie's node.
    delta: PrefixedMemoryDB<BlakeTwo256>,
    /// The store's first failure: the trie library only hears that a node is missing.
    failure: Mutex<Option<StateError>>,
}

impl<'a> Nodes<'a> {
    fn new(store: &'a dyn NodeStore) -> Self {
        Self { store, delta: PrefixedMemoryDB::default(), failure: Mutex::new(None) }
    }

    /// Prefers the store's own failure to what the trie library made of it.
    fn check<T>(&self, result: Result<T, Box<LibraryError>>) -> Result<T, TrieError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        result.map_err(|error| match *error {
            LibraryError::InvalidStateRoot(hash) | LibraryError::IncompleteDatabase(hash) => {
                TrieError::Missing { hash }
            }
            other => TrieError::Corrupt { text: format!("{other:?}") },
        })
    }

    fn into_changes(mut self) -> NodeChanges {
        let mut changes = NodeChanges::default();
        for (key, (value, count)) in self.delta.drain() {
            match count {
                1.. => drop(changes.inserted.insert(key, value)),
                0 => {}
                ..0 => drop(changes.removed.insert(key)),
            }
        }
        changes
    }
}

impl HashDB<BlakeTwo256, DBValue> for Nodes<'_> {
    fn get(&self, key: &H256, prefix: Prefix<'_>) -> Option<DBValue> {
        if let Some(node) = HashDB::get(&self.delta, key, prefix) {
            return Some(node);
        }
        match self.store.node(&prefixed_key::<BlakeTwo256>(key, prefix)) {
            Ok(node) => node,
            Err(failure) => {
                let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(failure);
                None
            }
        }
    }

    fn contains(&self, key: &H256, prefix: Prefix<'_>) -> bool {
        HashDB::get(self, key, prefix).is_some()
    }

    fn insert(&mut self, prefix: Prefix<'_>, value: &[u8]) -> H256 {
        self.delta.insert(prefix, value)
    }

    fn emplace(&mut self, key: H256, prefix: Prefix<'_>, value: DBValue) {
        self.delta.emplace(key, prefix, value);
    }

    fn remove(&mut self, key: &H256, prefix: Prefix<'_>) {
        self.delta.remove(key, prefix);
    }
}

impl AsHashDB<BlakeTwo256, DBValue> for Nodes<'_> {
    fn as_hash_db(&self) -> &dyn HashDB<BlakeTwo256, DBValue> {
        self
    }

    fn as_hash_db_mut<'a>(&'a mut self) -> &'a mut (dyn HashDB<BlakeTwo256, DBValue> + 'a) {
        self
    }
}

#[cfg(test)]
mod tests;
