//! The mining loop: templates, microbatches, receipts of the own work, blocks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consensus_upow::engine::RoundContext;
use consensus_upow::mining::{MinedMicrobatch, MiningTemplate, mine_many, side_by_side};
use consensus_upow::receipt::{BuiltReceipt, ReceiptBuilder};
use consensus_upow::verify::{AuthoredBlock, BlockError, author_block};
use consensus_upow::view::{ChainView, HeaderView, median_time};
use descent_runtime::call::TrainingCall;
use descent_runtime::{AccountId, H256, Nonce, PreDigest, RuntimeCall, SignedExtrinsic, storage};
use sp_core::{Pair as _, sr25519};
use sp_runtime::generic::Era;

use crate::chain::{Chain, ImportError, IncomingBlock, StoreView, sealed};
use crate::pool::Pool;
use crate::store::{BlockRef, StoreError, StoredBody};

/// Over how long the speed is averaged.
const SPEED_WINDOW: Duration = Duration::from_secs(10);

/// How long a miner whose block was refused waits before it tries again.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// How often a resting miner looks whether it may go on.
const REST: Duration = Duration::from_millis(50);

/// What stops a miner.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// A block of its own was refused, or the chain's data failed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The next block's data could not be read.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MineError {
    /// Whether it may come from a branch that was given up meanwhile, and not from the disk.
    fn is_of_a_lost_branch(&self) -> bool {
        let is_disk = |error: &StoreError| {
            use StoreError as E;
            matches!(error, E::NoSpace { .. } | E::Io { .. } | E::Corrupted { .. })
        };
        match self {
            Self::Store(error) | Self::Import(ImportError::Store(error)) => !is_disk(error),
            Self::Import(_) | Self::Block(_) => true,
        }
    }
}

/// What a miner is doing, for people to see.
#[derive(Debug, Default)]
pub struct MinerStats {
    recent: Mutex<VecDeque<Instant>>,
    totals: Mutex<Totals>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Microbatches mined.
    pub microbatches: u64,
    /// Blocks sealed.
    pub blocks: u64,
    /// Shares drawn.
    pub shares: u64,
    /// Mean loss of the last microbatch, nats.
    pub loss: Option<f64>,
}

impl MinerStats {
    fn record(&self, mined: &MinedMicrobatch) {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(now);
        while recent.front().is_some_and(|t| now.duration_since(*t) > SPEED_WINDOW) {
            recent.pop_front();
        }
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.microbatches += 1;
        totals.shares += mined.shares.len() as u64;
        totals.loss = Some(consensus_upow::loss_from_fixed(mined.output.loss));
    }

