//! A miner: one account and lane, all of whose microbatches go into receipts.

use codec::Encode;
use descent_runtime::call::{BalancesCall, TrainingCall};
use descent_runtime::{AccountId, Balance, H256, PreDigest, RuntimeCall, SignedExtrinsic, balances, with_seal};
use sp_core::{Pair, sr25519};
use sp_runtime::generic::Era;

use super::{TestBlock, TestChain, pair};
use crate::mining::{MinedMicrobatch, MiningTemplate, mine};
use crate::receipt::{BuiltReceipt, ReceiptBuilder};
use crate::verify::{AuthoredBlock, author_block};

pub(crate) struct Miner {
    pub(crate) pair: sr25519::Pair,
    pub(crate) lane: u32,
    builder: Option<ReceiptBuilder>,
    /// Round that it works on, and first index there that no receipt covers.
    next: (u32, u32),
    /// Microbatches computed, and share tickets they drew.
    pub(crate) computed: u64,
    pub(crate) shares: u64,
    /// Microbatches computed outside any receipt.
    spare: u32,
}

/// Indices beyond any receipt's range.
const SPARE_INDICES: u32 = 1 << 20;

impl Miner {
    pub(crate) fn new(name: &str, lane: u32) -> Self {
        Self { pair: pair(name), lane, builder: None, next: (0, 0), computed: 0, shares: 0, spare: 0 }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.pair.public().into()
    }

    pub(crate) fn pre(&self, timestamp_ms: u64) -> PreDigest {
        PreDigest { sealer: self.account(), lane: self.lane, timestamp_ms }
    }

    /// An extrinsic with the account's next nonce after a block.
    pub(crate) fn sign(&self, chain: &TestChain, parent: H256, call: RuntimeCall) -> Vec<u8> {
        let nonce = balances::account(&chain.state(parent), &self.account()).expect("memory").nonce;
        SignedExtrinsic::new(&self.pair, call, nonce, 0, Era::Immortal, chain.genesis, chain.genesis).encode()
    }

    pub(crate) fn transfer(&self, chain: &TestChain, parent: H256, to: &AccountId, value: Balance) -> Vec<u8> {
        let dest = to.clone().into();
        self.sign(chain, parent, RuntimeCall::Balances(BalancesCall::TransferAllowDeath { dest, value }))
    }

    /// Signs a receipt for a block on top of `parent`, and puts its parts beside the chain.
    pub(crate) fn submit(&self, chain: &mut TestChain, parent: H256, receipt: BuiltReceipt) -> Vec<u8> {
        chain.sidecars.insert(receipt.summary.details_hash, receipt.details);
        chain.sidecars.insert(receipt.summary.blob_hash, receipt.blob);
        let summary = receipt.summary;
        self.sign(chain, parent, RuntimeCall::Training(TrainingCall::SubmitReceipt { summary }))
    }

    /// Takes the receipt collected so far; the next one follows its range.
    pub(crate) fn take_receipt(&mut self, chain: &TestChain) -> Option<BuiltReceipt> {
        let builder = self.builder.take()?;
        self.next = (builder.round(), builder.next_index());
        builder.build(&chain.engine)
    }

    /// The builder of the round that attempts on top of `parent` belong to.
    fn builder(&mut self, chain: &TestChain, parent: H256) -> &mut ReceiptBuilder {
        let context = chain.context(parent);
        if self.builder.as_ref().is_none_or(|b| b.round() != context.round) {
            let start = if self.next.0 == context.round { self.next.1 } else { 0 };
            self.builder = Some(ReceiptBuilder::new(&chain.engine, &context, self.lane, start));
        }
        self.builder.as_mut().expect("just set")
    }

    /// Computes one microbatch under a template on top of `parent`, for the receipt.
    pub(crate) fn compute(&mut self, chain: &TestChain, parent: H256, template: &MiningTemplate) -> MinedMicrobatch {
        let index = self.builder(chain, parent).next_index();
        let mined = mine(&chain.engine, &chain.context(parent), template, index).expect("own model");
        if !self.builder(chain, parent).push(template, &mined) {
            // One microbatch in e^8 draws no share, and under this template never will. A seal's index is free: the
            // search goes on beyond every range, outside the receipt.
            assert!(mined.shares.is_empty());
            self.spare += 1;
            let index = SPARE_INDICES + self.spare;
            return mine(&chain.engine, &chain.context(parent), template, index).expect("own model");
        }
        self.computed += 1;
        self.shares += mined.shares.len() as u64;
        mined
    }

    /// Computes microbatches under an empty block on top of `parent`, and seals nothing.
    pub(crate) fn compute_empty(&mut self, chain: &TestChain, parent: H256, count: usize) -> Vec<MinedMicrobatch> {
        let pre = self.pre(chain.time_after(parent));
        let authored = author_block(&chain.engine, &chain.view(parent), &pre, Vec::new()).expect("parent is valid");
        let context = chain.context(parent);
        let template =
            MiningTemplate::new(&chain.engine, &context, authored.header, authored.target).expect("has a pre-digest");
        (0..count).map(|_| self.compute(chain, parent, &template)).collect()
    }

    /// Mines an authored block on top of `parent`.
    pub(crate) fn seal(&mut self, chain: &TestChain, parent: H256, authored: AuthoredBlock) -> TestBlock {
        let context = chain.context(parent);
        let template =
            MiningTemplate::new(&chain.engine, &context, authored.header, authored.target).expect("has a pre-digest");
        loop {
            if let Some((seal, witness)) = self.compute(chain, parent, &template).seal {
                let header = with_seal(template.header().clone(), seal.encode()).expect("no seal yet");
                return TestBlock { header, extrinsics: authored.extrinsics, witness };
            }
        }
    }

    /// Authors and mines a block that takes all of these extrinsics; doesn't append it.
    pub(crate) fn mine_at(
        &mut self,
        chain: &TestChain,
        parent: H256,
        time_ms: u64,
        extrinsics: Vec<Vec<u8>>,
    ) -> TestBlock {
        let authored =
            author_block(&chain.engine, &chain.view(parent), &self.pre(time_ms), extrinsics).expect("parent is valid");
        assert!(authored.refused.is_empty(), "{:?}", authored.refused);
        self.seal(chain, parent, authored)
    }

    /// The same on schedule.
    pub(crate) fn mine_next(&mut self, chain: &TestChain, parent: H256, extrinsics: Vec<Vec<u8>>) -> TestBlock {
        self.mine_at(chain, parent, chain.time_after(parent), extrinsics)
    }

    /// Extends a chain by blocks that each carry the receipt of all work before them.
    pub(crate) fn extend(&mut self, chain: &mut TestChain, mut parent: H256, blocks: usize) -> Vec<TestBlock> {
        let mut mined = Vec::with_capacity(blocks);
        for _ in 0..blocks {
            let receipt = self.take_receipt(chain);
            let extrinsics = receipt.map(|r| self.submit(chain, parent, r)).into_iter().collect();
            let block = self.mine_next(chain, parent, extrinsics);
            chain.import(&block).expect("mined under the rules");
            parent = block.hash();
            mined.push(block);
        }
        mined
    }
}
