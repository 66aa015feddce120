//! The seal of a block: its winning ticket, checked in order of cost.

use codec::{Decode, DecodeAll, Encode};
use descent_runtime::{AccountId, H256, Header, HeaderError, SealFacts, pre_digest, split_seal};
use ml_kernels::error::KernelError;
use ml_kernels::lattice::LeafHash;

use crate::difficulty::Target;
use crate::engine::{Engine, RoundContext};
use crate::task::Task;
use crate::ticket::{TileError, TileId, first_half, second_half, second_hash};
use crate::witness::{Witness, WitnessClaim, WitnessError, witness_is_valid};

/// What the digest item `Seal(upow)` holds. Nothing in it is free: all follows from the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// Index of the winning microbatch in the sealer's lane.
    pub index: u32,
    /// The winning tile.
    pub tile: TileId,
    /// Commitment of its product's A operand.
    pub com_a: H256,
    /// Commitment of its product's B operand.
    pub com_b: H256,
    /// First half of the ticket.
    pub t0: H256,
    /// Digest of the gradient's leaf hash.
    pub leaf: H256,
    /// Commitment to the round's weights and scales: the part of `K` that lives in state.
    pub base: H256,
    /// Sum of squares of the integer gradient, tensor by tensor.
    pub squares: Vec<u64>,
    /// Mean loss, nats times 2^20.
    pub loss: u32,
    /// Digest of the witness.
    pub witness: H256,
}

/// The longest seal: seven hashes, small numbers, and the squares of the 2,307 tensors of the deepest model.
pub const MAX_SEAL_BYTES: usize = 256 + 8 * 2307;

