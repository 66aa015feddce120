//! One chain on this machine: its store, its engine, and the single pipeline through which every block enters.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use codec::Encode;
use consensus_upow::difficulty::Work;
use consensus_upow::engine::{Engine, EngineError, RoundContext};
use consensus_upow::fork_choice::prefers;
use consensus_upow::genesis::{initial_checkpoint, initial_training};
use consensus_upow::receipt::part_digest;
use consensus_upow::verify::{BlockError, BlockParts, VerifiedBlock, submitted_receipt, verify_block};
use consensus_upow::view::round_context;
use consensus_upow::{Checkpoint, Platform};
use descent_genesis::{BuildError, ChainSpec, Dataset, build_genesis};
use descent_runtime::{ChainParams, H256, Header};
use sp_core::U256;
use tokio::sync::broadcast;

use crate::store::{
    BlockFacts, BlockRef, GenesisRecord, ImportCommit, Route, StatePruning, Store, StoreError, StoreOptions, StoredBody,
};

mod cache;
mod view;

use cache::Caches;
pub use view::StoreView;

/// A block as it travels: header, body, and what comes beside it.
#[derive(Clone, Debug)]
pub struct IncomingBlock {
    /// Sealed header.
    pub header: Header,
    /// Extrinsics and witness.
    pub body: StoredBody,
    /// Parts of its receipts that this node may not have yet.
    pub sidecars: Vec<Vec<u8>>,
}

/// Why a block did not enter the chain.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is there already.
    #[error("block {0} is known")]
    Known(H256),
    /// Its parent isn't here.
    #[error("parent {0} is unknown")]
    UnknownParent(H256),
    /// It breaks a rule, or something it needs isn't here.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a chain could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The task and the dataset don't fit.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The genesis block can't be made.
    #[error(transparent)]
    Genesis(#[from] BuildError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new best block.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its header.
    pub header: Header,
    /// Whether it is the new best one.
    pub new_best: bool,
    /// What left and what joined the best chain.
    pub route: Route,
}

/// How much history stays on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// Everything, back to genesis.
    Archive,
    /// States, gradients and checkpoints of so many rounds.
    Rounds(u32),
}

/// A checkpoint is written to disk every so many rounds; those between are replayed from gradients.
pub const CHECKPOINT_ROUNDS: u32 = 4;
/// Of the kept history, every so many rounds' checkpoint stays.
const KEPT_CHECKPOINT_ROUNDS: u32 = 16;

/// One chain: open database, engine, caches.
pub struct Chain {
    spec: ChainSpec,
    engine: Engine,
    genesis_hash: H256,
    genesis_root: H256,
    store: Store,
    pruning: Pruning,
    caches: Caches,
    importing: Mutex<()>,
    events: broadcast::Sender<Imported>,
}

impl Chain {
    /// Opens the chain of a specification in a folder, making it where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; the folder is as it was then.
    pub fn open(spec: ChainSpec, dataset: &Dataset, path: &Path, pruning: Pruning) -> Result<Self, OpenError> {
        let engine = Engine::new(spec.task.clone(), dataset.bytes().clone(), Platform::detect())?;
        let checkpoint = initial_checkpoint(&engine);
        let training = initial_training(&engine, &checkpoint).map_err(EngineError::Kernel)?;
        let genesis_root = training.checkpoint_root;
        let genesis = build_genesis(&spec, training)?;
        let facts = BlockFacts {
            work: U256::zero(),
            timestamp_ms: 0,
            ticket: H256::zero(),
            checkpoint_root: genesis_root,
            receipts: Vec::new(),
        };
        let record = GenesisRecord { header: genesis.header, state: genesis.state, facts };
        let state_pruning = match pruning {
            Pruning::Archive => StatePruning::Archive,
            // A margin of two rounds: receipts are settled so long after their round.
            Pruning::Rounds(n) => StatePruning::Blocks(n.saturating_add(2).saturating_mul(spec.params.round_blocks)),
        };
        let options = StoreOptions { finality_depth: reorganisation_horizon(&spec.params), state_pruning };
        let store = Store::open(path, &record, options)?;
        let caches = Caches::new();
        caches.put_checkpoint(genesis_root, Arc::new(checkpoint));
        let (events, _) = broadcast::channel(64);
        Ok(Self {
            engine,
            genesis_hash: genesis.hash,
            genesis_root,
            store,
            pruning,
            caches,
            importing: Mutex::new(()),
            events,
            spec,
        })
    }

