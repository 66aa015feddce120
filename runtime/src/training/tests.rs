use super::*;
use crate::error::RuntimeError;
use crate::event::{RuntimeEvent, TrainingEvent};
use crate::executor::Execution;
use crate::storage;
use crate::testing::{COIN, TENSORS, TestChain, account, params, receipt, summary};
use crate::types::{Balance, H256};

const SEALER: u8 = 9;
const MINER: u8 = 3;
const OTHER: u8 = 4;

fn training_events(done: &Execution) -> Vec<TrainingEvent> {
    let training = |record: &crate::event::EventRecord| match &record.event {
        RuntimeEvent::Training(event) => Some(event.clone()),
        _ => None,
    };
    done.events.iter().filter_map(training).collect()
}

/// Includes a receipt in the next block, and returns its id.
fn submit(chain: &mut TestChain, seed: u8, summary: ReceiptSummary) -> H256 {
    let extrinsic = chain.sign(seed, receipt(summary));
    let done = chain.block(&account(SEALER), &[extrinsic]);
    done.receipts[0].id
}

/// First emission of the test parameters, and its parts.
fn first_emission() -> (Balance, Balance, Balance) {
    let emission = params().emission(0);
    (emission * 30 / 100, emission * 5 / 100, emission - emission * 30 / 100 - emission * 5 / 100)
}

#[test]
fn a_seal_is_paid_by_the_next_block() {
    let mut chain = TestChain::new();
    chain.block(&account(SEALER), &[]);
    assert_eq!(chain.free(&account(SEALER)), 0);
    let done = chain.block(&account(1), &[]);
    let (reward, inclusion, shares) = first_emission();
    assert_eq!(chain.free(&account(SEALER)), reward);
    let pot = storage::POTS.get(chain.reader(), &0).expect("memory");
    assert_eq!(pot, Some(Pot { shares, inclusion }));
    let seals = storage::SEAL_SHARES.get_or_default(chain.reader(), &0).expect("memory");
    assert_eq!(seals, SealShares::from([(account(SEALER), 1)]));
    let squares = storage::ROUND_SQUARES.get(chain.reader()).expect("set");
    assert_eq!(squares, [vec![2; TENSORS]]);
    assert!(matches!(
        &training_events(&done)[..],
        [TrainingEvent::SealRewarded { reward: got, round: 0, .. }] if *got == reward
    ));
}

#[test]
fn emission_follows_the_schedule() {
    let mut chain = TestChain::new();
    chain.run_to(5, &account(SEALER));
    let mut emitted = 0;
    for _ in 0..4 {
        emitted += chain.params.emission(emitted);
    }
    assert_eq!(storage::EMITTED.get(chain.reader()), Ok(emitted));
}

#[test]
fn the_step_starts_the_next_round() {
    let mut chain = TestChain::new();
    chain.run_to(7, &account(SEALER));
    assert_eq!(storage::CURRENT_ROUND.get(chain.reader()), Ok(0));
    let inputs = chain.inputs();
    let squares = step_squares(chain.reader(), inputs.parent_seal.as_ref()).expect("memory");
    // Seals of blocks 1 to 7; block 8's comes too late for this step.
    assert_eq!(squares.len(), 7);
    chain.run_to(8, &account(SEALER));
    assert_eq!(storage::CURRENT_ROUND.get(chain.reader()), Ok(1));
    let info = storage::ROUNDS.get(chain.reader(), &1).expect("memory").expect("made");
    assert_eq!((info.round, info.start_block, info.tokens), (1, 8, 4_096));
    assert_eq!(storage::EXPONENTS.get(chain.reader()), Ok(vec![4; TENSORS]));
    assert_eq!(storage::RUNNING.get(chain.reader()), Ok(vec![9; TENSORS]));
    assert_eq!(storage::TOKENS_SEEN.get(chain.reader()), Ok(4_096));
    chain.run_to(9, &account(SEALER));
    assert_eq!(storage::ROUND_SQUARES.get(chain.reader()), Ok(vec![]));
    // The late seal still counts as a share, and its emission fills the old round's pot.
    let seals = storage::SEAL_SHARES.get_or_default(chain.reader(), &0).expect("memory");
    assert_eq!(seals.get(&account(SEALER)), Some(&8));
    chain.run_to(10, &account(SEALER));
    assert_eq!(storage::ROUND_SQUARES.get(chain.reader()).map(|squares| squares.len()), Ok(1));
}

