//! A chain in memory: real state, real checkpoints, real rules. No switch turns one off.
//!
//! Trie nodes are only ever added, so that every block's state stays readable and forks live side by side.

mod determinism;
mod dishonest;
mod forks;
mod golden;
mod late;
mod miner;
mod pay;
mod rules;
mod view;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use descent_runtime::issuance::{check_issuance, sum_of_balances};
use descent_runtime::trie::{self, NodeStore};
use descent_runtime::{
    AccountId, Balance, BlockNumber, ChainParams, H256, Header, RoundInfo, StateError, StateRead, balances,
    genesis_header, genesis_state, header_hash, storage,
};
use ml_kernels::optimizer::Checkpoint;
use ml_kernels::platform::Platform;
use ml_kernels::weights::PreparedWeights;
use sp_core::{Pair, sr25519};

use crate::checkpoint::checkpoint_root;
use crate::engine::{Engine, RoundContext};
use crate::genesis::{initial_checkpoint, initial_training};
use crate::task::TaskParams;
use crate::task::tests::tiny_task;
use crate::verify::{BlockError, BlockParts, VerifiedBlock, verify_block};
use crate::view::round_context;

pub(crate) use miner::Miner;
pub(crate) use view::View;

/// One coin.
const COIN: Balance = 1_000_000_000_000;
/// Time of block 0, were it mined: any time will do.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// Text-like bytes: the model finds something to learn, and every window differs.
pub(crate) fn dataset() -> Arc<[u8]> {
    let words = ["gradient ", "block ", "weight ", "miner ", "round ", "the ", "a ", "of ", "seals ", "learns "];
    let mut state = 1_u32;
    let mut text = Vec::new();
    while text.len() < 20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend(words[(state >> 16) as usize % words.len()].bytes());
    }
    text.into()
}

/// The tiny task on [`dataset`].
pub(crate) fn task() -> TaskParams {
    tiny_task(&dataset())
}

/// A development chain at its least sensible difficulty: eight microbatches a block.
pub(crate) fn params() -> ChainParams {
    let difficulty = 8 * u128::from(task().model().microbatch_macs());
    ChainParams {
        block_time_ms: 1_000,
        round_blocks: 8,
        verdict_slack: 0,
        finality_depth: 6,
        half_life_ms: 100_000,
        max_future_ms: 5_000,
        genesis_ms: 0,
        initial_difficulty: difficulty,
        minimum_difficulty: difficulty,
        max_block_bytes: 64 << 10,
        max_blob_bytes: 2 << 20,
        max_receipts_per_block: 4,
        existential_deposit: 1_000,
        byte_fee: 10,
        base_fee: 500,
        receipt_fee: 2_000,
        emission_cap: 1_000_000 * COIN,
        emission_shift: 16,
        tail_emission: COIN / 10,
    }
}

/// Difficulty of one microbatch a block: for tests of anything but the lottery's rate.
pub(crate) fn quick(params: &mut ChainParams) {
    params.minimum_difficulty /= 8;
    params.initial_difficulty = params.minimum_difficulty;
}

/// The key of a development account.
pub(crate) fn pair(name: &str) -> sr25519::Pair {
    sr25519::Pair::from_string(&format!("//{name}"), None).expect("valid derivation")
}

/// Its account.
pub(crate) fn account(name: &str) -> AccountId {
    pair(name).public().into()
}

/// An engine for the tiny task.
pub(crate) fn engine(platform: Platform) -> Engine {
    Engine::new(task(), dataset(), platform).expect("valid task")
}

/// Round 0 as the genesis state has it, with a zero beacon: for tests that need no chain.
pub(crate) fn first_round(engine: &Engine) -> RoundContext {
    let checkpoint = initial_checkpoint(engine);
    let training = initial_training(engine, &checkpoint).expect("valid task");
    let weights =
        PreparedWeights::new(engine.platform(), engine.task().model(), checkpoint.weights).expect("valid task");
    RoundContext::new(0, H256::zero(), &training.checkpoint_root, training.exponents, Arc::new(weights))
}

/// A block as strangers send it.
#[derive(Clone, Debug)]
pub(crate) struct TestBlock {
    pub(crate) header: Header,
    pub(crate) extrinsics: Vec<Vec<u8>>,
    pub(crate) witness: Vec<u8>,
}

impl TestBlock {
    pub(crate) fn hash(&self) -> H256 {
        header_hash(&self.header)
    }

    pub(crate) fn parts(&self) -> BlockParts<'_> {
        BlockParts { header: &self.header, extrinsics: &self.extrinsics, witness: &self.witness }
    }
}

#[derive(Default)]
struct Nodes(HashMap<Vec<u8>, Vec<u8>>);

impl NodeStore for Nodes {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(key).cloned())
    }
}

/// State at a root.
pub(crate) struct State<'a> {
    nodes: &'a Nodes,
    root: H256,
}

impl State<'_> {
    fn sum_of_balances(&self) -> Balance {
        let pairs = trie::pairs(self.nodes, self.root, b"", None, usize::MAX).expect("all nodes are kept");
        sum_of_balances(pairs).expect("state decodes")
    }
}

impl StateRead for State<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        trie::read(self.nodes, self.root, key).map_err(|e| StateError::Backend(e.to_string()))
    }
}