    /// The specification.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The task's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Hash of the genesis block.
    pub fn genesis_hash(&self) -> H256 {
        self.genesis_hash
    }

    /// New blocks, as they enter.
    pub fn subscribe(&self) -> broadcast::Receiver<Imported> {
        self.events.subscribe()
    }

    /// The best block.
    ///
    /// # Errors
    /// The store's.
    pub fn best(&self) -> Result<BlockRef, StoreError> {
        self.store.best()
    }

    /// The chain as seen from a block.
    ///
    /// # Errors
    /// [`ImportError::UnknownParent`], or the store's.
    pub fn view(&self, parent: H256) -> Result<StoreView<'_>, ImportError> {
        StoreView::new(self, parent)
    }

    /// The block that wallets are told is final: a fixed depth below the best one.
    ///
    /// # Errors
    /// The store's.
    pub fn finalized(&self) -> Result<BlockRef, StoreError> {
        let number = self.store.best()?.number.saturating_sub(self.spec.params.finality_depth);
        match self.store.hash_at(number)? {
            Some(hash) => Ok(BlockRef { number, hash }),
            // The best chain moved meanwhile and is shorter now.
            None => self.store.finalized(),
        }
    }

    /// What attempts on top of a view's parent share.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn context_on(&self, view: &StoreView<'_>) -> Result<RoundContext, BlockError> {
        use consensus_upow::view::HeaderView;
        round_context(view, self.spec.params.round_after(view.parent().number))
    }

    /// Checks a block as a stranger's, whoever made it, and stores it.
    ///
    /// # Errors
    /// [`ImportError`]; nothing is stored then.
    pub fn import(&self, block: IncomingBlock, now_ms: u64) -> Result<Imported, ImportError> {
        let _importing = self.importing();
        let hash = block.header.hash();
        if self.store.meta(&hash)?.is_some() {
            return Err(ImportError::Known(hash));
        }
        let mut view = self.view(block.header.parent_hash)?;
        view.add_sidecars(block.sidecars);
        let parts =
            BlockParts { header: &block.header, extrinsics: &block.body.extrinsics, witness: &block.body.witness };
        let verified = verify_block(&self.engine, &view, parts, now_ms)?;
        let parent_work = view.work();
        let sidecars = view.into_sidecars();
        self.commit(block.header, block.body, verified, parent_work, sidecars)
    }

    fn commit(
        &self,
        header: Header,
        body: StoredBody,
        verified: VerifiedBlock,
        parent_work: Work,
        sidecars: Vec<(H256, Vec<u8>)>,
    ) -> Result<Imported, ImportError> {
        let work = parent_work.saturating_add(verified.work);
        let best = self.store.best()?;
        let best_work = self.store.meta(&best.hash)?.map_or(U256::zero(), |m| m.facts.work);
        let new_best = prefers(work, Work(best_work));
        let receipts: Vec<_> = body
            .extrinsics
            .iter()
            .filter_map(|e| submitted_receipt(e))
            .map(|(_, s)| (s.details_hash, s.blob_hash))
            .collect();
        let params = &self.spec.params;
        let round = params.round_after(header.number);
        let root = verified.checkpoint_root;
        let parts = verified.checkpoint.map(|checkpoint| {
            let parts = round
                .is_multiple_of(CHECKPOINT_ROUNDS)
                .then(|| consensus_upow::checkpoint::to_parts(self.engine.task().model(), &checkpoint));
            self.caches.put_checkpoint(root, checkpoint);
            parts
        });
        let facts = BlockFacts {
            work: work.0,
            timestamp_ms: verified.sealed.timestamp_ms,
            ticket: verified.sealed.ticket(),
            checkpoint_root: root,
            receipts,
        };
        let needed: std::collections::HashSet<H256> = facts.sidecars().collect();
        let route = self.store.commit(ImportCommit {
            header: header.clone(),
            body,
            facts,
            trie: verified.nodes,
            changes: verified.execution.changes,
            sidecars: sidecars.into_iter().filter(|(digest, _)| needed.contains(digest)).collect(),
            checkpoint: parts.flatten().map(|parts| (root, parts)),
            new_best,
        })?;
        if new_best && params.is_step_block(header.number) {
            // The block is stored: history that stays too long is no reason to refuse it.
            if let Err(error) = self.prune() {
                tracing::warn!(%error, "old history not pruned");
            }
        }
        let imported = Imported { header, new_best, route };
        // Nobody listening is fine.
        let _ = self.events.send(imported.clone());
        Ok(imported)
    }

    /// Drops checkpoints, gradients and states that the policy doesn't keep.
    fn prune(&self) -> Result<(), StoreError> {
        let nonzero = |n: u32| std::num::NonZeroU32::new(n).unwrap_or(std::num::NonZeroU32::MIN);
        let policy = crate::store::Retention {
            round_blocks: nonzero(self.spec.params.round_blocks),
            checkpoint_interval_rounds: nonzero(KEPT_CHECKPOINT_ROUNDS),
            // The newest written ones and all that a late receipt may still be sampled on.
            keep_recent_rounds: 2 * CHECKPOINT_ROUNDS,
            gradient_rounds: match self.pruning {
                Pruning::Archive => None,
                Pruning::Rounds(n) => Some(n),
            },
        };
        self.store.prune(&policy).map(|_| ())
    }

    /// The checkpoint after a round on the best chain: from memory, from disk, or replayed.
    ///
    /// # Errors
    /// [`BlockError`] if it can't be had any more.
    pub fn checkpoint(&self, round: u32) -> Result<Option<(H256, Arc<Checkpoint>)>, ImportError> {
        use consensus_upow::view::ChainView;
        let view = self.view(self.best()?.hash)?;
        let Some(info) = descent_runtime::storage::ROUNDS.get(view.state(), &round).map_err(BlockError::from)? else {
            return Ok(None);
        };
        let checkpoint = view.checkpoint(&info.checkpoint_root).map_err(BlockError::from)?;
        Ok(Some((info.checkpoint_root, checkpoint)))
    }

    fn importing(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a panic under it has broken nothing.
        self.importing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many blocks deep a branch may leave the best chain: far deeper than what wallets are told is final, so that a
/// heavier branch wins after any partition that operators would not notice by themselves.
fn reorganisation_horizon(params: &ChainParams) -> u32 {
    params.finality_depth.saturating_mul(16).max(params.round_blocks.saturating_mul(2))
}

/// A sidecar part with its digest.
fn with_digest(part: Vec<u8>) -> (H256, Vec<u8>) {
    (part_digest(&part), part)
}

/// Folder of a chain's database below the node's base path.
pub fn database_path(base: &Path, spec: &ChainSpec) -> PathBuf {
    base.join("chains").join(&spec.id).join("db")
}

/// Folder of what a node keeps about a chain's network.
pub fn network_path(base: &Path, spec: &ChainSpec) -> PathBuf {
    base.join("chains").join(&spec.id).join("network")
}

/// Attaches a seal to a mined header.
///
/// # Errors
/// The header's own rules; a caller's mistake.
pub fn sealed(header: Header, seal: &consensus_upow::seal::Seal) -> Result<Header, descent_runtime::HeaderError> {
    descent_runtime::with_seal(header, seal.encode())
}
