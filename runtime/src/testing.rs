//! A chain in memory for tests: every block's inputs are made up, its money is counted.

use std::collections::BTreeSet;

use sp_core::{Pair, sr25519};
use sp_runtime::generic::Era;

use crate::balances;
use crate::call::{BalancesCall, RuntimeCall, TrainingCall};
use crate::error::RuntimeError;
use crate::executor::{BlockExecutor, Execution, execute_block};
use crate::extrinsic::{ExtrinsicError, SignedExtrinsic};
use crate::genesis::{GenesisTraining, genesis_header, genesis_state};
use crate::header::{Header, PreDigest, extrinsics_root, header_hash, unsealed_header};
use crate::issuance::sum_of_balances;
use crate::memory::MemoryState;
use crate::params::ChainParams;
use crate::state::StateRead;
use crate::storage;
use crate::training::{BlockInputs, ReceiptSummary, SealFacts, StepOutcome, Verdict, receipts_due};
use crate::types::{AccountId, Balance, BlockNumber, H256};

pub(crate) const TENSORS: usize = 2;
pub(crate) const COIN: Balance = 1_000_000_000_000;

/// Like a development chain: one-second blocks, eight a round, no slack.
pub(crate) fn params() -> ChainParams {
    ChainParams {
        block_time_ms: 1_000,
        round_blocks: 8,
        verdict_slack: 0,
        finality_depth: 6,
        half_life_ms: 100_000,
        max_future_ms: 5_000,
        genesis_ms: 0,
        initial_difficulty: 1 << 30,
        minimum_difficulty: 1 << 20,
        max_block_bytes: 64 << 10,
        max_blob_bytes: 1 << 20,
        max_receipts_per_block: 4,
        existential_deposit: 1_000,
        byte_fee: 10,
        base_fee: 500,
        receipt_fee: 2_000,
        emission_cap: 1_000_000 * COIN,
        emission_shift: 16,
        tail_emission: COIN / 10,
    }
}

pub(crate) fn pair(seed: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[seed; 32])
}

pub(crate) fn account(seed: u8) -> AccountId {
    pair(seed).public().into()
}

pub(crate) fn training() -> GenesisTraining {
    GenesisTraining {
        checkpoint_root: H256::repeat_byte(1),
        exponents: vec![3; TENSORS],
        running: vec![0; TENSORS],
        task_id: H256::repeat_byte(2),
    }
}

pub(crate) fn summary(round: u32, start: u32, count: u32, shares: u32) -> ReceiptSummary {
    ReceiptSummary {
        round,
        lane: 0,
        start,
        count,
        shares,
        tokens: u64::from(count) * 512,
        details_hash: H256::repeat_byte(3),
        details_len: 100,
        blob_hash: H256::repeat_byte(4),
        blob_len: 1_000,
    }
}

pub(crate) fn transfer(to: &AccountId, value: Balance) -> RuntimeCall {
    let dest = to.clone().into();
    RuntimeCall::Balances(BalancesCall::TransferAllowDeath { dest, value })
}

pub(crate) fn receipt(summary: ReceiptSummary) -> RuntimeCall {
    RuntimeCall::Training(TrainingCall::SubmitReceipt { summary })
}

pub(crate) struct TestChain {
    pub(crate) params: ChainParams,
    pub(crate) state: MemoryState,
    pub(crate) genesis_hash: H256,
    pub(crate) tip: Header,
    last_sealer: Option<AccountId>,
    /// Receipts whose samples fail.
    pub(crate) bad: BTreeSet<H256>,
}

impl TestChain {
    /// Accounts 1 and 2 start with 1000 coins each.
    pub(crate) fn new() -> Self {
        Self::with(params())
    }

    pub(crate) fn with(params: ChainParams) -> Self {
        let endowments = [(account(1), 1_000 * COIN), (account(2), 1_000 * COIN)];
        let changes = genesis_state(&params, &endowments, training()).expect("valid genesis");
        let state = MemoryState::new(&changes).expect("memory");
        let tip = genesis_header(state.root());
        let genesis_hash = header_hash(&tip);
        Self { params, state, genesis_hash, tip, last_sealer: None, bad: BTreeSet::new() }
    }

    pub(crate) fn next(&self) -> BlockNumber {
        self.tip.number + 1
    }

    pub(crate) fn pre(&self, sealer: &AccountId) -> PreDigest {
        let timestamp_ms = u64::from(self.next()) * 1_000;
        PreDigest { sealer: sealer.clone(), lane: 0, timestamp_ms }
    }

