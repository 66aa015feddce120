//! A node that lives in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use descent_rpc::{
    Backend, BackendError, ChainType, CheckpointInfo, HeadKind, Health, NetworkState, NodeRole, PeerInfo, RoundSummary,
    RuntimeVersion, SubmitError, SyncState, TrainingStatus,
};
use descent_runtime::{AccountId, Block, H256, Header, Nonce, blake2_256};
use sp_runtime::generic::{Digest, DigestItem};
use tokio::sync::broadcast::{Receiver, Sender};

use crate::training::{self, ROUNDS};

/// Heads that a subscriber may be behind before it skips.
pub(crate) const HEADS_KEPT: usize = 4;
/// The node keeps no state of this height.
pub(crate) const DISCARDED: u32 = 1;

pub(crate) struct MemoryNode {
    inner: Mutex<Inner>,
    best: Sender<Header>,
    all: Sender<Header>,
    finalized: Sender<Header>,
}

struct Inner {
    blocks: HashMap<H256, Block>,
    chain: Vec<H256>,
    finalized: usize,
    storage: BTreeMap<Vec<u8>, Vec<u8>>,
    pool: Vec<Vec<u8>>,
    broken: bool,
}

impl MemoryNode {
    /// Three blocks, none but genesis final.
    pub(crate) fn new() -> Self {
        let storage = [(b"ab".to_vec(), b"one".to_vec()), (b"ac".to_vec(), vec![])];
        let more = (0..8u8).map(|index| (vec![b'k', index], vec![index; 40]));
        let node = Self {
            inner: Mutex::new(Inner {
                blocks: HashMap::new(),
                chain: Vec::new(),
                finalized: 0,
                storage: storage.into_iter().chain(more).collect(),
                pool: Vec::new(),
                broken: false,
            }),
            best: Sender::new(HEADS_KEPT),
            all: Sender::new(HEADS_KEPT),
            finalized: Sender::new(HEADS_KEPT),
        };
        for _ in 0..3 {
            node.extend();
        }
        node
    }

    /// Appends a block to the best chain.
    pub(crate) fn extend(&self) -> Header {
        let header = {
            let mut inner = self.inner.lock().unwrap();
            let number = inner.chain.len() as u32;
            let parent = inner.chain.last().copied().unwrap_or_default();
            let block = block(number, parent, 0);
            let header = block.header.clone();
            inner.chain.push(header.hash());
            inner.blocks.insert(header.hash(), block);
            header
        };
        // Nobody may be listening.
        let _ = self.best.send(header.clone());
        let _ = self.all.send(header.clone());
        header
    }

    /// Imports a block beside the tip.
    pub(crate) fn fork(&self) -> Header {
        let header = {
            let mut inner = self.inner.lock().unwrap();
            let number = inner.chain.len() as u32 - 1;
            let block = block(number, inner.chain[inner.chain.len() - 2], 1);
            inner.blocks.insert(block.header.hash(), block.clone());
            block.header
        };
        let _ = self.all.send(header.clone());
        header
    }

    /// Makes the next block final.
    pub(crate) fn finalize(&self) -> Header {
        let header = {
            let mut inner = self.inner.lock().unwrap();
            inner.finalized += 1;
            inner.blocks[&inner.chain[inner.finalized]].header.clone()
        };
        let _ = self.finalized.send(header.clone());
        header
    }

    pub(crate) fn header_at(&self, number: usize) -> Header {
        let inner = self.inner.lock().unwrap();
        inner.blocks[&inner.chain[number]].header.clone()
    }

    /// Lets everything fail from now on.
    pub(crate) fn break_disk(&self) {
        self.inner.lock().unwrap().broken = true;
    }

    fn inner(&self) -> Result<std::sync::MutexGuard<'_, Inner>, BackendError> {
        let inner = self.inner.lock().unwrap();
        match inner.broken {
            true => Err(BackendError::Database { reason: "no such disk".into() }),
            false => Ok(inner),
        }
    }

    fn state_is_kept(&self, at: H256) -> Result<(), BackendError> {
        match self.inner()?.blocks.get(&at) {
            None => Err(BackendError::UnknownBlock(at)),
            Some(block) if block.header.number == DISCARDED => Err(BackendError::StateDiscarded(at)),
            Some(_) => Ok(()),
        }
    }
}

fn block(number: u32, parent_hash: H256, salt: u8) -> Block {
    let digest = Digest { logs: vec![DigestItem::Seal(*b"upow", vec![salt])] };
    let header = Header {
        parent_hash,
        number,
        state_root: H256::repeat_byte(0x11),
        extrinsics_root: H256::repeat_byte(0x22),
        digest,
    };
    Block { header, extrinsics: vec![vec![8, 1, 2], vec![4, 3]] }
}

impl Backend for MemoryNode {
    fn node_name(&self) -> String {
        "descent".into()
    }

