//! Every field of header and seal, and every variant of [`SealError`].

use std::sync::Arc;

use codec::Encode;
use descent_runtime::{H256, HeaderError, UPOW_ENGINE_ID};
use ml_kernels::config::ModelConfig;
use ml_kernels::error::KernelError;
use ml_kernels::weights::{PreparedWeights, initial};
use sp_runtime::DigestItem;

use super::{Fixture, edit_pre, seal_error, set_seal};
use crate::engine::RoundContext;
use crate::mining::{MiningTemplate, mine};
use crate::seal::{SealError, SealedHeader, microbatch_proves_seal};
use crate::testing::TestBlock;
use crate::ticket::{TileError, second_half, second_hash};
use crate::verify::{BlockError, author_block};
use crate::witness::{Witness, WitnessError};

#[test]
fn every_field_of_the_header_is_mined() {
    let f = Fixture::new();
    type Edit = fn(&mut TestBlock);
    let edits: [(&str, Edit); 5] = [
        ("state root", |b| b.header.state_root.0[0] ^= 1),
        ("extrinsics root", |b| b.header.extrinsics_root.0[0] ^= 1),
        ("timestamp", |b| edit_pre(&mut b.header, |pre| pre.timestamp_ms += 1)),
        ("sealer", |b| edit_pre(&mut b.header, |pre| pre.sealer = crate::testing::account("Mallory"))),
        ("lane", |b| edit_pre(&mut b.header, |pre| pre.lane ^= 1)),
    ];
    for (field, edit) in edits {
        // Any of them changes sigma, with it all keys, and the tile draws another ticket.
        let error = f.edited(edit);
        assert!(matches!(error, BlockError::Seal(SealError::Witness(WitnessError::Ticket { .. }))), "{field}: {error}");
    }
    // Parent and number have rules of their own, which come first.
    assert!(matches!(f.edited(|b| b.header.parent_hash = f.chain.genesis), BlockError::Parent { .. }));
    assert!(matches!(f.edited(|b| b.header.number = 3), BlockError::Number { got: 3, expected: 2 }));
}

#[test]
fn seal_is_present_and_canonical() {
    let f = Fixture::new();
    let seal = f.seal().encode();
    let error = |edit: &dyn Fn(&mut TestBlock)| seal_error(f.edited(edit));
    assert_eq!(error(&|b| drop(b.header.digest.logs.pop())), SealError::Missing);
    assert_eq!(error(&|b| b.header.digest.logs.clear()), SealError::Header(HeaderError::ItemCount { got: 0 }));
    assert_eq!(error(&|b| b.header.digest.logs.reverse()), SealError::Header(HeaderError::PreRuntimeFirst));
    let consensus = DigestItem::Consensus(UPOW_ENGINE_ID, seal.clone());
    assert_eq!(error(&|b| b.header.digest.logs[1] = consensus.clone()), SealError::Header(HeaderError::SealLast));
    let got = seal.len();
    assert_eq!(error(&|b| set_seal(&mut b.header, seal[1..].to_vec())), SealError::Malformed { got: got - 1 });
    assert_eq!(error(&|b| set_seal(&mut b.header, [&seal[..], &[0]].concat())), SealError::Malformed { got: got + 1 });
}

#[test]
fn every_field_of_the_seal_is_checked() {
    let f = Fixture::new();
    let seal = f.seal();
    let tensors = seal.squares.len();
    assert_eq!(
        f.resealed(|s, _| s.squares.truncate(tensors - 1)),
        SealError::SquaresCount { got: tensors - 1, expected: tensors }
    );
    let (layer, op) = (999, seal.tile.op);
    assert_eq!(f.resealed(|s, _| s.tile.layer = layer), SealError::Tile(TileError::NoSuchProduct { layer, op }));
    let (layer, op) = (seal.tile.layer, 3);
    assert_eq!(f.resealed(|s, _| s.tile.op = op), SealError::Tile(TileError::NoSuchProduct { layer, op }));
    assert!(matches!(f.resealed(|s, _| s.tile.row = 128), SealError::Tile(TileError::Outside { row: 128, .. })));
    assert!(matches!(f.resealed(|s, _| s.tile.col = 128), SealError::Tile(TileError::Outside { col: 128, .. })));

    assert!(matches!(f.resealed(|s, _| s.t0 = H256::repeat_byte(0xff)), SealError::FirstHalf { .. }));
    let other = |passes: bool, t0: &dyn Fn(u8) -> H256| {
        (1..=255).map(t0).find(|t| second_half(&second_hash(t, &seal.leaf)) == passes).expect("one in eight")
    };
    let flipped = |x: u8| H256(std::array::from_fn(|i| if i == 0 { seal.t0.0[0] ^ x } else { seal.t0.0[i] }));
    assert!(matches!(f.resealed(|s, _| s.t0 = other(false, &flipped)), SealError::SecondHalf { .. }));
    assert!(matches!(f.resealed(|s, _| s.t0 = other(true, &flipped)), SealError::Witness(WitnessError::Ticket { .. })));

    // K binds index and base, the witness both commitments.
    assert!(matches!(f.resealed(|s, _| s.index += 1), SealError::Witness(WitnessError::Ticket { .. })));
    assert!(matches!(f.resealed(|s, _| s.base.0[0] ^= 1), SealError::Witness(WitnessError::Ticket { .. })));
    assert!(matches!(
        f.resealed(|s, _| s.com_a.0[0] ^= 1),
        SealError::Witness(WitnessError::Commitment { side: 'A', .. })
    ));
    assert!(matches!(
        f.resealed(|s, _| s.com_b.0[0] ^= 1),
        SealError::Witness(WitnessError::Commitment { side: 'B', .. })
    ));

    // What only recomputing the microbatch can tell.
    let leaf = |x: u8| H256(std::array::from_fn(|i| if i == 0 { seal.leaf.0[0] ^ x } else { seal.leaf.0[i] }));
    let leaf = (1..=255).map(leaf).find(|leaf| second_half(&second_hash(&seal.t0, leaf))).expect("one in eight");
    assert_eq!(f.resealed(|s, _| s.leaf = leaf), SealError::Leaf { got: seal.leaf, expected: leaf });
    for tensor in 0..tensors {
        let error = f.resealed(|s, _| s.squares[tensor] += 1);
        assert!(matches!(error, SealError::Squares { got, .. } if got == seal.squares));
    }
    assert_eq!(f.resealed(|s, _| s.loss += 1), SealError::Loss { got: seal.loss, expected: seal.loss + 1 });

    let error = seal_error(f.edited(|b| {
        let mut seal = f.seal();
        seal.witness.0[0] ^= 1;
        set_seal(&mut b.header, seal.encode());
    }));
    assert!(matches!(error, SealError::WitnessDigest { got, .. } if got == seal.witness));
}

