//! The training pallet: what seals and receipts earn, and which gradients enter a step.
//!
//! What a round goes through, with `V` the verdict slack and `rb` the blocks of a round:
//!
//! 1. Blocks `R*rb + 1 ..= (R+1)*rb` belong to round `R`. Their seals' emission fills its pots.
//! 2. Its receipts are included in those blocks or in the next round's ([`receipt`]).
//! 3. A receipt included in block `b` gets its verdict when block `b + 2 + V` executes ([`verdict`]).
//! 4. Block `(R+1)*rb` makes the step from the receipts whose verdicts are known ([`step`]).
//! 5. Block `(R+2)*rb + 2 + V` pays the pots: by then every verdict is known (`settle`).

pub mod inputs;
pub mod pallet;
pub mod receipt;
pub(crate) mod seal;
pub(crate) mod settle;
pub mod step;
pub mod verdict;

pub use inputs::{BlockInputs, SealFacts, StepOutcome, Verdict};
pub use pallet::{Pot, ReceiptRecord, ReceiptStatus, ReceiptSummary, RoundInfo, SealShares};
pub use receipt::ReceiptError;
pub use step::{step_receipts, step_squares};
pub use verdict::receipts_due;

#[cfg(test)]
mod tests;
