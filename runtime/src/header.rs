//! Headers, their digest, and blocks.

use codec::{Decode, DecodeAll, Encode};
use scale_info::TypeInfo;
use sp_runtime::generic::{Digest, DigestItem};
use sp_runtime::traits::BlakeTwo256;
use sp_trie::{LayoutV1, TrieConfiguration};

use crate::types::{AccountId, BlockNumber, H256};

/// A block header in Substrate's shape; its hash is BLAKE2b-256 of its SCALE encoding.
pub type Header = sp_runtime::generic::Header<BlockNumber, BlakeTwo256>;

/// Engine id of the digest items of proof of useful work.
pub const UPOW_ENGINE_ID: [u8; 4] = *b"upow";

/// What the miner of a block chose before working on it: payload of `PreRuntime(upow)`.
#[derive(Encode, Decode, TypeInfo, Clone, PartialEq, Eq, Debug)]
pub struct PreDigest {
    /// Account that the seal pays.
    pub sealer: AccountId,
    /// One of the sealer's independent sequences of microbatches.
    pub lane: u32,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
}

/// A header whose digest breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The digest has no items, or too many.
    #[error("digest has {got} items, expected 1 or 2")]
    ItemCount {
        /// Items found.
        got: usize,
    },
    /// The first item must be `PreRuntime(upow)`.
    #[error("first digest item is not PreRuntime(upow)")]
    PreRuntimeFirst,
    /// The second item, if any, must be `Seal(upow)`.
    #[error("last digest item is not Seal(upow)")]
    SealLast,
    /// The PreRuntime payload must be exactly one [`PreDigest`].
    #[error("PreRuntime payload of {got} bytes does not decode, expected {expected} bytes")]
    PreDigestMalformed {
        /// Bytes found.
        got: usize,
        /// Bytes of a [`PreDigest`].
        expected: usize,
    },
}

/// Checks the digest's shape and returns what the miner chose.
///
/// # Errors
///
/// The rule that the digest breaks.
pub fn pre_digest(header: &Header) -> Result<PreDigest, HeaderError> {
    split_logs(&header.digest.logs).map(|(pre, _)| pre)
}

/// Splits a header into what was mined and the seal, if there is one.
///
/// # Errors
///
/// The rule that the digest breaks.
pub fn split_seal(header: &Header) -> Result<(Header, Option<Vec<u8>>), HeaderError> {
    let (_, seal) = split_logs(&header.digest.logs)?;
    let seal = seal.map(<[u8]>::to_vec);
    let mut unsealed = header.clone();
    unsealed.digest.logs.truncate(1);
    Ok((unsealed, seal))
}

/// Appends a seal to a header that has none.
///
/// # Errors
///
/// The rule that the digest breaks; a second seal counts as one item too many.
pub fn with_seal(mut header: Header, seal: Vec<u8>) -> Result<Header, HeaderError> {
    header.digest.push(DigestItem::Seal(UPOW_ENGINE_ID, seal));
    pre_digest(&header)?;
    Ok(header)
}

/// A header ready to be mined.
pub fn unsealed_header(
    parent_hash: H256,
    number: BlockNumber,
    state_root: H256,
    extrinsics_root: H256,
    pre: &PreDigest,
) -> Header {
    Header { parent_hash, number, state_root, extrinsics_root, digest: digest_of(pre) }
}

/// The header's hash, which names the block.
pub fn header_hash(header: &Header) -> H256 {
    header.hash()
}

/// The digest of a header that is not sealed yet.
pub(crate) fn digest_of(pre: &PreDigest) -> Digest {
    Digest { logs: vec![DigestItem::PreRuntime(UPOW_ENGINE_ID, pre.encode())] }
}

fn split_logs(logs: &[DigestItem]) -> Result<(PreDigest, Option<&[u8]>), HeaderError> {
    let (first, seal) = match logs {
        [first] => (first, None),
        [first, last] => (first, Some(last)),
        _ => return Err(HeaderError::ItemCount { got: logs.len() }),
    };
    let pre = match first {
        DigestItem::PreRuntime(UPOW_ENGINE_ID, payload) => PreDigest::decode_all(&mut &payload[..])
            .map_err(|_| HeaderError::PreDigestMalformed { got: payload.len(), expected: PRE_DIGEST_BYTES })?,
        _ => return Err(HeaderError::PreRuntimeFirst),
    };
    let seal = match seal {
        None => None,
        Some(DigestItem::Seal(UPOW_ENGINE_ID, payload)) => Some(&payload[..]),
        Some(_) => return Err(HeaderError::SealLast),
    };
    Ok((pre, seal))
}

/// SCALE length of a [`PreDigest`]: account, lane, timestamp.
const PRE_DIGEST_BYTES: usize = 32 + 4 + 8;

/// A header with the extrinsics it commits to.
#[derive(Encode, Decode, Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Opaque bytes, each including its compact length prefix.
    pub extrinsics: Vec<Vec<u8>>,
}

/// Substrate's ordered trie root over the extrinsics' bytes with their prefixes.
///
/// Layout V1, like the state trie (what Substrate calls system version 2).
pub fn extrinsics_root(extrinsics: &[Vec<u8>]) -> H256 {
    LayoutV1::<BlakeTwo256>::ordered_trie_root(extrinsics)
}

#[cfg(test)]
mod tests;
