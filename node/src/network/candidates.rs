//! Headers whose witness was checked and whose blocks were not: bounded in number and bytes, without any weight.

use std::collections::{HashMap, HashSet};

use consensus_upow::difficulty::Work;
use consensus_upow::verify::{BlockError, verify_header};
use consensus_upow::view::{HeaderView, ViewError};
use descent_runtime::{BlockNumber, ChainParams, H256, Header};
use libp2p::PeerId;

use super::wire::ProvenHeader;
use crate::chain::{Chain, ImportError, StoreView};
use crate::store::StoreError;

mod room;

/// Candidates at most.
pub const MAX_CANDIDATES: usize = 2048;
/// Bytes of candidates at most, witnesses included.
pub const MAX_BYTES: usize = 128 << 20;
/// Candidates that one peer brought at most: no single one fills the list.
pub const MAX_PER_PEER: usize = 1024;
/// Peers remembered for a candidate.
const MAX_SOURCES: usize = 8;

/// A header waiting for its block.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Header and witness.
    pub proven: ProvenHeader,
    /// Work that the chain up to it claims; the witnesses prove an eighth of what is not verified.
    pub work: Work,
    /// Who had it, the first one first.
    pub sources: Vec<PeerId>,
    /// The stored block that its branch hangs on.
    root: H256,
    /// Block 1 of its branch, while that one is a candidate too: the difficulty's anchor.
    first: Option<H256>,
}

/// What became of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is a candidate now.
    New,
    /// It was one already, or its block is stored.
    Known,
}

/// Why a header is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// Neither a stored block nor a candidate.
    #[error("parent {0} is unknown")]
    UnknownParent(H256),
    /// The rules.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// No room; later there may be.
    #[error("{got} candidates of {bytes} bytes are waiting, expected at most {MAX_CANDIDATES} of {MAX_BYTES} bytes")]
    Full {
        /// Candidates waiting.
        got: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The branch leaves the best chain deeper than this node reorganises.
    #[error("branch leaves the best chain at block {at}, below block {horizon}: too deep to reorganise")]
    BelowHorizon {
        /// Where it leaves.
        at: BlockNumber,
        /// The oldest block it may leave at.
        horizon: BlockNumber,
    },
    /// Chain data could not be read.
    #[error(transparent)]
    Chain(#[from] ImportError),
}

/// The waiting headers, a forest over stored blocks.
#[derive(Default)]
pub struct Candidates {
    by_hash: HashMap<H256, Candidate>,
    children: HashMap<H256, Vec<H256>>,
    of_peer: HashMap<PeerId, usize>,
    /// Peers whose candidates led to stored blocks.
    led: HashSet<PeerId>,
    /// Those that made room, until they are asked for.
    evicted: Vec<H256>,
    bytes: usize,
}

impl Candidates {
    /// Number waiting.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A candidate.
    pub fn get(&self, hash: &H256) -> Option<&Candidate> {
        self.by_hash.get(hash)
    }

    /// Whether it is one.
    pub fn contains(&self, hash: &H256) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&H256, &Candidate)> {
        self.by_hash.iter()
    }

    /// Candidates without a child.
    pub fn tips(&self) -> impl Iterator<Item = (&H256, &Candidate)> {
        self.by_hash.iter().filter(|(hash, _)| !self.children.contains_key(*hash))
    }

    /// The chain as seen from a header's parent, stored or a candidate.
    ///
    /// # Errors
    /// [`CandidateError::UnknownParent`], [`CandidateError::BelowHorizon`], or the store's.
    pub fn view<'a>(&'a self, chain: &'a Chain, parent: H256) -> Result<CandidateView<'a>, CandidateError> {
        let (root, first) = match self.by_hash.get(&parent) {
            Some(candidate) => (candidate.root, candidate.first),
            None => (parent, None),
        };
        let root = view_above_horizon(chain, root)?;
        Ok(CandidateView { candidates: self, root, parent, first })
    }

    /// Checks a header with its witness and keeps it.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn insert(
        &mut self,
        chain: &Chain,
        proven: ProvenHeader,
        source: PeerId,
        now_ms: u64,
    ) -> Result<Inserted, CandidateError> {
        let hash = proven.header.hash();
        if let Some(known) = self.by_hash.get_mut(&hash) {
            if known.sources.len() < MAX_SOURCES && !known.sources.contains(&source) {
                known.sources.push(source);
            }
            return Ok(Inserted::Known);
        }
        if chain.store().meta(&hash).map_err(ImportError::from)?.is_some() {
            return Ok(Inserted::Known);
        }
        let of_peer = self.of_peer.get(&source).copied().unwrap_or(0);
        let size = size(&proven);
        let parent = proven.header.parent_hash;
        // Looked at before the witness, which takes longer.
        if of_peer >= MAX_PER_PEER || (!self.has_room(size) && self.evictable(&source, &parent).is_none()) {
            return Err(CandidateError::Full { got: self.len(), bytes: self.bytes });
        }
        let view = self.view(chain, proven.header.parent_hash)?;
        let (_, target) = verify_header(chain.engine(), &view, &proven.header, &proven.witness, now_ms)?;
        let work = view.work().saturating_add(target.work());
        let first = if proven.header.number == 1 { Some(hash) } else { view.first };
        let root = view.root.parent_hash();
        drop(view);
        self.make_room(size, &source, &parent)?;
        self.keep(hash, Candidate { proven, work, sources: vec![source], root, first });
        Ok(Inserted::New)
    }

    fn keep(&mut self, hash: H256, candidate: Candidate) {
        self.children.entry(candidate.proven.header.parent_hash).or_default().push(hash);
        if let Some(source) = candidate.sources.first() {
            *self.of_peer.entry(*source).or_default() += 1;
        }
        self.bytes += size(&candidate.proven);
        self.by_hash.insert(hash, candidate);
    }

    /// Takes out a candidate whose block is stored now; its children hang on that block.
    pub fn promote(&mut self, hash: &H256) -> Option<Candidate> {
        let taken = self.take(hash)?;
        self.led.extend(&taken.sources);
        // Once block 1 is stored, its branch's anchor is found through the store.
        let is_first = taken.proven.header.number == 1;
        let mut below: Vec<H256> = self.children.get(hash).cloned().unwrap_or_default();
        while let Some(next) = below.pop() {
            if let Some(candidate) = self.by_hash.get_mut(&next) {
                candidate.root = *hash;
                if is_first {
                    candidate.first = None;
                }
            }
            below.extend(self.children.get(&next).into_iter().flatten());
        }
        Some(taken)
    }

    /// Takes out a candidate with everything that builds on it.
    pub fn remove_branch(&mut self, hash: &H256) -> Vec<(H256, Candidate)> {
        let (mut removed, mut below) = (Vec::new(), vec![*hash]);
        while let Some(next) = below.pop() {
            below.extend(self.children.get(&next).into_iter().flatten());
            removed.extend(self.take(&next).map(|candidate| (next, candidate)));
        }
        removed
    }

    fn take(&mut self, hash: &H256) -> Option<Candidate> {
        let candidate = self.by_hash.remove(hash)?;
        self.bytes -= size(&candidate.proven);
        if let Some(source) = candidate.sources.first()
            && let Some(count) = self.of_peer.get_mut(source)
        {
            *count -= 1;
            if *count == 0 {
                self.of_peer.remove(source);
            }
        }
        let parent = candidate.proven.header.parent_hash;
        if let Some(siblings) = self.children.get_mut(&parent) {
            siblings.retain(|sibling| sibling != hash);
            if siblings.is_empty() {
                self.children.remove(&parent);
            }
        }
        Some(candidate)
    }

    /// The way from the stored block below a candidate up to it, lowest first.
    pub fn path(&self, tip: &H256) -> Vec<H256> {
        let mut path = Vec::new();
        let mut at = *tip;
        while let Some(candidate) = self.by_hash.get(&at) {
            path.push(at);
            at = candidate.proven.header.parent_hash;
        }
        path.reverse();
        path
    }
}

