//! Money: who holds how much, and how it comes and goes.

use sp_runtime::{ArithmeticError, DispatchError, MultiAddress, TokenError};

use crate::call::{Address, BalancesCall};
use crate::error::RuntimeError;
use crate::event::{BalancesEvent, EventLog, SystemEvent};
use crate::params::ChainParams;
use crate::state::{Overlay, StateError, StateRead};
use crate::storage;
use crate::types::{AccountId, AccountInfo, Balance};

/// A call that was refused, or a state that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// The extrinsic fails, but stays in its block and pays its fee.
    Dispatch(DispatchError),
    /// Nothing can be said about the extrinsic.
    State(StateError),
}

impl From<DispatchError> for CallError {
    fn from(error: DispatchError) -> Self {
        Self::Dispatch(error)
    }
}

impl From<TokenError> for CallError {
    fn from(error: TokenError) -> Self {
        Self::Dispatch(DispatchError::Token(error))
    }
}

impl From<StateError> for CallError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// An account; one that state doesn't hold is empty.
///
/// # Errors
///
/// When the state can't be read.
pub fn account(state: &dyn StateRead, who: &AccountId) -> Result<AccountInfo, StateError> {
    storage::ACCOUNT.get_or_default(state, who)
}

pub(crate) fn set_account(state: &mut Overlay<'_>, who: &AccountId, info: &AccountInfo) {
    if info.is_empty() {
        storage::ACCOUNT.remove(state, who);
    } else {
        storage::ACCOUNT.put(state, who, info);
    }
}

/// Makes money by the schedule. The caller puts it into accounts and pots.
pub(crate) fn emit(state: &mut Overlay<'_>, amount: Balance) -> Result<(), RuntimeError> {
    let overflow = || RuntimeError::Overflow { what: "issuance" };
    let emitted = storage::EMITTED.get(&*state)?.checked_add(amount).ok_or_else(overflow)?;
    let total = storage::TOTAL_ISSUANCE.get(&*state)?.checked_add(amount).ok_or_else(overflow)?;
    storage::EMITTED.put(state, &emitted);
    storage::TOTAL_ISSUANCE.put(state, &total);
    Ok(())
}

/// Destroys money that the caller has taken out of accounts or pots.
///
/// Saturating is safe: no account or pot holds more than the issuance, and the check of the sums
/// behind every block would show it.
pub(crate) fn burn(state: &mut Overlay<'_>, amount: Balance) -> Result<(), StateError> {
    if amount == 0 {
        return Ok(());
    }
    let burned = storage::BURNED.get(&*state)?.saturating_add(amount);
    let total = storage::TOTAL_ISSUANCE.get(&*state)?.saturating_sub(amount);
    storage::BURNED.put(state, &burned);
    storage::TOTAL_ISSUANCE.put(state, &total);
    Ok(())
}

/// Adds money to an account, or burns it where it is too little to open one. Returns what arrived.
pub(crate) fn deposit_or_burn(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    who: &AccountId,
    amount: Balance,
) -> Result<Balance, StateError> {
    if amount == 0 {
        return Ok(0);
    }
    match credit(params, state, events, who, amount) {
        Ok(()) => {
            events.push(BalancesEvent::Deposit { who: who.clone(), amount });
            Ok(amount)
        }
        Err(CallError::Dispatch(_)) => {
            burn(state, amount)?;
            Ok(0)
        }
        Err(CallError::State(error)) => Err(error),
    }
}

/// Takes a fee that must leave the account open. The caller burns it or pays it on.
pub(crate) fn withdraw(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    who: &AccountId,
    amount: Balance,
) -> Result<(), CallError> {
    let mut info = account(&*state, who)?;
    if spendable(params, &info, true) < amount {
        return Err(TokenError::FundsUnavailable.into());
    }
    if amount > 0 {
        // Not below zero: the amount was just found spendable.
        info.data.free -= amount;
        set_account(state, who, &info);
        events.push(BalancesEvent::Withdraw { who: who.clone(), amount });
    }
    Ok(())
}

/// Executes a call for its signer.
pub(crate) fn dispatch(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    from: &AccountId,
    call: &BalancesCall,
) -> Result<(), CallError> {
    let (dest, value, keep_alive) = match call {
        BalancesCall::TransferAllowDeath { dest, value } => (dest, Some(*value), false),
        BalancesCall::TransferKeepAlive { dest, value } => (dest, Some(*value), true),
        BalancesCall::TransferAll { dest, keep_alive } => (dest, None, *keep_alive),
    };
    let to = lookup(dest)?;
    let value = match value {
        Some(value) => value,
        None => spendable(params, &account(&*state, from)?, keep_alive),
    };
    transfer(params, state, events, &Transfer { from, to, value, keep_alive })
}

struct Transfer<'a> {
    from: &'a AccountId,
    to: &'a AccountId,
    value: Balance,
    keep_alive: bool,
}

fn transfer(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    order: &Transfer<'_>,
) -> Result<(), CallError> {
    let Transfer { from, to, value, keep_alive } = *order;
    let payer = account(&*state, from)?;
    if value > payer.data.free {
        return Err(TokenError::FundsUnavailable.into());
    }
    if from != to {
        if value > spendable(params, &payer, keep_alive) {
            return Err(TokenError::NotExpendable.into());
        }
        credit(params, state, events, to, value)?;
        debit(params, state, events, from, value)?;
    }
    events.push(BalancesEvent::Transfer { from: from.clone(), to: to.clone(), amount: value });
    Ok(())
}

/// Accounts have no indices or other names here.
fn lookup(address: &Address) -> Result<&AccountId, DispatchError> {
    match address {
        MultiAddress::Id(account) => Ok(account),
        _ => Err(DispatchError::CannotLookup),
    }
}

/// What an account can spend, all of it or so that it stays open.
pub(crate) fn spendable(params: &ChainParams, info: &AccountInfo, keep_alive: bool) -> Balance {
    let kept = if keep_alive { params.existential_deposit } else { 0 };
    info.data.free.saturating_sub(kept)
}

fn credit(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    who: &AccountId,
    amount: Balance,
) -> Result<(), CallError> {
    if amount == 0 {
        return Ok(());
    }
    let mut info = account(&*state, who)?;
    let free = info.data.free.checked_add(amount);
    info.data.free = free.ok_or(DispatchError::Arithmetic(ArithmeticError::Overflow))?;
    if info.data.free < params.existential_deposit {
        return Err(TokenError::BelowMinimum.into());
    }
    let is_new = info.providers == 0;
    info.providers = 1;
    set_account(state, who, &info);
    if is_new {
        events.push(SystemEvent::NewAccount { account: who.clone() });
        events.push(BalancesEvent::Endowed { account: who.clone(), free_balance: info.data.free });
    }
    Ok(())
}

/// Takes what the caller found to be there; closes an account left with too little.
fn debit(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    events: &mut EventLog,
    who: &AccountId,
    amount: Balance,
) -> Result<(), CallError> {
    let mut info = account(&*state, who)?;
    let left = info.data.free.checked_sub(amount).ok_or(TokenError::FundsUnavailable)?;
    info.data.free = left;
    if left < params.existential_deposit {
        info.data.free = 0;
        info.providers = 0;
        events.push(SystemEvent::KilledAccount { account: who.clone() });
        if left > 0 {
            events.push(BalancesEvent::DustLost { account: who.clone(), amount: left });
            burn(state, left)?;
        }
    }
    set_account(state, who, &info);
    Ok(())
}
