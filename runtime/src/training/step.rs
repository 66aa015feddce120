//! The optimizer step that ends a round: which gradients enter it, and what it leaves in state.

use crate::error::RuntimeError;
use crate::event::TrainingEvent;
use crate::params::ChainParams;
use crate::state::{Overlay, StateError, StateRead};
use crate::storage;
use crate::types::BlockNumber;

use super::{ReceiptRecord, ReceiptStatus, RoundInfo, SealFacts, StepOutcome, Verdict, verdict};

/// The receipts whose gradients enter the step that block `number` makes on top of `state`, given
/// the verdicts of the same block: those of the round that ends, included at or before
/// `number - L`, not voided, in the order of inclusion. Empty for a block that ends no round.
///
/// # Errors
///
/// When the verdicts are not exactly those due, or the state can't be read.
pub fn step_receipts(
    params: &ChainParams,
    state: &dyn StateRead,
    number: BlockNumber,
    verdicts: &[Verdict],
) -> Result<Vec<ReceiptRecord>, RuntimeError> {
    if !params.is_step_block(number) {
        return Ok(Vec::new());
    }
    let mut overlay = Overlay::new(state);
    verdict::apply(params, &mut overlay, number, verdicts)?;

    let round = params.round_of(number);
    let first = number.saturating_sub(params.round_blocks).saturating_add(1);
    // The delay is below the round's length, so the difference stays above zero.
    let last = u64::from(number).saturating_sub(params.verdict_delay()) as BlockNumber;
    let mut receipts = Vec::new();
    for block in first..=last {
        let records = storage::RECEIPTS_AT.get_or_default(&overlay, &block)?;
        receipts.extend(
            records.into_iter().filter(|record| record.summary.round == round && record.status == ReceiptStatus::Valid),
        );
    }
    Ok(receipts)
}

/// The squares that the seals of the ending round reported, for the new exponents: those in the
/// parent's state, then those of the parent's own seal, which the step's block applies first.
/// Only meaningful at a block that ends a round.
///
/// # Errors
///
/// When the state can't be read.
pub fn step_squares(state: &dyn StateRead, parent_seal: Option<&SealFacts>) -> Result<Vec<Vec<u64>>, StateError> {
    let mut squares = storage::ROUND_SQUARES.get(state)?;
    squares.extend(parent_seal.map(|seal| seal.squares.clone()));
    Ok(squares)
}

/// Applies the step if the block ends a round.
pub(crate) fn apply(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    number: BlockNumber,
    outcome: Option<&StepOutcome>,
) -> Result<Option<TrainingEvent>, RuntimeError> {
    let step = match (params.is_step_block(number), outcome) {
        (false, None) => return Ok(None),
        (false, Some(_)) => return Err(RuntimeError::StepUnexpected { number }),
        (true, None) => return Err(RuntimeError::StepMissing { number }),
        (true, Some(step)) => step,
    };
    let expected = storage::EXPONENTS.get(&*state)?.len();
    let got = step.exponents.len();
    if got != expected {
        return Err(RuntimeError::StepExponents { got, expected });
    }
    let expected = storage::RUNNING.get(&*state)?.len();
    let got = step.running.len();
    if got != expected {
        return Err(RuntimeError::StepRunning { got, expected });
    }
    let tokens = storage::TOKENS_SEEN
        .get(&*state)?
        .checked_add(step.tokens)
        .ok_or(RuntimeError::Overflow { what: "tokens seen" })?;

    let round = params.round_after(number);
    let info = RoundInfo {
        round,
        checkpoint_root: step.checkpoint_root,
        start_block: number,
        tokens: step.tokens,
        microbatches: step.microbatches,
        loss: step.loss,
        exponents: step.exponents.clone(),
        share_price: storage::SHARE_PRICE.get(&*state)?,
    };
    storage::ROUNDS.put(state, &round, &info);
    storage::CURRENT_ROUND.put(state, &round);
    storage::EXPONENTS.put(state, &step.exponents);
    storage::RUNNING.put(state, &step.running);
    storage::ROUND_SQUARES.put(state, &Vec::new());
    storage::TOKENS_SEEN.put(state, &tokens);
    Ok(Some(TrainingEvent::CheckpointCommitted {
        round,
        checkpoint_root: step.checkpoint_root,
        tokens: step.tokens,
        loss: step.loss,
    }))
}
