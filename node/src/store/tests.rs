//! Tests of the store, and the small chains they are made of.

mod commit;
mod crash;
mod folder;
mod full_disk;
mod model;
mod retention;

use std::collections::BTreeMap;
use std::path::Path;

use descent_runtime::{Changes, Header, trie};
use sp_core::U256;
use tempfile::TempDir;

use super::read::Read;
use super::*;

/// A state as a plain map.
type State = BTreeMap<Vec<u8>, Vec<u8>>;

const OPTIONS: StoreOptions = StoreOptions { finality_depth: 4, state_pruning: StatePruning::Blocks(8) };

/// A header without a digest; `salt` makes it different from others at the same place.
fn header(parent: H256, number: u32, state_root: H256, salt: u64) -> Header {
    let extrinsics_root = H256::from_low_u64_be(salt);
    Header { parent_hash: parent, number, state_root, extrinsics_root, digest: sp_runtime::Digest::default() }
}

fn facts(number: u32) -> BlockFacts {
    BlockFacts {
        work: U256::from(number) + 1,
        timestamp_ms: u64::from(number) * 1000,
        ticket: H256::repeat_byte(7),
        checkpoint_root: H256::zero(),
        receipts: Vec::new(),
    }
}

/// Genesis of a chain; different salts, different chains.
fn genesis(salt: u64) -> GenesisRecord {
    let state: State = (0..20u8).map(|i| (vec![i % 4, i], vec![i; usize::from(i) * 4])).collect();
    let root = trie::root_of(state.clone());
    let state = state.into_iter().map(|(key, value)| (key, Some(value))).collect();
    GenesisRecord { header: header(H256::zero(), 0, root, salt), state, facts: facts(0) }
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, &genesis(0), OPTIONS)
}

/// A fresh store in a folder that goes away with it.
fn fresh() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path()).expect("a fresh store");
    (folder, store)
}

/// A block on a stored parent; its execution is `changes`.
fn child(store: &Store, parent: H256, salt: u64, changes: Changes) -> ImportCommit {
    let meta = store.meta(&parent).expect("readable").expect("parent is stored");
    let state = store.state_at(meta.state_root).expect("parent's state is kept");
    let (root, trie) = trie::apply_changes(state.backend(), meta.state_root, &changes).expect("a whole trie");
    let number = meta.number + 1;
    ImportCommit {
        header: header(parent, number, root, salt),
        body: StoredBody { extrinsics: vec![vec![4, 1]], witness: salt.to_le_bytes().to_vec() },
        facts: facts(number),
        trie,
        changes,
        sidecars: Vec::new(),
        checkpoint: None,
        new_best: true,
    }
}

/// Sets one key, differently for each salt.
fn one_change(salt: u64) -> Changes {
    Changes::from([(b"counter".to_vec(), Some(salt.to_le_bytes().to_vec()))])
}

/// Commits a block that has nothing special; returns its hash.
fn extend(store: &Store, parent: H256, salt: u64, new_best: bool) -> H256 {
    let block = ImportCommit { new_best, ..child(store, parent, salt, one_change(salt)) };
    let hash = descent_runtime::header_hash(&block.header);
    store.commit(block).expect("a valid commit");
    hash
}

/// Commits a best chain of so many blocks on a parent; returns their hashes.
fn extend_by(store: &Store, parent: H256, salt: u64, blocks: u64) -> Vec<H256> {
    let mut tip = parent;
    (0..blocks)
        .map(|i| {
            tip = extend(store, tip, salt + i, true);
            tip
        })
        .collect()
}

fn whole_flat_state(store: &Store) -> State {
    store.best_state().expect("readable").pairs(&[], None, usize::MAX).expect("readable").into_iter().collect()
}

fn whole_state_at(store: &Store, root: H256) -> State {
    store.state_at(root).expect("kept").pairs(&[], None, usize::MAX).expect("readable").into_iter().collect()
}

/// The flat state, the trie, the numbers and the blocks tell the same story.
fn assert_consistent(store: &Store) {
    let best = store.best().expect("readable");
    assert_eq!(store.best_state().expect("readable").block(), best);
    let mut hash = best.hash;
    for number in (0..=best.number).rev() {
        assert_eq!(store.hash_at(number).expect("readable"), Some(hash));
        let header = store.header(&hash).expect("readable").expect("stored");
        assert_eq!((header.number, descent_runtime::header_hash(&header)), (number, hash));
        store.body(&hash).expect("readable").expect("stored");
        let meta = store.meta(&hash).expect("readable").expect("stored");
        for digest in meta.facts.sidecars() {
            store.sidecar(&digest).expect("readable").expect("stored");
        }
        if number >= store.oldest_state().expect("readable") {
            let state = whole_state_at(store, meta.state_root);
            assert_eq!(trie::root_of(state.clone()), header.state_root);
            if number == best.number {
                assert_eq!(whole_flat_state(store), state);
            }
        }
        hash = header.parent_hash;
    }
    assert_eq!(store.hash_at(best.number + 1).expect("readable"), None);
}
