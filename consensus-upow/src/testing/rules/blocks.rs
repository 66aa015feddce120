//! Every variant of [`BlockError`], by blocks that were really mined where a rule lies behind the ticket.

use std::sync::Arc;

use descent_runtime::{ExtrinsicError, PreDigest, RuntimeError, StateError, extrinsics_root};
use ml_kernels::config::ModelConfig;
use ml_kernels::weights::{PreparedWeights, initial};

use super::{Fixture, edit_pre};
use crate::receipt::ReceiptError;
use crate::testing::{Miner, TestBlock, TestChain, account, quick};
use crate::timestamp::TimestampError;
use crate::verify::{AuthoredBlock, BlockError, author_block};
use crate::view::{ViewError, round_context};

/// An honest block on top of a parent, not mined yet.
fn authored(f: &Fixture, extrinsics: Vec<Vec<u8>>) -> AuthoredBlock {
    let parent = f.block.header.parent_hash;
    let pre: PreDigest = f.miner.pre(f.chain.time_after(parent));
    author_block(&f.chain.engine, &f.chain.view(parent), &pre, extrinsics).expect("valid parent")
}

/// Mines a block after an edit: nothing but the rule in question is broken.
fn mined(f: &mut Fixture, edit: impl FnOnce(&mut AuthoredBlock)) -> TestBlock {
    let mut block = authored(f, Vec::new());
    edit(&mut block);
    f.miner.seal(&f.chain, f.block.header.parent_hash, block)
}

#[test]
fn time_is_checked_before_the_ticket() {
    let f = Fixture::new();
    let first = f.chain.time_after(f.chain.genesis);
    let set = |timestamp_ms| f.edited(|b| edit_pre(&mut b.header, |pre| pre.timestamp_ms = timestamp_ms));
    let early = TimestampError::TimestampTooEarly { got: first, median: first };
    assert_eq!(set(first), BlockError::Timestamp(early));
    f.chain.set_clock(first);
    let limit = first + f.chain.params.max_future_ms;
    let late = BlockError::Timestamp(TimestampError::TimestampTooFarInFuture { got: limit + 1, limit });
    assert_eq!(set(limit + 1), late);
    assert!(late.is_transient());
    f.chain.check(&f.block).expect("a second ahead is fine");
}

#[test]
fn state_root_is_that_of_execution() {
    let mut f = Fixture::new();
    let block = mined(&mut f, |b| b.header.state_root.0[0] ^= 1);
    let error = f.chain.check(&block).expect_err("false root");
    let expected = block.header.state_root;
    assert!(matches!(error, BlockError::StateRoot { got, expected: e } if got != e && e == expected));
    assert!(!error.is_transient());
}

#[test]
fn extrinsics_are_those_of_the_header() {
    let mut f = Fixture::new();
    let block = mined(&mut f, |b| b.header.extrinsics_root.0[0] ^= 1);
    let expected = block.header.extrinsics_root;
    let got = extrinsics_root(&[]);
    assert_eq!(f.chain.check(&block).expect_err("false root"), BlockError::ExtrinsicsRoot { got, expected });
    // A body swapped on the way doesn't make a good header bad.
    let error = f.edited(|b| b.extrinsics.push(vec![0]));
    assert!(matches!(error, BlockError::ExtrinsicsRoot { .. }) && error.is_transient(), "{error}");
}

#[test]
fn extrinsics_are_executed_under_the_runtimes_rules() {
    let mut f = Fixture::new();
    let parent = f.block.header.parent_hash;
    let transfer = f.miner.transfer(&f.chain, parent, &account("Bob"), 1_000_000);
    // The same nonce twice; then no extrinsic at all.
    for (extrinsics, position) in [(vec![transfer.clone(), transfer], 1), (vec![vec![4, 0]], 0)] {
        let block = mined(&mut f, |b| {
            b.header.extrinsics_root = extrinsics_root(&extrinsics);
            b.extrinsics = extrinsics;
        });
        let error = f.chain.check(&block).expect_err("bad extrinsic");
        assert!(
            matches!(error, BlockError::Runtime(RuntimeError::Extrinsic { position: p, .. }) if p == position),
            "{error}"
        );
        assert!(!error.is_transient());
    }
    let limit = f.chain.params.max_block_bytes;
    let extrinsics = vec![vec![0; limit as usize + 1]];
    let block = mined(&mut f, |b| {
        b.header.extrinsics_root = extrinsics_root(&extrinsics);
        b.extrinsics = extrinsics;
    });
    let got = u64::from(limit) + 1;
    assert_eq!(
        f.chain.check(&block).expect_err("too large"),
        BlockError::Runtime(RuntimeError::BlockBytes { got, limit })
    );
}

