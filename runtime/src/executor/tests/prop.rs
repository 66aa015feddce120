//! Random chains: whatever happens on them, the money adds up at every block.

use proptest::prelude::*;

use super::*;
use crate::header::header_hash;

#[derive(Clone, Debug)]
enum Action {
    Transfer { from: u8, to: u8, value: Balance, tip: Balance },
    TransferAll { from: u8, to: u8, keep_alive: bool },
    Receipt { from: u8, late: bool, count: u32, shares: u32, bad: bool },
}

/// Few accounts, so that they are emptied and filled again.
fn seed() -> impl Strategy<Value = u8> {
    1u8..7
}

fn action() -> impl Strategy<Value = Action> {
    let amounts = prop_oneof![0..3_000u128, 0..1_100 * COIN];
    prop_oneof![
        (seed(), seed(), amounts, 0..2_000u128).prop_map(|(from, to, value, tip)| Action::Transfer {
            from,
            to,
            value,
            tip
        }),
        (seed(), seed(), any::<bool>()).prop_map(|(from, to, keep_alive)| Action::TransferAll { from, to, keep_alive }),
        (seed(), any::<bool>(), 1..9u32, 0..65u32, proptest::bool::weighted(0.2))
            .prop_map(|(from, late, count, shares, bad)| Action::Receipt { from, late, count, shares, bad }),
    ]
}

fn call(chain: &TestChain, action: &Action) -> (u8, RuntimeCall, Balance) {
    match *action {
        Action::Transfer { from, to, value, tip } => (from, transfer(&account(to), value), tip),
        Action::TransferAll { from, to, keep_alive } => {
            let dest = account(to).into();
            (from, RuntimeCall::Balances(BalancesCall::TransferAll { dest, keep_alive }), 0)
        }
        Action::Receipt { from, late, count, shares, .. } => {
            let current = chain.params.round_of(chain.next());
            let round = current.saturating_sub(u32::from(late));
            let key = (round, account(from), 0);
            let start = storage::NEXT_INDEX.get_or_default(chain.reader(), &key).expect("memory");
            (from, receipt(summary(round, start, count, shares.min(count * 32))), 0)
        }
    }
}

/// Makes a block as its author does: whatever is refused stays out.
fn author(chain: &mut TestChain, sealer: u8, actions: &[Action]) {
    let mut body = Vec::new();
    let mut bad = Vec::new();
    let inputs = chain.inputs();
    {
        let pre = chain.pre(&account(sealer));
        let (params, genesis) = (&chain.params, chain.genesis_hash);
        let (parent, next) = (header_hash(&chain.tip), chain.next());
        let state = chain.reader();
        let mut block =
            BlockExecutor::begin(params, genesis, state, parent, next, &pre, &inputs).expect("inputs are those due");
        for action in actions {
            let (from, call, tip) = call(chain, action);
            let nonce = balances::account(block.state(), &account(from)).expect("memory").nonce;
            let extrinsic = chain.sign_with(from, call.clone(), tip, |signed| {
                signed.nonce = nonce;
                chain.resign(from, signed, genesis);
            });
            if block.apply_extrinsic(&extrinsic).is_err() {
                continue;
            }
            if let (Action::Receipt { bad: true, .. }, RuntimeCall::Training(call)) = (action, &call) {
                let TrainingCall::SubmitReceipt { summary } = call;
                bad.push(summary.id(&account(from)));
            }
            body.push(extrinsic);
        }
        block.finish().expect("the money adds up");
    }
    chain.bad.extend(bad);
    // Executes the same block as others do, and counts the money of the whole state.
    chain.block(&account(sealer), &body);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn money_adds_up_on_random_chains(
        blocks in proptest::collection::vec(
            (seed(), proptest::collection::vec(action(), 0..5)),
            30..60,
        ),
        slack in 0u32..3,
        scarce: bool,
    ) {
        let mut params = crate::params::ChainParams { verdict_slack: slack, ..params() };
        if scarce {
            // Pots so small that pay and rewards don't open accounts, and fees eat all pay.
            params.emission_cap = 2_000 << params.emission_shift;
            params.tail_emission = 900;
        }
        let mut chain = TestChain::with(params);
        for (sealer, actions) in &blocks {
            author(&mut chain, *sealer, actions);
        }
    }
}