    pub(crate) fn inputs(&self) -> BlockInputs {
        let number = self.next();
        let due = receipts_due(&self.params, &self.state, number).expect("memory");
        let verdict = |id: H256| Verdict { receipt: id, valid: !self.bad.contains(&id) };
        BlockInputs {
            parent_seal: self.last_sealer.clone().map(|sealer| SealFacts {
                sealer,
                lane: 0,
                ticket: header_hash(&self.tip),
                squares: vec![u64::from(number); TENSORS],
                loss: 5 << 20,
            }),
            verdicts: due.into_iter().map(|record| verdict(record.id)).collect(),
            step: self.params.is_step_block(number).then(|| StepOutcome {
                checkpoint_root: H256::from_low_u64_be(u64::from(number)),
                exponents: vec![4; TENSORS],
                running: vec![9; TENSORS],
                tokens: 4_096,
                microbatches: 8,
                loss: 4 << 20,
            }),
        }
    }

    pub(crate) fn header(&self, sealer: &AccountId, extrinsics: &[Vec<u8>]) -> Header {
        let parent = header_hash(&self.tip);
        let root = extrinsics_root(extrinsics);
        unsealed_header(parent, self.next(), H256::zero(), root, &self.pre(sealer))
    }

    /// Executes a block with given inputs, and leaves the chain as it was.
    pub(crate) fn try_block(&self, inputs: &BlockInputs, extrinsics: &[Vec<u8>]) -> Result<Execution, RuntimeError> {
        let header = self.header(&account(9), extrinsics);
        let (params, genesis) = (&self.params, self.genesis_hash);
        execute_block(params, genesis, &self.state, &header, inputs, extrinsics)
    }

    /// What a block says to one extrinsic, behind others that it takes.
    pub(crate) fn refused(&self, before: &[Vec<u8>], extrinsic: &[u8]) -> ExtrinsicError {
        let inputs = self.inputs();
        let (params, genesis) = (&self.params, self.genesis_hash);
        let parent = header_hash(&self.tip);
        let pre = self.pre(&account(9));
        let next = self.next();
        let mut block = BlockExecutor::begin(params, genesis, &self.state, parent, next, &pre, &inputs)
            .expect("inputs are those due");
        for earlier in before {
            block.apply_extrinsic(earlier).expect("taken");
        }
        let changes = block.state().changes().clone();
        let error = block.apply_extrinsic(extrinsic).expect_err("refused");
        assert_eq!(*block.state().changes(), changes, "a refused extrinsic leaves no trace");
        error
    }

    /// Appends a block, and counts the money.
    pub(crate) fn block(&mut self, sealer: &AccountId, extrinsics: &[Vec<u8>]) -> Execution {
        let mut header = self.header(sealer, extrinsics);
        let inputs = self.inputs();
        let (params, genesis) = (&self.params, self.genesis_hash);
        let done = execute_block(params, genesis, &self.state, &header, &inputs, extrinsics).expect("valid block");
        header.state_root = self.state.apply(&done.changes).expect("memory");
        let sum = sum_of_balances(self.state.pairs(b"").expect("memory")).expect("decodes");
        let issuance = storage::TOTAL_ISSUANCE.get(&self.state).expect("set");
        assert_eq!(sum, issuance, "block {}", header.number);
        self.tip = header;
        self.last_sealer = Some(sealer.clone());
        done
    }

    /// Appends empty blocks until `number` is the tip.
    pub(crate) fn run_to(&mut self, number: BlockNumber, sealer: &AccountId) -> Option<Execution> {
        let mut last = None;
        while self.tip.number < number {
            last = Some(self.block(sealer, &[]));
        }
        last
    }

    pub(crate) fn sign(&self, seed: u8, call: RuntimeCall) -> Vec<u8> {
        self.sign_with(seed, call, 0, |_| {})
    }

    pub(crate) fn sign_with(
        &self,
        seed: u8,
        call: RuntimeCall,
        tip: Balance,
        edit: impl FnOnce(&mut SignedExtrinsic),
    ) -> Vec<u8> {
        let nonce = self.nonce(seed);
        let genesis = self.genesis_hash;
        let mut signed = SignedExtrinsic::new(&pair(seed), call, nonce, tip, Era::Immortal, genesis, genesis);
        edit(&mut signed);
        signed.encode()
    }

    /// Signs again after an edit.
    pub(crate) fn resign(&self, seed: u8, signed: &mut SignedExtrinsic, checkpoint: H256) {
        let SignedExtrinsic { era, nonce, tip, .. } = *signed;
        let call = signed.call.clone();
        let genesis = self.genesis_hash;
        *signed = SignedExtrinsic::new(&pair(seed), call, nonce, tip, era, genesis, checkpoint);
    }

    pub(crate) fn nonce(&self, seed: u8) -> u32 {
        balances::account(&self.state, &account(seed)).expect("memory").nonce
    }

    pub(crate) fn free(&self, who: &AccountId) -> Balance {
        balances::account(&self.state, who).expect("memory").data.free
    }

    pub(crate) fn reader(&self) -> &dyn StateRead {
        &self.state
    }
}
