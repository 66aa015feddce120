//! Blocks that were changed on their way, and forged ones.

use consensus_upow::mining::{MiningTemplate, mine};
use consensus_upow::verify::{BlockError, author_block};
use consensus_upow::view::HeaderView;
use descent_genesis::accounts;
use descent_node::chain::{Chain, ImportError, IncomingBlock, sealed};
use descent_node::miner::now_ms;
use descent_node::store::StoredBody;
use descent_runtime::{H256, Header, PreDigest};
use sp_runtime::DigestItem;

use crate::reorg::Side;
use crate::support::quick_spec;

/// A chain, and a block with a receipt that is next on it.
fn next_with_receipt() -> (Side, IncomingBlock) {
    let spec = quick_spec("dev");
    let (mut author, reader) = (Side::new(&spec, "Alice", 0), Side::new(&spec, "Bob", 0));
    loop {
        author.mine_to(author.height() + 1);
        let block = author.block(author.height());
        if !block.sidecars.is_empty() {
            return (reader, block);
        }
        reader.import(block).unwrap();
    }
}

/// Imports a block that must be refused, and nothing of it kept.
fn refused(side: &Side, block: &IncomingBlock) -> BlockError {
    let store = side.chain.store();
    let before = (store.best().unwrap(), store.leaves().unwrap());
    let error = match side.import(block.clone()) {
        Err(ImportError::Block(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!((store.best().unwrap(), store.leaves().unwrap()), before);
    assert!(store.meta(&block.header.hash()).unwrap().is_none());
    for part in &block.sidecars {
        assert!(!store.has_sidecar(&consensus_upow::receipt::part_digest(part)).unwrap());
    }
    error
}

#[test]
fn a_changed_block_is_refused_and_nothing_of_it_kept() {
    let (side, block) = next_with_receipt();
    let changed = |change: &dyn Fn(&mut IncomingBlock)| {
        let mut block = block.clone();
        change(&mut block);
        refused(&side, &block)
    };
    // A false body or witness says nothing about the header, which may come again with the right ones.
    let other_witness = |error: BlockError| {
        assert!(matches!(error, BlockError::Seal(_)) && error.is_transient(), "{error}");
    };
    other_witness(changed(&|block| block.body.witness[100] ^= 1));
    other_witness(changed(&|block| block.body.witness.clear()));
    let other_body = |error: BlockError| {
        assert!(matches!(error, BlockError::ExtrinsicsRoot { .. }) && error.is_transient(), "{error}");
    };
    other_body(changed(&|block| block.body.extrinsics.clear()));
    other_body(changed(&|block| block.body.extrinsics.push(vec![0])));
    let header = |change: &dyn Fn(&mut Header)| {
        let error = changed(&|block| change(&mut block.header));
        assert!(!error.is_transient(), "{error}");
    };
    header(&|header| header.state_root = H256::repeat_byte(1));
    header(&|header| header.extrinsics_root = H256::repeat_byte(1));
    header(&|header| header.number += 1);
    header(&|header| drop(header.digest.logs.pop()));
    header(&|header| header.digest.logs.swap(0, 1));
    header(&|header| drop(header.digest.logs.remove(0)));
    // Every byte of the seal is under some rule; the last 32 name the witness.
    let Some(DigestItem::Seal(_, seal)) = block.header.digest.logs.last() else { panic!("sealed") };
    for at in (0..seal.len()).step_by(19) {
        changed(&|block| {
            let Some(DigestItem::Seal(_, seal)) = block.header.digest.logs.last_mut() else { panic!("sealed") };
            seal[at] ^= 1;
        });
    }
    side.import(block.clone()).unwrap();
}

#[test]
fn a_block_without_its_parts_is_unknown_not_invalid() {
    let (side, block) = next_with_receipt();
    let missing = |sidecars: Vec<Vec<u8>>| {
        let error = refused(&side, &IncomingBlock { sidecars, ..block.clone() });
        assert!(matches!(error, BlockError::PartMissing { .. }) && error.is_transient(), "{error}");
    };
    missing(Vec::new());
    missing(block.sidecars[1..].to_vec());
    let mut altered = block.sidecars.clone();
    altered[1][0] ^= 1;
    missing(altered);
    // What nobody asked for does no harm, and is not kept.
    let stray = vec![1, 2, 3];
    let with_stray = [block.sidecars.clone(), vec![stray.clone()]].concat();
    side.import(IncomingBlock { sidecars: with_stray, ..block }).unwrap();
    assert!(!side.chain.store().has_sidecar(&consensus_upow::receipt::part_digest(&stray)).unwrap());
}

/// Mines a block whose header was changed before, so that the seal is right.
pub(crate) fn forge(chain: &Chain, change: impl FnOnce(&mut Header, &mut Vec<Vec<u8>>)) -> IncomingBlock {
    let view = chain.view(chain.best().unwrap().hash).unwrap();
    let context = chain.context_on(&view).unwrap();
    let sealer = accounts::well_known("Eve").unwrap();
    let timestamp_ms = chain.store().meta(&view.parent_hash()).unwrap().unwrap().facts.timestamp_ms.max(now_ms()) + 1;
    let pre = PreDigest { sealer, lane: 0, timestamp_ms };
    let authored = author_block(chain.engine(), &view, &pre, Vec::new()).unwrap();
    let (mut header, mut extrinsics) = (authored.header, authored.extrinsics);
    change(&mut header, &mut extrinsics);
    let template = MiningTemplate::new(chain.engine(), &context, header.clone(), authored.target).unwrap();
    let mined = (0..).find_map(|index| mine(chain.engine(), &context, &template, index).unwrap().seal);
    let (seal, witness) = mined.expect("mined until found");
    IncomingBlock {
        header: sealed(header, &seal).unwrap(),
        body: StoredBody { extrinsics, witness },
        sidecars: Vec::new(),
    }
}

#[test]
fn honest_work_does_not_make_a_false_block_true() {
    let mut side = Side::new(&quick_spec("dev"), "Alice", 0);
    side.mine_to(2);
    let state = refused(&side, &forge(&side.chain, |header, _| header.state_root = H256::repeat_byte(1)));
    assert!(matches!(state, BlockError::StateRoot { expected, .. } if expected == H256::repeat_byte(1)), "{state}");
    let extrinsic = refused(
        &side,
        &forge(&side.chain, |header, extrinsics| {
            extrinsics.push(b"\x04x".to_vec());
            header.extrinsics_root = descent_runtime::extrinsics_root(extrinsics);
        }),
    );
    assert!(matches!(extrinsic, BlockError::Runtime(_)), "{extrinsic}");
    let past = refused(
        &side,
        &forge(&side.chain, |header, _| {
            let old = PreDigest { sealer: accounts::well_known("Eve").unwrap(), lane: 0, timestamp_ms: 1 };
            header.digest.logs[0] =
                DigestItem::PreRuntime(descent_runtime::UPOW_ENGINE_ID, codec::Encode::encode(&old));
        }),
    );
    assert!(matches!(&past, BlockError::Timestamp(e) if !e.is_transient()), "{past}");
    // The same work for a true block counts.
    assert!(side.import(forge(&side.chain, |_, _| ())).unwrap().new_best);
}
