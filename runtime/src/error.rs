//! Why a whole block can't be executed.

use crate::extrinsic::ExtrinsicError;
use crate::header::HeaderError;
use crate::state::StateError;
use crate::types::{Balance, BlockNumber, H256};

/// A block that breaks a rule, or inputs that are not those of the block.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuntimeError {
    /// The header's digest breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Blocks follow each other by number.
    #[error("block number is {got}, expected {expected}")]
    Number {
        /// Given number.
        got: BlockNumber,
        /// One more than the state's last block.
        expected: u64,
    },
    /// The header commits to the body.
    #[error("extrinsics root is {got}, expected {expected}")]
    ExtrinsicsRoot {
        /// Root in the header.
        got: H256,
        /// Root of the body.
        expected: H256,
    },
    /// A block's extrinsics have a byte budget.
    #[error("extrinsics are {got} bytes, expected at most {limit}")]
    BlockBytes {
        /// Bytes found.
        got: u64,
        /// Most bytes.
        limit: u32,
    },
    /// Every block but the first applies its parent's seal.
    #[error("seal of the parent of block {number} is missing")]
    SealMissing {
        /// The block.
        number: BlockNumber,
    },
    /// The genesis block has no seal.
    #[error("seal for the genesis block")]
    SealUnexpected,
    /// A seal reports one sum of squares for each tensor.
    #[error("seal has squares of {got} tensors, expected {expected}")]
    SealSquares {
        /// Given tensors.
        got: usize,
        /// Tensors of the task.
        expected: usize,
    },
    /// Each receipt due gets one verdict.
    #[error("{got} verdicts, expected {expected}")]
    VerdictCount {
        /// Given verdicts.
        got: usize,
        /// Receipts due.
        expected: usize,
    },
    /// Verdicts come in the order of the receipts due.
    #[error("verdict {position} is on receipt {got}, expected {expected}")]
    VerdictReceipt {
        /// Place in the list.
        position: usize,
        /// Given receipt.
        got: H256,
        /// Receipt due.
        expected: H256,
    },
    /// A block that ends a round makes a step.
    #[error("step of block {number} is missing")]
    StepMissing {
        /// The block.
        number: BlockNumber,
    },
    /// Other blocks make none.
    #[error("step for block {number}, which ends no round")]
    StepUnexpected {
        /// The block.
        number: BlockNumber,
    },
    /// A step sets one exponent for each tensor.
    #[error("step has exponents of {got} tensors, expected {expected}")]
    StepExponents {
        /// Given tensors.
        got: usize,
        /// Tensors of the task.
        expected: usize,
    },
    /// A step sets one running size for each tensor.
    #[error("step has running sizes of {got} tensors, expected {expected}")]
    StepRunning {
        /// Given tensors.
        got: usize,
        /// Tensors of the task.
        expected: usize,
    },
    /// Every extrinsic of a block is valid.
    #[error("extrinsic {position}: {source}")]
    Extrinsic {
        /// Place in the block.
        position: usize,
        /// The rule it breaks.
        source: ExtrinsicError,
    },
    /// The issuance follows schedule and burns.
    #[error("total issuance is {got}, expected {expected} by schedule and burns")]
    IssuanceSchedule {
        /// Issuance in state.
        got: Balance,
        /// Endowed and emitted less burned.
        expected: Balance,
    },
    /// Accounts and pots together change as the issuance does.
    #[error("accounts and pots hold {got}, expected {expected} by the issuance")]
    BalanceSum {
        /// Sum found.
        got: Balance,
        /// Sum that fits the issuance.
        expected: Balance,
    },
    /// A number outgrew its type.
    #[error("{what} overflows")]
    Overflow {
        /// Which number.
        what: &'static str,
    },
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}
