//! Which receipts a block takes, and when.

use descent_runtime::{ReceiptStatus, storage};

use super::{Miner, TestChain, quick};
use crate::mining::MiningTemplate;
use crate::receipt::{MAX_TEMPLATES, ReceiptBuilder};
use crate::task::MAX_INDICES;
use crate::verify::author_block;

#[test]
fn late_receipt_is_paid_but_never_stepped() {
    let mut chain = TestChain::new(quick);
    let (mut alice, mut bob) = (Miner::new("Alice", 0), Miner::new("Bob", 0));
    let mut tip = chain.genesis;
    for _ in 0..8 {
        let block = alice.mine_next(&chain, tip, Vec::new());
        chain.import(&block).expect("valid");
        tip = block.hash();
    }
    // Nothing was submitted: round 0's step is skipped, and its weights stay.
    let rounds = [0, 1].map(|r| chain.round(tip, r).expect("reached"));
    assert_eq!((rounds[1].tokens, rounds[1].checkpoint_root), (0, rounds[0].checkpoint_root));

    // Alice's whole round comes in block 9, with nothing of round 1 in any block up to 14.
    let receipt = alice.take_receipt(&chain).expect("eight blocks");
    let count = receipt.summary.count;
    let extrinsics = vec![alice.submit(&mut chain, tip, receipt)];
    for number in 9..=16 {
        let block = bob.mine_next(&chain, tip, if number == 9 { extrinsics.clone() } else { Vec::new() });
        chain.import(&block).expect("late is not too late");
        tip = block.hash();
    }
    let records = storage::RECEIPTS_AT.get(&chain.state(tip), &9).expect("memory").expect("unsettled");
    assert_eq!(
        (records[0].summary.round, records[0].summary.count, records[0].status),
        (0, count, ReceiptStatus::Valid)
    );
    assert_eq!(chain.round(tip, 2).expect("reached").tokens, 0);
    assert_eq!(storage::TOKENS_SEEN.get(&chain.state(tip)), Ok(0));
    let before = chain.free(tip, &alice.account());
    tip = bob.extend(&mut chain, tip, 2).last().expect("mined").hash();
    assert!(chain.free(tip, &alice.account()) > before);

    // In round 2 it would be too late: block 17 refuses a receipt of round 0.
    let mut late = Miner::new("Charlie", 0);
    let genesis = chain.genesis;
    late.compute_empty(&chain, genesis, 1);
    let receipt = late.take_receipt(&chain).expect("one");
    let extrinsic = late.submit(&mut chain, tip, receipt);
    let authored =
        author_block(&chain.engine, &chain.view(tip), &bob.pre(chain.time_after(tip)), vec![extrinsic]).expect("valid");
    assert!(authored.extrinsics.is_empty());
    assert!(authored.refused[0].1.contains("receipt of round 0 in a block of round 2"), "{}", authored.refused[0].1);
}

#[test]
fn ranges_never_repeat() {
    let mut chain = TestChain::new(quick);
    let mut alice = Miner::new("Alice", 0);
    let genesis = chain.genesis;
    let tip = alice.extend(&mut chain, genesis, 1)[0].hash();
    let receipt = alice.take_receipt(&chain).expect("one block");
    let extrinsic = alice.submit(&mut chain, tip, receipt.clone());
    let block = alice.mine_next(&chain, tip, vec![extrinsic]);
    chain.import(&block).expect("valid");
    // Signed anew, so that only the range is old.
    let tip = block.hash();
    let expected = receipt.summary.start + receipt.summary.count;
    let again = alice.submit(&mut chain, tip, receipt);
    let authored =
        author_block(&chain.engine, &chain.view(tip), &alice.pre(chain.time_after(tip)), vec![again]).expect("valid");
    let reason = &authored.refused[0].1;
    assert!(reason.contains(&format!("receipt starts at index 0, expected {expected}")), "{reason}");
}

#[test]
fn template_of_an_orphan_is_refused() {
    let mut chain = TestChain::new(quick);
    let (mut alice, mut bob) = (Miner::new("Alice", 0), Miner::new("Bob", 0));
    let genesis = chain.genesis;
    let orphan = alice.extend(&mut chain, genesis, 1)[0].hash();
    let best = bob.extend(&mut chain, genesis, 1)[0].hash();
    let mut charlie = Miner::new("Charlie", 0);
    charlie.compute_empty(&chain, orphan, 1);
    let receipt = charlie.take_receipt(&chain).expect("one");
    let extrinsic = charlie.submit(&mut chain, best, receipt);
    let pre = bob.pre(chain.time_after(best));
    let authored = author_block(&chain.engine, &chain.view(best), &pre, vec![extrinsic.clone()]).expect("valid");
    assert!(authored.refused[0].1.contains("which is no ancestor in round 0"), "{}", authored.refused[0].1);
    // On its own chain it is welcome.
    bob.mine_next(&chain, orphan, vec![extrinsic]);
}

#[test]
fn builder_takes_each_index_once_and_no_more_than_a_receipt_holds() {
    let chain = TestChain::new(quick);
    let mut alice = Miner::new("Alice", 0);
    let mut mined = alice.compute_empty(&chain, chain.genesis, 1).remove(0);
    let context = chain.context(chain.genesis);
    let template = |time| {
        let pre = alice.pre(time);
        let authored = author_block(&chain.engine, &chain.view(chain.genesis), &pre, Vec::new()).expect("valid");
        MiningTemplate::new(&chain.engine, &context, authored.header, authored.target).expect("own header")
    };
    let one = template(1);
    let mut builder = ReceiptBuilder::new(&chain.engine, &context, 0, 5);
    assert!(builder.build(&chain.engine).is_none());
    assert!(!builder.push(&one, &mined), "index 0 is not 5");
    let shares = std::mem::take(&mut mined.shares);
    mined.index = 5;
    assert!(!builder.push(&one, &mined), "without a share");
    mined.shares = shares;
    for index in 5..5 + MAX_INDICES as u32 {
        assert!(builder.room() > 0);
        mined.index = index;
        assert!(builder.push(&one, &mined));
        assert!(!builder.push(&one, &mined), "twice");
    }
    assert_eq!(builder.room(), 0);
    mined.index += 1;
    assert!(!builder.push(&one, &mined), "one too many");
    let built = builder.build(&chain.engine).expect("256 indices");
    assert_eq!((built.summary.start, built.summary.count, built.summary.round), (5, 256, 0));
    assert_eq!(built.summary.shares as usize, 256 * mined.shares.len());

    // As many templates as indices: the other limit is never the tighter one.
    assert_eq!(MAX_TEMPLATES, MAX_INDICES);
    let mut builder = ReceiptBuilder::new(&chain.engine, &context, 0, 0);
    for (index, template) in [one, template(2), template(3)].iter().enumerate() {
        mined.index = index as u32;
        assert!(builder.push(template, &mined));
    }
    assert_eq!(builder.count(), 3);
}