#[test]
fn the_step_reads_receipts_whose_verdict_is_known() {
    let mut chain = TestChain::new();
    let first = submit(&mut chain, MINER, summary(0, 0, 4, 9));
    let bad = submit(&mut chain, OTHER, summary(0, 0, 4, 9));
    chain.bad.insert(bad);
    chain.run_to(5, &account(SEALER));
    // Block 6 is the last whose receipts are judged by block 8.
    let second = submit(&mut chain, MINER, summary(0, 4, 4, 9));
    let late = submit(&mut chain, MINER, summary(0, 8, 4, 9));
    let verdicts = chain.inputs().verdicts;
    assert_eq!(verdicts, [Verdict { receipt: second, valid: true }]);
    let ids = |verdicts: &[Verdict]| -> Vec<H256> {
        let receipts = step_receipts(&chain.params, chain.reader(), 8, verdicts).expect("due");
        receipts.into_iter().map(|record| record.id).collect()
    };
    assert_eq!(ids(&verdicts), [first, second]);
    // A verdict of the very block counts, and takes the account's other receipts with it.
    assert_eq!(ids(&[Verdict { receipt: second, valid: false }]), []);
    assert_eq!(step_receipts(&chain.params, chain.reader(), 9, &[]), Ok(vec![]));

    chain.run_to(8, &account(SEALER));
    // Included in round 1 on top of the late one of block 7: neither is of round 1.
    submit(&mut chain, MINER, summary(0, 12, 4, 9));
    chain.run_to(15, &account(SEALER));
    assert_eq!(step_receipts(&chain.params, chain.reader(), 16, &[]), Ok(vec![]));
    assert_ne!(late, first);
}

/// One mismatch voids the account's receipts and seal shares of all unsettled rounds, and nothing
/// of others; what it voided stays consumed.
#[test]
fn a_mismatch_voids_all_that_is_not_paid_yet() {
    let mut chain = TestChain::new();
    // The failing account seals too.
    chain.block(&account(MINER), &[]);
    let stepped = submit(&mut chain, MINER, summary(0, 0, 4, 9));
    let others = submit(&mut chain, OTHER, summary(0, 0, 4, 9));
    chain.run_to(9, &account(SEALER));
    let bad = submit(&mut chain, MINER, summary(1, 0, 4, 9));
    let waiting = submit(&mut chain, MINER, summary(1, 4, 4, 9));
    chain.bad.insert(bad);
    let paid = chain.free(&account(MINER));
    assert_eq!(paid, first_emission().0);

    let done = chain.block(&account(SEALER), &[]);
    let mut voided = Vec::new();
    for event in training_events(&done) {
        if let TrainingEvent::ReceiptVoided { receipt, account: who, because } = event {
            assert_eq!((who, because), (account(MINER), bad));
            voided.push(receipt);
        }
    }
    assert_eq!(voided, [bad, stepped, waiting]);
    let seals = storage::SEAL_SHARES.get_or_default(chain.reader(), &0).expect("memory");
    assert!(!seals.contains_key(&account(MINER)));
    assert!(seals.contains_key(&account(SEALER)));
    // Already voided, so not sampled.
    assert_eq!(receipts_due(&chain.params, chain.reader(), 13), Ok(vec![]));
    let key = (1, account(MINER), 0);
    assert_eq!(storage::NEXT_INDEX.get(chain.reader(), &key), Ok(Some(8)));

    // At settlement the miner gets nothing; the other one gets its pay.
    chain.run_to(18, &account(SEALER));
    assert_eq!(chain.free(&account(MINER)), paid);
    assert!(chain.free(&account(OTHER)) > 0);
    assert_ne!(others, stepped);
}

