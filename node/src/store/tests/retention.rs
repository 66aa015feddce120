//! Which checkpoints and sidecars outlive a call of `prune`.

use std::num::NonZeroU32;

use super::*;

const ROUND_BLOCKS: u32 = 4;

fn policy(interval: u32, recent: u32, gradients: Option<u32>) -> Retention {
    Retention {
        round_blocks: NonZeroU32::new(ROUND_BLOCKS).unwrap(),
        checkpoint_interval_rounds: NonZeroU32::new(interval).unwrap(),
        keep_recent_rounds: recent,
        gradient_rounds: gradients,
    }
}

/// Names a checkpoint or a sidecar after where it came up.
fn name(kind: u8, fork: u8, number: u32) -> H256 {
    let mut bytes = [kind; 32];
    bytes[0] = fork;
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    H256(bytes)
}

/// A best chain, or a fork, in which each block has a receipt and each round makes a checkpoint.
fn grow(store: &Store, from: H256, fork: u8, blocks: u32) -> H256 {
    let mut tip = from;
    for _ in 0..blocks {
        let parent = store.meta(&tip).unwrap().unwrap();
        let number = parent.number + 1;
        let salt = u64::from(number) << 8 | u64::from(fork);
        let mut block = child(store, tip, salt, one_change(salt));
        let (details, blob) = (name(1, fork, number), name(2, fork, number));
        block.facts.receipts = vec![(details, blob)];
        block.sidecars = vec![(details, vec![1; 9]), (blob, vec![2; 99])];
        block.facts.checkpoint_root = parent.facts.checkpoint_root;
        if number.is_multiple_of(ROUND_BLOCKS) {
            let root = name(3, fork, number);
            block.facts.checkpoint_root = root;
            block.checkpoint = Some((root, vec![(0, vec![3; 50]), (1, vec![4; 50])]));
        }
        block.new_best = fork == 0;
        tip = descent_runtime::header_hash(&block.header);
        store.commit(block).unwrap();
    }
    tip
}

/// Rounds whose checkpoint is stored, whole.
fn checkpoints(store: &Store, fork: u8, blocks: u32) -> Vec<u32> {
    let stored = |round: &u32| {
        let root = name(3, fork, round * ROUND_BLOCKS);
        let listed = store.checkpoint(&root).unwrap().is_some();
        for part in 0..2 {
            assert_eq!(store.checkpoint_part(&root, part).unwrap().is_some(), listed);
        }
        listed
    };
    (1..=blocks / ROUND_BLOCKS).filter(stored).collect()
}

/// Blocks whose sidecars are stored.
fn with_sidecars(store: &Store, fork: u8, blocks: u32) -> Vec<u32> {
    let stored = |number: &u32| {
        let both = [1, 2].map(|kind| store.has_sidecar(&name(kind, fork, *number)).unwrap());
        assert_eq!(both[0], both[1]);
        both[0]
    };
    (1..=blocks).filter(stored).collect()
}

#[test]
fn recent_and_regular_checkpoints_stay() {
    let (_folder, store) = fresh();
    grow(&store, genesis(0).hash(), 0, 42);
    assert_eq!(store.prune(&policy(3, 2, Some(6))).unwrap(), Pruned { checkpoints: 5, blocks: 21 });
    // Round 10 runs, block 38 is final: forks above it may need round 7 on. Multiples of 3 from 4 on.
    assert_eq!(checkpoints(&store, 0, 42), [6, 7, 8, 9, 10]);
    assert_eq!(store.oldest_replayable().unwrap(), 6 * ROUND_BLOCKS + 1);
    assert_eq!(with_sidecars(&store, 0, 42), (21..=42).collect::<Vec<_>>());
    assert_eq!(store.prune(&policy(3, 2, Some(6))).unwrap(), Pruned::default(), "nothing is left to do");
}

#[test]
fn an_archive_of_gradients_reaches_back_to_genesis() {
    let (_folder, store) = fresh();
    grow(&store, genesis(0).hash(), 0, 42);
    store.prune(&policy(4, 1, None)).unwrap();
    assert_eq!(checkpoints(&store, 0, 42), [4, 7, 8, 9, 10]);
    assert_eq!(store.oldest_replayable().unwrap(), 1);
    assert_eq!(with_sidecars(&store, 0, 42).len(), 42);
}

#[test]
fn the_horizon_never_moves_back() {
    let (_folder, store) = fresh();
    let tip = grow(&store, genesis(0).hash(), 0, 42);
    store.prune(&policy(1, 1, Some(0))).unwrap();
    let horizon = store.oldest_replayable().unwrap();
    assert_eq!(horizon, 7 * ROUND_BLOCKS + 1);
    // A wider window later brings nothing back.
    store.prune(&policy(1, 1, None)).unwrap();
    assert_eq!(store.oldest_replayable().unwrap(), horizon);
    grow(&store, tip, 0, 20);
    store.prune(&policy(1, 1, None)).unwrap();
    assert_eq!(store.oldest_replayable().unwrap(), horizon);
    assert_eq!(checkpoints(&store, 0, 62), (7..=15).collect::<Vec<_>>());
}

#[test]
fn living_forks_keep_what_they_have() {
    let (_folder, store) = fresh();
    let meeting = grow(&store, genesis(0).hash(), 0, 38);
    grow(&store, meeting, 1, 4);
    grow(&store, meeting, 0, 4);
    store.prune(&policy(1, 0, Some(0))).unwrap();
    assert_eq!(checkpoints(&store, 1, 42), [10]);
    assert_eq!(with_sidecars(&store, 1, 42), [39, 40, 41, 42]);
}

#[test]
fn dead_forks_lose_what_only_they_have() {
    let (_folder, store) = fresh();
    let meeting = grow(&store, genesis(0).hash(), 0, 6);
    let fork = grow(&store, meeting, 1, 2);
    // One more block of the fork has a receipt that the best chain includes as well.
    let shared = (name(1, 0, 9), name(2, 0, 9));
    let mut block = child(&store, fork, 999, one_change(999));
    block.facts.receipts = vec![shared];
    block.sidecars = vec![(shared.0, vec![1; 9]), (shared.1, vec![2; 99])];
    block.new_best = false;
    store.commit(block).unwrap();
    grow(&store, meeting, 0, 14);
    store.prune(&policy(1, 9, None)).unwrap();
    assert_eq!(with_sidecars(&store, 1, 20), [] as [u32; 0]);
    assert_eq!(checkpoints(&store, 1, 20), [] as [u32; 0]);
    assert_eq!(with_sidecars(&store, 0, 20).len(), 20);
    assert_consistent(&store);
}