/// A rule that a seal breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A block has a seal.
    #[error("header has no seal")]
    Missing,
    /// The header's own shape.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No seal is longer.
    #[error("seal has {got} bytes, expected at most {limit}")]
    TooLong {
        /// Length.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// Its bytes are one canonical encoding.
    #[error("seal of {got} bytes does not decode")]
    Malformed {
        /// Length.
        got: usize,
    },
    /// One sum for each tensor.
    #[error("seal has squares of {got} tensors, expected {expected}")]
    SquaresCount {
        /// Given.
        got: usize,
        /// Tensors of the model.
        expected: usize,
    },
    /// The tile must exist.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// `t0 < 8 * target * 1024 * k`.
    #[error("first ticket half {got} is not below the threshold of target {target:?}")]
    FirstHalf {
        /// `t0`.
        got: H256,
        /// The block's target.
        target: Target,
    },
    /// `t1 < 2^253`.
    #[error("second ticket half {got} is not below 2^253")]
    SecondHalf {
        /// `t1`.
        got: H256,
    },
    /// The witness is the one the seal names.
    #[error("witness hashes to {got}, expected {expected}")]
    WitnessDigest {
        /// Hash of the witness.
        got: H256,
        /// Hash in the seal.
        expected: H256,
    },
    /// The witness's own rules.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The attempt was made on the round's weights and scales.
    #[error("seal is for base {got}, expected {expected}")]
    Base {
        /// In the seal.
        got: H256,
        /// The round's.
        expected: H256,
    },
    /// The winning microbatch has these operands.
    #[error("recomputed operands commit to {got:?}, expected {expected:?}")]
    Operands {
        /// Recomputed `(com_A, com_B)`.
        got: Box<(H256, H256)>,
        /// In the seal.
        expected: Box<(H256, H256)>,
    },
    /// The winning microbatch draws this ticket.
    #[error("recomputed ticket is {got}, expected {expected}")]
    Ticket {
        /// Recomputed.
        got: H256,
        /// In the seal.
        expected: H256,
    },
    /// The winning microbatch has this gradient.
    #[error("recomputed leaf hashes to {got}, expected {expected}")]
    Leaf {
        /// Recomputed.
        got: H256,
        /// In the seal.
        expected: H256,
    },
    /// The gradient has these sums of squares.
    #[error("recomputed squares are {got:?}, expected {expected:?}")]
    Squares {
        /// Recomputed.
        got: Vec<u64>,
        /// In the seal.
        expected: Vec<u64>,
    },
    /// The microbatch has this loss.
    #[error("recomputed loss is {got}, expected {expected}")]
    Loss {
        /// Recomputed.
        got: u32,
        /// In the seal.
        expected: u32,
    },
    /// The context is another model's; a caller's mistake.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// A header taken apart: what its seal is checked from.
#[derive(Clone, Debug)]
pub struct SealedHeader {
    /// Hash of the header before its seal.
    pub sigma: H256,
    /// Who sealed it.
    pub account: AccountId,
    /// On which lane.
    pub lane: u32,
    /// Its time.
    pub timestamp_ms: u64,
    /// The seal.
    pub seal: Seal,
}

impl SealedHeader {
    /// Rules `seal_is_present` and `seal_is_canonical`; the header's own shape is the runtime's rule.
    ///
    /// # Errors
    /// [`SealError::Header`], [`SealError::Missing`], [`SealError::TooLong`] or [`SealError::Malformed`].
    pub fn parse(header: &Header) -> Result<Self, SealError> {
        let pre = pre_digest(header)?;
        let (unsealed, seal) = split_seal(header)?;
        let bytes = seal.ok_or(SealError::Missing)?;
        if bytes.len() > MAX_SEAL_BYTES {
            return Err(SealError::TooLong { got: bytes.len(), limit: MAX_SEAL_BYTES });
        }
        let seal = Seal::decode_all(&mut &bytes[..]).map_err(|_| SealError::Malformed { got: bytes.len() })?;
        Ok(Self { sigma: unsealed.hash(), account: pre.sealer, lane: pre.lane, timestamp_ms: pre.timestamp_ms, seal })
    }

    /// The full ticket, `t1`: what the sampling coin of the parent's receipts comes from.
    pub fn ticket(&self) -> H256 {
        second_hash(&self.seal.t0, &self.seal.leaf)
    }

    /// What the runtime needs of the seal.
    pub fn facts(&self) -> SealFacts {
        SealFacts {
            sealer: self.account.clone(),
            lane: self.lane,
            ticket: self.ticket(),
            squares: self.seal.squares.clone(),
            loss: self.seal.loss,
        }
    }
}

/// Checks the claimed ticket against the target: a few hashes, no witness, no state.
///
/// # Errors
/// The first rule broken.
pub fn claimed_ticket_wins(task: &Task, sealed: &SealedHeader, target: Target) -> Result<(), SealError> {
    let seal = &sealed.seal;
    let expected = task.model().tensors().len();
    if seal.squares.len() != expected {
        return Err(SealError::SquaresCount { got: seal.squares.len(), expected });
    }
    let (_, dims) = seal.tile.product(task.model())?;
    if !first_half(&seal.t0, target, dims) {
        return Err(SealError::FirstHalf { got: seal.t0, target });
    }
    let ticket = sealed.ticket();
    if !second_half(&ticket) {
        return Err(SealError::SecondHalf { got: ticket });
    }
    Ok(())
}

/// Checks the witness: proves an eighth of the claimed work, needs neither model nor state.
///
/// # Errors
/// The first rule broken.
pub fn witness_proves_ticket(task: &Task, sealed: &SealedHeader, round: u32, witness: &[u8]) -> Result<(), SealError> {
    let seal = &sealed.seal;
    let got = Witness::digest(witness);
    if got != seal.witness {
        return Err(SealError::WitnessDigest { got, expected: seal.witness });
    }
    let (account, lane, index) = (sealed.account.clone(), sealed.lane, seal.index);
    let attempt = crate::attempt::Attempt { round, base: seal.base, account, lane, index, sigma: sealed.sigma };
    let claim = WitnessClaim { tile: seal.tile, com_a: seal.com_a, com_b: seal.com_b, t0: seal.t0, attempt: &attempt };
    Ok(witness_is_valid(task, &claim, witness)?)
}

/// Rule `base_is_the_rounds`.
///
/// # Errors
/// [`SealError::Base`].
pub fn base_is_the_rounds(sealed: &SealedHeader, expected: &H256) -> Result<(), SealError> {
    if sealed.seal.base == *expected {
        Ok(())
    } else {
        Err(SealError::Base { got: sealed.seal.base, expected: *expected })
    }
}

/// Recomputes the winning microbatch: what gives a header its weight in fork choice.
///
/// # Errors
/// The first rule broken.
pub fn microbatch_proves_seal(
    engine: &Engine,
    context: &RoundContext,
    sealed: &SealedHeader,
) -> Result<LeafHash, SealError> {
    let seal = &sealed.seal;
    base_is_the_rounds(sealed, &context.base)?;
    seal.tile.product(engine.task().model())?;
    let attempt = context.attempt(&sealed.account, sealed.lane, seal.index, sealed.sigma);
    let recomputed = engine.recompute(context, &attempt, &[seal.tile])?;
    let tile = recomputed.tiles[0];
    let (got, expected) = ((tile.com_a, tile.com_b), (seal.com_a, seal.com_b));
    if got != expected {
        return Err(SealError::Operands { got: got.into(), expected: expected.into() });
    }
    if tile.t0 != seal.t0 {
        return Err(SealError::Ticket { got: tile.t0, expected: seal.t0 });
    }
    let got = H256(recomputed.leaf.digest());
    if got != seal.leaf {
        return Err(SealError::Leaf { got, expected: seal.leaf });
    }
    if recomputed.output.squares != seal.squares {
        return Err(SealError::Squares { got: recomputed.output.squares, expected: seal.squares.clone() });
    }
    if recomputed.output.loss != seal.loss {
        return Err(SealError::Loss { got: recomputed.output.loss, expected: seal.loss });
    }
    Ok(recomputed.leaf)
}
