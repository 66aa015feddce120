//! Blocks that carry real work and break one rule.

use codec::Decode;
use consensus_upow::PreparedWeights;
use consensus_upow::engine::RoundContext;
use consensus_upow::mining::{MiningTemplate, mine};
use consensus_upow::receipt::{ReceiptBuilder, part_digest};
use consensus_upow::seal::Seal;
use consensus_upow::ticket::{second_half, second_hash};
use consensus_upow::verify::author_block;
use consensus_upow::view::ChainView;
use consensus_upow::witness::Witness;
use descent_genesis::accounts;
use descent_node::chain::{Chain, IncomingBlock, sealed};
use descent_node::miner::now_ms;
use descent_node::store::StoredBody;
use descent_runtime::call::TrainingCall;
use descent_runtime::{H256, PreDigest, RuntimeCall, SignedExtrinsic, split_seal, storage};
use sp_runtime::generic::Era;

use crate::tampered::forge;

/// A block with a false state root.
pub(crate) fn state(chain: &Chain) -> IncomingBlock {
    forge(chain, |header, _| header.state_root = H256::repeat_byte(1))
}

fn reseal(block: IncomingBlock, change: impl FnOnce(&mut Seal, &mut Vec<u8>)) -> IncomingBlock {
    let IncomingBlock { header, mut body, sidecars } = block;
    let (unsealed, seal) = split_seal(&header).unwrap();
    let mut seal = Seal::decode(&mut &seal.unwrap()[..]).unwrap();
    change(&mut seal, &mut body.witness);
    IncomingBlock { header: sealed(unsealed, &seal).unwrap(), body, sidecars }
}

/// A true tile with an invented leaf hash, which a forger may choose freely.
pub(crate) fn leaf(chain: &Chain) -> IncomingBlock {
    reseal(forge(chain, |_, _| ()), |seal, _| {
        seal.leaf =
            (0_u64..).map(H256::from_low_u64_be).find(|leaf| second_half(&second_hash(&seal.t0, leaf))).unwrap();
    })
}

/// A witness that is the header's and proves nothing.
pub(crate) fn witness(chain: &Chain) -> IncomingBlock {
    reseal(forge(chain, |_, _| ()), |seal, witness| {
        witness[40] ^= 1;
        seal.witness = Witness::digest(witness);
    })
}

/// A ticket above the target.
pub(crate) fn ticket(chain: &Chain) -> IncomingBlock {
    reseal(forge(chain, |_, _| ()), |seal, _| seal.t0 = H256::repeat_byte(0xff))
}

/// A block mined on weights that are not the model's, under the model's own commitment.
pub(crate) fn operands(chain: &Chain) -> IncomingBlock {
    let view = chain.view(chain.best().unwrap().hash).unwrap();
    let context = chain.context_on(&view).unwrap();
    let engine = chain.engine();
    let info = storage::ROUNDS.get(view.state(), &context.round).unwrap().unwrap();
    let mut weights = view.checkpoint(&info.checkpoint_root).unwrap().weights.clone();
    for weight in &mut weights {
        *weight = -*weight;
    }
    let weights = PreparedWeights::new(engine.platform(), engine.task().model(), weights).unwrap().into();
    let others =
        RoundContext::new(context.round, context.beacon, &info.checkpoint_root, context.exponents.clone(), weights);
    assert_eq!(others.base, context.base);
    let pre = PreDigest { sealer: accounts::well_known("Eve").unwrap(), lane: 0, timestamp_ms: now_ms() };
    let authored = author_block(engine, &view, &pre, Vec::new()).unwrap();
    let template = MiningTemplate::new(engine, &others, authored.header.clone(), authored.target).unwrap();
    let (seal, witness) = (0..).find_map(|index| mine(engine, &others, &template, index).unwrap().seal).unwrap();
    let body = StoredBody { extrinsics: authored.extrinsics, witness };
    IncomingBlock { header: sealed(authored.header, &seal).unwrap(), body, sidecars: Vec::new() }
}

/// A block with a receipt; `tampered` makes its gradient another one than the sum of its leaves.
pub(crate) fn receipt(chain: &Chain, tampered: bool) -> IncomingBlock {
    let view = chain.view(chain.best().unwrap().hash).unwrap();
    let (engine, context) = (chain.engine(), chain.context_on(&view).unwrap());
    let pre = PreDigest { sealer: accounts::well_known("Eve").unwrap(), lane: 0, timestamp_ms: now_ms() };
    let authored = author_block(engine, &view, &pre, Vec::new()).unwrap();
    let template = MiningTemplate::new(engine, &context, authored.header.clone(), authored.target).unwrap();
    let mut builder = ReceiptBuilder::new(engine, &context, 0, 0);
    assert!(builder.push(&template, &mine(engine, &context, &template, 0).unwrap()));
    let mut built = builder.build(engine).unwrap();
    if tampered {
        let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
        let mut gradient = consensus_upow::gradient_codec::decode(&lengths, 1, &built.blob).unwrap();
        gradient[1000] = if gradient[1000] == 0 { 1 } else { 0 };
        built.blob = consensus_upow::gradient_codec::encode(&lengths, &gradient);
        (built.summary.blob_hash, built.summary.blob_len) = (part_digest(&built.blob), built.blob.len() as u32);
    }
    let call = RuntimeCall::Training(TrainingCall::SubmitReceipt { summary: built.summary.clone() });
    let genesis = chain.genesis_hash();
    let pair = accounts::key_pair("Eve").unwrap();
    let extrinsic = SignedExtrinsic::new(&pair, call, 0, 0, Era::immortal(), genesis, genesis).encode();
    let sidecars = vec![built.details, built.blob];
    if tampered {
        let block = forge(chain, |header, extrinsics| {
            extrinsics.push(extrinsic);
            header.extrinsics_root = descent_runtime::extrinsics_root(extrinsics);
        });
        return IncomingBlock { sidecars, ..block };
    }
    let mut view = chain.view(chain.best().unwrap().hash).unwrap();
    view.add_sidecars(sidecars.clone());
    let authored = author_block(engine, &view, &pre, vec![extrinsic]).unwrap();
    assert!(authored.refused.is_empty(), "{:?}", authored.refused);
    let template = MiningTemplate::new(engine, &context, authored.header.clone(), authored.target).unwrap();
    let (seal, witness) = (1..).find_map(|index| mine(engine, &context, &template, index).unwrap().seal).unwrap();
    let body = StoredBody { extrinsics: authored.extrinsics, witness };
    IncomingBlock { header: sealed(authored.header, &seal).unwrap(), body, sidecars }
}
