//! What the node provides to answer with.

use descent_runtime::{AccountId, Block, H256, Header, Nonce};
use tokio::sync::broadcast;

use crate::types::{
    ChainProperties, ChainType, CheckpointInfo, Health, NetworkState, NodeRole, PeerInfo, RoundSummary, RuntimeVersion,
    SyncState, TrainingStatus,
};

/// A node, as its RPC sees it.
///
/// Methods that return a `Result` may touch the disk: they are called on blocking threads only.
/// The others are called on async threads and must answer from memory at once.
pub trait Backend: Send + Sync + 'static {
    /// Name of the implementation, for example "descent".
    fn node_name(&self) -> String;

    /// Version of the implementation.
    fn node_version(&self) -> String;

    /// Whether this node makes blocks.
    fn node_role(&self) -> NodeRole;

    /// Name of the chain.
    fn chain_name(&self) -> String;

    /// Kind of the chain.
    fn chain_type(&self) -> ChainType;

    /// How wallets show addresses and amounts.
    fn properties(&self) -> ChainProperties {
        ChainProperties::default()
    }

    /// Peers and synchronization.
    fn health(&self) -> Health;

    /// The node's identity on its network; none without one.
    fn local_peer_id(&self) -> Option<String>;

    /// Connected peers.
    fn peers(&self) -> Vec<PeerInfo>;

    /// How far synchronization is.
    fn sync_state(&self) -> SyncState;

    /// Everything that is known of the network.
    fn network_state(&self) -> NetworkState;

    /// Heads of the given kind from now on.
    ///
    /// The channel must hold more than one head. Each head is sent after the methods below answer
    /// for it, so that a client that hears of a block can ask about it.
    fn subscribe_heads(&self, kind: HeadKind) -> broadcast::Receiver<Header>;

    /// Tip of the best chain.
    ///
    /// # Errors
    ///
    /// The database failed.
    fn best_hash(&self) -> Result<H256, BackendError>;

    /// Newest block that clients may treat as final.
    ///
    /// # Errors
    ///
    /// The database failed.
    fn finalized_hash(&self) -> Result<H256, BackendError>;

    /// A known block's header, of any fork.
    ///
    /// # Errors
    ///
    /// The database failed; an unknown block is `None`.
    fn header(&self, hash: H256) -> Result<Option<Header>, BackendError>;

    /// A known block, of any fork.
    ///
    /// # Errors
    ///
    /// The database failed; an unknown block is `None`.
    fn block(&self, hash: H256) -> Result<Option<Block>, BackendError>;

    /// Block of the best chain at a height.
    ///
    /// # Errors
    ///
    /// The database failed; a height above the tip is `None`.
    fn hash_of(&self, number: u32) -> Result<Option<H256>, BackendError>;

    /// Version of the rules in force after a block.
    ///
    /// # Errors
    ///
    /// The block is unknown, or the database failed.
    fn runtime_version(&self, at: H256) -> Result<RuntimeVersion, BackendError>;

    /// Value of a storage key after a block.
    ///
    /// # Errors
    ///
    /// The block is unknown, its state was discarded, or the database failed.
    fn storage(&self, at: H256, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;

    /// The first `count` keys in ascending order that have the prefix and follow `after`.
    ///
    /// # Errors
    ///
    /// The block is unknown, its state was discarded, or the database failed.
    fn keys_paged(
        &self,
        at: H256,
        prefix: &[u8],
        count: u32,
        after: Option<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, BackendError>;

    /// Nonce of the account's next extrinsic, those waiting in the pool counted.
    ///
    /// # Errors
    ///
    /// The database failed; an unknown account's nonce is 0.
    fn account_nonce(&self, account: &AccountId) -> Result<Nonce, BackendError>;

    /// Puts an extrinsic (its bytes with the length prefix) into the pool and returns its hash.
    ///
    /// # Errors
    ///
    /// The reason why the pool does not take it.
    fn submit_extrinsic(&self, extrinsic: Vec<u8>) -> Result<H256, SubmitError>;

    /// Extrinsics in the pool, with their length prefixes.
    ///
    /// # Errors
    ///
    /// The database failed.
    fn pending(&self) -> Result<Vec<Vec<u8>>, BackendError>;

    /// Where training stands on the best chain.
    ///
    /// # Errors
    ///
    /// The database failed.
    fn training_status(&self) -> Result<TrainingStatus, BackendError>;

    /// The rounds `from..=to` that exist on the best chain, ascending.
    ///
    /// # Errors
    ///
    /// The database failed.
    fn rounds(&self, from: u32, to: u32) -> Result<Vec<RoundSummary>, BackendError>;

    /// The checkpoint that a round of the best chain started from.
    ///
    /// # Errors
    ///
    /// The database failed; a round that has not started is `None`.
    fn checkpoint(&self, round: u32) -> Result<Option<CheckpointInfo>, BackendError>;
}

/// The block asked for, or the best one.
pub(crate) fn hash_or_best<B: Backend>(backend: &B, hash: Option<H256>) -> Result<H256, BackendError> {
    hash.map_or_else(|| backend.best_hash(), Ok)
}

/// Which heads a subscriber hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Each new tip of the best chain.
    Best,
    /// Each imported block, of any fork.
    All,
    /// Each newly final block.
    Finalized,
}

/// Why the backend has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// State was asked for at a block that this node does not know.
    #[error("block {0:?} is unknown")]
    UnknownBlock(H256),
    /// State was asked for at a block whose state is no longer kept.
    #[error("state of block {0:?} was discarded")]
    StateDiscarded(H256),
    /// Reading or writing failed; a fault of this node, not of the request.
    #[error("database failed: {reason}")]
    Database {
        /// What the database said.
        reason: String,
    },
}

/// Why the pool does not take an extrinsic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The bytes are not an extrinsic.
    #[error("extrinsic does not decode: {reason}")]
    BadFormat {
        /// What the decoder said.
        reason: String,
    },
    /// It breaks a rule: signature, nonce, balance, era, version.
    #[error("extrinsic is invalid: {reason}")]
    Invalid {
        /// The rule, in words for the wallet's user.
        reason: String,
    },
    /// It was found invalid a moment ago.
    #[error("extrinsic is banned for a while")]
    TemporarilyBanned,
    /// It is in the pool already; clients repeat themselves, so this harms nobody.
    #[error("extrinsic {hash:?} is in the pool already")]
    AlreadyImported {
        /// Its hash.
        hash: H256,
    },
    /// Another extrinsic of the same account and nonce pays as much or more.
    #[error("priority too low: got {got}, expected more than {existing}")]
    PriorityTooLow {
        /// Priority of the one in the pool.
        existing: u64,
        /// Priority of the one submitted.
        got: u64,
    },
    /// The pool is full of extrinsics that pay more.
    #[error("pool is full")]
    PoolFull,
    /// The pool could not find out.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
