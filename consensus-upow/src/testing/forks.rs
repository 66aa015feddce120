//! Forks: whatever a node saw on the way, it ends where a fresh replay of the best chain ends.

use descent_runtime::H256;

use super::{Miner, TestBlock, TestChain, quick};
use crate::difficulty::Work;
use crate::fork_choice::prefers;

fn roots(chain: &TestChain, tip: H256) -> Vec<H256> {
    (0..).map_while(|round| chain.round(tip, round)).map(|info| info.checkpoint_root).collect()
}

fn work(chain: &TestChain, blocks: &[TestBlock]) -> Work {
    let each = blocks.iter().map(|b| chain.check(b).expect("valid").work);
    each.fold(Work::ZERO, Work::saturating_add)
}

/// Two branches on common blocks, the second one block longer: a reorganisation of `depth`.
fn reorganisation(common: usize, depth: usize) {
    let mut chain = TestChain::new(quick);
    let (mut alice, mut bob) = (Miner::new("Alice", 0), Miner::new("Bob", 0));
    let genesis = chain.genesis;
    let shared = alice.extend(&mut chain, genesis, common);
    let fork = shared.last().map_or(genesis, TestBlock::hash);
    let lost = alice.extend(&mut chain, fork, depth);
    let won = bob.extend(&mut chain, fork, depth + 1);
    assert!(prefers(work(&chain, &won), work(&chain, &lost)));
    assert!(!prefers(work(&chain, &won[..depth]), work(&chain, &lost)), "first seen stays");

    let tip = won.last().expect("mined").hash();
    let mut fresh = TestChain::new(quick);
    fresh.replay(&shared, &chain.sidecars);
    assert_eq!(fresh.replay(&won, &chain.sidecars), tip);
    assert_eq!(roots(&fresh, tip), roots(&chain, tip));
    assert_eq!(fresh.header(tip).state_root, chain.header(tip).state_root);
    let old = lost.last().expect("mined").hash();
    if common + depth >= 8 {
        assert_ne!(roots(&chain, tip)[1], roots(&chain, old)[1], "each branch made a step of its own");
    }
    // The lost branch can still be read, and be built upon.
    let block = alice.mine_next(&chain, old, Vec::new());
    chain.import(&block).expect("valid");
}

#[test]
fn reorganisation_of_one_block_ends_like_a_replay() {
    reorganisation(2, 1);
}

#[test]
fn reorganisation_of_ten_blocks_over_a_round_ends_like_a_replay() {
    reorganisation(3, 10);
}

#[test]
fn verdicts_of_one_branch_are_not_anothers() {
    // One receipt, included on both branches, is sampled by each branch's own coin: the tickets differ.
    let mut chain = TestChain::new(quick);
    let (mut alice, mut bob) = (Miner::new("Alice", 0), Miner::new("Bob", 0));
    let genesis = chain.genesis;
    let fork = alice.extend(&mut chain, genesis, 1)[0].hash();
    let receipt = alice.take_receipt(&chain).expect("one block");
    let extrinsic = alice.submit(&mut chain, fork, receipt);
    for miner in [&mut alice, &mut bob] {
        let block = miner.mine_next(&chain, fork, vec![extrinsic.clone()]);
        chain.import(&block).expect("valid");
        let mut tip = block.hash();
        for _ in 0..2 {
            let block = miner.mine_next(&chain, tip, Vec::new());
            chain.import(&block).expect("valid");
            tip = block.hash();
        }
    }
    assert_eq!(chain.verdicts.lock().expect("unused").len(), 2);
}
