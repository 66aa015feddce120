//! What a commit refuses, and what it does.

use super::*;

#[test]
fn a_fresh_store_is_at_genesis() {
    let (_folder, store) = fresh();
    let genesis = genesis(0);
    let at = BlockRef { number: 0, hash: genesis.hash() };
    assert_eq!((store.best().unwrap(), store.finalized().unwrap()), (at, at));
    assert_eq!(store.leaves().unwrap(), [at]);
    assert_eq!(store.header(&at.hash).unwrap(), Some(genesis.header.clone()));
    assert_eq!(store.body(&at.hash).unwrap(), Some(StoredBody::default()));
    assert_eq!(store.meta(&at.hash).unwrap().unwrap().facts, genesis.facts);
    assert_eq!(store.oldest_replayable().unwrap(), 1);
    assert_consistent(&store);
}

#[test]
fn a_block_is_committed_once() {
    let (_folder, store) = fresh();
    let block = child(&store, genesis(0).hash(), 1, one_change(1));
    store.commit(block.clone()).unwrap();
    assert!(matches!(store.commit(block), Err(StoreError::KnownBlock { .. })));
    assert_consistent(&store);
}

#[test]
fn a_parent_comes_first() {
    let (_folder, store) = fresh();
    let mut block = child(&store, genesis(0).hash(), 1, one_change(1));
    block.header.parent_hash = H256::repeat_byte(9);
    assert!(matches!(store.commit(block), Err(StoreError::UnknownParent { .. })));
}

#[test]
fn numbers_follow_the_parents() {
    let (_folder, store) = fresh();
    let mut block = child(&store, genesis(0).hash(), 1, one_change(1));
    block.header.number = 2;
    assert!(matches!(store.commit(block), Err(StoreError::WrongNumber { got: 2, expected: 1, .. })));
}

#[test]
fn a_reorganisation_moves_numbers_and_state() {
    let (_folder, store) = fresh();
    let root = genesis(0).hash();
    let old = extend_by(&store, root, 10, 3);
    let first = extend(&store, root, 20, false);
    let second = extend(&store, first, 21, false);
    assert_eq!(store.best().unwrap().hash, old[2]);
    let block = child(&store, second, 22, Changes::from([(vec![0, 0], None), (vec![9], Some(vec![1]))]));
    let third = descent_runtime::header_hash(&block.header);
    let route = store.commit(block).unwrap();
    let at = |number, hash| BlockRef { number, hash };
    assert_eq!(route.retracted, [at(3, old[2]), at(2, old[1]), at(1, old[0])]);
    assert_eq!(route.enacted, [at(1, first), at(2, second), at(3, third)]);
    assert_eq!(store.leaves().unwrap().len(), 2);
    assert_consistent(&store);
    // Back to the other fork, by a block on top of it.
    let fourth = extend(&store, old[2], 13, true);
    assert_eq!(store.best().unwrap(), at(4, fourth));
    assert_eq!(store.children(&root).unwrap().len(), 2);
    assert_consistent(&store);
}

#[test]
fn a_lower_best_block_shortens_the_chain_but_not_finality() {
    let (_folder, store) = fresh();
    let chain = extend_by(&store, genesis(0).hash(), 1, 8);
    assert_eq!(store.finalized().unwrap().number, 4);
    let fork = extend(&store, chain[4], 100, true);
    assert_eq!(store.best().unwrap(), BlockRef { number: 6, hash: fork });
    assert_eq!(store.finalized().unwrap().number, 4);
    assert_eq!(store.hash_at(7).unwrap(), None);
    assert_consistent(&store);
}

#[test]
fn forks_below_the_finalized_block_are_refused() {
    let (_folder, store) = fresh();
    let root = genesis(0).hash();
    let fork = extend(&store, root, 50, false);
    let fork_child = child(&store, fork, 51, one_change(51));
    let late_fork = child(&store, root, 52, one_change(52));
    extend_by(&store, root, 1, 5);
    let refused = |block| matches!(store.commit(block), Err(StoreError::BelowFinalized { finalized: 1, .. }));
    assert!(refused(fork_child), "a fork that finality has left");
    assert!(refused(late_fork), "a new fork below");
    assert_eq!(store.leaves().unwrap().len(), 1, "a dead fork is no leaf");
    assert!(store.header(&fork).unwrap().is_some(), "it is forgotten only with the state below");
}

