//! Answers RPC calls from the chain.

use std::sync::Arc;

use consensus_upow::loss_from_fixed;
use consensus_upow::view::{ChainView, HeaderView, target_of_next};
use descent_genesis::ChainType as SpecChainType;
use descent_rpc::backend::{Backend, BackendError, HeadKind, SubmitError};
use descent_rpc::types::{
    ChainProperties, ChainType, CheckpointInfo, Health, NetworkState, NodeRole, PeerInfo, RoundSummary, RuntimeVersion,
    SyncState, TensorInfo, TrainingStatus,
};
use descent_runtime::{AccountId, Block, ExtrinsicError, H256, Header, Nonce, RoundInfo, StateRead, storage};
use tokio::sync::broadcast;

use crate::chain::{Chain, ImportError, Imported};
use crate::held_out::HeldOut;
use crate::miner::MinerStats;
use crate::network::shared::Shared;
use crate::pool::{Pool, PoolError};
use crate::store::{StoreError, TrieState};

mod network;

/// Heads that a slow subscriber may fall behind.
const HEADS: usize = 64;

/// What RPC reads: the chain, the pool, the miner's figures.
pub struct NodeBackend {
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    stats: Option<Arc<MinerStats>>,
    held_out: Arc<HeldOut>,
    network: Option<Arc<Shared>>,
    name: String,
    heads: [broadcast::Sender<Header>; 3],
}

fn database(error: impl std::fmt::Display) -> BackendError {
    BackendError::Database { reason: error.to_string() }
}

/// Whether the bytes were no extrinsic, as opposed to one that breaks a rule.
fn is_format(error: &ExtrinsicError) -> bool {
    use ExtrinsicError as E;
    matches!(
        error,
        E::LengthPrefix | E::Length { .. } | E::Version { .. } | E::Malformed { .. } | E::TrailingBytes { .. }
    )
}

impl NodeBackend {
    /// A backend; `stats` is there if the node mines, `network` if it has one.
    pub fn new(
        chain: Arc<Chain>,
        pool: Arc<Pool>,
        stats: Option<Arc<MinerStats>>,
        held_out: Arc<HeldOut>,
        network: Option<Arc<Shared>>,
        name: String,
    ) -> Self {
        let heads = [(); 3].map(|()| broadcast::channel(HEADS).0);
        Self { chain, pool, stats, held_out, network, name, heads }
    }

    /// Tells subscribers of a new block.
    ///
    /// # Errors
    /// The store's, when the finalized block can't be read.
    pub fn announce(&self, imported: &Imported, finalized: &mut u32) -> Result<(), StoreError> {
        let send = |kind: HeadKind, header: &Header| {
            // Nobody listening is fine.
            let _ = self.heads[kind as usize].send(header.clone());
        };
        send(HeadKind::All, &imported.header);
        if imported.new_best {
            send(HeadKind::Best, &imported.header);
        }
        let store = self.chain.store();
        let newest = self.chain.finalized()?;
        while *finalized < newest.number {
            *finalized += 1;
            if let Some(hash) = store.hash_at(*finalized)?
                && let Some(header) = store.header(&hash)?
            {
                send(HeadKind::Finalized, &header);
            }
        }
        Ok(())
    }

    fn best(&self) -> Result<H256, BackendError> {
        Ok(self.chain.best().map_err(database)?.hash)
    }

    /// Reads the state after a block.
    fn with_state<T>(
        &self,
        at: H256,
        read: impl FnOnce(&dyn StateRead) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        // The flat copy is a snapshot that says whose it is: the best block may change at any time.
        let best = self.chain.store().best_state().map_err(database)?;
        if at == best.block().hash { read(&best) } else { read(&self.state_at(at)?) }
    }

    fn state_at(&self, at: H256) -> Result<TrieState<'_>, BackendError> {
        let store = self.chain.store();
        let header = store.header(&at).map_err(database)?.ok_or(BackendError::UnknownBlock(at))?;
        store.state_at(header.state_root).map_err(|error| match error {
            StoreError::UnknownState { .. } => BackendError::StateDiscarded(at),
            other => database(other),
        })
    }

    fn summary(&self, info: RoundInfo) -> RoundSummary {
        RoundSummary {
            round: info.round,
            checkpoint_root: info.checkpoint_root,
            start_block: info.start_block,
            tokens: info.tokens,
            microbatches: info.microbatches,
            training_loss: (info.tokens > 0).then(|| loss_from_fixed(info.loss)),
            held_out_loss: self.held_out.get(info.round),
        }
    }
}

impl Backend for NodeBackend {
    fn node_name(&self) -> String {
        self.name.clone()
    }

