//! Verification of a block, and the preparation that author and verifier share.
//!
//! Levels of validity: *structural* (header shape, encodings, lengths), *by itself* (ticket, witness: no state),
//! *contextual* (time, target, base, receipts, microbatches, execution). [`verify_block`] runs the checks in order of cost.

use std::sync::Arc;

use descent_runtime::call::TrainingCall;
use descent_runtime::trie::NodeChanges;
use descent_runtime::{
    AccountId, BlockExecutor, BlockInputs, Execution, ExtrinsicError, H256, Header, PreDigest, ReceiptSummary,
    RuntimeCall, RuntimeError, SignedExtrinsic, StateError, Verdict, execute_block, extrinsics_root, receipts_due,
    step_receipts, step_squares, storage, unsealed_header,
};
use ml_kernels::error::KernelError;
use ml_kernels::optimizer::Checkpoint;

use crate::difficulty::{Target, Work};
use crate::engine::Engine;
use crate::receipt::{ReceiptDetails, ReceiptError, receipt_parts_are_valid};
use crate::sampling::{coin, receipt_verdict};
use crate::seal::{SealError, SealedHeader, claimed_ticket_wins, microbatch_proves_seal, witness_proves_ticket};
use crate::step::{StepInput, StepReceipt, make_step};
use crate::timestamp::{TimestampError, timestamp_is_after_median, timestamp_is_not_far_in_future};
use crate::view::{ChainView, HeaderView, ViewError, median_time, round_context, target_of_next};

/// Why a block is not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BlockError {
    /// The block builds on the view's parent.
    #[error("block builds on {got}, expected {expected}")]
    Parent {
        /// Its parent.
        got: H256,
        /// The view's.
        expected: H256,
    },
    /// The number follows the parent's.
    #[error("block has number {got}, expected {expected}")]
    Number {
        /// Its number.
        got: u32,
        /// Parent's plus one.
        expected: u64,
    },
    /// Time rules.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// Seal rules.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The extrinsics are those that the header commits.
    #[error("extrinsics have root {got}, expected {expected}")]
    ExtrinsicsRoot {
        /// Of the extrinsics.
        got: H256,
        /// In the header.
        expected: H256,
    },
    /// A receipt's parts.
    #[error("receipt in extrinsic {position}: {source}")]
    Receipt {
        /// Which extrinsic.
        position: usize,
        /// The rule.
        source: Box<ReceiptError>,
    },
    /// The state's own rules.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Execution ends in the state that the header commits.
    #[error("state has root {got}, expected {expected}")]
    StateRoot {
        /// After execution.
        got: H256,
        /// In the header.
        expected: H256,
    },
    /// A receipt's part isn't here: the block is unknown, not invalid.
    #[error("part {digest} of the receipt in extrinsic {position} is not here")]
    PartMissing {
        /// Which extrinsic.
        position: usize,
        /// Digest of the part.
        digest: H256,
    },
    /// A round that the state doesn't know.
    #[error("round {round} is not in state")]
    UnknownRound {
        /// The round.
        round: u32,
    },
    /// Chain data could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The context is another model's; a defect of the node.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl BlockError {
    /// Whether the header may still become part of the chain: later, once missing data arrive, or with other data than
    /// those that came along. A false body or witness says nothing about the header that it was sent with: whoever
    /// marked the header invalid for it could be made to refuse the honest chain. Everything else is invalid for ever.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timestamp(e) => e.is_transient(),
            Self::PartMissing { .. }
            | Self::View(_)
            | Self::State(_)
            | Self::Kernel(_)
            | Self::ExtrinsicsRoot { .. } => true,
            Self::Seal(e) => matches!(e, SealError::WitnessDigest { .. } | SealError::Kernel(_)),
            Self::Runtime(RuntimeError::State(_) | RuntimeError::BlockBytes { .. }) => true,
            Self::Runtime(RuntimeError::Extrinsic { source, .. }) => {
                use descent_runtime::ReceiptError as Rule;
                matches!(source, ExtrinsicError::State(_) | ExtrinsicError::Receipt(Rule::State(_)))
            }
            _ => false,
        }
    }
}

/// What author and verifier compute alike before a block's extrinsics.
#[derive(Clone, Debug)]
pub struct PreparedBlock {
    /// What execution needs.
    pub inputs: BlockInputs,
    /// The new checkpoint, if the block makes a step that isn't skipped.
    pub checkpoint: Option<Arc<Checkpoint>>,
}

