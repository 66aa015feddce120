use sp_runtime::generic::Era;
use sp_runtime::{MultiAddress, TokenError};

use super::*;
use crate::call::BalancesCall;
use crate::event::{BalancesEvent, RuntimeEvent};
use crate::memory::MemoryState;
use crate::testing::{COIN, TestChain, account, params, receipt, summary, transfer};

mod prop;

const SEALER: u8 = 9;

fn fee(chain: &TestChain, extrinsic: &[u8]) -> Balance {
    chain.params.length_fee(extrinsic.len() as u32)
}

/// The last event of a block.
fn last(done: &Execution) -> &RuntimeEvent {
    &done.events.last().expect("events").event
}

fn failed_with(done: &Execution, error: TokenError) -> bool {
    let expected = DispatchError::Token(error);
    matches!(
        last(done),
        RuntimeEvent::System(SystemEvent::ExtrinsicFailed { dispatch_error, .. })
            if *dispatch_error == expected
    )
}

#[test]
fn a_transfer_moves_money_and_pays_its_fee() {
    let mut chain = TestChain::new();
    let extrinsic = chain.sign_with(1, transfer(&account(5), COIN), 77_000, |_| {});
    let fee = fee(&chain, &extrinsic);
    let done = chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!(chain.free(&account(5)), COIN);
    assert_eq!(chain.free(&account(1)), 999 * COIN - fee - 77_000);
    assert_eq!(chain.free(&account(SEALER)), 77_000);
    assert_eq!(chain.nonce(1), 1);
    assert_eq!((done.fees_burned, done.tips), (fee, 77_000));
    assert_eq!(storage::BURNED.get(chain.reader()), Ok(fee));
    assert!(matches!(last(&done), RuntimeEvent::System(SystemEvent::ExtrinsicSuccess { .. })));
    let moved = BalancesEvent::Transfer { from: account(1), to: account(5), amount: COIN };
    assert!(done.events.iter().any(|record| record.event == moved.clone().into()));
    let stored = storage::EVENTS.get(chain.reader()).expect("set");
    assert_eq!(stored, done.events);
    assert_eq!(storage::EVENT_COUNT.get(chain.reader()), Ok(stored.len() as u32));
    assert_eq!(storage::EXTRINSIC_COUNT.get(chain.reader()), Ok(1));
}

#[test]
fn a_failed_transfer_pays_its_fee_and_does_nothing_else() {
    let mut chain = TestChain::new();
    let mut cases = vec![(transfer(&account(5), 2_000 * COIN), TokenError::FundsUnavailable)];
    cases.push((transfer(&account(5), 999), TokenError::BelowMinimum));
    for (call, error) in cases {
        let before = chain.free(&account(1));
        let extrinsic = chain.sign(1, call);
        let fee = fee(&chain, &extrinsic);
        let done = chain.block(&account(SEALER), &[extrinsic]);
        assert!(failed_with(&done, error), "{:?}", last(&done));
        assert_eq!(chain.free(&account(1)), before - fee);
        assert_eq!(chain.free(&account(5)), 0);
    }
}

#[test]
fn keep_alive_refuses_to_close_the_account() {
    let mut chain = TestChain::new();
    let dest: crate::call::Address = account(5).into();
    let value = 1_000 * COIN - 100_000;
    let keep = BalancesCall::TransferKeepAlive { dest: dest.clone(), value: 999 * COIN };
    let extrinsic = chain.sign(1, RuntimeCall::Balances(keep));
    chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!(chain.free(&account(5)), 999 * COIN);

    let extrinsic = chain.sign(2, RuntimeCall::Balances(BalancesCall::TransferKeepAlive { dest, value }));
    let left = 1_000 * COIN - fee(&chain, &extrinsic);
    let too_much = left - chain.params.existential_deposit + 1;
    let keep = BalancesCall::TransferKeepAlive { dest: account(5).into(), value: too_much };
    let extrinsic = chain.sign(2, RuntimeCall::Balances(keep));
    let done = chain.block(&account(SEALER), &[extrinsic]);
    assert!(failed_with(&done, TokenError::NotExpendable), "{:?}", last(&done));
}