    fn node_version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn node_role(&self) -> NodeRole {
        if self.stats.is_some() { NodeRole::Authority } else { NodeRole::Full }
    }

    fn chain_name(&self) -> String {
        self.chain.spec().name.clone()
    }

    fn chain_type(&self) -> ChainType {
        match self.chain.spec().chain_type {
            SpecChainType::Development => ChainType::Development,
            SpecChainType::Local => ChainType::Local,
            SpecChainType::Live => ChainType::Live,
        }
    }

    fn properties(&self) -> ChainProperties {
        let p = &self.chain.spec().properties;
        ChainProperties {
            ss58_format: p.ss58_format,
            token_decimals: p.token_decimals,
            token_symbol: p.token_symbol.clone(),
        }
    }

    fn health(&self) -> Health {
        let should_have_peers = self.chain.spec().chain_type == SpecChainType::Live;
        let Some(network) = &self.network else { return Health { peers: 0, is_syncing: false, should_have_peers } };
        let peers = u32::try_from(network.lock().peers.len()).unwrap_or(u32::MAX);
        Health { peers, is_syncing: network.is_far_behind(), should_have_peers }
    }

    fn local_peer_id(&self) -> Option<String> {
        self.network.as_ref().map(|network| network.local().to_string())
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.network.as_ref().map(|network| network::peers(&network.lock())).unwrap_or_default()
    }

    fn sync_state(&self) -> SyncState {
        match &self.network {
            Some(network) => network::sync_state(&network.lock()),
            None => {
                // A node that can't read its best block has told so elsewhere.
                let height = self.chain.best().map_or(0, |best| best.number);
                SyncState { starting_block: height, current_block: height, highest_block: height }
            }
        }
    }

    fn network_state(&self) -> NetworkState {
        match &self.network {
            Some(network) => network::network_state(network),
            None => NetworkState::default(),
        }
    }

    fn subscribe_heads(&self, kind: HeadKind) -> broadcast::Receiver<Header> {
        self.heads[kind as usize].subscribe()
    }

    fn best_hash(&self) -> Result<H256, BackendError> {
        self.best()
    }

    fn finalized_hash(&self) -> Result<H256, BackendError> {
        Ok(self.chain.finalized().map_err(database)?.hash)
    }

    fn header(&self, hash: H256) -> Result<Option<Header>, BackendError> {
        self.chain.store().header(&hash).map_err(database)
    }

    fn block(&self, hash: H256) -> Result<Option<Block>, BackendError> {
        let store = self.chain.store();
        let (header, body) = (store.header(&hash).map_err(database)?, store.body(&hash).map_err(database)?);
        Ok(header.map(|header| Block { header, extrinsics: body.map(|b| b.extrinsics).unwrap_or_default() }))
    }

    fn hash_of(&self, number: u32) -> Result<Option<H256>, BackendError> {
        self.chain.store().hash_at(number).map_err(database)
    }

    fn runtime_version(&self, at: H256) -> Result<RuntimeVersion, BackendError> {
        self.with_state(at, |_| Ok(RuntimeVersion::native(&[("Core", 5)])))
    }

    fn storage(&self, at: H256, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.with_state(at, |state| state.get(key).map_err(database))
    }

