//! Every storage item with its key, in Substrate's layout: `twox128(pallet) ++ twox128(item)`,
//! then for a map the hashed key with the key itself behind the hash.

use std::marker::PhantomData;

use codec::{Codec, DecodeAll};
use sp_crypto_hashing::{blake2_128, twox_64, twox_128};
use sp_runtime::generic::Digest;

use crate::event::EventRecord;
use crate::state::{Overlay, StateError, StateRead};
use crate::training::{Pot, ReceiptRecord, RoundInfo, SealShares};
use crate::types::{AccountId, AccountInfo, Balance, BlockNumber, H256};

/// Well-known key of the runtime's version tag.
pub const CODE_KEY: &[u8] = b":code";

/// How many block hashes `System.BlockHash` keeps, besides the genesis block's.
pub const BLOCK_HASH_COUNT: BlockNumber = 2400;

/// Account balances and nonces.
pub const ACCOUNT: Map<AccountId, AccountInfo> = Map::blake2("System", "Account");
/// The last executed block.
pub const NUMBER: Value<BlockNumber> = Value::new("System", "Number");
/// Parent of the last executed block.
pub const PARENT_HASH: Value<H256> = Value::new("System", "ParentHash");
/// Hashes of recent blocks.
pub const BLOCK_HASH: Map<BlockNumber, H256> = Map::twox("System", "BlockHash");
/// What the last executed block did.
pub const EVENTS: Value<Vec<EventRecord>> = Value::new("System", "Events");
/// How many events that are.
pub const EVENT_COUNT: Value<u32> = Value::new("System", "EventCount");
/// How many extrinsics the last executed block has.
pub const EXTRINSIC_COUNT: Value<u32> = Value::new("System", "ExtrinsicCount");
/// Digest of the last executed block, without its seal.
pub const DIGEST: Value<Digest> = Value::new("System", "Digest");

/// Timestamp of the last executed block, in milliseconds since the Unix epoch.
pub const NOW: Value<u64> = Value::new("Timestamp", "Now");

/// All money there is: accounts and pots.
pub const TOTAL_ISSUANCE: Value<Balance> = Value::new("Balances", "TotalIssuance");

/// Hash of the chain's parameters.
pub const PARAMS_HASH: Value<H256> = Value::new("Training", "ParamsHash");
/// Commitment to architecture, data and hyper-parameters.
pub const TASK_ID: Value<H256> = Value::new("Training", "TaskId");
/// Round of an attempt on top of the last executed block.
pub const CURRENT_ROUND: Value<u32> = Value::new("Training", "CurrentRound");
/// Every round's checkpoint, kept for ever.
pub const ROUNDS: Map<u32, RoundInfo> = Map::twox("Training", "Rounds");
/// Exponent of each tensor's integer gradients in the current round.
pub const EXPONENTS: Value<Vec<i8>> = Value::new("Training", "Exponents");
/// Running size of each tensor's summed gradient.
pub const RUNNING: Value<Vec<u64>> = Value::new("Training", "Running");
/// Squares reported by the seals of the current round, one list a seal.
pub const ROUND_SQUARES: Value<Vec<Vec<u64>>> = Value::new("Training", "RoundSquares");
/// Tokens that entered the model so far.
pub const TOKENS_SEEN: Value<u64> = Value::new("Training", "TokensSeen");
/// First index that no receipt of a (round, account, lane) covers yet.
pub const NEXT_INDEX: Map<(u32, AccountId, u32), u32> = Map::blake2("Training", "NextIndex");
/// Receipts by the block that included them, until their round is settled.
pub const RECEIPTS_AT: Map<BlockNumber, Vec<ReceiptRecord>> = Map::twox("Training", "ReceiptsAt");
/// Money of each round that is not settled.
pub const POTS: Map<u32, Pot> = Map::twox("Training", "Pots");
/// Shares that seals earned in each round that is not settled.
pub const SEAL_SHARES: Map<u32, SealShares> = Map::twox("Training", "SealShares");
/// Smoothed pay of a share in settled rounds; `u128::MAX` before the first.
pub const SHARE_PRICE: Value<Balance> = Value::new("Training", "SharePrice");
/// Money of the genesis block.
pub const ENDOWED: Value<Balance> = Value::new("Training", "Endowed");
/// Money made by blocks.
pub const EMITTED: Value<Balance> = Value::new("Training", "Emitted");
/// Money destroyed.
pub const BURNED: Value<Balance> = Value::new("Training", "Burned");

/// A single stored value.
pub struct Value<T> {
    pallet: &'static str,
    item: &'static str,
    marker: PhantomData<fn() -> T>,
}

impl<T: Codec> Value<T> {
    const fn new(pallet: &'static str, item: &'static str) -> Self {
        Self { pallet, item, marker: PhantomData }
    }

    /// The item's key.
    pub fn key(&self) -> Vec<u8> {
        prefix(self.pallet, self.item)
    }

    /// The value, if it was ever set.
    ///
    /// # Errors
    ///
    /// When the backend fails or the value does not decode.
    pub fn try_get(&self, state: &dyn StateRead) -> Result<Option<T>, StateError> {
        decode(state, &self.key(), self.pallet, self.item)
    }