/// Computes a block's inputs from its parent: the parent's seal, the verdicts due, the step.
///
/// # Errors
/// [`BlockError`]; never the fault of the block itself.
pub fn prepare_block(engine: &Engine, view: &dyn ChainView) -> Result<PreparedBlock, BlockError> {
    if let Some(known) = view.known_preparation() {
        return Ok(known);
    }
    let verdicts = verdicts_due(engine, view)?;
    let prepared = prepare_with_verdicts(engine, view, verdicts)?;
    view.remember_preparation(&prepared);
    Ok(prepared)
}

/// Recomputes the samples of every receipt whose verdict takes effect in the next block.
fn verdicts_due(engine: &Engine, view: &dyn ChainView) -> Result<Vec<Verdict>, BlockError> {
    let mut verdicts = Vec::new();
    for record in receipts_due(view.params(), view.state(), view.parent().number.saturating_add(1))? {
        let (_, next) = view.ancestor(record.included_at.saturating_add(1))?;
        let coin = coin(&record.id, &SealedHeader::parse(&next)?.ticket());
        let valid = match view.known_verdict(&coin) {
            Some(valid) => valid,
            None => verdict(engine, view, &record.account, &record.summary, &coin)?,
        };
        view.remember_verdict(&coin, valid);
        verdicts.push(Verdict { receipt: record.id, valid });
    }
    Ok(verdicts)
}

/// The next block's inputs from given verdicts: to replay a step of a block that was verified before, whose
/// verdicts its own state tells.
///
/// # Errors
/// As [`prepare_block`].
pub fn prepare_with_verdicts(
    engine: &Engine,
    view: &dyn ChainView,
    verdicts: Vec<Verdict>,
) -> Result<PreparedBlock, BlockError> {
    let (params, state, parent) = (view.params(), view.state(), view.parent());
    let number = parent.number.saturating_add(1);
    let parent_seal = if parent.number == 0 { None } else { Some(SealedHeader::parse(parent)?.facts()) };
    let mut prepared = PreparedBlock { inputs: BlockInputs { parent_seal, verdicts, step: None }, checkpoint: None };
    if !params.is_step_block(number) {
        return Ok(prepared);
    }
    let round = params.round_of(number);
    let info = storage::ROUNDS.get(state, &round)?.ok_or(BlockError::UnknownRound { round })?;
    let receipts = step_receipts(params, state, number, &prepared.inputs.verdicts)?;
    let receipts = receipts.iter().map(|r| step_receipt(engine, view, &r.summary)).collect::<Result<Vec<_>, _>>()?;
    let input = StepInput {
        checkpoint: &*view.checkpoint(&info.checkpoint_root)?,
        checkpoint_root: info.checkpoint_root,
        exponents: &info.exponents,
        running: &storage::RUNNING.get(state)?,
        seal_squares: &step_squares(state, prepared.inputs.parent_seal.as_ref())?,
        receipts: &receipts,
    };
    let (checkpoint, outcome) = make_step(engine, &input);
    prepared.checkpoint = checkpoint.map(Arc::new);
    prepared.inputs.step = Some(outcome);
    Ok(prepared)
}

/// A part of a receipt that was included, and so was here.
fn included_part(view: &dyn ChainView, digest: &H256) -> Result<Vec<u8>, ViewError> {
    view.sidecar(digest)?.ok_or(ViewError::Missing { what: "receipt part", hash: *digest })
}

/// The details of an included receipt: checked when its block was.
fn included_details(view: &dyn ChainView, summary: &ReceiptSummary) -> Result<ReceiptDetails, ViewError> {
    let bytes = included_part(view, &summary.details_hash)?;
    ReceiptDetails::decode_checked(&bytes, summary.count, summary.shares).map_err(|e| ViewError::Backend(e.to_string()))
}

fn verdict(
    engine: &Engine,
    view: &dyn ChainView,
    account: &AccountId,
    summary: &ReceiptSummary,
    coin: &H256,
) -> Result<bool, BlockError> {
    let details = included_details(view, summary)?;
    let context = round_context(view, summary.round)?;
    Ok(receipt_verdict(engine, &context, account, summary, &details, coin)?.is_ok())
}

fn step_receipt(engine: &Engine, view: &dyn ChainView, summary: &ReceiptSummary) -> Result<StepReceipt, BlockError> {
    let details = included_details(view, summary)?;
    let blob = included_part(view, &summary.blob_hash)?;
    let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
    let gradient =
        crate::gradient_codec::decode(&lengths, summary.count, &blob).map_err(|e| ViewError::Backend(e.to_string()))?;
    Ok(StepReceipt { count: summary.count, loss_sum: details.loss_sum(), gradient })
}

/// A block with its proof, as a stranger sends it. The parts of its receipts are found through the view.
#[derive(Clone, Copy, Debug)]
pub struct BlockParts<'a> {
    /// Sealed header.
    pub header: &'a Header,
    /// Extrinsics with their length prefixes.
    pub extrinsics: &'a [Vec<u8>],
    /// Witness of the seal.
    pub witness: &'a [u8],
}

