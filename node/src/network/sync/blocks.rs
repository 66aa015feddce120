//! Which blocks to fetch, from whom, and when to import them.

use std::collections::HashMap;

use consensus_upow::verify::BlockError;
use descent_runtime::H256;
use libp2p::PeerId;
use libp2p::gossipsub::MessageAcceptance;

use super::peers::Ask;
use super::{Command, Sync, SyncError, UNAVAILABLE, Unavailable};
use crate::chain::{ImportError, Imported, IncomingBlock};
use crate::network::downloads::Item;
use crate::network::faults::Fault;
use crate::network::wire;
use crate::store::{StoreError, StoredBody};

/// Branches that are fetched at the same time at most: one that is never served must not hold up the others.
const MAX_TIPS: usize = 4;
/// Blocks of a branch that are fetched ahead of the import.
const WINDOW: usize = 64;
/// Bytes of bodies and parts that are fetched ahead of the import.
const MAX_PENDING_BYTES: usize = 256 << 20;
/// Requests under way in all at most.
const MAX_FLIGHTS: usize = 64;
/// A branch without more work than the best chain is forgotten so many blocks later.
const OUTPACED_BLOCKS: u32 = 16;
/// Further behind than this, a node only catches up: it neither mines nor announces.
const FAR_BEHIND: u32 = 8;

impl Sync {
    /// Blocks to fetch, parents first, heaviest branch first.
    fn plan(&mut self) -> Result<Vec<H256>, SyncError> {
        if let Some(plan) = &self.plan {
            return Ok(plan.clone());
        }
        let own = self.own_status()?.work;
        let mut tips: Vec<_> =
            self.candidates.tips().filter(|(_, c)| c.work.0 >= own).map(|(hash, c)| (c.work, *hash)).collect();
        tips.sort_unstable_by_key(|tip| std::cmp::Reverse(*tip));
        let mut plan = Vec::new();
        self.heaviest = tips.first().map(|(_, tip)| *tip);
        let highest = self.heaviest.and_then(|tip| self.candidates.get(&tip)).map(|c| c.proven.header.number);
        self.shared.target(highest);
        // Sources take turns, those whose blocks have proven true first: one that brings many tips gets no more.
        let mut turns: HashMap<PeerId, usize> = HashMap::new();
        let mut ranked: Vec<((usize, bool), H256)> = Vec::new();
        for (_, tip) in &tips {
            let Some(source) = self.candidates.get(tip).and_then(|c| c.sources.first()) else { continue };
            let turn = turns.entry(*source).or_default();
            ranked.push(((*turn, !self.candidates.has_led(source)), *tip));
            *turn += 1;
        }
        // Stable: of equals the heaviest.
        ranked.sort_by_key(|(rank, _)| *rank);
        for (_, tip) in ranked.iter().take(MAX_TIPS) {
            for hash in self.candidates.path(tip).into_iter().take(WINDOW) {
                if !plan.contains(&hash) {
                    plan.push(hash);
                }
            }
        }
        self.plan = Some(plan.clone());
        Ok(plan)
    }

    pub(super) fn ask_for_items(&mut self) -> Result<(), SyncError> {
        for hash in self.plan()? {
            if self.flights.len() >= MAX_FLIGHTS || self.downloads.bytes() > MAX_PENDING_BYTES {
                break;
            }
            if self.importing == Some(hash) {
                continue;
            }
            self.downloads.start(hash);
            for item in self.downloads.wanted(&hash) {
                if self.fetching.contains(&item) || self.flights.len() >= MAX_FLIGHTS {
                    continue;
                }
                let Some(peer) = self.who_has(&hash, &item) else { continue };
                self.fetching.insert(item);
                self.downloads.asked(&hash, self.now);
                self.ask(peer, Ask::Item(item));
            }
        }
        Ok(())
    }

    /// A free peer that should have an item: who brought the header, then whoever claims to be high enough, which costs
    /// nothing to claim, then anybody. Of equals the one that answers, with the fewest requests under way.
    fn who_has(&self, hash: &H256, item: &Item) -> Option<PeerId> {
        let candidate = self.candidates.get(hash)?;
        let number = candidate.proven.header.number;
        let lacking = self.lacking.get(item);
        let is_useful =
            |id: &PeerId| !lacking.is_some_and(|l| l.iter().any(|(peer, _)| peer == id)) && self.is_free(id);
        let peers = self.peers.iter().filter(|(id, _)| is_useful(id));
        let rank = |id: &PeerId, height: Option<u32>| match height {
            _ if candidate.sources.contains(id) => 0,
            Some(height) if height >= number => 1,
            _ => 2,
        };
        peers.min_by_key(|(id, p)| (rank(id, p.status.map(|s| s.number)), p.timeouts, p.in_flight)).map(|(id, _)| *id)
    }