#[test]
fn pruned_states_are_gone_and_kept_ones_whole() {
    let (_folder, store) = fresh();
    let root = genesis(0).hash();
    let dead = extend(&store, root, 500, false);
    let chain = extend_by(&store, root, 1, 20);
    assert_eq!(store.oldest_state().unwrap(), 12);
    assert_consistent(&store);
    for hash in [root, chain[10]] {
        let root = store.meta(&hash).unwrap().unwrap().state_root;
        assert!(matches!(store.state_at(root), Err(StoreError::UnknownState { .. })));
    }
    assert_eq!(store.header(&dead).unwrap(), None);
    assert_eq!(store.children(&root).unwrap(), [chain[0]]);
    assert!(store.header(&chain[0]).unwrap().is_some());
}

#[test]
fn a_state_being_read_outlives_its_pruning() {
    let (_folder, store) = fresh();
    let root = genesis(0).header.state_root;
    let state = store.state_at(root).unwrap();
    let flat = store.best_state().unwrap();
    extend_by(&store, genesis(0).hash(), 1, 20);
    assert!(store.state_at(root).is_err());
    let expected = state.pairs(&[], None, usize::MAX).unwrap();
    assert_eq!(expected.len(), 20);
    assert_eq!(flat.pairs(&[], None, usize::MAX).unwrap(), expected);
}

#[test]
fn flat_and_trie_pages_agree() {
    let (_folder, store) = fresh();
    let flat = store.best_state().unwrap();
    let trie = store.state_at(genesis(0).header.state_root).unwrap();
    for prefix in [&[][..], &[1], &[1, 5], &[1, 6], &[9]] {
        for after in [None, Some(&[1, 5][..]), Some(&[1, 6]), Some(&[0])] {
            for limit in [0, 1, 3, 100] {
                let pages = (flat.pairs(prefix, after, limit).unwrap(), trie.pairs(prefix, after, limit).unwrap());
                assert_eq!(pages.0, pages.1, "{prefix:?} {after:?} {limit}");
            }
        }
    }
}

#[test]
fn sidecars_come_with_the_block_or_before() {
    let (_folder, store) = fresh();
    let (details, blob) = (H256::repeat_byte(1), H256::repeat_byte(2));
    let mut block = child(&store, genesis(0).hash(), 1, one_change(1));
    block.facts.receipts = vec![(details, blob)];
    block.sidecars = vec![(details, b"details".to_vec())];
    let missing = store.commit(block.clone());
    assert!(matches!(missing, Err(StoreError::MissingSidecar { digest, .. }) if digest == blob));
    assert!(!store.has_sidecar(&details).unwrap(), "nothing of a refused block stays");
    block.sidecars.push((blob, b"blob".to_vec()));
    store.commit(block).unwrap();
    assert_eq!(store.sidecar(&blob).unwrap(), Some(b"blob".to_vec()));
    // A fork with the same receipt needs no second copy.
    let mut fork = child(&store, genesis(0).hash(), 2, one_change(2));
    fork.facts.receipts = vec![(details, blob)];
    store.commit(fork).unwrap();
}

#[test]
fn a_sidecar_without_a_receipt_is_refused() {
    let (_folder, store) = fresh();
    let mut block = child(&store, genesis(0).hash(), 1, one_change(1));
    block.sidecars = vec![(H256::repeat_byte(1), Vec::new())];
    assert!(matches!(store.commit(block), Err(StoreError::UnreferencedSidecar { .. })));
}

#[test]
fn a_checkpoint_is_that_of_the_state() {
    let (_folder, store) = fresh();
    let mut block = child(&store, genesis(0).hash(), 1, one_change(1));
    block.checkpoint = Some((H256::repeat_byte(5), vec![(0, vec![1; 10]), (3, vec![2; 5])]));
    assert!(matches!(store.commit(block.clone()), Err(StoreError::WrongCheckpoint { .. })));
    block.facts.checkpoint_root = H256::repeat_byte(5);
    store.commit(block).unwrap();
    let root = H256::repeat_byte(5);
    assert_eq!(store.checkpoint(&root).unwrap(), Some(vec![0, 3]));
    assert_eq!(store.checkpoint_part(&root, 3).unwrap(), Some(vec![2; 5]));
    assert_eq!(store.checkpoint_part(&root, 1).unwrap(), None);
    assert_eq!(store.checkpoint(&H256::zero()).unwrap(), None);
}