/// Bytes that a candidate holds.
fn size(proven: &ProvenHeader) -> usize {
    use codec::Encode;
    proven.header.encoded_size() + proven.witness.len() + 512
}

/// The view of a stored block. The store gives up what leaves the best chain below its finalized block, with the states
/// down there: no header on them is worth a look, and asking for such a state is no failure of the store.
fn view_above_horizon(chain: &Chain, root: H256) -> Result<StoreView<'_>, CandidateError> {
    let (store, unknown) = (chain.store(), || CandidateError::UnknownParent(root));
    let at = store.meta(&root).map_err(ImportError::from)?.ok_or_else(unknown)?.number;
    let horizon = || Ok::<_, ImportError>(store.finalized()?.number);
    let below = horizon()?;
    if at < below {
        return Err(CandidateError::BelowHorizon { at, horizon: below });
    }
    chain.view(root).map_err(|error| match error {
        ImportError::UnknownParent(hash) => CandidateError::UnknownParent(hash),
        // Between the two the horizon may have moved over the block.
        ImportError::Store(StoreError::UnknownState { .. }) => match horizon() {
            Ok(horizon) => CandidateError::BelowHorizon { at, horizon },
            Err(error) => error.into(),
        },
        other => other.into(),
    })
}

/// The headers below a candidate.
pub struct CandidateView<'a> {
    candidates: &'a Candidates,
    root: StoreView<'a>,
    parent: H256,
    first: Option<H256>,
}

impl CandidateView<'_> {
    /// Work that the chain up to the parent claims.
    fn work(&self) -> Work {
        self.candidates.get(&self.parent).map_or_else(|| self.root.work(), |c| c.work)
    }
}

impl HeaderView for CandidateView<'_> {
    fn params(&self) -> &ChainParams {
        self.root.params()
    }

    fn parent_hash(&self) -> H256 {
        self.parent
    }

    fn parent(&self) -> &Header {
        self.candidates.get(&self.parent).map_or_else(|| self.root.parent(), |c| &c.proven.header)
    }

    fn ancestor(&self, number: BlockNumber) -> Result<(H256, Header), ViewError> {
        if number <= self.root.parent().number {
            return self.root.ancestor(number);
        }
        let mut at = match self.first {
            Some(first) if number == 1 => first,
            _ => self.parent,
        };
        while let Some(candidate) = self.candidates.get(&at) {
            let header = &candidate.proven.header;
            if header.number == number {
                return Ok((at, header.clone()));
            }
            at = header.parent_hash;
        }
        Err(ViewError::Missing { what: "ancestor", hash: at })
    }
}
