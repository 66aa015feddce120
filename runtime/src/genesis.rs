//! The state before the first block.

use std::collections::BTreeSet;

use codec::Encode;
use sp_runtime::generic::Digest;

use crate::header::{self, Header};
use crate::params::{ChainParams, ParamsError};
use crate::state::{Changes, Overlay};
use crate::storage;
use crate::training::RoundInfo;
use crate::types::{AccountData, AccountId, AccountInfo, Balance, H256, blake2_256};
use crate::version::CodeTag;

/// What the model starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisTraining {
    /// Commitment to the initial weights and moments.
    pub checkpoint_root: H256,
    /// Exponents of the first round's integer gradients, tensor by tensor.
    pub exponents: Vec<i8>,
    /// Running sizes of the summed gradients, tensor by tensor.
    pub running: Vec<u64>,
    /// Commitment to architecture, data and hyper-parameters.
    pub task_id: H256,
}

/// A genesis state that would break a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The parameters don't fit together.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// An account is endowed once.
    #[error("account {account} is endowed twice")]
    RepeatedAccount {
        /// Which.
        account: AccountId,
    },
    /// No account holds less than the existential deposit.
    #[error("endowment is {got}, expected at least {expected}")]
    BelowDeposit {
        /// Given endowment.
        got: Balance,
        /// The existential deposit.
        expected: Balance,
    },
    /// All endowments together must leave room for the emission.
    #[error("endowments sum up to more than {limit}")]
    TooMuch {
        /// Highest sum.
        limit: Balance,
    },
    /// Both lists have an entry for each tensor.
    #[error("running sizes of {got} tensors, expected {expected}")]
    Running {
        /// Given tensors.
        got: usize,
        /// Tensors that have exponents.
        expected: usize,
    },
}

/// Highest sum of endowments: like the cap of the emission far below `u128::MAX`.
const MAX_ENDOWED: Balance = 1 << 100;

/// The genesis state, as changes of the empty one.
///
/// # Errors
///
/// The rule that it would break.
pub fn genesis_state(
    params: &ChainParams,
    endowments: &[(AccountId, Balance)],
    training: GenesisTraining,
) -> Result<Changes, GenesisError> {
    params.validate()?;
    let (got, expected) = (training.running.len(), training.exponents.len());
    if got != expected {
        return Err(GenesisError::Running { got, expected });
    }
    let nothing = Changes::new();
    let mut state = Overlay::new(&nothing);
    let endowed = endow(params, &mut state, endowments)?;

    state.put(storage::CODE_KEY.to_vec(), CodeTag::current().encode());
    storage::NUMBER.put(&mut state, &0);
    storage::NOW.put(&mut state, &0);
    storage::TOTAL_ISSUANCE.put(&mut state, &endowed);
    storage::ENDOWED.put(&mut state, &endowed);
    storage::EMITTED.put(&mut state, &0);
    storage::BURNED.put(&mut state, &0);

    let first = RoundInfo {
        round: 0,
        checkpoint_root: training.checkpoint_root,
        start_block: 0,
        tokens: 0,
        microbatches: 0,
        loss: 0,
        exponents: training.exponents.clone(),
        share_price: Balance::MAX,
    };
    storage::PARAMS_HASH.put(&mut state, &blake2_256(&params.encode()));
    storage::TASK_ID.put(&mut state, &training.task_id);
    storage::CURRENT_ROUND.put(&mut state, &0);
    storage::ROUNDS.put(&mut state, &0, &first);
    storage::SHARE_PRICE.put(&mut state, &Balance::MAX);
    storage::EXPONENTS.put(&mut state, &training.exponents);
    storage::RUNNING.put(&mut state, &training.running);
    storage::ROUND_SQUARES.put(&mut state, &Vec::new());
    storage::TOKENS_SEEN.put(&mut state, &0);
    Ok(state.into_changes())
}

/// The genesis block's header: no parent, no miner, no extrinsics.
pub fn genesis_header(state_root: H256) -> Header {
    Header {
        parent_hash: H256::zero(),
        number: 0,
        state_root,
        extrinsics_root: header::extrinsics_root(&[]),
        digest: Digest::default(),
    }
}

fn endow(
    params: &ChainParams,
    state: &mut Overlay<'_>,
    endowments: &[(AccountId, Balance)],
) -> Result<Balance, GenesisError> {
    let mut seen = BTreeSet::new();
    let mut sum: Balance = 0;
    for (account, amount) in endowments {
        if !seen.insert(account) {
            return Err(GenesisError::RepeatedAccount { account: account.clone() });
        }
        let (got, expected) = (*amount, params.existential_deposit);
        if got < expected {
            return Err(GenesisError::BelowDeposit { got, expected });
        }
        sum = sum
            .checked_add(got)
            .filter(|sum| *sum <= MAX_ENDOWED)
            .ok_or(GenesisError::TooMuch { limit: MAX_ENDOWED })?;
        let data = AccountData { free: got, ..AccountData::default() };
        let info = AccountInfo { providers: 1, data, ..AccountInfo::default() };
        storage::ACCOUNT.put(state, account, &info);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