/// A block that passed every check.
#[derive(Clone, Debug)]
pub struct VerifiedBlock {
    /// Its header taken apart.
    pub sealed: SealedHeader,
    /// Its weight in fork choice.
    pub work: Work,
    /// What its execution did.
    pub execution: Execution,
    /// What that does to the state trie.
    pub nodes: NodeChanges,
    /// The new checkpoint, if it made a step.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Root of the checkpoint that attempts on top of it use.
    pub checkpoint_root: H256,
}

/// Checks what a header says of itself: shape, time, claimed ticket. It costs a few hashes, and a forger not much more.
///
/// # Errors
/// The first rule broken.
pub fn verify_claims(
    engine: &Engine,
    view: &dyn HeaderView,
    header: &Header,
    now_ms: u64,
) -> Result<(SealedHeader, Target), BlockError> {
    let (got, expected) = (header.parent_hash, view.parent_hash());
    if got != expected {
        return Err(BlockError::Parent { got, expected });
    }
    let expected = u64::from(view.parent().number) + 1;
    if u64::from(header.number) != expected {
        return Err(BlockError::Number { got: header.number, expected });
    }
    let sealed = SealedHeader::parse(header)?;
    timestamp_is_not_far_in_future(sealed.timestamp_ms, now_ms, view.params().max_future_ms)?;
    timestamp_is_after_median(sealed.timestamp_ms, median_time(view)?)?;
    let target = target_of_next(view)?;
    claimed_ticket_wins(engine.task(), &sealed, target)?;
    Ok((sealed, target))
}

/// Checks everything that needs neither state nor model: shape, time, claimed ticket, witness.
///
/// # Errors
/// The first rule broken.
pub fn verify_header(
    engine: &Engine,
    view: &dyn HeaderView,
    header: &Header,
    witness: &[u8],
    now_ms: u64,
) -> Result<(SealedHeader, Target), BlockError> {
    let (sealed, target) = verify_claims(engine, view, header, now_ms)?;
    witness_proves_ticket(engine.task(), &sealed, view.params().round_of(header.number), witness)?;
    Ok((sealed, target))
}

/// Checks a whole block, in order of cost.
///
/// # Errors
/// The first rule broken, or what could not be read.
pub fn verify_block(
    engine: &Engine,
    view: &dyn ChainView,
    block: BlockParts<'_>,
    now_ms: u64,
) -> Result<VerifiedBlock, BlockError> {
    let header = block.header;
    let (sealed, target) = verify_header(engine, view, header, block.witness, now_ms)?;
    let got = block.extrinsics.iter().map(|e| e.len() as u64).sum();
    if got > u64::from(view.params().max_block_bytes) {
        return Err(RuntimeError::BlockBytes { got, limit: view.params().max_block_bytes }.into());
    }
    let (got, expected) = (extrinsics_root(block.extrinsics), header.extrinsics_root);
    if got != expected {
        return Err(BlockError::ExtrinsicsRoot { got, expected });
    }
    receipts_are_valid(engine, view, block.extrinsics)?;
    let context = round_context(view, view.params().round_of(header.number))?;
    microbatch_proves_seal(engine, &context, &sealed)?;
    let prepared = prepare_block(engine, view)?;
    let (params, genesis) = (view.params(), view.genesis_hash());
    let execution = execute_block(params, genesis, view.state(), header, &prepared.inputs, block.extrinsics)?;
    let (got, nodes) = view.apply_changes(&execution.changes)?;
    if got != header.state_root {
        return Err(BlockError::StateRoot { got, expected: header.state_root });
    }
    let checkpoint_root = match &prepared.inputs.step {
        Some(step) => step.checkpoint_root,
        None => current_checkpoint(view)?,
    };
    Ok(VerifiedBlock {
        sealed,
        work: target.work(),
        execution,
        nodes,
        checkpoint: prepared.checkpoint,
        checkpoint_root,
    })
}

fn current_checkpoint(view: &dyn ChainView) -> Result<H256, BlockError> {
    let round = storage::CURRENT_ROUND.get(view.state())?;
    Ok(storage::ROUNDS.get(view.state(), &round)?.ok_or(BlockError::UnknownRound { round })?.checkpoint_root)
}

/// The receipt that an extrinsic submits, if it decodes to one.
pub fn submitted_receipt(extrinsic: &[u8]) -> Option<(AccountId, ReceiptSummary)> {
    let signed = SignedExtrinsic::decode(extrinsic).ok()?;
    match signed.call {
        RuntimeCall::Training(TrainingCall::SubmitReceipt { summary }) => Some((signed.signer, summary)),
        _ => None,
    }
}

