use super::*;
use crate::testing::{TestChain, account, params, summary};

/// What the rules say to a receipt in block 1 of a fresh chain.
fn refused(edit: impl FnOnce(&mut ReceiptSummary)) -> ReceiptError {
    at(1, edit)
}

fn at(number: BlockNumber, edit: impl FnOnce(&mut ReceiptSummary)) -> ReceiptError {
    let chain = TestChain::new();
    let mut summary = summary(0, 0, 4, 9);
    edit(&mut summary);
    receipt_is_valid(&params(), chain.reader(), number, &account(3), &summary).expect_err("a rule is broken")
}

#[test]
fn a_plain_receipt_is_valid() {
    let chain = TestChain::new();
    let largest = summary(0, 0, 256, 256 * 32);
    for number in [1, 8, 9, 16] {
        let valid = receipt_is_valid(&params(), chain.reader(), number, &account(3), &largest);
        assert_eq!(valid, Ok(()), "block {number}");
    }
}

#[test]
fn count() {
    assert_eq!(refused(|s| s.count = 0), ReceiptError::Count { got: 0, limit: 256 });
    assert_eq!(refused(|s| s.count = 257), ReceiptError::Count { got: 257, limit: 256 });
}

#[test]
fn shares() {
    assert_eq!(refused(|s| s.shares = 129), ReceiptError::Shares { got: 129, limit: 128 });
}

#[test]
fn tokens() {
    assert_eq!(refused(|s| s.tokens = 0), ReceiptError::Tokens);
}

#[test]
fn size() {
    let error = refused(|s| (s.details_len, s.blob_len) = (u32::MAX, u32::MAX));
    assert_eq!(error, ReceiptError::Size { got: 2 * u64::from(u32::MAX), limit: 1 << 20 });
}

#[test]
fn round() {
    assert_eq!(refused(|s| s.round = 1), ReceiptError::Round { got: 1, current: 0 });
    assert_eq!(refused(|s| s.round = u32::MAX), ReceiptError::Round { got: u32::MAX, current: 0 });
    // The first block of round 2 is 17: too late for round 0.
    assert_eq!(at(17, |_| {}), ReceiptError::Round { got: 0, current: 2 });
}

#[test]
fn start() {
    assert_eq!(refused(|s| s.start = 1), ReceiptError::Start { got: 1, expected: 0 });
}

#[test]
fn index_overflow() {
    let error = ReceiptError::IndexOverflow { start: u32::MAX, count: 4 };
    assert_eq!(refused(|s| s.start = u32::MAX), error);
}

fn include_second(
    params: &ChainParams,
    account_seed: u8,
    summary_of_second: &ReceiptSummary,
) -> Result<ReceiptRecord, ReceiptError> {
    let chain = TestChain::new();
    let mut state = Overlay::new(chain.reader());
    let includer = account(9);
    let block = Inclusion { number: 1, includer: &includer, fee: 7 };
    let first = summary(0, 0, 4, 9);
    let record = include(params, &mut state, &[], &account(3), &first, &block)?;
    assert_eq!((record.fee, record.included_at), (7, 1));
    let who = account(account_seed);
    include(params, &mut state, &[record], &who, summary_of_second, &block)
}

#[test]
fn repeated() {
    let next = summary(0, 4, 4, 9);
    let error = Err(ReceiptError::Repeated { round: 0, lane: 0 });
    assert_eq!(include_second(&params(), 3, &next), error);
    let other_lane = ReceiptSummary { lane: 1, ..summary(0, 0, 4, 9) };
    assert!(include_second(&params(), 3, &other_lane).is_ok());
    assert!(include_second(&params(), 4, &summary(0, 0, 4, 9)).is_ok());
}

#[test]
fn block_full() {
    let params = ChainParams { max_receipts_per_block: 1, ..params() };
    let error = Err(ReceiptError::BlockFull { limit: 1 });
    assert_eq!(include_second(&params, 4, &summary(0, 0, 4, 9)), error);
}

#[test]
fn state_failures_pass_through() {
    struct Failing;
    impl StateRead for Failing {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            Err(StateError::Backend("disk".to_owned()))
        }
    }
    let error = StateError::Backend("disk".to_owned());
    let valid = receipt_is_valid(&params(), &Failing, 1, &account(3), &summary(0, 0, 4, 9));
    assert_eq!(valid, Err(ReceiptError::State(error)));
}
