//! The pool, over a genesis state in memory.

use consensus_upow::ModelConfig;
use descent_genesis::{accounts, dev};
use descent_runtime::call::{BalancesCall, SystemCall, TrainingCall};
use descent_runtime::{
    GenesisTraining, MemoryState, Overlay, ReceiptSummary, RuntimeCall, SignedExtrinsic, genesis_state, storage,
};
use sp_runtime::generic::Era;

use super::*;

const GENESIS: H256 = H256::repeat_byte(7);

/// A chain whose state can be changed.
struct Chain {
    params: ChainParams,
    state: MemoryState,
    pool: Pool,
}

impl Chain {
    fn new() -> Self {
        let params = dev::params(&ModelConfig::TINY);
        let hash = H256::repeat_byte(1);
        let training = GenesisTraining { checkpoint_root: hash, exponents: vec![0], running: vec![0], task_id: hash };
        let endowments = ["Alice", "Bob", "Dave", "Eve", "Ferdie"].map(|name| (account(name), dev::ENDOWMENT));
        let state = genesis_state(&params, &endowments, training).expect("valid parameters");
        Self { params, state: MemoryState::new(&state).expect("in memory"), pool: Pool::default() }
    }

    fn submit(&self, bytes: &[u8]) -> Result<H256, PoolError> {
        self.pool.submit(&self.params, GENESIS, &self.state, 1, bytes.to_vec())
    }

    /// Sets nonce and balance as blocks would, and prunes.
    fn set(&mut self, name: &str, nonce: Nonce, free: u128) {
        let mut overlay = Overlay::new(&self.state);
        let mut info = storage::ACCOUNT.get_or_default(&overlay, &account(name)).expect("in memory");
        (info.nonce, info.data.free) = (nonce, free);
        storage::ACCOUNT.put(&mut overlay, &account(name), &info);
        let changes = overlay.into_changes();
        self.state.apply(&changes).expect("in memory");
        self.pool.prune(&self.params, GENESIS, &self.state, 2);
    }
}

fn account(name: &str) -> AccountId {
    accounts::well_known(name).expect("well known")
}

fn signed(name: &str, call: RuntimeCall, nonce: Nonce, tip: u128) -> Vec<u8> {
    let pair = accounts::key_pair(name).expect("well known");
    SignedExtrinsic::new(&pair, call, nonce, tip, Era::immortal(), GENESIS, GENESIS).encode()
}

/// Signers and nonces of extrinsics: signatures differ each time.
fn named(extrinsics: &[Vec<u8>]) -> Vec<(AccountId, Nonce)> {
    let decoded = extrinsics.iter().map(|bytes| SignedExtrinsic::decode(bytes).expect("signed here"));
    decoded.map(|signed| (signed.signer, signed.nonce)).collect()
}

fn transfer(name: &str, nonce: Nonce, tip: u128) -> Vec<u8> {
    let call = BalancesCall::TransferKeepAlive { dest: account("Bob").into(), value: dev::DSNT };
    signed(name, RuntimeCall::Balances(call), nonce, tip)
}

fn remark(name: &str, nonce: Nonce, tip: u128, length: usize) -> Vec<u8> {
    signed(name, RuntimeCall::System(SystemCall::Remark { remark: vec![0; length] }), nonce, tip)
}

#[test]
fn extrinsics_wait_in_the_order_of_their_nonces() {
    let chain = Chain::new();
    let all = [transfer("Alice", 0, 0), transfer("Alice", 1, 5), transfer("Alice", 2, 0)];
    for which in [2, 0, 1] {
        chain.submit(&all[which]).unwrap();
    }
    assert_eq!(chain.pool.waiting(), all);
    assert!(matches!(chain.submit(&all[1]), Err(PoolError::Known(hash)) if hash == extrinsic_hash(&all[1])));
    assert_eq!(chain.pool.len(), 3);
}

#[test]
fn only_one_that_pays_a_tenth_more_replaces() {
    let chain = Chain::new();
    let old = transfer("Alice", 0, 10);
    let price = |bytes: &[u8], tip: u128| chain.params.length_fee(bytes.len() as u32) + tip;
    let expected = price(&old, 10) + price(&old, 10).div_ceil(10);
    // The tip that makes a remark pay a given price.
    let tip = |total: u128| total - price(&remark("Alice", 0, 0, 1), 0);
    let needed = {
        let guess = tip(expected);
        // A large tip takes more bytes, which pay, too.
        let extra = price(&remark("Alice", 0, guess, 1), guess) - expected;
        guess - extra
    };
    let [less, better] = [needed - 1, needed].map(|tip| remark("Alice", 0, tip, 1));
    chain.submit(&old).unwrap();
    let refused = chain.submit(&less).unwrap_err();
    assert!(
        matches!(refused, PoolError::Underpriced { got, expected: e } if got + 1 == e && e == expected),
        "{refused}"
    );
    chain.submit(&better).unwrap();
    assert_eq!(chain.pool.waiting(), std::slice::from_ref(&better));
    // The replaced one may not come back, but as a newcomer, not as a known one.
    assert!(matches!(chain.submit(&old), Err(PoolError::Underpriced { got, .. }) if got == price(&old, 10)));
    assert_eq!(chain.pool.len(), 1);
    assert_eq!(chain.pool.lock().bytes, better.len());
}

