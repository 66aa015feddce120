//! Verdicts on sampled receipts, and what a false one costs its account.
//!
//! One mismatch voids the whole receipt, and with it whatever the account has not been paid yet:
//! its other receipts of unsettled rounds and the shares of its seals there. A voided receipt not
//! yet stepped doesn't enter the model. What a seal earned at once stays paid, and voided ranges
//! stay consumed.

use std::collections::BTreeMap;

use crate::error::RuntimeError;
use crate::event::TrainingEvent;
use crate::params::ChainParams;
use crate::state::{Overlay, StateError, StateRead};
use crate::storage;
use crate::types::{AccountId, BlockNumber, H256};

use super::{ReceiptRecord, ReceiptStatus, Verdict};

/// The receipts whose verdicts take effect when block `number` executes on top of `state`, in the
/// order in which they were included. Those voided along with another are not sampled any more.
///
/// # Errors
///
/// When the state can't be read.
pub fn receipts_due(
    params: &ChainParams,
    state: &dyn StateRead,
    number: BlockNumber,
) -> Result<Vec<ReceiptRecord>, StateError> {
    let Some(included_at) = due_block(params, number) else {
        return Ok(Vec::new());
    };
    let mut due = storage::RECEIPTS_AT.get_or_default(state, &included_at)?;
    due.retain(|record| record.status == ReceiptStatus::Pending);
    Ok(due)
}

/// Block whose receipts are due at block `number`.
fn due_block(params: &ChainParams, number: BlockNumber) -> Option<BlockNumber> {
    let block = u64::from(number).checked_sub(params.verdict_delay())?;
    // Below `number`, which is a u32.
    (block > 0).then_some(block as BlockNumber)
}

/// Applies a block's verdicts, which must be exactly those due.
pub(crate) fn apply(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    number: BlockNumber,
    verdicts: &[Verdict],
) -> Result<Vec<TrainingEvent>, RuntimeError> {
    let due = receipts_due(params, &*state, number)?;
    verdicts_are_those_due(&due, verdicts)?;
    let Some(block) = due_block(params, number).filter(|_| !due.is_empty()) else {
        return Ok(Vec::new());
    };

    let mut events = Vec::new();
    let mut failed = BTreeMap::<AccountId, H256>::new();
    let mut records = storage::RECEIPTS_AT.get_or_default(&*state, &block)?;
    let pending = records.iter_mut().filter(|record| record.status == ReceiptStatus::Pending);
    for (record, verdict) in pending.zip(verdicts) {
        if verdict.valid {
            record.status = ReceiptStatus::Valid;
            events.push(TrainingEvent::ReceiptConfirmed { receipt: record.id });
        } else {
            record.status = ReceiptStatus::Voided;
            failed.entry(record.account.clone()).or_insert(record.id);
            events.push(voided(record, record.id));
        }
    }
    storage::RECEIPTS_AT.put(state, &block, &records);
    if !failed.is_empty() {
        void_unsettled(params, state, number, &failed, &mut events)?;
    }
    Ok(events)
}

fn verdicts_are_those_due(due: &[ReceiptRecord], verdicts: &[Verdict]) -> Result<(), RuntimeError> {
    if verdicts.len() != due.len() {
        return Err(RuntimeError::VerdictCount { got: verdicts.len(), expected: due.len() });
    }
    for (position, (verdict, record)) in verdicts.iter().zip(due).enumerate() {
        if verdict.receipt != record.id {
            return Err(RuntimeError::VerdictReceipt { position, got: verdict.receipt, expected: record.id });
        }
    }
    Ok(())
}

/// Voids every receipt, and takes every seal share, of the failed accounts in unsettled rounds.
/// One walk for all of them: its cost doesn't grow with the number of failures.
fn void_unsettled(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    number: BlockNumber,
    failed: &BTreeMap<AccountId, H256>,
    events: &mut Vec<TrainingEvent>,
) -> Result<(), RuntimeError> {
    let first_round = params.settled_rounds(number.saturating_sub(1));
    let first_block = first_round.saturating_mul(params.round_blocks).saturating_add(1);
    for block in first_block..number {
        let Some(mut records) = storage::RECEIPTS_AT.get(&*state, &block)? else {
            continue;
        };
        let mut changed = false;
        for record in &mut records {
            let Some(because) = failed.get(&record.account) else {
                continue;
            };
            // A block also holds receipts of the round before its own, which may be settled.
            let settled = record.summary.round < first_round;
            if settled || record.status == ReceiptStatus::Voided {
                continue;
            }
            record.status = ReceiptStatus::Voided;
            changed = true;
            events.push(voided(record, *because));
        }
        if changed {
            storage::RECEIPTS_AT.put(state, &block, &records);
        }
    }
    for round in first_round..=params.round_of(number) {
        let Some(mut shares) = storage::SEAL_SHARES.get(&*state, &round)? else {
            continue;
        };
        let before = shares.len();
        shares.retain(|account, _| !failed.contains_key(account));
        if shares.len() != before {
            storage::SEAL_SHARES.put(state, &round, &shares);
        }
    }
    Ok(())
}

fn voided(record: &ReceiptRecord, because: H256) -> TrainingEvent {
    TrainingEvent::ReceiptVoided { receipt: record.id, account: record.account.clone(), because }
}