/// Checks the parts of every receipt of a block; an undecodable extrinsic is left to execution, which refuses it.
///
/// Receipts are counted first: one costs as much as thousands of extrinsics, and a cheap one can be repeated.
fn receipts_are_valid(engine: &Engine, view: &dyn ChainView, extrinsics: &[Vec<u8>]) -> Result<(), BlockError> {
    let receipts = extrinsics.iter().enumerate().filter_map(|(i, bytes)| Some((i, submitted_receipt(bytes)?)));
    let receipts: Vec<_> = receipts.collect();
    let limit = view.params().max_receipts_per_block;
    if let Some((position, _)) = receipts.get(limit as usize) {
        let source = descent_runtime::ReceiptError::BlockFull { limit }.into();
        return Err(RuntimeError::Extrinsic { position: *position, source }.into());
    }
    for (position, (account, summary)) in receipts {
        receipt_is_valid(engine, view, position, &account, &summary)?;
    }
    Ok(())
}

/// Checks one receipt as the next block would include it.
///
/// # Errors
/// [`BlockError::Receipt`] or [`BlockError::PartMissing`].
pub fn receipt_is_valid(
    engine: &Engine,
    view: &dyn ChainView,
    position: usize,
    account: &AccountId,
    summary: &ReceiptSummary,
) -> Result<(), BlockError> {
    let invalid = |source| BlockError::Receipt { position, source: Box::new(source) };
    let next = view.parent().number.saturating_add(1);
    descent_runtime::training::receipt::receipt_is_valid(view.params(), view.state(), next, account, summary)
        .map_err(|source| RuntimeError::Extrinsic { position, source: source.into() })?;
    let part = |digest: &H256| view.sidecar(digest)?.ok_or(BlockError::PartMissing { position, digest: *digest });
    let (details, blob) = (part(&summary.details_hash)?, part(&summary.blob_hash)?);
    let params = view.params();
    let first = summary.round.saturating_mul(params.round_blocks);
    let last = view.parent().number.min(first.saturating_add(params.round_blocks - 1));
    let ancestors = (first..=last)
        .map(|n| Ok((view.ancestor(n)?.0, n)))
        .collect::<Result<std::collections::HashMap<_, _>, ViewError>>()?;
    let ancestor = |hash: &H256| ancestors.get(hash).copied();
    let round = |parent| params.round_after(parent);
    receipt_parts_are_valid(engine, account, summary, &details, &blob, &ancestor, &round).map_err(invalid)?;
    Ok(())
}

/// A block ready to be mined.
#[derive(Clone, Debug)]
pub struct AuthoredBlock {
    /// Header without seal.
    pub header: Header,
    /// Extrinsics that made it in.
    pub extrinsics: Vec<Vec<u8>>,
    /// Target of its seal.
    pub target: Target,
    /// Extrinsics that are not valid now, with the reason.
    pub refused: Vec<(Vec<u8>, String)>,
}

/// Builds the next block from candidate extrinsics, in their order; what is not valid is left out.
///
/// # Errors
/// [`BlockError`] if the parent's data can't be read; never because of an extrinsic.
pub fn author_block(
    engine: &Engine,
    view: &dyn ChainView,
    pre: &PreDigest,
    candidates: Vec<Vec<u8>>,
) -> Result<AuthoredBlock, BlockError> {
    let prepared = prepare_block(engine, view)?;
    let number = view.parent().number.saturating_add(1);
    let mut block = BlockExecutor::begin(
        view.params(),
        view.genesis_hash(),
        view.state(),
        view.parent_hash(),
        number,
        pre,
        &prepared.inputs,
    )?;
    let (mut extrinsics, mut refused) = (Vec::new(), Vec::new());
    for (position, bytes) in candidates.into_iter().enumerate() {
        let receipt = submitted_receipt(&bytes);
        let checked =
            match receipt.map(|(account, summary)| receipt_is_valid(engine, view, position, &account, &summary)) {
                // What can't be read says nothing about the receipt.
                Some(Err(e @ (BlockError::View(_) | BlockError::State(_)))) => return Err(e),
                Some(Err(e)) => Err(e.to_string()),
                _ => Ok(()),
            };
        match checked.and_then(|()| block.apply_extrinsic(&bytes).map_err(|e| e.to_string())) {
            Ok(()) => extrinsics.push(bytes),
            Err(reason) => refused.push((bytes, reason)),
        }
    }
    let execution = block.finish()?;
    let (state_root, _) = view.apply_changes(&execution.changes)?;
    let header = unsealed_header(view.parent_hash(), number, state_root, extrinsics_root(&extrinsics), pre);
    Ok(AuthoredBlock { header, extrinsics, target: target_of_next(view)?, refused })
}
