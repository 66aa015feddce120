//! A voided receipt pays nothing, takes its account's other receipts along, and never touches the model.

use codec::Encode;
use descent_runtime::{H256, ReceiptStatus, storage};

use super::{Miner, TestBlock, TestChain, quick};
use crate::gradient_codec;
use crate::receipt::{BuiltReceipt, ReceiptDetails, part_digest};
use crate::step::{StepInput, StepReceipt, make_step};

/// Every leaf gets its neighbour's place: the sum stays, and each index is false.
fn rotated(mut receipt: BuiltReceipt) -> BuiltReceipt {
    let summary = &mut receipt.summary;
    let mut details = ReceiptDetails::decode_checked(&receipt.details, summary.count, summary.shares).expect("own");
    let mut leaves: Vec<_> = details.indices.iter().map(|i| i.leaf).collect();
    leaves.rotate_left(1);
    details.indices.iter_mut().zip(leaves).for_each(|(index, leaf)| index.leaf = leaf);
    receipt.details = details.encode();
    (summary.details_hash, summary.details_len) = (part_digest(&receipt.details), receipt.details.len() as u32);
    receipt
}

fn status(chain: &TestChain, tip: H256, block: u32, miner: &Miner) -> Vec<ReceiptStatus> {
    let records = storage::RECEIPTS_AT.get_or_default(&chain.state(tip), &block).expect("memory");
    records.iter().filter(|r| r.account == miner.account()).map(|r| r.status).collect()
}

/// A block by Alice with her receipt and Mallory's, appended.
fn next(
    chain: &mut TestChain,
    parent: H256,
    alice: &mut Miner,
    mallory: &Miner,
    theirs: Option<BuiltReceipt>,
) -> TestBlock {
    let own = alice.take_receipt(chain);
    let mut extrinsics: Vec<_> = own.map(|r| alice.submit(chain, parent, r)).into_iter().collect();
    extrinsics.extend(theirs.map(|r| mallory.submit(chain, parent, r)));
    let block = alice.mine_next(chain, parent, extrinsics);
    chain.import(&block).expect("inclusion can't tell");
    block
}

#[test]
fn voided_receipt_pays_nothing_and_never_enters_the_step() {
    let mut chain = TestChain::new(quick);
    let (mut alice, mut mallory) = (Miner::new("Alice", 0), Miner::new("Mallory", 0));
    let mut other_lane = Miner::new("Mallory", 1);
    let genesis = chain.genesis;
    let honest = alice.extend(&mut chain, genesis, 1)[0].hash();

    // Block 2: an honest receipt of Mallory's. Block 3: a false one. Block 4: another honest one, still pending when
    // block 5 voids the false one.
    mallory.compute_empty(&chain, honest, 2);
    let first = mallory.take_receipt(&chain);
    let mut tip = next(&mut chain, honest, &mut alice, &mallory, first).hash();
    mallory.compute_empty(&chain, tip, 3);
    let lie = mallory.take_receipt(&chain).map(rotated);
    tip = next(&mut chain, tip, &mut alice, &mallory, lie).hash();
    other_lane.compute_empty(&chain, tip, 2);
    let second = other_lane.take_receipt(&chain);
    tip = next(&mut chain, tip, &mut alice, &mallory, second).hash();
    assert_eq!(status(&chain, tip, 2, &mallory), [ReceiptStatus::Valid]);
    assert_eq!([3, 4].map(|b| status(&chain, tip, b, &mallory)), [[ReceiptStatus::Pending], [ReceiptStatus::Pending]]);
    tip = next(&mut chain, tip, &mut alice, &mallory, None).hash();
    for block in 2..=4 {
        assert_eq!(status(&chain, tip, block, &mallory), [ReceiptStatus::Voided], "block {block}");
        assert!(!status(&chain, tip, block, &alice).contains(&ReceiptStatus::Voided), "block {block}");
    }
    // Its range stays consumed.
    let key = (0, mallory.account(), 0);
    assert_eq!(storage::NEXT_INDEX.get(&chain.state(tip), &key), Ok(Some(5)));

    tip = alice.extend(&mut chain, tip, 3).last().expect("mined").hash();
    assert_eq!(chain.number(tip), 8);
    let stepped = chain.round(tip, 1).expect("stepped");
    assert_eq!(stepped.checkpoint_root, step_of_alice(&chain, tip, &alice));

    // Round 0 is settled at block 18.
    tip = alice.extend(&mut chain, tip, 10).last().expect("mined").hash();
    assert!(storage::POTS.get(&chain.state(tip), &0).expect("memory").is_none());
    assert_eq!(chain.free(tip, &mallory.account()), 0);
    // No voided share dilutes the others' pay: Alice got the whole pot.
    let price = storage::SHARE_PRICE.get(&chain.state(tip)).expect("set");
    assert!(price > 0 && price < u128::MAX);
}

/// The root of the first step, made by hand from Alice's receipts alone.
fn step_of_alice(chain: &TestChain, tip: H256, alice: &Miner) -> H256 {
    let engine = &chain.engine;
    let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
    let mut receipts = Vec::new();
    for block in 1..=6 {
        for record in storage::RECEIPTS_AT.get_or_default(&chain.state(tip), &block).expect("memory") {
            if record.account == alice.account() {
                let s = record.summary;
                let details =
                    ReceiptDetails::decode_checked(&chain.sidecars[&s.details_hash], s.count, s.shares).expect("valid");
                let gradient = gradient_codec::decode(&lengths, s.count, &chain.sidecars[&s.blob_hash]).expect("valid");
                receipts.push(StepReceipt { count: s.count, loss_sum: details.loss_sum(), gradient });
            }
        }
    }
    let first = chain.round(tip, 0).expect("kept");
    let headers = std::iter::successors(Some(tip), |hash| Some(chain.header(*hash).parent_hash));
    // Seals of blocks 1 to 7: the step's own block isn't mined when its state is made.
    let seals: Vec<Vec<u64>> =
        headers.skip(1).take(7).map(|h| super::rules::seal_of(chain.header(h)).squares).collect();
    let (_, outcome) = make_step(
        engine,
        &StepInput {
            checkpoint: &chain.checkpoints[&first.checkpoint_root],
            checkpoint_root: first.checkpoint_root,
            exponents: &first.exponents,
            running: &vec![0; lengths.len()],
            seal_squares: &seals,
            receipts: &receipts,
        },
    );
    outcome.checkpoint_root
}
