//! Room for candidates: when there is none, whoever brought the most and nothing true gives some.

use descent_runtime::H256;
use libp2p::PeerId;

use super::{CandidateError, Candidates, MAX_BYTES, MAX_CANDIDATES};

impl Candidates {
    /// Candidates that a peer brought first.
    pub fn of_peer(&self, peer: &PeerId) -> usize {
        self.of_peer.get(peer).copied().unwrap_or(0)
    }

    /// Whether a block was stored that a peer presented as a candidate.
    pub fn has_led(&self, peer: &PeerId) -> bool {
        self.led.contains(peer)
    }

    /// Forgets the merits of a peer that left.
    pub fn left(&mut self, peer: &PeerId) {
        self.led.remove(peer);
    }

    /// Candidates that made room since this was last asked.
    pub fn take_evicted(&mut self) -> Vec<H256> {
        std::mem::take(&mut self.evicted)
    }

    pub(super) fn has_room(&self, size: usize) -> bool {
        self.len() < MAX_CANDIDATES && self.bytes.saturating_add(size) <= MAX_BYTES
    }

    /// A tip that gives way to a candidate of `source` on `parent`: of the peer with the most candidates among those that
    /// never led to a stored block, or else of the one with the most. A peer with fewer than `source` keeps its own,
    /// unless only `source` has merits.
    pub(super) fn evictable(&self, source: &PeerId, parent: &H256) -> Option<H256> {
        let own = self.of_peer(source);
        let gives_way = |peer: &PeerId, count: usize| {
            peer != source && (count > own || (self.has_led(source) && !self.has_led(peer)))
        };
        let others = self.of_peer.iter().filter(|(peer, count)| gives_way(peer, **count));
        let (peer, _) = others.max_by_key(|(peer, count)| (!self.has_led(peer), **count))?;
        let tips = self.tips().filter(|(hash, c)| c.sources.first() == Some(peer) && *hash != parent);
        // From the far end of its branches.
        tips.max_by_key(|(_, c)| c.proven.header.number).map(|(hash, _)| *hash)
    }

    pub(super) fn make_room(&mut self, size: usize, source: &PeerId, parent: &H256) -> Result<(), CandidateError> {
        while !self.has_room(size) {
            let Some(tip) = self.evictable(source, parent) else {
                return Err(CandidateError::Full { got: self.len(), bytes: self.bytes });
            };
            self.take(&tip);
            self.evicted.push(tip);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use consensus_upow::difficulty::Work;
    use descent_runtime::Header;

    use super::super::Candidate;
    use super::*;
    use crate::network::wire::ProvenHeader;

    /// Adds a chain of candidates of a peer, on a block of its own.
    fn fill(candidates: &mut Candidates, peer: PeerId, count: u32) -> Vec<H256> {
        let mut parent = H256::from_low_u64_be((1 << 32) + candidates.len() as u64);
        let chain = (1..=count).map(|number| {
            let header = Header {
                parent_hash: parent,
                number,
                state_root: H256::zero(),
                extrinsics_root: H256::zero(),
                digest: Default::default(),
            };
            let (root, proven) = (parent, ProvenHeader { header, witness: Vec::new() });
            parent = proven.header.hash();
            let work = Work(0.into());
            candidates.keep(parent, Candidate { proven, work, sources: vec![peer], root, first: None });
            parent
        });
        chain.collect()
    }

    #[test]
    fn who_brought_the_most_and_nothing_true_gives_way() {
        let mut candidates = Candidates::default();
        let [greedy, modest, honest] = std::array::from_fn(|_| PeerId::random());
        let greedy_chain = fill(&mut candidates, greedy, 1000);
        let modest_chain = fill(&mut candidates, modest, 500);
        let honest_chain = fill(&mut candidates, honest, MAX_CANDIDATES as u32 - 1500);
        let parent = honest_chain[honest_chain.len() - 1];
        assert!(!candidates.has_room(1));
        candidates.make_room(1, &honest, &parent).unwrap();
        assert_eq!(candidates.take_evicted(), [greedy_chain[999]]);
        assert_eq!(candidates.of_peer(&greedy), 999);
        // Full again: the greedy one itself gets no more room.
        fill(&mut candidates, modest, 1);
        let error = candidates.make_room(1, &greedy, &greedy_chain[998]).unwrap_err();
        assert!(matches!(error, CandidateError::Full { got: MAX_CANDIDATES, .. }), "{error}");
        // Nor when its blocks turn out to be true does it take from those with merits and fewer.
        candidates.led.extend([greedy, honest]);
        candidates.make_room(1, &greedy, &greedy_chain[998]).unwrap();
        assert_eq!(candidates.of_peer(&modest), 500);
        assert!(candidates.contains(&modest_chain[0]) && candidates.contains(&parent));
    }
}