/// The fixture with a block on top that carries a receipt; returns also the extrinsic.
fn with_receipt() -> (Fixture, TestBlock) {
    let mut f = Fixture::new();
    let parent = f.block.header.parent_hash;
    let receipt = f.miner.take_receipt(&f.chain).expect("mined for it");
    let extrinsic = f.miner.submit(&mut f.chain, parent, receipt);
    let block = f.miner.mine_next(&f.chain, parent, vec![extrinsic]);
    f.chain.check(&block).expect("valid");
    (f, block)
}

#[test]
fn block_without_its_parts_is_unknown() {
    let (mut f, block) = with_receipt();
    for digest in f.chain.sidecars.keys().copied().collect::<Vec<_>>() {
        let part = f.chain.sidecars.remove(&digest).expect("there");
        let error = f.chain.check(&block).expect_err("incomplete");
        assert_eq!(error, BlockError::PartMissing { position: 0, digest });
        assert!(error.is_transient());
        f.chain.sidecars.insert(digest, part);
    }
    f.chain.check(&block).expect("complete");
}

#[test]
fn receipt_rules_name_the_extrinsic() {
    let (mut f, _) = with_receipt();
    let parent = f.block.header.parent_hash;
    // Everything mined so far, but for one token.
    let mut f2 = Fixture::new();
    let mut receipt = f2.miner.take_receipt(&f2.chain).expect("mined for it");
    receipt.summary.tokens += 1;
    let extrinsics = vec![f2.miner.submit(&mut f2.chain, parent, receipt)];
    f.chain.sidecars.extend(f2.chain.sidecars.clone());
    let refused = authored(&f, extrinsics.clone()).refused;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].1.contains("tokens"), "{}", refused[0].1);
    let block = mined(&mut f, |b| {
        b.header.extrinsics_root = extrinsics_root(&extrinsics);
        b.extrinsics = extrinsics;
    });
    let error = f.chain.check(&block).expect_err("bad receipt");
    assert!(
        matches!(&error, BlockError::Receipt { position: 0, source } if matches!(**source, ReceiptError::Tokens { .. })),
        "{error}"
    );
}

#[test]
fn receipts_are_counted_before_any_is_unpacked() {
    let (mut f, block) = with_receipt();
    f.chain.sidecars.clear();
    let limit = f.chain.params.max_receipts_per_block;
    let extrinsics = vec![block.extrinsics[0].clone(); limit as usize + 1];
    let block = mined(&mut f, |b| {
        b.header.extrinsics_root = extrinsics_root(&extrinsics);
        b.extrinsics = extrinsics;
    });
    let source = ExtrinsicError::Receipt(descent_runtime::ReceiptError::BlockFull { limit });
    let expected = RuntimeError::Extrinsic { position: limit as usize, source };
    assert_eq!(f.chain.check(&block).expect_err("too many"), BlockError::Runtime(expected));
}

#[test]
fn what_cannot_be_read_says_nothing_about_a_block() {
    let mut f = Fixture::new();
    let parent = f.block.header.parent_hash;
    let error = round_context(&f.chain.view(parent), 99).expect_err("not reached");
    assert_eq!(error, BlockError::UnknownRound { round: 99 });

    f.chain.checkpoints.clear();
    f.chain.weights.lock().expect("unused").clear();
    let error = f.chain.check(&f.block).expect_err("no weights");
    assert!(matches!(error, BlockError::View(ViewError::Missing { what: "checkpoint", .. })) && error.is_transient());

    f.chain.nodes.0.clear();
    let error = f.chain.check(&f.block).expect_err("no state");
    assert!(matches!(error, BlockError::State(StateError::Backend(_))) && error.is_transient());
    for error in [
        BlockError::Runtime(RuntimeError::State(StateError::Backend(String::new()))),
        BlockError::Runtime(RuntimeError::Extrinsic {
            position: 0,
            source: ExtrinsicError::State(StateError::Backend(String::new())),
        }),
    ] {
        assert!(error.is_transient(), "{error}");
    }
}

#[test]
fn weights_of_another_model_are_no_fault_of_the_block() {
    let mut chain = TestChain::new(quick);
    let mut miner = Miner::new("Alice", 0);
    let genesis = chain.genesis;
    // The receipt of block 2 is due at block 4.
    let blocks = miner.extend(&mut chain, genesis, 3);
    let model = ModelConfig { n_layers: 1, ..ModelConfig::TINY };
    let weights =
        PreparedWeights::new(chain.engine.platform(), &model, initial(&model, &[1; 32])).expect("valid model");
    let weights = Arc::new(weights);
    chain.weights.lock().expect("unused").values_mut().for_each(|w| *w = weights.clone());
    let tip = blocks[2].hash();
    let error = author_block(&chain.engine, &chain.view(tip), &miner.pre(chain.time_after(tip)), Vec::new())
        .expect_err("cannot sample");
    assert!(matches!(error, BlockError::Kernel(_)) && error.is_transient());
}