    /// The value of an item that every state has.
    ///
    /// # Errors
    ///
    /// When the backend fails, or the value is missing or does not decode.
    pub fn get(&self, state: &dyn StateRead) -> Result<T, StateError> {
        self.try_get(state)?.ok_or_else(|| StateError::Missing { item: name(self.pallet, self.item) })
    }

    /// Sets the value.
    pub fn put(&self, state: &mut Overlay<'_>, value: &T) {
        state.put(self.key(), value.encode());
    }
}

#[derive(Clone, Copy)]
enum KeyHash {
    /// For keys that nobody chooses.
    Twox64,
    /// For keys that contain accounts: nobody can crowd a branch of the trie.
    Blake2,
}

/// A map of stored values.
pub struct Map<K, T> {
    pallet: &'static str,
    item: &'static str,
    hash: KeyHash,
    marker: PhantomData<fn() -> (K, T)>,
}

impl<K: Codec, T: Codec> Map<K, T> {
    const fn twox(pallet: &'static str, item: &'static str) -> Self {
        Self { pallet, item, hash: KeyHash::Twox64, marker: PhantomData }
    }

    const fn blake2(pallet: &'static str, item: &'static str) -> Self {
        Self { pallet, item, hash: KeyHash::Blake2, marker: PhantomData }
    }

    /// What all keys of the map start with.
    pub fn prefix(&self) -> Vec<u8> {
        prefix(self.pallet, self.item)
    }

    /// Key of one entry.
    pub fn key(&self, key: &K) -> Vec<u8> {
        let encoded = key.encode();
        let mut full = self.prefix();
        match self.hash {
            KeyHash::Twox64 => full.extend(twox_64(&encoded)),
            KeyHash::Blake2 => full.extend(blake2_128(&encoded)),
        }
        full.extend(encoded);
        full
    }

    /// Decodes the map key out of a full storage key of this map.
    pub fn map_key(&self, full: &[u8]) -> Option<K> {
        let hash_bytes = match self.hash {
            KeyHash::Twox64 => 8,
            KeyHash::Blake2 => 16,
        };
        let encoded = full.strip_prefix(&self.prefix()[..])?.get(hash_bytes..)?;
        K::decode_all(&mut &encoded[..]).ok()
    }

    /// An entry, if it exists.
    ///
    /// # Errors
    ///
    /// When the backend fails or the value does not decode.
    pub fn get(&self, state: &dyn StateRead, key: &K) -> Result<Option<T>, StateError> {
        decode(state, &self.key(key), self.pallet, self.item)
    }

    /// An entry, or its type's default.
    ///
    /// # Errors
    ///
    /// When the backend fails or the value does not decode.
    pub fn get_or_default(&self, state: &dyn StateRead, key: &K) -> Result<T, StateError>
    where
        T: Default,
    {
        Ok(self.get(state, key)?.unwrap_or_default())
    }

    /// Sets an entry.
    pub fn put(&self, state: &mut Overlay<'_>, key: &K, value: &T) {
        state.put(self.key(key), value.encode());
    }

    /// Removes an entry.
    pub fn remove(&self, state: &mut Overlay<'_>, key: &K) {
        state.delete(self.key(key));
    }
}

fn prefix(pallet: &str, item: &str) -> Vec<u8> {
    [twox_128(pallet.as_bytes()), twox_128(item.as_bytes())].concat()
}

fn name(pallet: &str, item: &str) -> String {
    format!("{pallet}.{item}")
}

fn decode<T: Codec>(state: &dyn StateRead, key: &[u8], pallet: &str, item: &str) -> Result<Option<T>, StateError> {
    let Some(bytes) = state.get(key)? else { return Ok(None) };
    T::decode_all(&mut &bytes[..]).map(Some).map_err(|_| StateError::Corrupt { item: name(pallet, item) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Changes;

    /// Keys known from any Substrate chain.
    #[test]
    fn keys_are_those_of_substrate() {
        let account = AccountId::new([7; 32]);
        let key = ACCOUNT.key(&account);
        let known = "26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9";
        assert_eq!(format!("{:?}", H256::from_slice(&key[..32])), format!("0x{known}"));
        assert_eq!(key.len(), 32 + 16 + 32);
        assert_eq!(ACCOUNT.map_key(&key), Some(account));
        let events = "26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";
        assert_eq!(format!("{:?}", H256::from_slice(&EVENTS.key())), format!("0x{events}"));
        assert_eq!(BLOCK_HASH.map_key(&BLOCK_HASH.key(&9)), Some(9));
        assert_eq!(BLOCK_HASH.map_key(b"short"), None);
    }

    #[test]
    fn bad_values_are_named() {
        let state = Changes::from([(NUMBER.key(), Some(vec![1]))]);
        assert_eq!(NUMBER.get(&state), Err(StateError::Corrupt { item: "System.Number".to_owned() }));
        assert_eq!(NOW.get(&state), Err(StateError::Missing { item: "Timestamp.Now".to_owned() }));
    }
}
