//! Gossip: headers, which are forwarded once their block was verified, and transactions.

use consensus_upow::verify::verify_claims;
use descent_runtime::{ExtrinsicError, H256, Header, SignedExtrinsic};
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};

use super::peers::Ask;
use super::{Command, Sync, SyncError};
use crate::miner::now_ms;
use crate::network::candidates::CandidateError;
use crate::network::faults::Fault;
use crate::network::wire::{MAX_TRANSACTION_BYTES, ProvenHeader, WireError, announced_header};
use crate::pool::PoolError;

/// Announced headers whose witness is under way at most, in all.
const MAX_ANNOUNCED: usize = 256;
/// The same of one peer: a header costs its forger a few hashes as long as no witness is asked for.
const MAX_ANNOUNCED_PER_PEER: usize = 4;
/// Peers that are asked for a witness.
const MAX_ASKED: usize = 3;

/// A header without its witness.
pub(super) struct Announced {
    header: Header,
    source: PeerId,
    asked: Vec<PeerId>,
}

impl Sync {
    pub(super) fn header_announced(&mut self, peer: PeerId, id: MessageId, bytes: &[u8]) -> Result<(), SyncError> {
        let header = match announced_header(bytes) {
            Ok(header) => header,
            Err(error) => {
                self.punish(peer, &error.into());
                self.command(Command::Validated(peer, id, MessageAcceptance::Reject));
                return Ok(());
            }
        };
        let hash = header.hash();
        if !self.may_announce(&peer) {
            self.command(Command::Validated(peer, id, MessageAcceptance::Ignore));
            return Ok(());
        }
        if self.chain.store().meta(&hash)?.is_some() {
            self.command(Command::Validated(peer, id, MessageAcceptance::Accept));
            return Ok(());
        }
        self.waiting.entry(hash).or_default().push((peer, id));
        if self.candidates.contains(&hash) || self.announced.contains_key(&hash) {
            return Ok(());
        }
        let acceptance = self.look_at(peer, hash, header)?;
        if let Some(acceptance) = acceptance {
            self.conclude(&hash, &acceptance);
        }
        Ok(())
    }

    /// Checks what costs nothing and asks for the witness; nothing if the verdict takes longer.
    fn look_at(&mut self, peer: PeerId, hash: H256, header: Header) -> Result<Option<MessageAcceptance>, SyncError> {
        if self.is_unwanted(peer, &hash, &header.parent_hash) {
            return Ok(Some(MessageAcceptance::Ignore));
        }
        let checked = self.candidates.view(&self.chain, header.parent_hash).and_then(|view| {
            verify_claims(self.chain.engine(), &view, &header, now_ms())?;
            Ok(())
        });
        match checked {
            Ok(()) => {}
            Err(CandidateError::UnknownParent(_)) => {
                // This node is behind, or the header is of another branch: its peer's status tells.
                if self.is_free(&peer) {
                    self.ask(peer, Ask::Status);
                }
                return Ok(Some(MessageAcceptance::Ignore));
            }
            Err(error) => {
                let is_final = matches!(&error, CandidateError::Block(rule) if !rule.is_transient());
                self.header_refused(peer, hash, error)?;
                return Ok(Some(if is_final { MessageAcceptance::Reject } else { MessageAcceptance::Ignore }));
            }
        }
        let of_peer = self.announced.values().filter(|a| a.source == peer).count();
        if of_peer >= MAX_ANNOUNCED_PER_PEER || self.announced.len() >= MAX_ANNOUNCED {
            return Ok(Some(MessageAcceptance::Ignore));
        }
        self.announced.insert(hash, Announced { header, source: peer, asked: vec![peer] });
        self.ask(peer, Ask::Witness(hash));
        Ok(None)
    }