    pub(super) fn got_body(&mut self, peer: PeerId, hash: H256, bytes: &[u8]) -> Result<(), SyncError> {
        let Some(header) = self.candidates.get(&hash).map(|c| c.proven.header.clone()) else { return Ok(()) };
        let (params, store, mut failed) = (&self.chain.spec().params, self.chain.store(), None);
        let extrinsics = match wire::extrinsics(bytes, params.max_block_bytes as usize) {
            Ok(extrinsics) => extrinsics,
            Err(source) => {
                self.punish(peer, &Fault::Body { hash, source: source.into() });
                return Ok(());
            }
        };
        let has = |digest: &H256| {
            store.has_sidecar(digest).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        };
        let put = self.downloads.put_body(params, &hash, &header, extrinsics, self.now, has);
        if let Some(error) = failed {
            return Err(error.into());
        }
        match put {
            Ok(Ok(())) => self.delivered(&peer),
            // The header commits to it: no valid block has this header.
            Ok(Err(source)) => self.block_is_invalid(hash, &source.to_string()),
            Err(source) => self.punish(peer, &Fault::Body { hash, source }),
        }
        Ok(())
    }

    /// Hands in the next complete block whose parent is stored.
    pub(super) fn import_next(&mut self) -> Result<(), SyncError> {
        if self.importing.is_some() {
            return Ok(());
        }
        for hash in self.plan()? {
            let Some(candidate) = self.candidates.get(&hash) else { continue };
            if self.candidates.contains(&candidate.proven.header.parent_hash) || !self.downloads.is_complete(&hash) {
                continue;
            }
            let proven = candidate.proven.clone();
            let Some((extrinsics, sidecars)) = self.downloads.take(&hash) else { continue };
            let body = StoredBody { extrinsics, witness: proven.witness };
            self.importing = Some(hash);
            let block = IncomingBlock { header: proven.header, body, sidecars };
            return self.importer.send((hash, block)).map_err(|_| SyncError::Importer);
        }
        Ok(())
    }

    pub(super) fn import_done(&mut self, hash: H256, result: Result<Imported, ImportError>) -> Result<(), SyncError> {
        self.importing = None;
        self.plan = None;
        match result {
            Ok(imported) => self.imported(&imported)?,
            Err(ImportError::Known(_)) => self.is_stored(&hash),
            Err(ImportError::UnknownParent(_)) => self.give_up(&hash),
            Err(ImportError::Store(error @ StoreError::BelowFinalized { .. })) => {
                tracing::warn!(%error, "branch refused: deeper than this node reorganises");
                self.give_up(&hash);
            }
            Err(ImportError::Store(error)) if error.is_fatal() => return Err(error.into()),
            // What it hangs on was given up while it was on its way.
            Err(ImportError::Store(error)) => {
                tracing::debug!(block = ?hash, %error, "block not imported");
                self.give_up(&hash);
            }
            Err(ImportError::Block(error)) if error.is_transient() => {
                tracing::warn!(block = ?hash, %error, "block not imported, perhaps later");
                // Missing parts are fetched again; what this node failed to read is tried anew after a while.
                if !matches!(error, BlockError::PartMissing { .. } | BlockError::Timestamp(_)) {
                    self.give_up(&hash);
                }
            }
            Err(ImportError::Block(error)) => self.block_is_invalid(hash, &error.to_string()),
        }
        Ok(())
    }

    /// A block breaks a rule: nothing builds on it, and whoever presented it as verified has lied.
    fn block_is_invalid(&mut self, hash: H256, reason: &str) {
        tracing::warn!(block = ?hash, rule = reason, "invalid block refused");
        self.plan = None;
        self.invalid.insert(hash, reason.to_owned());
        let mut liars: Vec<PeerId> = Vec::new();
        for (below, candidate) in self.candidates.remove_branch(&hash) {
            self.downloads.forget(&below);
            self.invalid.insert(below, format!("builds on invalid block {hash}: {reason}"));
            self.conclude(&below, &MessageAcceptance::Reject);
            liars.extend(candidate.sources);
        }
        liars.sort_unstable();
        liars.dedup();
        for peer in liars {
            self.punish(peer, &Fault::Block { hash, reason: reason.to_owned() });
        }
    }

