//! Settlement: paying a round's pots once every verdict on its receipts is known.

use std::collections::BTreeMap;

use sp_core::U256;

use crate::balances;
use crate::error::RuntimeError;
use crate::event::{EventLog, TrainingEvent};
use crate::params::ChainParams;
use crate::state::{Overlay, StateRead};
use crate::storage;
use crate::types::{AccountId, Balance, BlockNumber};

use super::{Pot, ReceiptStatus};

/// The share price in later rounds follows a settled round's by a quarter of the difference.
const PRICE_MEMORY: Balance = 4;
/// What is left of a pot carries over up to this part of it.
const CARRY_PART: Balance = 4;

/// Settles the round that is due at block `number`, if one is.
pub(crate) fn apply(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    number: BlockNumber,
) -> Result<(), RuntimeError> {
    let settled = params.settled_rounds(number.saturating_sub(1));
    // A round has more blocks than one, so at most one round becomes due.
    if params.settled_rounds(number) == settled {
        return Ok(());
    }
    let round = settled;
    let ledger = Ledger::collect(params, &*state, round)?;
    let pot = storage::POTS.get_or_default(&*state, &round)?;
    let price = storage::ROUNDS.get(&*state, &round)?.map_or(Balance::MAX, |info| info.share_price);

    let total = ledger.total_shares();
    let mut shares_paid: Balance = 0;
    let mut burned: Balance = 0;
    for (account, claim) in &ledger.claims {
        let pay = share_pay(pot.shares, price, claim.shares, total);
        let fee = claim.fee.min(pay);
        shares_paid += pay;
        balances::burn(state, fee)?;
        // `fee` is at most `pay`.
        let paid = balances::deposit_or_burn(params, state, events, account, pay - fee)?;
        events.push(TrainingEvent::SharesPaid { account: account.clone(), round, shares: claim.shares, paid, fee });
    }
    let included = ledger.includers.values().sum::<u64>();
    let mut inclusion_paid: Balance = 0;
    for (account, shares) in &ledger.includers {
        let pay = share_pay(pot.inclusion, Balance::MAX, *shares, included);
        inclusion_paid += pay;
        balances::deposit_or_burn(params, state, events, account, pay)?;
    }

    let shares = Leftover::of(pot.shares, shares_paid);
    let inclusion = Leftover::of(pot.inclusion, inclusion_paid);
    carry(state, round, shares.carried, inclusion.carried)?;
    burned += shares.burned + inclusion.burned;
    balances::burn(state, burned)?;
    if let Some(observed) = pot.shares.checked_div(Balance::from(total)) {
        let price = smoothed(storage::SHARE_PRICE.get(&*state)?, observed);
        storage::SHARE_PRICE.put(state, &price);
    }
    prune(params, state, round, &ledger)?;
    events.push(TrainingEvent::RoundSettled {
        round,
        shares: total,
        paid: shares_paid + inclusion_paid,
        carried: shares.carried + inclusion.carried,
        burned,
    });
    Ok(())
}

/// What an account is due.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claim {
    shares: u64,
    fee: Balance,
}

/// Everything that a settlement pays for.
#[derive(Default)]
struct Ledger {
    claims: BTreeMap<AccountId, Claim>,
    includers: BTreeMap<AccountId, u64>,
    /// Account and lane of every receipt of the round, voided ones too.
    lanes: Vec<(AccountId, u32)>,
}

impl Ledger {
    fn collect(params: &ChainParams, state: &dyn StateRead, round: u32) -> Result<Self, RuntimeError> {
        let mut ledger = Self::default();
        let first = round.saturating_mul(params.round_blocks).saturating_add(1);
        let end = first.saturating_add(params.round_blocks.saturating_mul(2));
        for block in first..end {
            for record in storage::RECEIPTS_AT.get_or_default(state, &block)? {
                if record.summary.round != round {
                    continue;
                }
                ledger.lanes.push((record.account.clone(), record.summary.lane));
                if record.status != ReceiptStatus::Valid {
                    continue;
                }
                let shares = u64::from(record.summary.shares);
                let claim = ledger.claims.entry(record.account).or_default();
                claim.shares += shares;
                claim.fee = claim.fee.saturating_add(record.fee);
                *ledger.includers.entry(record.includer).or_default() += shares;
            }
        }
        for (account, seals) in storage::SEAL_SHARES.get_or_default(state, &round)? {
            ledger.claims.entry(account).or_default().shares += u64::from(seals);
        }
        Ok(ledger)
    }

    fn total_shares(&self) -> u64 {
        self.claims.values().map(|claim| claim.shares).sum()
    }
}

/// Pay of some of `total` shares: the price each if the pot holds that for all, else their part
/// of the pot, rounded down.
fn share_pay(pot: Balance, price: Balance, shares: u64, total: u64) -> Balance {
    let due = Balance::from(total).checked_mul(price).filter(|due| *due <= pot);
    if due.is_some() {
        // At most `due`, which did not overflow.
        return price * Balance::from(shares);
    }
    if total == 0 {
        return 0;
    }
    let part = U256::from(pot) * U256::from(shares) / U256::from(total);
    // `shares` is at most `total`, so the part is at most the pot.
    part.low_u128()
}

/// What becomes of the money that nobody earned.
#[derive(Debug, PartialEq, Eq)]
struct Leftover {
    carried: Balance,
    burned: Balance,
}

impl Leftover {
    fn of(pot: Balance, paid: Balance) -> Self {
        let left = pot.saturating_sub(paid);
        let carried = left.min(pot / CARRY_PART);
        Self { carried, burned: left - carried }
    }
}

/// Replaces the round's pot by what it leaves to the next.
fn carry(state: &mut Overlay<'_>, round: u32, shares: Balance, inclusion: Balance) -> Result<(), RuntimeError> {
    let overflow = RuntimeError::Overflow { what: "carried pot" };
    let next = round.checked_add(1).ok_or(overflow.clone())?;
    let Pot { shares: own, inclusion: own_inclusion } = storage::POTS.get_or_default(&*state, &next)?;
    let pot = Pot {
        shares: own.checked_add(shares).ok_or(overflow.clone())?,
        inclusion: own_inclusion.checked_add(inclusion).ok_or(overflow)?,
    };
    storage::POTS.remove(state, &round);
    storage::POTS.put(state, &next, &pot);
    Ok(())
}

fn smoothed(price: Balance, observed: Balance) -> Balance {
    if price == Balance::MAX {
        return observed;
    }
    let sum = price.saturating_mul(PRICE_MEMORY - 1).saturating_add(observed);
    sum / PRICE_MEMORY
}

/// Removes what only the settled round needed. The blocks of the next round hold that round's
/// receipts too, so theirs go with it.
fn prune(params: &ChainParams, state: &mut Overlay<'_>, round: u32, ledger: &Ledger) -> Result<(), RuntimeError> {
    let first = round.saturating_mul(params.round_blocks).saturating_add(1);
    for block in first..first.saturating_add(params.round_blocks) {
        if storage::RECEIPTS_AT.get(&*state, &block)?.is_some() {
            storage::RECEIPTS_AT.remove(state, &block);
        }
    }
    for (account, lane) in &ledger.lanes {
        storage::NEXT_INDEX.remove(state, &(round, account.clone(), *lane));
    }
    storage::SEAL_SHARES.remove(state, &round);
    Ok(())
}

#[cfg(test)]
mod tests;