#[test]
fn allow_death_burns_the_dust_and_keeps_the_nonce() {
    let mut chain = TestChain::new();
    let length = chain.sign(1, transfer(&account(5), 999 * COIN)).len();
    let value = 1_000 * COIN - chain.params.length_fee(length as u32) - 400;
    let extrinsic = chain.sign(1, transfer(&account(5), value));
    assert_eq!(extrinsic.len(), length);
    let burned_by_fee = fee(&chain, &extrinsic);
    let done = chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!((chain.free(&account(1)), chain.nonce(1)), (0, 1));
    let dust = BalancesEvent::DustLost { account: account(1), amount: 400 };
    assert!(done.events.iter().any(|record| record.event == dust.clone().into()));
    let killed = SystemEvent::KilledAccount { account: account(1) };
    assert!(done.events.iter().any(|record| record.event == killed.clone().into()));
    assert_eq!(storage::BURNED.get(chain.reader()), Ok(burned_by_fee + 400));
}

#[test]
fn transfer_all_empties_or_keeps_the_deposit() {
    for (keep_alive, left) in [(false, 0), (true, 1_000)] {
        let mut chain = TestChain::new();
        let dest = account(5).into();
        let call = RuntimeCall::Balances(BalancesCall::TransferAll { dest, keep_alive });
        let extrinsic = chain.sign(1, call);
        let fee = fee(&chain, &extrinsic);
        chain.block(&account(SEALER), &[extrinsic]);
        assert_eq!(chain.free(&account(1)), left);
        assert_eq!(chain.free(&account(5)), 1_000 * COIN - fee - left);
    }
}

#[test]
fn odd_transfers() {
    let mut chain = TestChain::new();
    // To oneself: nothing moves.
    let extrinsic = chain.sign(1, transfer(&account(1), COIN));
    let paid = fee(&chain, &extrinsic);
    chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!(chain.free(&account(1)), 1_000 * COIN - paid);
    // Nothing to nobody: no account appears.
    let extrinsic = chain.sign(1, transfer(&account(5), 0));
    chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!(storage::ACCOUNT.get(chain.reader(), &account(5)), Ok(None));
    // To something other than an account id.
    let dest = MultiAddress::Raw(vec![1]);
    let call = RuntimeCall::Balances(BalancesCall::TransferAllowDeath { dest, value: 1 });
    let extrinsic = chain.sign(1, call);
    let done = chain.block(&account(SEALER), &[extrinsic]);
    assert!(matches!(
        last(&done),
        RuntimeEvent::System(SystemEvent::ExtrinsicFailed { dispatch_error: DispatchError::CannotLookup, .. })
    ));
}

#[test]
fn a_tip_too_small_to_open_an_account_is_burned() {
    let mut chain = TestChain::new();
    let extrinsic = chain.sign_with(1, transfer(&account(2), COIN), 999, |_| {});
    let fee = fee(&chain, &extrinsic);
    chain.block(&account(SEALER), &[extrinsic]);
    assert_eq!(chain.free(&account(SEALER)), 0);
    assert_eq!(storage::BURNED.get(chain.reader()), Ok(fee + 999));
}

#[test]
fn a_miner_without_funds_can_submit_receipts() {
    let mut chain = TestChain::new();
    let first = chain.sign(3, receipt(summary(0, 0, 4, 9)));
    let done = chain.block(&account(SEALER), std::slice::from_ref(&first));
    assert_eq!((chain.free(&account(3)), chain.nonce(3)), (0, 1));
    assert_eq!(done.receipts.len(), 1);
    let included = storage::RECEIPTS_AT.get(chain.reader(), &1).expect("memory");
    assert_eq!(included, Some(done.receipts));
    let stale = ExtrinsicError::NonceStale { got: 0, expected: 1 };
    assert_eq!(chain.refused(&[], &first), stale);
    let again = chain.sign(3, receipt(summary(0, 0, 4, 9)));
    let start = ReceiptError::Start { got: 0, expected: 4 };
    assert_eq!(chain.refused(&[], &again), ExtrinsicError::Receipt(start));
}

/// One account's second receipt in a block needs another lane.
#[test]
fn receipts_of_one_block() {
    let chain = TestChain::new();
    let first = chain.sign(3, receipt(summary(0, 0, 4, 9)));
    let signed_next = |summary| {
        chain.sign_with(3, receipt(summary), 0, |signed| {
            signed.nonce = 1;
            chain.resign(3, signed, chain.genesis_hash);
        })
    };
    let repeated = ExtrinsicError::Receipt(ReceiptError::Repeated { round: 0, lane: 0 });
    let next = signed_next(summary(0, 4, 4, 9));
    assert_eq!(chain.refused(std::slice::from_ref(&first), &next), repeated);
    let mut before = vec![first];
    before.extend((4..7).map(|seed| chain.sign(seed, receipt(summary(0, 0, 4, 9)))));
    let fifth = chain.sign(7, receipt(summary(0, 0, 4, 9)));
    let full = ExtrinsicError::Receipt(ReceiptError::BlockFull { limit: 4 });
    assert_eq!(chain.refused(&before, &fifth), full);
}

