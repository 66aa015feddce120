//! What an extrinsic can ask for. Indices are those of Substrate's pallets.

use codec::{Decode, Encode};
use scale_info::TypeInfo;
use sp_runtime::MultiAddress;

use crate::training::ReceiptSummary;
use crate::types::{AccountId, Balance};

/// How an extrinsic names an account; only the form with the account's id is accepted.
pub type Address = MultiAddress<AccountId, ()>;

/// The calls of all pallets.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub enum RuntimeCall {
    /// Nothing but a remark.
    #[codec(index = 0)]
    System(SystemCall),
    /// Transfers.
    #[codec(index = 4)]
    Balances(BalancesCall),
    /// Receipts.
    #[codec(index = 6)]
    Training(TrainingCall),
}

/// Calls of the system.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub enum SystemCall {
    /// Does nothing, for a fee.
    #[codec(index = 0)]
    Remark {
        /// Any bytes.
        remark: Vec<u8>,
    },
}

/// Calls of money.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub enum BalancesCall {
    /// Transfers money; may close the sender's account.
    #[codec(index = 0)]
    TransferAllowDeath {
        /// Payee.
        dest: Address,
        /// How much.
        #[codec(compact)]
        value: Balance,
    },
    /// Transfers money, or fails if that would close the sender's account.
    #[codec(index = 3)]
    TransferKeepAlive {
        /// Payee.
        dest: Address,
        /// How much.
        #[codec(compact)]
        value: Balance,
    },
    /// Transfers all that can be spent.
    #[codec(index = 4)]
    TransferAll {
        /// Payee.
        dest: Address,
        /// Whether the sender's account stays open.
        keep_alive: bool,
    },
}

/// Calls of training.
#[derive(Encode, Decode, TypeInfo, Clone, Debug, PartialEq, Eq)]
pub enum TrainingCall {
    /// Brings a range of microbatches to the chain. Free at inclusion: its fees come out of its
    /// pay.
    #[codec(index = 0)]
    SubmitReceipt {
        /// What the receipt says.
        summary: ReceiptSummary,
    },
}
