//! Receipts from their inclusion to the step and their pay.

use descent_runtime::{ReceiptStatus, Verdict, storage};

use super::{Miner, TestChain, quick};
use crate::verify::prepare_with_verdicts;
use crate::view::ChainView;

#[test]
fn honest_receipts_become_valid_enter_the_step_and_are_paid() {
    let mut chain = TestChain::new(quick);
    let mut miner = Miner::new("Charlie", 3);
    let genesis = chain.genesis;
    // Round 0 settles at block 18.
    let blocks = miner.extend(&mut chain, genesis, 18);
    let (before, after) = (blocks[16].hash(), blocks[17].hash());

    let mut microbatches = 0;
    let mut stepped = 0;
    for number in 1..=15 {
        for record in storage::RECEIPTS_AT.get_or_default(&chain.state(before), &number).expect("memory") {
            assert_eq!(record.status, ReceiptStatus::Valid, "{record:?}");
            assert!(record.summary.shares > 0);
            microbatches += record.summary.count;
            // Round 0's step executes with block 8 and reads what was included at or before block 6.
            if record.summary.round == 0 && number <= 6 {
                stepped += record.summary.count;
            }
        }
    }
    assert!(microbatches > stepped);
    let first = chain.round(before, 0).expect("kept");
    let second = chain.round(before, 1).expect("stepped");
    assert_eq!(second.microbatches, stepped);
    assert_eq!(second.tokens, u64::from(stepped) * chain.engine.task().model().tokens() as u64);
    assert_ne!(first.checkpoint_root, second.checkpoint_root);
    assert_eq!(second.start_block, 8);
    // ln 256 at the start.
    let nats = f64::from(second.loss) / f64::from(1 << 20);
    assert!((5.3..5.7).contains(&nats), "{nats}");
    let third = chain.round(before, 2).expect("stepped");
    // One step of the warm-up is within the noise of a few windows (0.03 nats): it must not be worse than that.
    assert!(third.loss < second.loss + (1 << 15), "{} {}", third.loss, second.loss);

    // Settlement pays the only miner all shares of round 0, less the fees.
    assert!(storage::RECEIPTS_AT.get(&chain.state(before), &3).expect("memory").is_some());
    assert!(storage::RECEIPTS_AT.get(&chain.state(after), &3).expect("memory").is_none());
    let pot = storage::POTS.get(&chain.state(before), &0).expect("memory").expect("unsettled");
    assert!(storage::POTS.get(&chain.state(after), &0).expect("memory").is_none());
    let account = miner.account();
    let gain = chain.free(after, &account) - chain.free(before, &account);
    assert!(gain > pot.shares * 99 / 100 && gain < 2 * pot.shares, "{gain} of {}", pot.shares);
}

#[test]
fn step_is_replayed_from_the_verdicts_in_state() {
    // Parts of a receipt that state calls valid are enough: no sample is recomputed.
    let mut chain = TestChain::new(quick);
    let mut miner = Miner::new("Alice", 0);
    let genesis = chain.genesis;
    let blocks = miner.extend(&mut chain, genesis, 8);
    let view = chain.view(blocks[6].hash());
    let due = descent_runtime::receipts_due(&chain.params, view.state(), 8).expect("memory");
    let verdicts = due.iter().map(|r| Verdict { receipt: r.id, valid: true }).collect();
    let replayed = prepare_with_verdicts(&chain.engine, &view, verdicts).expect("own chain");
    let stepped = chain.round(blocks[7].hash(), 1).expect("stepped");
    assert_eq!(replayed.inputs.step.map(|s| s.checkpoint_root), Some(stepped.checkpoint_root));
    assert!(replayed.checkpoint.is_some() && stepped.tokens > 0);
    // A false verdict is another step.
    let verdicts = due.iter().map(|r| Verdict { receipt: r.id, valid: false }).collect();
    let other = prepare_with_verdicts(&chain.engine, &view, verdicts).expect("own chain");
    assert_ne!(other.inputs.step.map(|s| s.checkpoint_root), Some(stepped.checkpoint_root));
}