/// A receipt of a settled round stays what it was when its account fails later.
#[test]
fn a_mismatch_leaves_settled_rounds_alone() {
    let mut chain = TestChain::new();
    submit(&mut chain, MINER, summary(0, 0, 4, 9));
    // Round 0's receipt in a block of round 1, whose list outlives round 0's settlement.
    chain.run_to(8, &account(SEALER));
    let late = submit(&mut chain, MINER, summary(0, 4, 4, 9));
    chain.run_to(18, &account(SEALER));
    let bad = submit(&mut chain, MINER, summary(2, 0, 4, 9));
    chain.bad.insert(bad);
    chain.run_to(21, &account(SEALER));
    let records = storage::RECEIPTS_AT.get_or_default(chain.reader(), &9).expect("memory");
    assert_eq!((records[0].id, records[0].status), (late, ReceiptStatus::Valid));
}

#[test]
fn settlement_pays_pro_rata_in_the_first_round() {
    let mut chain = TestChain::new();
    submit(&mut chain, MINER, summary(0, 0, 4, 20));
    submit(&mut chain, OTHER, summary(0, 0, 4, 12));
    chain.run_to(17, &account(SEALER));
    let pot = storage::POTS.get(chain.reader(), &0).expect("memory").expect("filled");
    let sealer_before = chain.free(&account(SEALER));
    let done = chain.block(&account(SEALER), &[]);
    // Eight seals of the sealer count as shares.
    let total = 20 + 12 + 8;
    let fee = |seed: u8| {
        let sample = chain.sign(seed, receipt(summary(0, 0, 4, 9)));
        chain.params.length_fee(sample.len() as u32) + chain.params.receipt_fee
    };
    assert_eq!(chain.free(&account(MINER)), pot.shares * 20 / total - fee(MINER));
    assert_eq!(chain.free(&account(OTHER)), pot.shares * 12 / total - fee(OTHER));
    let reward = training_events(&done).into_iter().find_map(|event| match event {
        TrainingEvent::SealRewarded { reward, .. } => Some(reward),
        _ => None,
    });
    // The sealer also included all receipts.
    let earned = pot.shares * 8 / total + pot.inclusion;
    let expected = sealer_before + reward.expect("sealed") + earned;
    assert_eq!(chain.free(&account(SEALER)), expected);
    // Nothing remains of the round but its checkpoint.
    assert_eq!(storage::POTS.get(chain.reader(), &0), Ok(None));
    assert_eq!(storage::SEAL_SHARES.get(chain.reader(), &0), Ok(None));
    assert_eq!(storage::RECEIPTS_AT.get(chain.reader(), &1), Ok(None));
    assert_eq!(storage::NEXT_INDEX.get(chain.reader(), &(0, account(MINER), 0)), Ok(None));
    assert_eq!(storage::SHARE_PRICE.get(chain.reader()), Ok(pot.shares / total));
    assert!(storage::ROUNDS.get(chain.reader(), &0).expect("memory").is_some());
}

#[test]
fn settlement_pays_the_price_carries_a_quarter_and_burns_the_rest() {
    let mut chain = TestChain::new();
    // A busy round 0 makes a low price.
    submit(&mut chain, MINER, summary(0, 0, 4, 128));
    chain.run_to(24, &account(SEALER));
    let price = storage::ROUNDS.get(chain.reader(), &3).expect("memory").expect("made").share_price;
    assert_eq!(storage::SHARE_PRICE.get(chain.reader()), Ok(price));
    // Nobody but the sealer works in round 3.
    chain.run_to(41, &account(SEALER));
    let pot = storage::POTS.get(chain.reader(), &3).expect("memory").expect("filled");
    let next = storage::POTS.get(chain.reader(), &4).expect("memory").expect("filled");
    let burned = storage::BURNED.get(chain.reader()).expect("set");
    let done = chain.block(&account(SEALER), &[]);

    let paid = price * 8;
    assert!(pot.shares - paid > pot.shares / 4);
    let carried = pot.shares / 4 + pot.inclusion / 4;
    let lost = pot.shares + pot.inclusion - paid - carried;
    let settled = TrainingEvent::RoundSettled { round: 3, shares: 8, paid, carried, burned: lost };
    assert!(training_events(&done).contains(&settled));
    assert_eq!(storage::BURNED.get(chain.reader()), Ok(burned + lost));
    let expected = Pot { shares: next.shares + pot.shares / 4, inclusion: next.inclusion + pot.inclusion / 4 };
    assert_eq!(storage::POTS.get(chain.reader(), &4), Ok(Some(expected)));
}

