//! Competing branches, in one process: two chains of one specification exchange blocks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use consensus_upow::verify::{BlockError, submitted_receipt};
use descent_genesis::{ChainSpec, Dataset, accounts, dev};
use descent_node::chain::{Chain, ImportError, Imported, IncomingBlock, Pruning};
use descent_node::miner::{Miner, MinerStats, now_ms};
use descent_node::pool::Pool;
use descent_node::store::StoreError;
use descent_runtime::call::BalancesCall;
use descent_runtime::{H256, RuntimeCall, SignedExtrinsic, storage};
use sp_runtime::generic::Era;
use tempfile::TempDir;

use crate::support::quick_spec;

/// A chain with a miner.
pub(crate) struct Side {
    pub(crate) chain: Arc<Chain>,
    pub(crate) pool: Arc<Pool>,
    miner: Miner,
    _folder: TempDir,
}

impl Side {
    pub(crate) fn new(spec: &ChainSpec, miner: &str, lane: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::open(spec.clone(), &Dataset::embedded(), folder.path(), Pruning::Rounds(8)).unwrap();
        let (chain, pool) = (Arc::new(chain), Arc::new(Pool::default()));
        let pair = accounts::key_pair(miner).unwrap();
        let (stats, stop) = (Arc::new(MinerStats::default()), Arc::new(AtomicBool::new(false)));
        let miner = Miner::new(chain.clone(), pool.clone(), pair, lane, stats, stop);
        Self { chain, pool, miner, _folder: folder }
    }

    pub(crate) fn height(&self) -> u32 {
        self.chain.best().unwrap().number
    }

    /// Mines up to a height.
    pub(crate) fn mine_to(&mut self, height: u32) {
        self.miner.run(Some(height)).unwrap();
    }

    pub(crate) fn work(&self) -> sp_core::U256 {
        let best = self.chain.best().unwrap();
        self.chain.store().meta(&best.hash).unwrap().unwrap().facts.work
    }

    /// A block of the best chain, as it would be sent.
    pub(crate) fn block(&self, number: u32) -> IncomingBlock {
        let store = self.chain.store();
        let hash = store.hash_at(number).unwrap().unwrap();
        let (header, body) = (store.header(&hash).unwrap().unwrap(), store.body(&hash).unwrap().unwrap());
        let receipts = body.extrinsics.iter().filter_map(|e| submitted_receipt(e));
        let digests = receipts.flat_map(|(_, summary)| [summary.details_hash, summary.blob_hash]);
        let sidecars = digests.map(|digest| store.sidecar(&digest).unwrap().unwrap()).collect();
        IncomingBlock { header, body, sidecars }
    }

    pub(crate) fn import(&self, block: IncomingBlock) -> Result<Imported, ImportError> {
        self.chain.import(block, now_ms())
    }

    /// Takes over another side's blocks from a number on; the last outcome.
    pub(crate) fn follow(&self, other: &Side, from: u32) -> Imported {
        let imported: Vec<_> =
            (from..=other.height()).map(|number| self.import(other.block(number)).unwrap()).collect();
        imported.into_iter().next_back().expect("at least one block")
    }