#[test]
fn an_account_has_limited_room() {
    let chain = Chain::new();
    for nonce in 0..MAX_PER_ACCOUNT as Nonce {
        chain.submit(&transfer("Alice", nonce, 0)).unwrap();
    }
    let next = MAX_PER_ACCOUNT as Nonce;
    assert!(matches!(chain.submit(&transfer("Alice", next, 0)), Err(PoolError::Full)));
    // Others are not concerned, and replacing takes no room.
    chain.submit(&transfer("Bob", 0, 0)).unwrap();
    chain.submit(&transfer("Alice", 3, dev::DSNT)).unwrap();
    assert_eq!(chain.pool.len(), MAX_PER_ACCOUNT + 1);
}

#[test]
fn bytes_are_limited_and_a_replacement_takes_its_predecessors_place() {
    let chain = Chain::new();
    let length = 200_000;
    let (per_account, mut per_pool) = (MAX_BYTES_PER_ACCOUNT / length, 0);
    for name in ["Alice", "Bob", "Dave", "Ferdie"] {
        for nonce in 0..per_account as Nonce {
            chain.submit(&remark(name, nonce, 0, length)).unwrap();
            per_pool += 1;
        }
        assert!(matches!(chain.submit(&remark(name, per_account as Nonce, 0, length)), Err(PoolError::Full)));
    }
    chain.submit(&remark("Eve", 0, 0, length)).unwrap();
    per_pool += 1;
    assert!(matches!(chain.submit(&remark("Eve", 1, 0, length)), Err(PoolError::Full)));
    chain.submit(&remark("Alice", 0, dev::DSNT, length)).unwrap();
    let total: usize = chain.pool.waiting().iter().map(Vec::len).sum();
    assert_eq!(chain.pool.len(), per_pool);
    assert_eq!(chain.pool.lock().bytes, total);
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let chain = Chain::new();
    let invalid = |bytes: &[u8]| match chain.submit(bytes) {
        Err(PoolError::Invalid(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(invalid(b""), ExtrinsicError::LengthPrefix);
    assert!(matches!(invalid(b"\x08\x84"), ExtrinsicError::Length { .. }));
    assert!(matches!(invalid(&transfer("Charlie", 0, 0)), ExtrinsicError::FeeUnpayable { got: 0, .. }));
    let mut forged = transfer("Alice", 5, 0);
    *forged.last_mut().expect("not empty") ^= 1;
    // Without a valid signature it may not even wait: it would take the place of a true one.
    assert_eq!(invalid(&forged), ExtrinsicError::Signature);
    let long = remark("Alice", 0, 0, chain.params.max_block_bytes as usize);
    assert!(matches!(invalid(&long), ExtrinsicError::BlockBytes { .. }));
    assert!(chain.pool.is_empty());
}

#[test]
fn receipts_do_not_come_this_way() {
    let chain = Chain::new();
    let hash = H256::zero();
    let summary = ReceiptSummary {
        round: 0,
        lane: 0,
        start: 0,
        count: 1,
        shares: 1,
        tokens: 1,
        details_hash: hash,
        details_len: 1,
        blob_hash: hash,
        blob_len: 1,
    };
    let receipt = signed("Alice", RuntimeCall::Training(TrainingCall::SubmitReceipt { summary }), 0, 0);
    assert!(matches!(chain.submit(&receipt), Err(PoolError::Receipt)));
}

#[test]
fn what_is_included_outdated_or_unpayable_leaves() {
    let mut chain = Chain::new();
    for bytes in [transfer("Alice", 0, 0), transfer("Alice", 1, 0), transfer("Alice", 3, 0), transfer("Bob", 0, 0)] {
        chain.submit(&bytes).unwrap();
    }
    chain.set("Alice", 1, dev::ENDOWMENT);
    assert_eq!(chain.pool.len(), 3);
    assert!(matches!(
        chain.submit(&transfer("Alice", 0, 0)),
        Err(PoolError::Invalid(ExtrinsicError::NonceStale { got: 0, expected: 1 }))
    ));
    chain.set("Bob", 0, chain.params.existential_deposit);
    assert_eq!(named(&chain.pool.waiting()), [(account("Alice"), 1), (account("Alice"), 3)]);
    chain.set("Alice", 4, dev::ENDOWMENT);
    let inner = chain.pool.lock();
    assert!(inner.by_account.is_empty() && inner.hashes.is_empty() && inner.bytes == 0);
}

#[test]
fn the_next_nonce_follows_those_waiting_and_reserved() {
    let chain = Chain::new();
    let alice = account("Alice");
    assert_eq!(chain.pool.next_nonce(&alice, 0), 0);
    for nonce in [0, 1, 4] {
        chain.submit(&transfer("Alice", nonce, 0)).unwrap();
    }
    assert_eq!(chain.pool.next_nonce(&alice, 0), 2);
    assert_eq!(chain.pool.next_nonce(&alice, 4), 5);
    assert_eq!(named(&chain.pool.ready(&alice, 0)), [(alice.clone(), 0), (alice.clone(), 1)]);
    assert!(chain.pool.ready(&alice, 2).is_empty());
    chain.pool.reserve(&alice, 2..4);
    assert_eq!(chain.pool.next_nonce(&alice, 0), 5);
    assert_eq!(chain.pool.next_nonce(&account("Bob"), 0), 0);
    chain.pool.reserve(&alice, 2..3);
    assert_eq!(chain.pool.next_nonce(&alice, 0), 3);
}

#[test]
fn extrinsics_of_retracted_blocks_wait_again() {
    let mut chain = Chain::new();
    chain.set("Alice", 1, dev::ENDOWMENT);
    let block = [transfer("Alice", 0, 0), transfer("Alice", 1, 0), b"no extrinsic".to_vec(), transfer("Bob", 0, 0)];
    chain.pool.take_back(&chain.params, GENESIS, &chain.state, 1, block);
    assert_eq!(chain.pool.len(), 2);
    assert_eq!(named(&chain.pool.ready(&account("Alice"), 1)), [(account("Alice"), 1)]);
}

#[test]
fn what_waits_is_written_down_and_read_again() {
    let chain = Chain::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("transactions");
    let all = [transfer("Alice", 0, 0), transfer("Alice", 2, 0), transfer("Bob", 0, 3)];
    for bytes in &all {
        chain.submit(bytes).unwrap();
    }
    chain.pool.save(&path).unwrap();
    let again = Chain::new();
    let load = |chain: &Chain| chain.pool.load(&path, &chain.params, GENESIS, &chain.state, 1);
    assert_eq!(load(&again), 3);
    assert_eq!(again.pool.waiting(), chain.pool.waiting());
    // What a block has included meanwhile is stale, and rubbish is nothing.
    let mut later = Chain::new();
    later.set("Bob", 1, dev::ENDOWMENT);
    assert_eq!(load(&later), 2);
    for rubbish in [&b""[..], b"\xff\xff\xff\xff", b"\x04\x04\x00"] {
        std::fs::write(&path, rubbish).expect("a file");
        assert_eq!(load(&Chain::new()), 0);
    }
}

#[test]
fn nonces_too_far_ahead_do_not_wait() {
    let mut chain = Chain::new();
    let limit = MAX_PER_ACCOUNT as Nonce;
    let refused = chain.submit(&transfer("Alice", limit + 1, 0)).unwrap_err();
    assert_eq!(refused.to_string(), "nonce is 65, expected at most 64");
    chain.submit(&transfer("Alice", limit, 0)).unwrap();
    chain.set("Alice", 1, dev::ENDOWMENT);
    chain.submit(&transfer("Alice", limit + 1, 0)).unwrap();
}

#[test]
fn what_can_not_be_included_gives_way_then_what_pays_least() {
    let mut chain = Chain::new();
    let (length, per_account) = (200_000, MAX_BYTES_PER_ACCOUNT / 200_000);
    // Behind gaps, at high prices.
    for name in ["Alice", "Bob"] {
        for nonce in 0..per_account as Nonce {
            chain.submit(&remark(name, nonce + 2, 2 * dev::DSNT, length)).unwrap();
        }
    }
    for nonce in 0..per_account as Nonce {
        chain.submit(&remark("Dave", nonce, 0, length)).unwrap();
        chain.submit(&remark("Ferdie", nonce, dev::DSNT, length)).unwrap();
    }
    chain.submit(&remark("Eve", 0, 0, length)).unwrap();
    assert_eq!(chain.pool.len(), 4 * per_account + 1);
    // One behind a gap, at a price that is no higher, finds no room.
    assert!(matches!(chain.submit(&remark("Eve", 3, 0, length)), Err(PoolError::Full)));
    let of = |chain: &Chain, name: &str| {
        named(&chain.pool.waiting())
            .into_iter()
            .filter(|(a, _)| *a == account(name))
            .map(|(_, n)| n)
            .collect::<Vec<_>>()
    };
    // One that can be included takes the place of the last behind a gap.
    let gaps = |chain: &Chain| of(chain, "Alice").len() + of(chain, "Bob").len();
    chain.submit(&remark("Eve", 1, 0, length)).unwrap();
    assert_eq!((gaps(&chain), of(&chain, "Eve")), (2 * per_account - 1, vec![0, 1]));
    // Once nothing is behind a gap, the lowest price gives way, from the end of its account.
    for name in ["Alice", "Bob"] {
        chain.set(name, 2, dev::ENDOWMENT);
    }
    let next = per_account as Nonce - 1;
    assert!(matches!(chain.submit(&remark("Eve", 2, 0, length)), Err(PoolError::Full)));
    chain.submit(&remark("Eve", 2, dev::DSNT, length)).unwrap();
    assert_eq!(of(&chain, "Dave"), (0..next).collect::<Vec<_>>());
    assert_eq!(of(&chain, "Ferdie").len(), per_account);
    let total: usize = chain.pool.waiting().iter().map(Vec::len).sum();
    assert_eq!(chain.pool.lock().bytes, total);
}