    fn node_version(&self) -> String {
        "0.1.0-test".into()
    }

    fn node_role(&self) -> NodeRole {
        NodeRole::Authority
    }

    fn chain_name(&self) -> String {
        "Descent Test".into()
    }

    fn chain_type(&self) -> ChainType {
        ChainType::Development
    }

    fn health(&self) -> Health {
        Health { peers: 3, is_syncing: false, should_have_peers: true }
    }

    fn local_peer_id(&self) -> Option<String> {
        Some("12D3KooWTest".into())
    }

    fn peers(&self) -> Vec<PeerInfo> {
        let best_hash = H256::repeat_byte(0x44);
        vec![PeerInfo { peer_id: "12D3KooWOther".into(), roles: "FULL".into(), best_hash, best_number: 9 }]
    }

    fn sync_state(&self) -> SyncState {
        SyncState { starting_block: 1, current_block: 2, highest_block: 9 }
    }

    fn network_state(&self) -> NetworkState {
        NetworkState { peer_id: self.local_peer_id(), bans: 4, ..NetworkState::default() }
    }

    fn subscribe_heads(&self, kind: HeadKind) -> Receiver<Header> {
        match kind {
            HeadKind::Best => self.best.subscribe(),
            HeadKind::All => self.all.subscribe(),
            HeadKind::Finalized => self.finalized.subscribe(),
        }
    }

    fn best_hash(&self) -> Result<H256, BackendError> {
        Ok(*self.inner()?.chain.last().unwrap())
    }

    fn finalized_hash(&self) -> Result<H256, BackendError> {
        let inner = self.inner()?;
        Ok(inner.chain[inner.finalized])
    }

    fn header(&self, hash: H256) -> Result<Option<Header>, BackendError> {
        Ok(self.inner()?.blocks.get(&hash).map(|block| block.header.clone()))
    }

    fn block(&self, hash: H256) -> Result<Option<Block>, BackendError> {
        Ok(self.inner()?.blocks.get(&hash).cloned())
    }

    fn hash_of(&self, number: u32) -> Result<Option<H256>, BackendError> {
        Ok(self.inner()?.chain.get(number as usize).copied())
    }

    fn runtime_version(&self, at: H256) -> Result<RuntimeVersion, BackendError> {
        self.state_is_kept(at)?;
        Ok(RuntimeVersion::native(&[("Core", 5)]))
    }

    fn storage(&self, at: H256, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.state_is_kept(at)?;
        Ok(self.inner()?.storage.get(key).cloned())
    }

    fn keys_paged(
        &self,
        at: H256,
        prefix: &[u8],
        count: u32,
        after: Option<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, BackendError> {
        self.state_is_kept(at)?;
        let inner = self.inner()?;
        let keys = inner.storage.keys().filter(|key| key.starts_with(prefix));
        let later = keys.filter(|key| after.is_none_or(|after| key.as_slice() > after));
        Ok(later.take(count as usize).cloned().collect())
    }

    fn account_nonce(&self, account: &AccountId) -> Result<Nonce, BackendError> {
        drop(self.inner()?);
        let bytes: &[u8] = account.as_ref();
        Ok(u32::from(bytes[0]))
    }

    /// The first byte chooses the answer.
    fn submit_extrinsic(&self, extrinsic: Vec<u8>) -> Result<H256, SubmitError> {
        let hash = blake2_256(&extrinsic);
        let mut inner = self.inner()?;
        match extrinsic.first() {
            None => Err(SubmitError::BadFormat { reason: "no bytes".into() }),
            Some(1) => Err(SubmitError::Invalid { reason: "Transaction is outdated".into() }),
            Some(2) => Err(SubmitError::TemporarilyBanned),
            Some(3) => Err(SubmitError::PriorityTooLow { existing: 9, got: 8 }),
            Some(4) => Err(SubmitError::PoolFull),
            _ if inner.pool.contains(&extrinsic) => Err(SubmitError::AlreadyImported { hash }),
            _ => {
                inner.pool.push(extrinsic);
                Ok(hash)
            }
        }
    }

    fn pending(&self) -> Result<Vec<Vec<u8>>, BackendError> {
        Ok(self.inner()?.pool.clone())
    }

    fn training_status(&self) -> Result<TrainingStatus, BackendError> {
        Ok(training::status(self.inner()?.chain.len() as u32 - 1))
    }

    fn rounds(&self, from: u32, to: u32) -> Result<Vec<RoundSummary>, BackendError> {
        drop(self.inner()?);
        Ok((from..=to).take_while(|index| *index < ROUNDS).map(training::round).collect())
    }

    fn checkpoint(&self, index: u32) -> Result<Option<CheckpointInfo>, BackendError> {
        let genesis = self.inner()?.chain[0];
        Ok((index < ROUNDS).then(|| training::checkpoint(index, genesis)))
    }
}
