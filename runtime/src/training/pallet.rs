//! What the pallet keeps in state.

use std::collections::BTreeMap;

use codec::{Decode, Encode};
use scale_info::TypeInfo;

use crate::types::{AccountId, Balance, BlockNumber, H256, blake2_256};

/// Seals of each account in a round, each worth one share.
pub type SealShares = BTreeMap<AccountId, u32>;

/// A round and the checkpoint that it starts from.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub struct RoundInfo {
    /// The round's number.
    pub round: u32,
    /// Commitment to weights and moments.
    pub checkpoint_root: H256,
    /// Block whose execution made the checkpoint; its hash is the round's beacon.
    pub start_block: BlockNumber,
    /// Tokens summed into the step that made the checkpoint.
    pub tokens: u64,
    /// Microbatches summed into that step.
    pub microbatches: u32,
    /// Their mean loss, nats times 2^20.
    pub loss: u32,
    /// Exponents of the round's integer gradients, tensor by tensor: with the checkpoint, what its attempts are keyed by.
    pub exponents: Vec<i8>,
    /// Most that a share of this round earns; `u128::MAX` leaves it to the pot.
    pub share_price: Balance,
}

/// Money of a round, until it is settled.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, Default, PartialEq, Eq)]
pub struct Pot {
    /// For shares.
    pub shares: Balance,
    /// For those who include receipts.
    pub inclusion: Balance,
}

/// What a receipt says about itself: the argument of the call. Leaf hashes, claims and the
/// summed gradient travel beside the block; their digests and lengths are here.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// Round of the microbatches.
    pub round: u32,
    /// Lane of the account.
    pub lane: u32,
    /// First index.
    pub start: u32,
    /// How many indices.
    pub count: u32,
    /// How many share claims.
    pub shares: u32,
    /// Tokens of the microbatches.
    pub tokens: u64,
    /// Digest of leaf hashes, losses, sigmas and claims.
    pub details_hash: H256,
    /// Bytes of these.
    pub details_len: u32,
    /// Digest of the summed gradient's encoding.
    pub blob_hash: H256,
    /// Bytes of that.
    pub blob_len: u32,
}

impl ReceiptSummary {
    /// The receipt's name: BLAKE2b-256 of account and summary. Ranges never repeat, so ids don't.
    pub fn id(&self, account: &AccountId) -> H256 {
        blake2_256(&(account, self).encode())
    }
}

/// What is known about a receipt's samples.
#[derive(Encode, Decode, TypeInfo, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptStatus {
    /// Not recomputed yet.
    Pending,
    /// Every sample matched.
    Valid,
    /// Pay and gradient are lost.
    Voided,
}

/// An included receipt.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// See [`ReceiptSummary::id`].
    pub id: H256,
    /// Who computed it.
    pub account: AccountId,
    /// Who mined the block that includes it.
    pub includer: AccountId,
    /// That block.
    pub included_at: BlockNumber,
    /// What it says.
    pub summary: ReceiptSummary,
    /// What its samples showed.
    pub status: ReceiptStatus,
    /// What is burned out of its pay.
    pub fee: Balance,
}