    /// What the best chain comes to: block, state, and the commitments and weights of all rounds.
    fn outcome(&self) -> Outcome {
        let best = self.chain.best().unwrap();
        let header = self.chain.store().header(&best.hash).unwrap().unwrap();
        let state = self.chain.store().best_state().unwrap();
        let (state_pairs, last) =
            (state.pairs(&[], None, usize::MAX).unwrap(), storage::CURRENT_ROUND.get(&state).unwrap());
        let rounds = (0..=last).map(|round| {
            let (root, checkpoint) = self.chain.checkpoint(round).unwrap().unwrap();
            (root, checkpoint.step, checkpoint.weights.iter().map(|weight| weight.to_bits()).collect())
        });
        Outcome { best: best.hash, state_root: header.state_root, state_pairs, rounds: rounds.collect() }
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    best: H256,
    state_root: H256,
    state_pairs: Vec<(Vec<u8>, Vec<u8>)>,
    rounds: Vec<(H256, u32, Vec<u32>)>,
}

/// Compares without printing a model's weights.
fn assert_same(one: &Side, two: &Side) {
    let (one, two) = (one.outcome(), two.outcome());
    assert_eq!((one.best, one.state_root), (two.best, two.state_root));
    assert!(one == two, "equal blocks, but other states or checkpoints");
}

/// Two sides of a specification with a common past.
fn two_sides(spec: &ChainSpec, common: u32) -> (Side, Side) {
    let (mut one, two) = (Side::new(spec, "Alice", 0), Side::new(spec, "Bob", 3));
    one.mine_to(common);
    two.follow(&one, 1);
    (one, two)
}

#[test]
fn the_heavier_of_two_blocks_children_wins() {
    let spec = quick_spec("dev");
    let (mut one, mut two) = two_sides(&spec, 4);
    one.mine_to(5);
    two.mine_to(6);
    let left = one.chain.best().unwrap();
    // As much work, but later.
    let tie = one.import(two.block(5)).unwrap();
    assert!(!tie.new_best && tie.route.enacted.is_empty());
    assert_eq!(one.chain.best().unwrap(), left);
    let switch = one.import(two.block(6)).unwrap();
    assert!(switch.new_best);
    assert_eq!(switch.route.retracted, [left]);
    assert_eq!(switch.route.enacted.iter().map(|block| block.number).collect::<Vec<_>>(), [5, 6]);
    let fresh = Side::new(&spec, "Charlie", 0);
    fresh.follow(&two, 1);
    assert_same(&one, &two);
    assert_same(&one, &fresh);
}

#[test]
fn a_deep_reorganisation_over_rounds_ends_in_the_state_of_a_replay() {
    let spec = quick_spec("dev");
    let (mut one, mut two) = two_sides(&spec, 2);
    // The steps of blocks 6 and 12 differ between the branches, and so does a transfer.
    let call = RuntimeCall::Balances(BalancesCall::TransferKeepAlive {
        dest: accounts::well_known("Dave").unwrap().into(),
        value: dev::DSNT,
    });
    let (genesis, pair) = (one.chain.genesis_hash(), accounts::key_pair("Eve").unwrap());
    let transfer = SignedExtrinsic::new(&pair, call, 0, 0, Era::immortal(), genesis, genesis).encode();
    let state = one.chain.store().best_state().unwrap();
    one.pool.submit(&spec.params, genesis, &state, 3, transfer.clone()).unwrap();
    drop(state);
    one.mine_to(17);
    assert!((3..=17).any(|number| one.block(number).body.extrinsics.contains(&transfer)));
    two.mine_to(17);
    while two.work() <= one.work() {
        two.mine_to(two.height() + 1);
    }
    for round in [1, 2] {
        assert_ne!(one.outcome().rounds[round].0, two.outcome().rounds[round].0, "round {round}");
    }

    let switch = one.follow(&two, 3);
    assert_eq!((switch.new_best, switch.header.number), (true, two.height()));
    assert_same(&one, &two);
    let fresh = Side::new(&spec, "Charlie", 0);
    fresh.follow(&two, 1);
    assert_same(&one, &fresh);

    // Both go on, the reorganised one with receipts for the new branch, and with the transfer of the old one.
    let dave = |side: &Side| {
        let state = side.chain.store().best_state().unwrap();
        storage::ACCOUNT.get(&state, &accounts::well_known("Dave").unwrap()).unwrap().unwrap().data.free
    };
    assert_eq!((dave(&one), dave(&two)), (dev::ENDOWMENT, dev::ENDOWMENT));
    let height = one.height() + 9;
    one.mine_to(height);
    two.follow(&one, height - 8);
    assert_same(&one, &two);
    assert_eq!((dave(&one), dave(&two)), (dev::ENDOWMENT + dev::DSNT, dev::ENDOWMENT + dev::DSNT));
}

#[test]
fn a_final_block_is_never_left() {
    let mut spec = quick_spec("dev");
    // Branches are followed down to 16 times this, two rounds at least.
    spec.params.finality_depth = 1;
    let (mut one, mut two) = two_sides(&spec, 2);
    one.mine_to(20);
    two.mine_to(4);
    let best = one.chain.best().unwrap();
    let finalized = one.chain.store().finalized().unwrap();
    assert_eq!(finalized.number, 4);
    let block = two.block(3);
    let hash = block.header.hash();
    let error = one.import(block).unwrap_err();
    assert!(matches!(error, ImportError::Store(StoreError::BelowFinalized { number: 3, finalized: 4, .. })), "{error}");
    let text = format!("block {hash} at 3 does not descend from finalized block {} at 4", finalized.hash);
    assert_eq!(error.to_string(), text);
    let child = one.import(two.block(4)).unwrap_err();
    assert!(matches!(child, ImportError::UnknownParent(parent) if parent == hash), "{child}");
    assert_eq!(one.chain.best().unwrap(), best);
    assert!(one.chain.store().meta(&hash).unwrap().is_none());
    one.mine_to(21);
}

#[test]
fn blocks_come_once_and_after_their_parents() {
    let spec = quick_spec("dev");
    let (one, two) = two_sides(&spec, 3);
    let known = two.import(one.block(2)).unwrap_err();
    assert!(matches!(known, ImportError::Known(hash) if hash == one.block(2).header.hash()), "{known}");
    let known = two.import(one.block(3)).unwrap_err();
    assert!(matches!(known, ImportError::Known(_)), "{known}");
    let fresh = Side::new(&spec, "Charlie", 0);
    let orphan = fresh.import(one.block(2)).unwrap_err();
    assert!(matches!(orphan, ImportError::UnknownParent(hash) if hash == one.block(1).header.hash()), "{orphan}");
    // Another chain's blocks build on nothing here.
    let mut other = spec.clone();
    other.task.init_seed = H256::repeat_byte(1);
    let stranger = Side::new(&other, "Dave", 0);
    assert!(matches!(stranger.import(one.block(1)).unwrap_err(), ImportError::UnknownParent(_)));
    // Too far in the future: later it may be valid.
    let early = fresh.chain.import(one.block(1), 1).unwrap_err();
    assert!(matches!(&early, ImportError::Block(e @ BlockError::Timestamp(_)) if e.is_transient()), "{early}");
    fresh.follow(&one, 1);
}