#[test]
fn extrinsics_that_no_block_includes() {
    use ExtrinsicError as E;
    let chain = TestChain::new();
    let call = || transfer(&account(5), COIN);
    let edited =
        |edit: &dyn Fn(&mut SignedExtrinsic)| chain.refused(&[], &chain.sign_with(1, call(), 0, |signed| edit(signed)));
    assert_eq!(edited(&|signed| signed.signer = AccountId::new([0; 32])), E::ZeroSender);
    assert_eq!(edited(&|signed| signed.tip = 1), E::Signature);
    let early = |signed: &mut SignedExtrinsic| {
        signed.nonce = 1;
        chain.resign(1, signed, chain.genesis_hash);
    };
    assert_eq!(edited(&early), E::NonceFuture { got: 1, expected: 0 });
    let mortal = |signed: &mut SignedExtrinsic| signed.era = Era::mortal(8, 7);
    // Its era starts at block 7, which doesn't exist yet.
    assert_eq!(edited(&mortal), E::AncientBirthBlock { birth: 7 });
    let tip = chain.sign_with(3, receipt(summary(0, 0, 4, 9)), 5, |_| {});
    assert_eq!(chain.refused(&[], &tip), E::ReceiptTip { got: 5 });
    let malformed = E::Malformed { part: "version" };
    assert_eq!(chain.refused(&[], &[0]), malformed);

    let poor = chain.sign(5, transfer(&account(1), 1));
    let expected = fee(&chain, &poor) + chain.params.existential_deposit;
    assert_eq!(chain.refused(&[], &poor), E::FeeUnpayable { got: 0, expected });
    let greedy = chain.sign_with(1, call(), Balance::MAX, |_| {});
    let unpayable = E::FeeUnpayable { got: 1_000 * COIN, expected: Balance::MAX };
    assert_eq!(chain.refused(&[], &greedy), unpayable);

    let remark = |bytes| RuntimeCall::System(SystemCall::Remark { remark: vec![0; bytes] });
    let large = chain.sign(1, remark(60_000));
    let second = chain.sign(2, remark(10_000));
    let got = (large.len() + second.len()) as u64;
    assert_eq!(chain.refused(&[large], &second), E::BlockBytes { got, limit: 64 << 10 });
}

#[test]
fn mortal_extrinsics_live_from_their_checkpoint_on() {
    let mut chain = TestChain::new();
    chain.run_to(3, &account(SEALER));
    let checkpoint = header::header_hash(&chain.tip);
    let mortal = chain.sign_with(1, transfer(&account(5), COIN), 0, |signed| {
        signed.era = Era::mortal(4, 3);
        chain.resign(1, signed, checkpoint);
    });
    chain.run_to(6, &account(SEALER));
    // Block 7 starts the next period, with another checkpoint.
    let error = chain.refused(&[], &mortal);
    assert_eq!(error, ExtrinsicError::AncientBirthBlock { birth: 7 });
    let mut chain = TestChain::new();
    chain.run_to(5, &account(SEALER));
    chain.block(&account(SEALER), &[mortal]);
    assert_eq!(chain.free(&account(5)), COIN);
}

#[test]
fn the_last_nonce_is_never_used() {
    let chain = TestChain::new();
    let mut state = Overlay::new(chain.reader());
    let mut info = balances::account(&state, &account(1)).expect("memory");
    info.nonce = u32::MAX;
    balances::set_account(&mut state, &account(1), &info);
    let extrinsic = chain.sign_with(1, transfer(&account(5), COIN), 0, |signed| {
        signed.nonce = u32::MAX;
        chain.resign(1, signed, chain.genesis_hash);
    });
    let (pre, inputs) = (chain.pre(&account(SEALER)), chain.inputs());
    let (params, genesis) = (&chain.params, chain.genesis_hash);
    let mut block = BlockExecutor::begin(params, genesis, &state, genesis, 1, &pre, &inputs).expect("due");
    let error = ExtrinsicError::NonceExhausted { got: u32::MAX };
    assert_eq!(block.apply_extrinsic(&extrinsic), Err(error));
}

