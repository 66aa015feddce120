//! The sum of all money, checked at every block.

use crate::error::RuntimeError;
use crate::state::{Changes, Overlay, StateError, StateRead};
use crate::storage;
use crate::training::Pot;
use crate::types::Balance;

/// Checks that the issuance is what schedule and burns make it.
///
/// # Errors
///
/// When it is not, or the state can't be read.
pub fn check_issuance(state: &dyn StateRead) -> Result<(), RuntimeError> {
    let got = storage::TOTAL_ISSUANCE.get(state)?;
    let burned = storage::BURNED.get(state)?;
    let expected = storage::ENDOWED
        .get(state)?
        .checked_add(storage::EMITTED.get(state)?)
        .and_then(|made| made.checked_sub(burned))
        .ok_or(RuntimeError::Overflow { what: "issuance by schedule" })?;
    if got != expected {
        return Err(RuntimeError::IssuanceSchedule { got, expected });
    }
    Ok(())
}

/// Checks that accounts and pots together changed by as much as the issuance did. Only what a
/// block wrote is looked at; with a genesis state that adds up, every later state does.
///
/// # Errors
///
/// When the sums differ, or the state can't be read.
pub fn check_block(state: &Overlay<'_>) -> Result<(), RuntimeError> {
    let overflow = || RuntimeError::Overflow { what: "sum of balances" };
    let base = state.base();
    let (mut before, mut after): (Balance, Balance) = (0, 0);
    let money = MoneyKeys::new();
    for key in state.changes().keys().filter(|key| money.hold(key)) {
        before = before.checked_add(money_at(base, key)?).ok_or_else(overflow)?;
        after = after.checked_add(money_at(state, key)?).ok_or_else(overflow)?;
    }
    let issued_before = storage::TOTAL_ISSUANCE.get(base)?;
    let issued_after = storage::TOTAL_ISSUANCE.get(state)?;
    let got = after.checked_add(issued_before).ok_or_else(overflow)?;
    let expected = before.checked_add(issued_after).ok_or_else(overflow)?;
    if got != expected {
        return Err(RuntimeError::BalanceSum { got, expected });
    }
    Ok(())
}

/// Adds up the money of all accounts and pots among the pairs of a state.
///
/// # Errors
///
/// When a value does not decode or the sum overflows.
pub fn sum_of_balances(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Balance, RuntimeError> {
    let mut sum: Balance = 0;
    let money = MoneyKeys::new();
    for (key, value) in pairs.into_iter().filter(|(key, _)| money.hold(key)) {
        let single = Changes::from([(key.clone(), Some(value))]);
        sum = sum.checked_add(money_at(&single, &key)?).ok_or(RuntimeError::Overflow { what: "sum of balances" })?;
    }
    Ok(sum)
}

/// Prefixes of the items that hold money.
struct MoneyKeys([Vec<u8>; 2]);

impl MoneyKeys {
    fn new() -> Self {
        Self([storage::ACCOUNT.prefix(), storage::POTS.prefix()])
    }

    fn hold(&self, key: &[u8]) -> bool {
        self.0.iter().any(|prefix| key.starts_with(prefix))
    }
}

fn money_at(state: &dyn StateRead, key: &[u8]) -> Result<Balance, StateError> {
    if let Some(who) = storage::ACCOUNT.map_key(key) {
        let data = storage::ACCOUNT.get_or_default(state, &who)?.data;
        return Ok(data.free.saturating_add(data.reserved));
    }
    if let Some(round) = storage::POTS.map_key(key) {
        let Pot { shares, inclusion } = storage::POTS.get_or_default(state, &round)?;
        return Ok(shares.saturating_add(inclusion));
    }
    Err(StateError::Corrupt { item: "key of System.Account or Training.Pots".to_owned() })
}

#[cfg(test)]
mod tests;
