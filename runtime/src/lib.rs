//! Blocks, transactions, accounts and the state transition of the Descent chain.
//!
//! The crate is a pure function library: state comes in through [`StateRead`], everything that
//! takes kernels or headers to find out comes in as [`BlockInputs`], and a block's effect comes out
//! as [`Changes`]. It has no clock, no disk, no sockets, no threads and no floating point.
//!
//! Layout, lowest layer first:
//!
//! - [`types`], [`header`], [`params`], [`version`]: plain data, the header digest, chain parameters;
//! - [`state`], [`storage`]: reading through an overlay, and every storage item with its key;
//! - [`trie`], [`memory`]: the state trie over any node store, and one in memory;
//! - [`event`], [`call`], [`extrinsic`]: what clients send and what they read back;
//! - [`balances`], [`training`]: the two pallets with rules of their own;
//! - [`executor`]: one block, from its parent's seal to its last extrinsic; [`issuance`]: the
//!   invariant checked behind it; [`genesis`]: the state before the first block.
//!
//! # Choices
//!
//! **Substrate's shapes.** Header, extrinsic, account and storage keys are those of Substrate, so
//! that wallets read balances and send transfers unmodified.
//!
//! **Receipts need no funds.** A miner starts with nothing, so [`call::TrainingCall::SubmitReceipt`]
//! takes no fee at inclusion and no existing account. What it costs (its base, byte and sampling
//! fees) is burned out of its account's pay when its round is settled, never more than that pay.
//! Flooding is limited by the number of receipts in a block and by one receipt per round, account
//! and lane in a block; the nonce rises as for any other extrinsic. A receipt that breaks a rule
//! makes the block invalid, so a receipt found in a block is always one that counted.
//!
//! **Nonces outlive balances.** An account that falls below the existential deposit loses its
//! dust but keeps its nonce: otherwise an old immortal transfer could be replayed once it is
//! funded again.
//!
//! **Money exists from its emission.** A block's whole emission enters the issuance at once, what
//! is not paid yet as a pot's balance; burning takes it out. So at every block
//! `issuance = endowed + emitted - burned = accounts + pots`.

#![deny(clippy::float_arithmetic)]

pub mod balances;
pub mod call;
pub mod error;
pub mod event;
pub mod executor;
pub mod extrinsic;
pub mod genesis;
pub mod header;
pub mod issuance;
pub mod memory;
pub mod params;
pub mod state;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod training;
pub mod trie;
pub mod types;
pub mod version;

pub use call::RuntimeCall;
pub use error::RuntimeError;
pub use event::{EventRecord, Phase, RuntimeEvent};
pub use executor::{BlockExecutor, Execution, execute_block, validate_extrinsic};
pub use extrinsic::{ExtrinsicError, SignedExtrinsic};
pub use genesis::{GenesisError, GenesisTraining, genesis_header, genesis_state};
pub use header::{
    Block, Header, HeaderError, PreDigest, UPOW_ENGINE_ID, extrinsics_root, header_hash, pre_digest, split_seal,
    unsealed_header, with_seal,
};
pub use memory::MemoryState;
pub use params::{ChainParams, ParamsError};
pub use state::{Changes, Overlay, StateError, StateRead};
pub use training::{
    BlockInputs, Pot, ReceiptError, ReceiptRecord, ReceiptStatus, ReceiptSummary, RoundInfo, SealFacts, SealShares,
    StepOutcome, Verdict, receipts_due, step_receipts, step_squares,
};
pub use types::{AccountData, AccountId, AccountInfo, Balance, BlockNumber, H256, Nonce, blake2_256};