/// Blocks, states, checkpoints and sidecars.
pub(crate) struct TestChain {
    pub(crate) engine: Engine,
    pub(crate) params: ChainParams,
    pub(crate) genesis: H256,
    headers: HashMap<H256, Header>,
    nodes: Nodes,
    pub(crate) sidecars: HashMap<H256, Vec<u8>>,
    checkpoints: HashMap<H256, Arc<Checkpoint>>,
    weights: Mutex<HashMap<H256, Arc<PreparedWeights>>>,
    verdicts: Mutex<HashMap<H256, bool>>,
    clock: Cell<u64>,
}

impl TestChain {
    /// A chain with only its genesis block.
    pub(crate) fn new(tweak: impl FnOnce(&mut ChainParams)) -> Self {
        Self::on(Platform::detect(), tweak)
    }

    /// The same on a given code path.
    pub(crate) fn on(platform: Platform, tweak: impl FnOnce(&mut ChainParams)) -> Self {
        let mut params = params();
        tweak(&mut params);
        let engine = engine(platform);
        let checkpoint = initial_checkpoint(&engine);
        let training = initial_training(&engine, &checkpoint).expect("valid task");
        let root = training.checkpoint_root;
        let endowments = ["Alice", "Bob"].map(|name| (account(name), 1_000 * COIN));
        let changes = genesis_state(&params, &endowments, training).expect("valid parameters");
        let (state_root, nodes) = trie::apply_changes(&Nodes::default(), trie::empty_root(), &changes).expect("memory");
        let header = genesis_header(state_root);
        Self {
            engine,
            params,
            genesis: header_hash(&header),
            headers: HashMap::from([(header_hash(&header), header)]),
            nodes: Nodes(nodes.inserted.into_iter().collect()),
            sidecars: HashMap::new(),
            checkpoints: HashMap::from([(root, Arc::new(checkpoint))]),
            weights: Mutex::default(),
            verdicts: Mutex::default(),
            clock: Cell::new(u64::MAX),
        }
    }

    /// The chain as seen from a block.
    pub(crate) fn view(&self, parent: H256) -> View<'_> {
        let header = &self.headers[&parent];
        View { chain: self, parent, header, state: State { nodes: &self.nodes, root: header.state_root } }
    }

    /// State after a block.
    pub(crate) fn state(&self, block: H256) -> State<'_> {
        self.view(block).state
    }

    pub(crate) fn header(&self, block: H256) -> &Header {
        &self.headers[&block]
    }

    pub(crate) fn number(&self, block: H256) -> BlockNumber {
        self.headers[&block].number
    }

    /// What attempts on top of a block share.
    pub(crate) fn context(&self, parent: H256) -> RoundContext {
        let round = self.params.round_after(self.number(parent));
        round_context(&self.view(parent), round).expect("the chain reached it")
    }

    /// A round as the state after a block has it.
    pub(crate) fn round(&self, block: H256, round: u32) -> Option<RoundInfo> {
        storage::ROUNDS.get(&self.state(block), &round).expect("memory")
    }

    pub(crate) fn free(&self, block: H256, who: &AccountId) -> Balance {
        balances::account(&self.state(block), who).expect("memory").data.free
    }

    /// On-schedule time of a block on top of another.
    pub(crate) fn time_after(&self, parent: H256) -> u64 {
        START_MS + self.params.block_time_ms * (u64::from(self.number(parent)) + 1)
    }

    /// Sets the verifier's clock; it runs far ahead of all blocks otherwise.
    pub(crate) fn set_clock(&self, now_ms: u64) {
        self.clock.set(now_ms);
    }

    /// Verifies a block and forgets it.
    pub(crate) fn check(&self, block: &TestBlock) -> Result<VerifiedBlock, BlockError> {
        self.check_on(block.header.parent_hash, block)
    }

    /// Verifies a block on top of another than the one it names.
    pub(crate) fn check_on(&self, parent: H256, block: &TestBlock) -> Result<VerifiedBlock, BlockError> {
        verify_block(&self.engine, &self.view(parent), block.parts(), self.clock.get())
    }

    /// Verifies a block and appends it; counts all money.
    pub(crate) fn import(&mut self, block: &TestBlock) -> Result<VerifiedBlock, BlockError> {
        let verified = self.check(block)?;
        let hash = block.hash();
        self.nodes.0.extend(verified.nodes.inserted.clone());
        if let Some(checkpoint) = &verified.checkpoint {
            let root = checkpoint_root(self.engine.task().model(), checkpoint);
            assert_eq!(root, verified.checkpoint_root);
            self.checkpoints.insert(root, checkpoint.clone());
        }
        self.headers.insert(hash, block.header.clone());
        let state = self.state(hash);
        check_issuance(&state).expect("issuance follows its schedule");
        assert_eq!(state.sum_of_balances(), storage::TOTAL_ISSUANCE.get(&state).expect("set"));
        Ok(verified)
    }

    /// Appends a header that nothing was checked about: for rules that read only headers.
    pub(crate) fn append_header(&mut self, header: Header) -> H256 {
        let hash = header_hash(&header);
        self.headers.insert(hash, header);
        hash
    }

    pub(crate) fn forget_header(&mut self, hash: H256) {
        self.headers.remove(&hash);
    }

    /// Verifies and appends blocks from elsewhere, with their sidecars; returns the last one's hash.
    pub(crate) fn replay(&mut self, blocks: &[TestBlock], sidecars: &HashMap<H256, Vec<u8>>) -> H256 {
        self.sidecars.extend(sidecars.iter().map(|(k, v)| (*k, v.clone())));
        for block in blocks {
            self.import(block).expect("valid elsewhere");
        }
        blocks.last().map_or(self.genesis, TestBlock::hash)
    }
}
