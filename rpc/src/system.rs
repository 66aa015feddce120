//! `system_*`: which node and chain this is.

use std::sync::Arc;

use descent_runtime::{AccountId, Nonce};
use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::backend::Backend;
use crate::types::{ChainProperties, ChainType, Health, NodeRole, PeerInfo, SyncState};

/// Methods that identify the node and its chain.
#[rpc(server, namespace = "system")]
pub trait SystemApi {
    /// Name of the implementation.
    #[method(name = "name")]
    fn name(&self) -> RpcResult<String>;

    /// Version of the implementation.
    #[method(name = "version")]
    fn version(&self) -> RpcResult<String>;

    /// Name of the chain.
    #[method(name = "chain")]
    fn chain(&self) -> RpcResult<String>;

    /// Kind of the chain.
    #[method(name = "chainType")]
    fn chain_type(&self) -> RpcResult<ChainType>;

    /// How wallets show addresses and amounts.
    #[method(name = "properties")]
    fn properties(&self) -> RpcResult<ChainProperties>;

    /// Peers and synchronization.
    #[method(name = "health")]
    fn health(&self) -> RpcResult<Health>;

    /// Roles of the node.
    #[method(name = "nodeRoles")]
    fn node_roles(&self) -> RpcResult<Vec<NodeRole>>;

    /// Identity of the node on its network; null without one.
    #[method(name = "localPeerId")]
    fn local_peer_id(&self) -> RpcResult<Option<String>>;

    /// Connected peers.
    #[method(name = "peers")]
    fn peers(&self) -> RpcResult<Vec<PeerInfo>>;

    /// How far synchronization is.
    #[method(name = "syncState")]
    fn sync_state(&self) -> RpcResult<SyncState>;

    /// Nonce of the account's next extrinsic, those waiting in the pool counted.
    #[method(name = "accountNextIndex", aliases = ["account_nextIndex"], blocking)]
    fn account_next_index(&self, account: AccountId) -> RpcResult<Nonce>;
}

/// [`SystemApiServer`] over a backend.
pub struct System<B>(pub Arc<B>);

impl<B: Backend> SystemApiServer for System<B> {
    fn name(&self) -> RpcResult<String> {
        Ok(self.0.node_name())
    }

    fn version(&self) -> RpcResult<String> {
        Ok(self.0.node_version())
    }

    fn chain(&self) -> RpcResult<String> {
        Ok(self.0.chain_name())
    }

    fn chain_type(&self) -> RpcResult<ChainType> {
        Ok(self.0.chain_type())
    }

    fn properties(&self) -> RpcResult<ChainProperties> {
        Ok(self.0.properties())
    }

    fn health(&self) -> RpcResult<Health> {
        Ok(self.0.health())
    }

    fn node_roles(&self) -> RpcResult<Vec<NodeRole>> {
        Ok(vec![self.0.node_role()])
    }

    fn local_peer_id(&self) -> RpcResult<Option<String>> {
        Ok(self.0.local_peer_id())
    }

    fn peers(&self) -> RpcResult<Vec<PeerInfo>> {
        Ok(self.0.peers())
    }

    fn sync_state(&self) -> RpcResult<SyncState> {
        Ok(self.0.sync_state())
    }

    fn account_next_index(&self, account: AccountId) -> RpcResult<Nonce> {
        Ok(self.0.account_nonce(&account)?)
    }
}