    /// Leaves a branch alone for a while, without blaming anybody.
    fn give_up(&mut self, hash: &H256) {
        self.plan = None;
        let until = self.now + UNAVAILABLE;
        let given_up =
            self.unavailable.entry(*hash).or_insert(Unavailable { until, presented: Vec::new(), open: false });
        (given_up.until, given_up.open) = (until, false);
        let presented = &mut given_up.presented;
        let mut below_hashes = Vec::new();
        for (below, candidate) in self.candidates.remove_branch(hash) {
            self.downloads.forget(&below);
            presented.extend(candidate.sources);
            below_hashes.push(below);
        }
        presented.sort_unstable();
        presented.dedup();
        for below in below_hashes {
            self.conclude(&below, &MessageAcceptance::Ignore);
        }
    }

    /// Answers gossip that waited for a block.
    pub(super) fn conclude(&mut self, hash: &H256, acceptance: &MessageAcceptance) {
        for (peer, message) in self.waiting.remove(hash).into_iter().flatten() {
            let acceptance = match acceptance {
                MessageAcceptance::Accept => MessageAcceptance::Accept,
                MessageAcceptance::Reject => MessageAcceptance::Reject,
                MessageAcceptance::Ignore => MessageAcceptance::Ignore,
            };
            self.command(Command::Validated(peer, message, acceptance));
        }
    }

    fn is_stored(&mut self, hash: &H256) {
        self.plan = None;
        self.candidates.promote(hash);
        self.downloads.forget(hash);
        self.conclude(hash, &MessageAcceptance::Accept);
    }

    /// A block entered the chain: mined here, or imported.
    pub(super) fn imported(&mut self, imported: &Imported) -> Result<(), SyncError> {
        use codec::Encode;
        let hash = imported.header.hash();
        if self.handled.get(&hash).is_some() {
            return Ok(());
        }
        self.handled.insert(hash, ());
        tracing::debug!(number = imported.header.number, block = ?hash, best = imported.new_best, "imported");
        // Headers alone prove too little to rest for: their branch leads on while its blocks turn out to be true.
        if self.heaviest.is_some_and(|tip| self.candidates.path(&tip).contains(&hash)) {
            self.shared.led_on();
        }
        self.is_stored(&hash);
        for peer in self.peers.values_mut() {
            peer.exhausted = false;
        }
        if imported.new_best {
            self.shared.imported(imported.header.number);
            if !imported.route.retracted.is_empty() {
                let depth = imported.route.retracted.len();
                tracing::info!(number = imported.header.number, block = ?hash, depth, "reorganised");
            }
            if !self.shared.is_far_behind() {
                self.command(Command::Announce(imported.header.encode()));
            }
        }
        Ok(())
    }

    /// Gives up blocks that nobody serves. Who presented them may be honest, and others have swallowed the requests.
    pub(super) fn drop_withheld(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        for hash in plan {
            let Some(candidate) = self.candidates.get(&hash) else { continue };
            // Only the first missing block of a branch: the ones above it wait.
            if self.candidates.contains(&candidate.proven.header.parent_hash) || self.importing == Some(hash) {
                continue;
            }
            let number = candidate.proven.header.number;
            if self.downloads.is_complete(&hash) || !self.downloads.is_withheld(&hash, self.now) {
                continue;
            }
            let missing = self.downloads.wanted(&hash);
            tracing::warn!(number, block = ?hash, missing = missing.len(), first = ?missing.first(), "block withheld: given up");
            self.give_up(&hash);
        }
    }

    /// Forgets branches that fell behind, and tells how far behind this node is.
    pub(super) fn drop_outpaced(&mut self) -> Result<(), SyncError> {
        let own = self.own_status()?;
        let outpaced = |number: u32| number.saturating_add(OUTPACED_BLOCKS) < own.number;
        let tips = self.candidates.tips().filter(|(_, c)| c.work.0 <= own.work && outpaced(c.proven.header.number));
        for tip in tips.map(|(hash, _)| *hash).collect::<Vec<_>>() {
            for (hash, _) in self.candidates.remove_branch(&tip) {
                self.downloads.forget(&hash);
                self.conclude(&hash, &MessageAcceptance::Ignore);
            }
            self.plan = None;
        }
        Ok(())
    }

    /// Publishes figures for people and the miner.
    pub(super) fn report(&mut self) -> Result<(), SyncError> {
        let own = self.own_status()?;
        let claimed =
            self.peers.values().filter_map(|p| p.status).filter(|s| s.work > own.work).map(|s| s.number).max();
        self.shared.progress(own, claimed, self.candidates.len(), self.candidates.bytes() + self.downloads.bytes());
        Ok(())
    }
}

/// Whether a node this far below its heaviest candidate only catches up.
pub(in crate::network) fn is_far_behind(own: u32, target: Option<u32>) -> bool {
    target.is_some_and(|target| target > own.saturating_add(FAR_BEHIND))
}
