//! `state_*`: storage and the version of the rules.

use std::sync::Arc;

use descent_runtime::{H256, blake2_256};
use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use sp_core::Bytes;

use crate::backend::{Backend, hash_or_best};
use crate::error::{STATE_INVALID_COUNT, error_object};
use crate::types::RuntimeVersion;

/// Most keys that one `state_getKeysPaged` call may ask for, as in Substrate.
pub const MAX_KEYS: u32 = 1000;

/// Methods that read state after a block, the best one without a hash.
#[rpc(server, namespace = "state")]
pub trait StateApi {
    /// Value of a key; null for a key without a value.
    #[method(name = "getStorage", aliases = ["state_getStorageAt"], blocking)]
    fn storage(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<Bytes>>;

    /// BLAKE2b-256 of a key's value.
    #[method(name = "getStorageHash", aliases = ["state_getStorageHashAt"], blocking)]
    fn storage_hash(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<H256>>;

    /// Length in bytes of a key's value.
    #[method(name = "getStorageSize", aliases = ["state_getStorageSizeAt"], blocking)]
    fn storage_size(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<u64>>;

    /// The first keys in ascending order that have the prefix and follow `start_key`.
    #[method(name = "getKeysPaged", aliases = ["state_getKeysPagedAt"], blocking)]
    fn keys_paged(
        &self,
        prefix: Option<Bytes>,
        count: u32,
        start_key: Option<Bytes>,
        hash: Option<H256>,
    ) -> RpcResult<Vec<Bytes>>;

    /// Version of the rules in force.
    #[method(name = "getRuntimeVersion", aliases = ["chain_getRuntimeVersion"], blocking)]
    fn runtime_version(&self, at: Option<H256>) -> RpcResult<RuntimeVersion>;
}

/// [`StateApiServer`] over a backend.
pub struct State<B>(pub Arc<B>);

impl<B: Backend> State<B> {
    fn value(&self, key: &Bytes, hash: Option<H256>) -> RpcResult<Option<Vec<u8>>> {
        Ok(self.0.storage(hash_or_best(&*self.0, hash)?, key)?)
    }
}

impl<B: Backend> StateApiServer for State<B> {
    fn storage(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<Bytes>> {
        Ok(self.value(&key, hash)?.map(Bytes))
    }

    fn storage_hash(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<H256>> {
        Ok(self.value(&key, hash)?.map(|value| blake2_256(&value)))
    }

    fn storage_size(&self, key: Bytes, hash: Option<H256>) -> RpcResult<Option<u64>> {
        // A length fits u64 on every platform that Rust has.
        Ok(self.value(&key, hash)?.map(|value| value.len() as u64))
    }

    fn keys_paged(
        &self,
        prefix: Option<Bytes>,
        count: u32,
        start_key: Option<Bytes>,
        hash: Option<H256>,
    ) -> RpcResult<Vec<Bytes>> {
        if count > MAX_KEYS {
            return Err(error_object(
                STATE_INVALID_COUNT,
                format!("count exceeds maximum value. value: {count}, max: {MAX_KEYS}"),
            ));
        }
        let prefix = prefix.map_or_else(Vec::new, |prefix| prefix.0);
        let after = start_key.as_ref().map(|key| key.0.as_slice());
        let keys = self.0.keys_paged(hash_or_best(&*self.0, hash)?, &prefix, count, after)?;
        Ok(keys.into_iter().map(Bytes).collect())
    }

    fn runtime_version(&self, at: Option<H256>) -> RpcResult<RuntimeVersion> {
        Ok(self.0.runtime_version(hash_or_best(&*self.0, at)?)?)
    }
}
