//! Paying the parent's seal.

use crate::balances;
use crate::error::RuntimeError;
use crate::event::{EventLog, TrainingEvent};
use crate::params::ChainParams;
use crate::state::Overlay;
use crate::storage;
use crate::types::{Balance, BlockNumber};

use super::SealFacts;

/// Percent of a block's emission that its seal earns at once.
const SEAL_PERCENT: Balance = 30;
/// Percent that goes to those who include receipts; shares get the rest, 65.
const INCLUSION_PERCENT: Balance = 5;

/// Applies the seal of block `number - 1`: emits its reward, and counts it as a share.
pub(crate) fn apply(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    number: BlockNumber,
    seal: Option<&SealFacts>,
) -> Result<(), RuntimeError> {
    let parent = number.saturating_sub(1);
    let seal = match (parent, seal) {
        (0, None) => return Ok(()),
        (0, Some(_)) => return Err(RuntimeError::SealUnexpected),
        (_, None) => return Err(RuntimeError::SealMissing { number }),
        (_, Some(seal)) => seal,
    };
    let expected = storage::EXPONENTS.get(&*state)?.len();
    let got = seal.squares.len();
    if got != expected {
        return Err(RuntimeError::SealSquares { got, expected });
    }

    let overflow = RuntimeError::Overflow { what: "emission" };
    let round = params.round_of(parent);
    let emission = params.emission(storage::EMITTED.get(&*state)?);
    let percent = |part: Balance| Some(emission.checked_mul(part)? / 100);
    let reward = percent(SEAL_PERCENT).ok_or(overflow.clone())?;
    let inclusion = percent(INCLUSION_PERCENT).ok_or(overflow.clone())?;
    // Both are parts of the emission.
    let shares = emission - reward - inclusion;

    balances::emit(state, emission)?;
    let mut pot = storage::POTS.get_or_default(&*state, &round)?;
    pot.shares = pot.shares.checked_add(shares).ok_or(overflow.clone())?;
    pot.inclusion = pot.inclusion.checked_add(inclusion).ok_or(overflow)?;
    storage::POTS.put(state, &round, &pot);
    let mut counts = storage::SEAL_SHARES.get_or_default(&*state, &round)?;
    let count = counts.entry(seal.sealer.clone()).or_default();
    // A round has fewer blocks than a u32 holds.
    *count = count.saturating_add(1);
    storage::SEAL_SHARES.put(state, &round, &counts);

    // The last seal of a round is applied after its step: its squares were measured under the
    // old exponents and don't belong to the new round.
    if round == storage::CURRENT_ROUND.get(&*state)? {
        let mut squares = storage::ROUND_SQUARES.get(&*state)?;
        squares.push(seal.squares.clone());
        storage::ROUND_SQUARES.put(state, &squares);
    }

    balances::deposit_or_burn(params, state, events, &seal.sealer, reward)?;
    events.push(TrainingEvent::SealRewarded {
        sealer: seal.sealer.clone(),
        lane: seal.lane,
        ticket: seal.ticket,
        loss: seal.loss,
        reward,
        round,
    });
    Ok(())
}
