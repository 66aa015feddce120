use super::*;
use crate::issuance::check_issuance;
use crate::memory::MemoryState;
use crate::testing::{account, params, training};

const RICH: Balance = 1_000_000;

#[test]
fn genesis_adds_up_and_commits_the_parameters() {
    let changes = genesis_state(&params(), &[(account(1), RICH)], training()).expect("valid");
    assert_eq!(check_issuance(&changes), Ok(()));
    let state = MemoryState::new(&changes).expect("memory");
    let sum = crate::issuance::sum_of_balances(state.pairs(b"").expect("memory"));
    assert_eq!(sum, Ok(RICH));
    let other = ChainParams { byte_fee: 11, ..params() };
    let changes = genesis_state(&other, &[(account(1), RICH)], training()).expect("valid");
    assert_ne!(MemoryState::new(&changes).expect("memory").root(), state.root());
}

fn refused(params: &ChainParams, endowments: &[(AccountId, Balance)]) -> GenesisError {
    genesis_state(params, endowments, training()).expect_err("a rule is broken")
}

#[test]
fn every_rule_is_checked() {
    let zero = ChainParams { existential_deposit: 0, ..params() };
    assert_eq!(refused(&zero, &[]), GenesisError::Params(ParamsError::ExistentialDeposit));
    let twice = [(account(1), RICH), (account(1), RICH)];
    assert_eq!(refused(&params(), &twice), GenesisError::RepeatedAccount { account: account(1) });
    let poor = GenesisError::BelowDeposit { got: 1, expected: 1_000 };
    assert_eq!(refused(&params(), &[(account(1), 1)]), poor);
    let too_much = GenesisError::TooMuch { limit: MAX_ENDOWED };
    assert_eq!(refused(&params(), &[(account(1), MAX_ENDOWED + 1)]), too_much);
    let overflow = [(account(1), RICH), (account(2), Balance::MAX)];
    assert_eq!(refused(&params(), &overflow), too_much);
    let training = GenesisTraining { running: vec![], ..training() };
    let error = GenesisError::Running { got: 0, expected: 2 };
    assert_eq!(genesis_state(&params(), &[], training), Err(error));
}