    pub(super) fn got_witness(&mut self, peer: PeerId, hash: H256, witness: Vec<u8>) -> Result<(), SyncError> {
        let Some(Announced { header, source, .. }) = self.announced.remove(&hash) else { return Ok(()) };
        let inserted = self.candidates.insert(&self.chain, ProvenHeader { header, witness }, peer, now_ms());
        self.clear_evicted();
        match inserted {
            Ok(_) => {
                self.plan = None;
                // Who announced it has verified it, too.
                if source != peer
                    && let Some(header) = self.candidates.get(&hash).map(|c| c.proven.clone())
                {
                    let _ = self.candidates.insert(&self.chain, header, source, now_ms());
                }
                // It may have been stored meanwhile.
                if !self.candidates.contains(&hash) {
                    self.conclude(&hash, &MessageAcceptance::Accept);
                }
            }
            Err(error) => {
                self.conclude(&hash, &MessageAcceptance::Ignore);
                self.header_refused(peer, hash, error)?;
            }
        }
        Ok(())
    }

    /// Asks another peer for a witness: who announced a header first may be holding it back.
    pub(super) fn witness_missing(&mut self, peer: PeerId, hash: H256) {
        let Some(announced) = self.announced.get(&hash) else { return };
        let next = self.peers.keys().find(|id| **id != peer && !announced.asked.contains(id) && self.is_free(id));
        match next.copied() {
            Some(next) if announced.asked.len() < MAX_ASKED => {
                if let Some(announced) = self.announced.get_mut(&hash) {
                    announced.asked.push(next);
                }
                self.ask(next, Ask::Witness(hash));
            }
            _ => {
                self.announced.remove(&hash);
                self.conclude(&hash, &MessageAcceptance::Ignore);
            }
        }
    }

    pub(super) fn transaction_announced(
        &mut self,
        peer: PeerId,
        id: MessageId,
        bytes: Vec<u8>,
    ) -> Result<(), SyncError> {
        if !self.may_send_transaction(&peer) {
            self.command(Command::Validated(peer, id, MessageAcceptance::Ignore));
            return Ok(());
        }
        let acceptance = match self.take_transaction(bytes)? {
            Ok(acceptance) => acceptance,
            Err(fault) => {
                self.punish(peer, &fault);
                MessageAcceptance::Reject
            }
        };
        self.command(Command::Validated(peer, id, acceptance));
        Ok(())
    }

    fn take_transaction(&self, bytes: Vec<u8>) -> Result<Result<MessageAcceptance, Fault>, SyncError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            let (got, limit) = (bytes.len(), MAX_TRANSACTION_BYTES);
            return Ok(Err(WireError::TooLong { what: "transaction", got, limit }.into()));
        }
        let state = self.chain.store().best_state()?;
        let next = state.block().number.saturating_add(1);
        let (params, genesis) = (&self.chain.spec().params, self.chain.genesis_hash());
        let signed = SignedExtrinsic::decode(&bytes);
        // A mortal one is signed over a block's hash, which another branch may have and this one not.
        let is_mortal = signed.is_ok_and(|signed| signed.birth(next).is_some());
        Ok(match self.pool.submit(params, genesis, &state, next, bytes) {
            Ok(_) => Ok(MessageAcceptance::Accept),
            Err(PoolError::Invalid(error)) if is_wrong_for_ever(&error, is_mortal) => Err(error.into()),
            Err(PoolError::Receipt) => Err(Fault::Receipt),
            // Known, late for its nonce, too cheap, or no room: all of that depends on this node's own state.
            Err(_) => Ok(MessageAcceptance::Ignore),
        })
    }
}

/// Whether an extrinsic is wrong in every state of this chain.
fn is_wrong_for_ever(error: &ExtrinsicError, is_mortal: bool) -> bool {
    use ExtrinsicError as E;
    match error {
        E::Signature => !is_mortal,
        E::LengthPrefix
        | E::Length { .. }
        | E::Version { .. }
        | E::Malformed { .. }
        | E::AddressKind
        | E::TrailingBytes { .. }
        | E::MetadataHashMode { .. }
        | E::ZeroSender => true,
        _ => false,
    }
}
