//! Names of the basic quantities, and an account as clients decode it.

use codec::{Decode, Encode};
use scale_info::TypeInfo;

pub use sp_core::H256;

/// A public key or the hash of one.
pub type AccountId = sp_core::crypto::AccountId32;
/// An amount in the smallest unit; 12 decimals make one coin.
pub type Balance = u128;
/// A block's height; the genesis block is 0.
pub type BlockNumber = u32;
/// How many extrinsics an account has had included.
pub type Nonce = u32;

/// Decimals of the coin.
pub const TOKEN_DECIMALS: u32 = 12;
/// Symbol of the coin.
pub const TOKEN_SYMBOL: &str = "DSNT";
/// Prefix of the textual form of addresses.
pub const SS58_PREFIX: u16 = 42;

/// BLAKE2b-256, the hash of headers, extrinsics and the state trie.
pub fn blake2_256(bytes: &[u8]) -> H256 {
    H256(sp_crypto_hashing::blake2_256(bytes))
}

/// What `System.Account` holds, in the layout of Substrate's system pallet.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountInfo {
    /// Extrinsics of this account included so far.
    pub nonce: Nonce,
    /// Always 0: no pallet refers to accounts.
    pub consumers: u32,
    /// 1 while the account holds a balance, else 0.
    pub providers: u32,
    /// Always 0.
    pub sufficients: u32,
    /// The balances.
    pub data: AccountData,
}

impl AccountInfo {
    /// Whether nothing is worth keeping: such an account takes no place in state.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Balances of one account. All but `free` stay zero; clients expect the four fields.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountData {
    /// What can be spent.
    pub free: Balance,
    /// Always 0.
    pub reserved: Balance,
    /// Always 0.
    pub frozen: Balance,
    /// Always 0.
    pub flags: u128,
}
