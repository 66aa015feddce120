//! Headers first: candidates from a peer that claims more work.

use descent_runtime::H256;
use libp2p::PeerId;
use libp2p::gossipsub::MessageAcceptance;

use super::peers::Ask;
use super::{Sync, SyncError};
use crate::chain::ImportError;
use crate::miner::now_ms;
use crate::network::candidates::{CandidateError, Inserted, MAX_PER_PEER};
use crate::network::faults::Fault;
use crate::network::wire::{MAX_LOCATOR, ProvenHeader};

/// Below so many candidates of a peer it is asked for more: what another one brought is no reason not to.
const LOW_WATER: usize = MAX_PER_PEER / 2;
/// Peers that are remembered to have presented a block that nobody served.
const MAX_PRESENTED: usize = 64;

impl Sync {
    pub(super) fn ask_for_headers(&mut self) -> Result<(), SyncError> {
        let own = self.own_status()?;
        let mut due = Vec::new();
        for (id, peer) in &self.peers {
            let Some(status) = peer.status else { continue };
            let idle = !peer.headers_asked && !peer.exhausted && self.is_free(id);
            if idle
                && status.work > own.work
                && self.candidates.of_peer(id) < LOW_WATER
                && !self.candidates.contains(&status.hash)
                && !self.is_given_up(Some(id), &status.hash)
                && self.chain.store().meta(&status.hash)?.is_none()
            {
                due.push((*id, peer.last_header));
            }
        }
        for (id, last) in due {
            let locator = self.locator(last)?;
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.headers_asked = true;
            }
            self.ask(id, Ask::Headers(locator));
        }
        Ok(())
    }

    /// Where to go on: the peer's last header, then the own best chain in growing steps, down to genesis.
    fn locator(&self, last: Option<H256>) -> Result<Vec<H256>, SyncError> {
        let store = self.chain.store();
        let mut locator = Vec::new();
        if let Some(last) = last
            && (self.candidates.contains(&last) || store.meta(&last)?.is_some())
        {
            locator.push(last);
        }
        let (mut number, mut step) = (self.chain.best()?.number, 1);
        while locator.len() < MAX_LOCATOR - 1 {
            locator.extend(store.hash_at(number)?);
            if number == 0 {
                break;
            }
            if locator.len() > 8 {
                step *= 2;
            }
            number = number.saturating_sub(step);
        }
        Ok(locator)
    }

    pub(super) fn got_headers(
        &mut self,
        peer: PeerId,
        locator: &[H256],
        headers: Vec<ProvenHeader>,
    ) -> Result<(), SyncError> {
        let Some(known) = self.peers.get_mut(&peer) else { return Ok(()) };
        known.headers_asked = false;
        // Until one of them leads further, or the peer's status changes.
        known.exhausted = true;
        let mut expected: Option<H256> = None;
        for proven in headers {
            let (hash, parent) = (proven.header.hash(), proven.header.parent_hash);
            match expected {
                Some(expected) if parent != expected => {
                    self.punish(peer, &Fault::Link { hash, got: parent, expected });
                    return Ok(());
                }
                None if !locator.contains(&parent) => {
                    self.punish(peer, &Fault::Unrelated { parent });
                    return Ok(());
                }
                _ => expected = Some(hash),
            }
            if !self.take_header(peer, hash, proven)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next header of a response; whether it makes sense to look at the one after it.
    fn take_header(&mut self, peer: PeerId, hash: H256, proven: ProvenHeader) -> Result<bool, SyncError> {
        if self.is_unwanted(peer, &hash, &proven.header.parent_hash) {
            return Ok(false);
        }
        let inserted = self.candidates.insert(&self.chain, proven, peer, now_ms());
        self.clear_evicted();
        match inserted {
            Ok(inserted) => {
                if let Some(known) = self.peers.get_mut(&peer)
                    && known.last_header != Some(hash)
                {
                    (known.last_header, known.exhausted) = (Some(hash), false);
                }
                if inserted == Inserted::New {
                    self.plan = None;
                }
                Ok(true)
            }
            Err(error) => {
                self.header_refused(peer, hash, error)?;
                Ok(false)
            }
        }
    }

    /// Whether a header is of a branch that is known to be bad, or that nobody served lately.
    pub(super) fn is_unwanted(&mut self, peer: PeerId, hash: &H256, parent: &H256) -> bool {
        if let Some(reason) = self.invalid.get(hash).or_else(|| self.invalid.get(parent)) {
            let reason = reason.clone();
            self.punish(peer, &Fault::Block { hash: *hash, reason });
            return true;
        }
        // A new peer may have what the others withheld.
        if let Some(given_up) = self.unavailable.get_mut(hash)
            && !given_up.presented.contains(&peer)
            && given_up.presented.len() < MAX_PRESENTED
        {
            given_up.presented.push(peer);
            given_up.open = true;
        }
        self.is_given_up(None, hash) || self.is_given_up(None, parent)
    }

    /// Whether a block was given up lately, and by this peer, if one is given, it was presented before.
    fn is_given_up(&self, peer: Option<&PeerId>, hash: &H256) -> bool {
        let is_known = |presented: &[PeerId]| peer.is_none_or(|peer| presented.contains(peer));
        self.unavailable.get(hash).is_some_and(|given_up| !given_up.open && is_known(&given_up.presented))
    }

    /// Clears up after candidates that made room for others.
    pub(super) fn clear_evicted(&mut self) {
        for hash in self.candidates.take_evicted() {
            self.plan = None;
            self.downloads.forget(&hash);
            self.conclude(&hash, &MessageAcceptance::Ignore);
        }
    }

    /// Blames the peer for a refused header if the header itself proves it.
    pub(super) fn header_refused(&mut self, peer: PeerId, hash: H256, error: CandidateError) -> Result<(), SyncError> {
        use consensus_upow::seal::SealError;
        use consensus_upow::verify::BlockError;
        match error {
            CandidateError::Block(source) => {
                // Another witness's digest says nothing about the header, and all about who sent it.
                let false_witness = matches!(source, BlockError::Seal(SealError::WitnessDigest { .. }));
                if !source.is_transient() {
                    self.invalid.insert(hash, source.to_string());
                }
                if !source.is_transient() || false_witness {
                    self.punish(peer, &Fault::Header { hash, source: Box::new(source) });
                }
            }
            CandidateError::BelowHorizon { .. } => {
                tracing::warn!(%peer, block = ?hash, %error, "branch refused");
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.exhausted = true;
                }
            }
            // A branch was dropped meanwhile, or there is no room.
            CandidateError::UnknownParent(_) | CandidateError::Full { .. } => {}
            CandidateError::Chain(ImportError::Store(error)) if error.is_fatal() => return Err(error.into()),
            CandidateError::Chain(error) => tracing::debug!(%error, "header not checked"),
        }
        Ok(())
    }
}