#[test]
fn blocks_that_break_a_rule() {
    use RuntimeError as E;
    let chain = TestChain::new();
    let (params, genesis, inputs) = (&chain.params, chain.genesis_hash, chain.inputs());
    let run = |header: &Header, extrinsics: &[Vec<u8>]| {
        execute_block(params, genesis, &chain.state, header, &inputs, extrinsics).expect_err("a rule is broken")
    };
    let good = chain.header(&account(SEALER), &[]);
    let mut header = good.clone();
    header.digest.logs.clear();
    assert_eq!(run(&header, &[]), E::Header(header::HeaderError::ItemCount { got: 0 }));
    let header = Header { number: 2, ..good.clone() };
    assert_eq!(run(&header, &[]), E::Number { got: 2, expected: 1 });
    let header = Header { extrinsics_root: H256::zero(), ..good.clone() };
    let expected = header::extrinsics_root(&[]);
    assert_eq!(run(&header, &[]), E::ExtrinsicsRoot { got: H256::zero(), expected });
    let large = vec![vec![0; 40_000]; 2];
    assert_eq!(run(&good, &large), E::BlockBytes { got: 80_000, limit: 64 << 10 });

    let fine = chain.sign(1, transfer(&account(5), COIN));
    let body = [fine.clone(), fine];
    let source = ExtrinsicError::NonceStale { got: 0, expected: 1 };
    let header = chain.header(&account(SEALER), &body);
    assert_eq!(run(&header, &body), E::Extrinsic { position: 1, source });
}

#[test]
fn state_failures_are_named() {
    let nothing = Changes::new();
    let chain = TestChain::new();
    let header = chain.header(&account(SEALER), &[]);
    let (params, genesis, inputs) = (&chain.params, chain.genesis_hash, chain.inputs());
    let error = execute_block(params, genesis, &nothing, &header, &inputs, &[]);
    assert!(matches!(error, Err(RuntimeError::State(_))), "{error:?}");
    let extrinsic = chain.sign(1, transfer(&account(5), COIN));
    let corrupt = Changes::from([(storage::ACCOUNT.key(&account(1)), Some(vec![1]))]);
    let error = validate_extrinsic(params, genesis, &corrupt, 1, &extrinsic);
    assert!(matches!(error, Err(ExtrinsicError::State(_))), "{error:?}");
}

#[test]
fn system_items_follow_the_chain() {
    let mut chain = TestChain::new();
    chain.run_to(3, &account(SEALER));
    let parent = storage::PARENT_HASH.get(chain.reader()).expect("set");
    assert_eq!(storage::NUMBER.get(chain.reader()), Ok(3));
    assert_eq!(storage::BLOCK_HASH.get(chain.reader(), &2), Ok(Some(parent)));
    assert_eq!(storage::BLOCK_HASH.get(chain.reader(), &0), Ok(Some(chain.genesis_hash)));
    assert_eq!(storage::NOW.get(chain.reader()), Ok(3_000));
    assert_eq!(storage::DIGEST.get(chain.reader()), Ok(chain.tip.digest.clone()));
}

#[test]
fn old_block_hashes_go_but_the_first_stays() {
    let params = crate::params::ChainParams { round_blocks: 50, ..params() };
    let mut chain = TestChain::with(params);
    chain.run_to(3, &account(SEALER));
    // As if 2400 more blocks had passed: the keys are computed from the number alone.
    let mut state = Overlay::new(chain.reader());
    storage::NUMBER.put(&mut state, &2_401);
    let (pre, inputs) = (chain.pre(&account(SEALER)), chain.inputs());
    let (params, genesis) = (&chain.params, chain.genesis_hash);
    let block =
        BlockExecutor::begin(params, genesis, &state, genesis, 2_402, &pre, &inputs).expect("no step at this block");
    assert_eq!(storage::BLOCK_HASH.get(block.state(), &1), Ok(None));
    assert!(storage::BLOCK_HASH.get(block.state(), &2).expect("memory").is_some());
    assert_eq!(storage::BLOCK_HASH.get(block.state(), &0), Ok(Some(genesis)));
}

#[test]
fn executing_twice_gives_the_same() {
    let mut chain = TestChain::new();
    chain.run_to(7, &account(SEALER));
    let body = [chain.sign(1, transfer(&account(5), COIN)), chain.sign(3, receipt(summary(0, 0, 4, 9)))];
    let first = chain.try_block(&chain.inputs(), &body).expect("valid");
    let second = chain.try_block(&chain.inputs(), &body).expect("valid");
    assert_eq!(first, second);
    let root = |done: &Execution| {
        let mut state: MemoryState = chain.state.clone();
        state.apply(&done.changes).expect("memory")
    };
    assert_eq!(root(&first), root(&second));
    assert_ne!(root(&first), chain.state.root());
}
