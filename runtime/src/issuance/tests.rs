use super::*;
use crate::balances;
use crate::testing::{TestChain, account};

#[test]
fn issuance_schedule() {
    let chain = TestChain::new();
    let mut state = Overlay::new(chain.reader());
    assert_eq!(check_issuance(&state), Ok(()));
    let expected = storage::TOTAL_ISSUANCE.get(&state).expect("set");
    storage::TOTAL_ISSUANCE.put(&mut state, &(expected + 1));
    let error = RuntimeError::IssuanceSchedule { got: expected + 1, expected };
    assert_eq!(check_issuance(&state), Err(error));
    storage::BURNED.put(&mut state, &Balance::MAX);
    let error = RuntimeError::Overflow { what: "issuance by schedule" };
    assert_eq!(check_issuance(&state), Err(error));
}

/// Money that appears in an account or a pot, and money that vanishes, is noticed.
#[test]
fn balance_sum() {
    let chain = TestChain::new();
    let mut state = Overlay::new(chain.reader());
    assert_eq!(check_block(&state), Ok(()));
    let issued = storage::TOTAL_ISSUANCE.get(&state).expect("set");

    let mut info = balances::account(&state, &account(1)).expect("memory");
    info.data.free += 5;
    balances::set_account(&mut state, &account(1), &info);
    let sums = |error| match error {
        Err(RuntimeError::BalanceSum { got, expected }) => (got, expected),
        other => panic!("{other:?}"),
    };
    let (got, expected) = sums(check_block(&state));
    assert_eq!(got, expected + 5);

    storage::TOTAL_ISSUANCE.put(&mut state, &(issued + 5));
    assert_eq!(check_block(&state), Ok(()));
    storage::POTS.put(&mut state, &0, &Pot { shares: 1, inclusion: 2 });
    let (got, expected) = sums(check_block(&state));
    assert_eq!(got, expected + 3);
}
