//! What is stored, and what is handed in to be stored.

use codec::{Decode, Encode};
use descent_runtime::trie::NodeChanges;
use descent_runtime::{Changes, H256, Header, header_hash};
use sp_core::U256;

/// The first block, with everything that a fresh store needs.
#[derive(Clone, Debug)]
pub struct GenesisRecord {
    /// Its header; the hash names the chain.
    pub header: Header,
    /// The whole genesis state.
    pub state: Changes,
    /// Facts about the block; it has no receipts and no ticket.
    pub facts: BlockFacts,
}

impl GenesisRecord {
    /// Hash of the genesis block.
    pub fn hash(&self) -> H256 {
        header_hash(&self.header)
    }
}

/// A block's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockRef {
    /// Height above genesis.
    pub number: u32,
    /// Hash of the header.
    pub hash: H256,
}

/// A block's contents beside its header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StoredBody {
    /// Each with its length prefix.
    pub extrinsics: Vec<Vec<u8>>,
    /// The seal's witness.
    pub witness: Vec<u8>,
}

/// What verification found out about a block and the header does not say.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockFacts {
    /// Verified seal work of the whole chain up to and with this block.
    pub work: U256,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Ticket of the block's seal.
    pub ticket: H256,
    /// Checkpoint in the block's post-state.
    pub checkpoint_root: H256,
    /// Digests of details and of blob, per receipt in the block.
    pub receipts: Vec<(H256, H256)>,
}

impl BlockFacts {
    /// Digests of all sidecars; a digest that several receipts name comes several times.
    pub fn sidecars(&self) -> impl Iterator<Item = H256> + '_ {
        self.receipts.iter().flat_map(|(details, blob)| [*details, *blob])
    }
}

/// A stored block in short.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockMeta {
    /// Height above genesis.
    pub number: u32,
    /// Hash of the parent; that of genesis is zero.
    pub parent: H256,
    /// Trie root of the post-state.
    pub state_root: H256,
    /// What verification found out.
    pub facts: BlockFacts,
    /// How many blocks were committed before it: on equal work, the lower one was seen first.
    pub import_order: u64,
}

/// A checkpoint's bytes in numbered parts, in any order: as one value it would be too big.
pub type CheckpointParts = Vec<(u32, Vec<u8>)>;

/// A verified block, ready to be stored.
#[derive(Clone, Debug)]
pub struct ImportCommit {
    /// The sealed header.
    pub header: Header,
    /// Extrinsics and witness.
    pub body: StoredBody,
    /// What verification found out.
    pub facts: BlockFacts,
    /// What execution changed in the trie, against the parent's.
    pub trie: NodeChanges,
    /// What execution changed.
    pub changes: Changes,
    /// Receipt details and gradient blobs by digest. The caller has checked the digests.
    pub sidecars: Vec<(H256, Vec<u8>)>,
    /// A checkpoint as root and numbered parts, from a block that makes one.
    pub checkpoint: Option<(H256, CheckpointParts)>,
    /// Whether fork choice prefers this block to the best one so far.
    pub new_best: bool,
}

/// How the best chain changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Blocks that left it, highest first.
    pub retracted: Vec<BlockRef>,
    /// Blocks that joined it, lowest first.
    pub enacted: Vec<BlockRef>,
}

/// What a block did to the state, kept until the block is pruned.
#[derive(Debug, Encode, Decode)]
pub(super) struct Journal {
    /// Keys of inserted trie nodes.
    pub(super) inserted: Vec<Vec<u8>>,
    /// Keys of dropped trie nodes.
    pub(super) removed: Vec<Vec<u8>>,
    /// Changes by key, to enact the block in the flat state.
    pub(super) changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What the flat state held before a block was enacted.
pub(super) type Undo = Vec<(Vec<u8>, Option<Vec<u8>>)>;
