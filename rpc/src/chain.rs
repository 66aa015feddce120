//! `chain_*`: headers, blocks and heads.

use std::sync::Arc;

use descent_runtime::{H256, Header};
use jsonrpsee::PendingSubscriptionSink;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use crate::backend::{Backend, HeadKind, hash_or_best};
use crate::error::invalid_params;
use crate::heads::serve_heads;
use crate::types::{BlockResponse, ListOrValue, NumberOrHex};

/// Most block numbers that one `chain_getBlockHash` call may list.
pub const MAX_BLOCK_NUMBERS: usize = 1024;

/// Methods about headers and blocks.
#[rpc(server, namespace = "chain")]
pub trait ChainApi {
    /// A block's header, the best block's without a hash; null for an unknown block.
    #[method(name = "getHeader", blocking)]
    fn header(&self, hash: Option<H256>) -> RpcResult<Option<Header>>;

    /// A block, the best one without a hash; null for an unknown block.
    #[method(name = "getBlock", blocking)]
    fn block(&self, hash: Option<H256>) -> RpcResult<Option<BlockResponse>>;

    /// Hash of the best chain's block at a height, or of each height of a list; the best block's
    /// hash without a number; null for a height above the tip.
    #[method(name = "getBlockHash", aliases = ["chain_getHead"], blocking)]
    fn block_hash(&self, number: Option<ListOrValue<NumberOrHex>>) -> RpcResult<ListOrValue<Option<H256>>>;

    /// Hash of the newest final block.
    #[method(name = "getFinalizedHead", aliases = ["chain_getFinalisedHead"], blocking)]
    fn finalized_head(&self) -> RpcResult<H256>;

    /// Heads of the best chain, the current one first.
    #[subscription(
        name = "subscribeNewHeads" => "newHead",
        aliases = ["chain_subscribeNewHead", "subscribe_newHead"],
        unsubscribe = "unsubscribeNewHeads",
        unsubscribe_aliases = ["chain_unsubscribeNewHead", "unsubscribe_newHead"],
        item = Header
    )]
    async fn subscribe_new_heads(&self);

    /// Heads of every imported block, the best one first.
    #[subscription(
        name = "subscribeAllHeads" => "allHead",
        unsubscribe = "unsubscribeAllHeads",
        item = Header
    )]
    async fn subscribe_all_heads(&self);

    /// Heads that became final, the newest final one first.
    #[subscription(
        name = "subscribeFinalizedHeads" => "finalizedHead",
        aliases = ["chain_subscribeFinalisedHeads"],
        unsubscribe = "unsubscribeFinalizedHeads",
        unsubscribe_aliases = ["chain_unsubscribeFinalisedHeads"],
        item = Header
    )]
    async fn subscribe_finalized_heads(&self);
}

/// [`ChainApiServer`] over a backend.
pub struct Chain<B>(pub Arc<B>);

impl<B: Backend> Chain<B> {
    fn hash_of(&self, number: NumberOrHex) -> RpcResult<Option<H256>> {
        let number = number.to_block_number().map_err(|error| invalid_params(error.to_string()))?;
        Ok(self.0.hash_of(number)?)
    }
}

#[async_trait]
impl<B: Backend> ChainApiServer for Chain<B> {
    fn header(&self, hash: Option<H256>) -> RpcResult<Option<Header>> {
        Ok(self.0.header(hash_or_best(&*self.0, hash)?)?)
    }

    fn block(&self, hash: Option<H256>) -> RpcResult<Option<BlockResponse>> {
        Ok(self.0.block(hash_or_best(&*self.0, hash)?)?.map(BlockResponse::from))
    }

    fn block_hash(&self, number: Option<ListOrValue<NumberOrHex>>) -> RpcResult<ListOrValue<Option<H256>>> {
        match number {
            None => Ok(ListOrValue::Value(Some(self.0.best_hash()?))),
            Some(ListOrValue::Value(number)) => Ok(ListOrValue::Value(self.hash_of(number)?)),
            Some(ListOrValue::List(numbers)) => {
                if numbers.len() > MAX_BLOCK_NUMBERS {
                    return Err(invalid_params(format!(
                        "too many block numbers: got {}, expected at most {MAX_BLOCK_NUMBERS}",
                        numbers.len()
                    )));
                }
                let hashes = numbers.into_iter().map(|number| self.hash_of(number));
                Ok(ListOrValue::List(hashes.collect::<RpcResult<_>>()?))
            }
        }
    }

    fn finalized_head(&self) -> RpcResult<H256> {
        Ok(self.0.finalized_hash()?)
    }

    async fn subscribe_new_heads(&self, pending: PendingSubscriptionSink) {
        serve_heads(self.0.clone(), HeadKind::Best, pending).await;
    }

    async fn subscribe_all_heads(&self, pending: PendingSubscriptionSink) {
        serve_heads(self.0.clone(), HeadKind::All, pending).await;
    }

    async fn subscribe_finalized_heads(&self, pending: PendingSubscriptionSink) {
        serve_heads(self.0.clone(), HeadKind::Finalized, pending).await;
    }
}