    /// Microbatches a second over the last ten seconds.
    pub fn microbatches_per_second(&self) -> f64 {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match (recent.front(), recent.len()) {
            (Some(first), n) if n > 1 => n as f64 / first.elapsed().as_secs_f64().max(1e-3),
            _ => 0.0,
        }
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    // Before 1970 the chain's time rules refuse everything, which is right.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// A miner of one lane of one account.
pub struct Miner {
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    pair: sr25519::Pair,
    account: AccountId,
    lane: u32,
    stats: Arc<MinerStats>,
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    builder: Option<ReceiptBuilder>,
    /// Blocks that the builder's microbatches were mined on.
    bases: Vec<BlockRef>,
    outbox: Vec<BuiltReceipt>,
}

impl Miner {
    /// A miner that signs its receipts with `pair`.
    pub fn new(
        chain: Arc<Chain>,
        pool: Arc<Pool>,
        pair: sr25519::Pair,
        lane: u32,
        stats: Arc<MinerStats>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let account = AccountId::from(pair.public());
        let pause = Arc::default();
        Self {
            chain,
            pool,
            pair,
            account,
            lane,
            stats,
            stop,
            pause,
            builder: None,
            bases: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Rests while a flag is set: on a block far behind the network's, mining is a waste.
    #[must_use]
    pub fn resting_while(mut self, pause: Arc<AtomicBool>) -> Self {
        self.pause = pause;
        self
    }

    /// Mines until stopped, or until the best block has a number.
    ///
    /// # Errors
    /// [`MineError`].
    pub fn run(&mut self, until: Option<u32>) -> Result<(), MineError> {
        while !self.stopped() {
            if let Some(until) = until
                && self.chain.best()?.number >= until
            {
                break;
            }
            if self.pause.load(Ordering::Relaxed) {
                std::thread::sleep(REST);
                continue;
            }
            let best = self.chain.best()?;
            match self.mine_block() {
                // A reorganisation may have taken away the block that it was reading: it goes on with the new one.
                Err(error) if error.is_of_a_lost_branch() && self.chain.best()? != best => {
                    tracing::debug!(%error, "the block mined on is gone");
                }
                mined => mined?,
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Mines on the best block until a block is found, the best block changes, or a stop.
    ///
    /// # Errors
    /// [`MineError`].
    pub fn mine_block(&mut self) -> Result<(), MineError> {
        let best = self.chain.best()?;
        let chain = self.chain.clone();
        let mut view = chain.view(best.hash)?;
        let context = chain.context_on(&view)?;
        self.take_stock(&view, &context, best)?;
        view.add_sidecars(self.outbox.iter().flat_map(|r| [r.details.clone(), r.blob.clone()]));
        let authored = self.author(&view)?;
        let template = MiningTemplate::new(chain.engine(), &context, authored.header.clone(), authored.target)
            .map_err(consensus_upow::seal::SealError::from);
        let template = template.map_err(BlockError::from)?;
        let pending = self.pool.len();
        let started = Instant::now();
        // New transactions are worth a new template once they have waited for a block time.
        let patience = Duration::from_millis(chain.spec().params.block_time_ms.max(2_000));
        while !self.stopped() && !self.pause.load(Ordering::Relaxed) && chain.best()? == best {
            if self.pool.len() > pending && started.elapsed() > patience {
                return Ok(());
            }
            let (mined, added) = self.mine_some(&context, &template)?;
            let all_added = added == mined.len();
            if added > 0 && self.bases.last() != Some(&best) {
                self.bases.push(best);
            }
            mined.iter().for_each(|m| self.stats.record(m));
            if let Some((seal, witness)) = mined.into_iter().find_map(|m| m.seal) {
                return self.publish(authored, &seal, witness);
            }
            if !all_added {
                // One microbatch in e^8 draws no share. Under this template it never will: another one is due.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Mines the next indices; tells how many of them went into the receipt.
    fn mine_some(
        &mut self,
        context: &RoundContext,
        template: &MiningTemplate,
    ) -> Result<(Vec<MinedMicrobatch>, usize), MineError> {
        let engine = self.chain.engine();
        let builder = self.builder.get_or_insert_with(|| ReceiptBuilder::new(engine, context, self.lane, 0));
        if builder.room() == 0 {
            let next = builder.next_index();
            self.outbox.extend(builder.build(engine));
            *builder = ReceiptBuilder::new(engine, context, self.lane, next);
            self.bases.clear();
        }
        // At most 256 fit.
        let count = side_by_side(engine.task().model()).min(builder.room()) as u32;
        let mined = mine_many(engine, context, template, builder.next_index(), count).map_err(BlockError::from)?;
        // A range has no gaps: after an index without a share, those behind it are lost.
        let added = mined.iter().take_while(|m| builder.push(template, m)).count();
        Ok((mined, added))
    }

    /// Brings receipts in line with the chain: forgets what is included or expired, hands in what is due.
    fn take_stock(&mut self, view: &StoreView<'_>, context: &RoundContext, best: BlockRef) -> Result<(), MineError> {
        let (engine, params) = (self.chain.engine(), &self.chain.spec().params);
        let next_index = |round: u32| -> Result<u32, BlockError> {
            Ok(storage::NEXT_INDEX.get_or_default(view.state(), &(round, self.account.clone(), self.lane))?)
        };
        let mut kept = Vec::new();
        for receipt in self.outbox.drain(..) {
            let round = receipt.summary.round;
            if round.saturating_add(1) >= context.round && receipt.summary.start >= next_index(round)? {
                kept.push(receipt);
            }
        }
        self.outbox = kept;
        // The last block whose receipts still enter the round's step.
        let deadline = u64::from(context.round + 1) * u64::from(params.round_blocks) - params.verdict_delay();
        let builder = self.builder.take();
        let due = |b: &ReceiptBuilder| b.round() != context.round || u64::from(best.number) + 1 == deadline;
        let mut next = next_index(context.round)?;
        match builder {
            Some(b) if due(&b) => {
                if b.round() == context.round {
                    next = b.next_index();
                }
                self.outbox.extend(b.build(engine));
                self.bases.clear();
                self.builder = Some(ReceiptBuilder::new(engine, context, self.lane, next));
            }
            Some(b) => {
                // After a reorganisation the chain may know of more or fewer indices than this range builds on.
                let waiting = self.outbox.iter().find(|r| r.summary.round == context.round).map(|r| r.summary.start);
                let fits = waiting.unwrap_or(b.start()) == next;
                // What was mined on a block that lost its race makes the whole receipt invalid: better begin anew now.
                let is_on_chain = self.is_on_chain(view)?;
                if !fits || !is_on_chain {
                    tracing::debug!(lost = b.count(), "receipt begun anew after a reorganisation");
                    self.bases.clear();
                }
                let start = if fits { b.start() } else { next };
                let anew = || ReceiptBuilder::new(engine, context, self.lane, start);
                self.builder = Some(if fits && is_on_chain { b } else { anew() });
            }
            None => self.builder = Some(ReceiptBuilder::new(engine, context, self.lane, next)),
        }
        Ok(())
    }

    /// Whether the builder's microbatches were all mined on ancestors of the next block.
    fn is_on_chain(&self, view: &StoreView<'_>) -> Result<bool, BlockError> {
        for base in &self.bases {
            if base.number > view.parent().number || view.ancestor(base.number)?.0 != base.hash {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn author(&mut self, view: &StoreView<'_>) -> Result<AuthoredBlock, MineError> {
        let median = median_time(view).map_err(BlockError::from)?;
        let timestamp_ms = now_ms().max(median.saturating_add(1));
        let pre = PreDigest { sealer: self.account.clone(), lane: self.lane, timestamp_ms };
        let account = storage::ACCOUNT.get_or_default(view.state(), &self.account).map_err(BlockError::from)?;
        // Transactions that the account's owner has sent keep their nonces, and the receipts follow.
        let sent = self.pool.ready(&self.account, account.nonce);
        let mut authored = self.author_after(&sent, account.nonce, view, &pre)?;
        if !sent.is_empty() && !authored.refused.is_empty() {
            // One that doesn't go in leaves a gap before the receipts: then these go first.
            authored = self.author_after(&[], account.nonce, view, &pre)?;
        }
        for (bytes, reason) in &authored.refused {
            tracing::warn!(%reason, "own receipt is not valid on this branch");
            // A refused receipt stays refused on this branch: its templates build on blocks that left it.
            let summary = consensus_upow::verify::submitted_receipt(bytes).map(|(_, s)| s);
            self.outbox.retain(|r| Some(&r.summary) != summary.as_ref());
        }
        Ok(authored)
    }

    /// A block of the given extrinsics of the own account, its receipts, then everything waiting; with those of the
    /// receipts that were refused.
    fn author_after(
        &self,
        sent: &[Vec<u8>],
        nonce: Nonce,
        view: &StoreView<'_>,
        pre: &PreDigest,
    ) -> Result<AuthoredBlock, MineError> {
        let count = |list: &[Vec<u8>]| Nonce::try_from(list.len()).unwrap_or(Nonce::MAX);
        let first = nonce.saturating_add(count(sent));
        let receipts = self.receipts_due(first);
        self.pool.reserve(&self.account, first..first.saturating_add(count(&receipts)));
        let others = self.pool.waiting().into_iter().filter(|bytes| !sent.contains(bytes));
        let candidates = sent.iter().chain(&receipts).cloned().chain(others).collect();
        let mut authored = author_block(self.chain.engine(), view, pre, candidates)?;
        authored.refused.retain(|(bytes, _)| receipts.contains(bytes));
        Ok(authored)
    }

    /// The receipts that the next block may include, signed.
    fn receipts_due(&self, first: Nonce) -> Vec<Vec<u8>> {
        let mut rounds = Vec::new();
        let due = self.outbox.iter().filter(|receipt| {
            // A block takes one receipt of a lane and round; the next ones follow in later blocks.
            let is_first = !rounds.contains(&receipt.summary.round);
            rounds.push(receipt.summary.round);
            is_first
        });
        due.zip(first..).map(|(receipt, nonce)| self.sign(receipt, nonce)).collect()
    }

    fn sign(&self, receipt: &BuiltReceipt, nonce: Nonce) -> Vec<u8> {
        let call = RuntimeCall::Training(TrainingCall::SubmitReceipt { summary: receipt.summary.clone() });
        let genesis: H256 = self.chain.genesis_hash();
        SignedExtrinsic::new(&self.pair, call, nonce, 0, Era::immortal(), genesis, genesis).encode()
    }

    /// Sends an own block through the pipeline that a stranger's would take.
    fn publish(
        &mut self,
        authored: AuthoredBlock,
        seal: &consensus_upow::seal::Seal,
        witness: Vec<u8>,
    ) -> Result<(), MineError> {
        let header =
            sealed(authored.header, seal).map_err(|e| BlockError::from(consensus_upow::seal::SealError::from(e)))?;
        let sidecars = self.outbox.iter().flat_map(|r| [r.details.clone(), r.blob.clone()]).collect();
        let body = StoredBody { extrinsics: authored.extrinsics, witness };
        match self.chain.import(IncomingBlock { header, body, sidecars }, now_ms()) {
            Ok(imported) => {
                let mut totals = self.stats.totals.lock().unwrap_or_else(PoisonError::into_inner);
                totals.blocks += 1;
                tracing::debug!(number = imported.header.number, hash = ?imported.header.hash(), "sealed a block");
            }
            // The disk or the database failed: nothing that goes on mining would be kept.
            Err(error @ ImportError::Store(_)) => return Err(error.into()),
            // The clock was set back, or another branch got ahead: this block is lost, the next one need not be.
            Err(error) => {
                tracing::warn!(%error, "own block refused");
                std::thread::sleep(REFUSED_PAUSE);
            }
        }
        Ok(())
    }
}
