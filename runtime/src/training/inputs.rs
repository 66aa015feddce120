//! What consensus found out for a block, from its parent's state, headers and blobs.

use codec::{Decode, Encode};

use crate::types::{AccountId, H256};

/// Results that a block's execution needs and the runtime can't compute.
#[derive(Encode, Decode, Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockInputs {
    /// The parent's verified seal; absent exactly when the parent is the genesis block.
    pub parent_seal: Option<SealFacts>,
    /// One verdict for each receipt due, in the order of [`super::receipts_due`].
    pub verdicts: Vec<Verdict>,
    /// Present exactly when the block ends a round.
    pub step: Option<StepOutcome>,
}

/// What the winning microbatch of a seal showed when it was recomputed.
#[derive(Encode, Decode, Clone, Debug, PartialEq, Eq)]
pub struct SealFacts {
    /// Account that mined the block.
    pub sealer: AccountId,
    /// The lane it mined on.
    pub lane: u32,
    /// The winning ticket.
    pub ticket: H256,
    /// Sum of squares of the gradient, tensor by tensor.
    pub squares: Vec<u64>,
    /// Mean loss, nats times 2^20.
    pub loss: u32,
}

/// What recomputing a receipt's samples showed.
#[derive(Encode, Decode, Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The receipt's id.
    pub receipt: H256,
    /// Whether every sample matched.
    pub valid: bool,
}

/// What the optimizer step at the end of a round made.
#[derive(Encode, Decode, Clone, Debug, PartialEq, Eq)]
pub struct StepOutcome {
    /// Commitment to the new weights and moments.
    pub checkpoint_root: H256,
    /// Exponents of the next round's integer gradients, tensor by tensor.
    pub exponents: Vec<i8>,
    /// Running sizes of the summed gradients, tensor by tensor.
    pub running: Vec<u64>,
    /// Tokens in the step; 0 when it was skipped.
    pub tokens: u64,
    /// Microbatches in the step.
    pub microbatches: u32,
    /// Mean loss over the step's microbatches, nats times 2^20.
    pub loss: u32,
}