/// A receipt's fees never exceed its pay.
#[test]
fn fees_stop_at_the_pay() {
    let mut params = params();
    params.receipt_fee = 1 << 90;
    let mut chain = TestChain::with(params);
    submit(&mut chain, MINER, summary(0, 0, 4, 20));
    let done = chain.run_to(18, &account(SEALER)).expect("ran");
    assert_eq!(chain.free(&account(MINER)), 0);
    let paid = training_events(&done).into_iter().find_map(|event| match event {
        TrainingEvent::SharesPaid { account: who, paid, fee, .. } if who == account(MINER) => Some((paid, fee > 0)),
        _ => None,
    });
    assert_eq!(paid, Some((0, true)));
}

#[test]
fn a_receipt_without_shares_earns_nothing_and_costs_nothing_more() {
    let mut chain = TestChain::new();
    submit(&mut chain, 1, summary(0, 0, 4, 0));
    chain.run_to(18, &account(SEALER));
    assert_eq!(chain.free(&account(1)), 1_000 * COIN);
    assert_eq!(chain.nonce(1), 1);
}

fn refused(number: u32, edit: impl FnOnce(&mut BlockInputs)) -> RuntimeError {
    let mut chain = TestChain::new();
    submit(&mut chain, MINER, summary(0, 0, 4, 9));
    chain.run_to(number - 1, &account(SEALER));
    let mut inputs = chain.inputs();
    edit(&mut inputs);
    chain.try_block(&inputs, &[]).expect_err("a rule is broken")
}

fn step(inputs: &mut BlockInputs) -> &mut StepOutcome {
    inputs.step.as_mut().expect("ends a round")
}

fn seal(inputs: &mut BlockInputs) -> &mut SealFacts {
    inputs.parent_seal.as_mut().expect("sealed")
}

#[test]
fn inputs_must_be_those_of_the_block() {
    use RuntimeError as E;
    assert_eq!(refused(2, |i| i.parent_seal = None), E::SealMissing { number: 2 });
    let squares = E::SealSquares { got: 1, expected: 2 };
    assert_eq!(refused(2, |i| seal(i).squares.truncate(1)), squares);
    let count = E::VerdictCount { got: 0, expected: 1 };
    assert_eq!(refused(3, |i| i.verdicts.clear()), count);
    let verdict = Verdict { receipt: H256::zero(), valid: true };
    let unexpected = verdict.clone();
    let count = E::VerdictCount { got: 1, expected: 0 };
    assert_eq!(refused(4, |i| i.verdicts.push(unexpected)), count);
    assert!(matches!(
        refused(3, |i| i.verdicts = vec![verdict]),
        E::VerdictReceipt { position: 0, got, .. } if got == H256::zero()
    ));
    assert_eq!(refused(8, |i| i.step = None), E::StepMissing { number: 8 });
    let mut outcome = None;
    refused(8, |i| outcome = i.step.take());
    assert_eq!(refused(7, |i| i.step = outcome), E::StepUnexpected { number: 7 });
    let exponents = E::StepExponents { got: 3, expected: 2 };
    assert_eq!(refused(8, |i| step(i).exponents.push(0)), exponents);
    let running = E::StepRunning { got: 3, expected: 2 };
    assert_eq!(refused(8, |i| step(i).running.push(0)), running);
}

#[test]
fn the_genesis_block_has_no_seal() {
    let mut other = TestChain::new();
    other.block(&account(SEALER), &[]);
    let inputs = other.inputs();
    assert_eq!(TestChain::new().try_block(&inputs, &[]), Err(RuntimeError::SealUnexpected));
}

#[test]
fn tokens_overflow() {
    let mut chain = TestChain::new();
    chain.run_to(8, &account(SEALER));
    chain.run_to(15, &account(SEALER));
    let mut inputs = chain.inputs();
    step(&mut inputs).tokens = u64::MAX;
    let error = RuntimeError::Overflow { what: "tokens seen" };
    assert_eq!(chain.try_block(&inputs, &[]), Err(error));
}