/// Mines the fixture's second block on a context of the miner's choice: its witness is as good as any.
fn mined_on(f: &Fixture, context: &RoundContext) -> TestBlock {
    let parent = f.block.header.parent_hash;
    let pre = f.miner.pre(f.chain.time_after(parent));
    let authored = author_block(&f.chain.engine, &f.chain.view(parent), &pre, Vec::new()).expect("valid parent");
    let template = MiningTemplate::new(&f.chain.engine, context, authored.header, authored.target).expect("own header");
    let mut mined = (0..).map(|index| mine(&f.chain.engine, context, &template, index).expect("own model"));
    let (seal, witness) = mined.find_map(|m| m.seal).expect("sooner or later");
    let header = descent_runtime::with_seal(template.header().clone(), seal.encode()).expect("no seal yet");
    TestBlock { header, extrinsics: Vec::new(), witness }
}

#[test]
fn base_is_the_rounds() {
    let f = Fixture::new();
    let mut context = f.chain.context(f.block.header.parent_hash);
    let expected = context.base;
    // Smaller scales make sparser gradients, but nothing of a multiply cheaper: still forbidden.
    context.exponents[0] -= 1;
    let root = f.chain.round(f.chain.genesis, 0).expect("first round").checkpoint_root;
    let context = RoundContext::new(0, context.beacon, &root, context.exponents, context.weights);
    let error = f.chain.check(&mined_on(&f, &context)).expect_err("false base");
    assert_eq!(seal_error(error), SealError::Base { got: context.base, expected });
}

#[test]
fn operands_are_the_models() {
    let f = Fixture::new();
    let mut context = f.chain.context(f.block.header.parent_hash);
    let weights = initial(&ModelConfig::TINY, &[9; 32]);
    context.weights =
        Arc::new(PreparedWeights::new(f.chain.engine.platform(), &ModelConfig::TINY, weights).expect("own model"));
    let error = f.chain.check(&mined_on(&f, &context)).expect_err("false weights");
    assert!(matches!(seal_error(error), SealError::Operands { .. }));
}

#[test]
fn operands_are_of_the_names_data() {
    let f = Fixture::new();
    let mut context = f.chain.context(f.block.header.parent_hash);
    context.beacon.0[0] ^= 1;
    let error = f.chain.check(&mined_on(&f, &context)).expect_err("false data");
    assert!(matches!(seal_error(error), SealError::Operands { .. }));
}

#[test]
fn microbatch_proves_seal_without_trusting_the_witness() {
    let f = Fixture::new();
    let context = f.chain.context(f.block.header.parent_hash);
    let sealed = SealedHeader::parse(&f.block.header).expect("valid");
    let error = |edit: &dyn Fn(&mut SealedHeader)| {
        let mut sealed = sealed.clone();
        edit(&mut sealed);
        microbatch_proves_seal(&f.chain.engine, &context, &sealed).expect_err("false")
    };
    assert!(
        matches!(error(&|s| s.seal.t0.0[0] ^= 1), SealError::Ticket { expected, .. } if expected != sealed.seal.t0)
    );
    assert!(matches!(error(&|s| s.seal.com_b.0[0] ^= 1), SealError::Operands { .. }));
    assert!(matches!(error(&|s| s.seal.tile.layer = 999), SealError::Tile(TileError::NoSuchProduct { .. })));
    // The same microbatch under another name is another one.
    assert!(matches!(error(&|s| s.seal.index += 1), SealError::Operands { .. }));
    assert!(matches!(error(&|s| s.lane += 1), SealError::Operands { .. }));

    let mut foreign = context.clone();
    let model = ModelConfig { n_layers: 1, ..ModelConfig::TINY };
    let weights = initial(&model, &[9; 32]);
    foreign.weights = Arc::new(PreparedWeights::new(f.chain.engine.platform(), &model, weights).expect("valid model"));
    let error = microbatch_proves_seal(&f.chain.engine, &foreign, &sealed).expect_err("another model");
    assert!(matches!(error, SealError::Kernel(KernelError::Length { .. })), "{error}");
}

#[test]
fn ticket_below_the_target_is_no_longer_one_at_a_harder_target() {
    let f = Fixture::new();
    let seal = f.seal();
    let sealed = SealedHeader::parse(&f.block.header).expect("valid");
    let hard = crate::difficulty::Difficulty(u128::MAX).target();
    let error = crate::seal::claimed_ticket_wins(f.chain.engine.task(), &sealed, hard).expect_err("too easy");
    assert_eq!(error, SealError::FirstHalf { got: seal.t0, target: hard });
    assert_eq!(Witness::digest(&f.block.witness), seal.witness);
}
