//! `author_*`: the extrinsic pool.

use std::sync::Arc;

use descent_runtime::H256;
use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use sp_core::Bytes;

use crate::backend::Backend;

/// Methods of the extrinsic pool.
#[rpc(server, namespace = "author")]
pub trait AuthorApi {
    /// Submits a signed extrinsic, its bytes with the length prefix, and returns its hash.
    #[method(name = "submitExtrinsic", blocking)]
    fn submit_extrinsic(&self, extrinsic: Bytes) -> RpcResult<H256>;

    /// Extrinsics in the pool.
    #[method(name = "pendingExtrinsics", blocking)]
    fn pending_extrinsics(&self) -> RpcResult<Vec<Bytes>>;
}

/// [`AuthorApiServer`] over a backend.
pub struct Author<B>(pub Arc<B>);

impl<B: Backend> AuthorApiServer for Author<B> {
    fn submit_extrinsic(&self, extrinsic: Bytes) -> RpcResult<H256> {
        Ok(self.0.submit_extrinsic(extrinsic.0)?)
    }

    fn pending_extrinsics(&self) -> RpcResult<Vec<Bytes>> {
        Ok(self.0.pending()?.into_iter().map(Bytes).collect())
    }
}