    fn keys_paged(
        &self,
        at: H256,
        prefix: &[u8],
        count: u32,
        after: Option<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, BackendError> {
        let count = count as usize;
        let best = self.chain.store().best_state().map_err(database)?;
        let pairs = if at == best.block().hash {
            best.pairs(prefix, after, count).map_err(database)?
        } else {
            self.state_at(at)?.pairs(prefix, after, count).map_err(database)?
        };
        Ok(pairs.into_iter().map(|(key, _)| key).collect())
    }

    fn account_nonce(&self, account: &AccountId) -> Result<Nonce, BackendError> {
        let state = self.chain.store().best_state().map_err(database)?;
        let on_chain = storage::ACCOUNT.get_or_default(&state, account).map_err(database)?.nonce;
        // Clients sign the next transaction before the last one is included.
        Ok(self.pool.next_nonce(account, on_chain))
    }

    fn submit_extrinsic(&self, extrinsic: Vec<u8>) -> Result<H256, SubmitError> {
        let state = self.chain.store().best_state().map_err(database)?;
        let number = state.block().number.saturating_add(1);
        let submitted =
            self.pool.submit(&self.chain.spec().params, self.chain.genesis_hash(), &state, number, extrinsic);
        submitted.map_err(|error| match error {
            PoolError::Known(hash) => SubmitError::AlreadyImported { hash },
            PoolError::Full => SubmitError::PoolFull,
            PoolError::Underpriced { got, expected } => {
                let clip = |price| u64::try_from(price).unwrap_or(u64::MAX);
                SubmitError::PriorityTooLow { existing: clip(expected), got: clip(got) }
            }
            PoolError::Invalid(error) if is_format(&error) => SubmitError::BadFormat { reason: error.to_string() },
            other => SubmitError::Invalid { reason: other.to_string() },
        })
    }

    fn pending(&self) -> Result<Vec<Vec<u8>>, BackendError> {
        Ok(self.pool.waiting())
    }

    fn training_status(&self) -> Result<TrainingStatus, BackendError> {
        let chain = &self.chain;
        let view = chain.view(self.best()?).map_err(database)?;
        let (params, state, parent) = (&chain.spec().params, view.state(), view.parent());
        let round = storage::CURRENT_ROUND.get(state).map_err(database)?;
        let info = storage::ROUNDS
            .get(state, &round)
            .map_err(database)?
            .ok_or_else(|| database("current round is not in state"))?;
        let target = target_of_next(&view).map_err(database)?;
        let difficulty = target.difficulty().0;
        let per_second = self.stats.as_ref().map_or(0.0, |s| s.microbatches_per_second());
        let model = chain.engine().task().model();
        let macs = per_second * model.microbatch_macs() as f64;
        let tokens = storage::TOKENS_SEEN.get(state).map_err(database)?;
        let expected_ms = if macs > 0.0 { (difficulty as f64 / macs * 1000.0) as u64 } else { params.block_time_ms };
        Ok(TrainingStatus {
            chain: chain.spec().name.clone(),
            height: parent.number,
            round,
            round_block: parent.number % params.round_blocks,
            round_blocks: params.round_blocks,
            step: chain.checkpoint(round).map_err(database)?.map_or(0, |(_, c)| c.step),
            tokens,
            microbatches: tokens / model.tokens() as u64,
            training_loss: (info.tokens > 0).then(|| loss_from_fixed(info.loss)),
            held_out_loss: self.held_out.latest().map(|(_, loss)| loss),
            held_out_round: self.held_out.latest().map(|(round, _)| round),
            checkpoint_root: info.checkpoint_root,
            exponents: info.exponents,
            difficulty,
            multiply_adds_per_second: macs,
            network_multiply_adds_per_second: difficulty as f64 * 1000.0 / params.block_time_ms as f64,
            tokens_per_second: per_second * model.tokens() as f64,
            expected_block_time_ms: expected_ms,
            mining: self.stats.is_some(),
        })
    }

    fn rounds(&self, from: u32, to: u32) -> Result<Vec<RoundSummary>, BackendError> {
        let state = self.chain.store().best_state().map_err(database)?;
        let last = storage::CURRENT_ROUND.get(&state).map_err(database)?.min(to);
        let infos = (from..=last).map(|r| storage::ROUNDS.get(&state, &r).map_err(database));
        infos.filter_map(|i| i.transpose()).map(|i| Ok(self.summary(i?))).collect()
    }

    fn checkpoint(&self, round: u32) -> Result<Option<CheckpointInfo>, BackendError> {
        let state = self.chain.store().best_state().map_err(database)?;
        let Some(info) = storage::ROUNDS.get(&state, &round).map_err(database)? else { return Ok(None) };
        let Some(block_hash) = self.chain.store().hash_at(info.start_block).map_err(database)? else { return Ok(None) };
        let model = self.chain.engine().task().model();
        let checkpoint = match self.chain.checkpoint(round) {
            Ok(found) => found.map(|(_, c)| c),
            // Its gradients are pruned: the root stays provable, the tensors are gone.
            Err(ImportError::Block(_)) => None,
            Err(e) => return Err(database(e)),
        };
        let step = match &checkpoint {
            Some(checkpoint) => checkpoint.step,
            None => {
                let infos = (1..=round).map(|r| storage::ROUNDS.get(&state, &r).map_err(database));
                let made =
                    infos.filter(|info| !matches!(info, Ok(info) if info.as_ref().is_none_or(|i| i.tokens == 0)));
                made.map(|info| info.map(|_| 1)).sum::<Result<u32, _>>()?
            }
        };
        let hashes =
            checkpoint.as_ref().map(|c| consensus_upow::checkpoint::tensor_hashes(model, c)).unwrap_or_default();
        let tensors = hashes.into_iter().map(|t| TensorInfo { name: t.name, shape: t.shape.to_vec(), hash: t.weights });
        Ok(Some(CheckpointInfo {
            round,
            checkpoint_root: info.checkpoint_root,
            step,
            start_block: info.start_block,
            block_hash,
            stored: checkpoint.is_some(),
            tensors: tensors.collect(),
        }))
    }
}
