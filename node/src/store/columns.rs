//! The database's columns, and the layout of their keys.
//!
//! Numbers in keys are big endian, so that the order of keys is the order of numbers.

use descent_runtime::H256;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, Options};

/// A RocksDB column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// Single values under the names of [`keys`]. RocksDB's default column: it exists in every
    /// database, so the format is readable before anything else is known.
    Chain,
    /// Block hash to header.
    Headers,
    /// Block hash to [`StoredBody`](super::StoredBody).
    Bodies,
    /// Block hash to [`BlockMeta`](super::BlockMeta).
    Meta,
    /// Number to hash, of the best chain.
    Numbers,
    /// Number and hash of every block, no value.
    Heights,
    /// Parent's hash and child's hash, no value.
    Children,
    /// Hash to number of the blocks that have no child and may still get one.
    Leaves,
    /// Prefixed trie nodes.
    Nodes,
    /// Trie node key to the number of its references beyond the first.
    NodeRefs,
    /// Block hash to [`Journal`](super::records::Journal), until the block is pruned.
    Journal,
    /// State of the best block: key to value.
    Flat,
    /// Block hash to [`Undo`](super::records::Undo), for blocks of the best chain until pruned.
    Undo,
    /// Digest to bytes.
    Sidecars,
    /// Digest and hash of a block that needs it, no value.
    SidecarRefs,
    /// Checkpoint root to its part numbers.
    Checkpoints,
    /// Checkpoint root and part number to bytes.
    CheckpointParts,
}

impl Column {
    pub(super) const ALL: [Self; 17] = [
        Self::Chain,
        Self::Headers,
        Self::Bodies,
        Self::Meta,
        Self::Numbers,
        Self::Heights,
        Self::Children,
        Self::Leaves,
        Self::Nodes,
        Self::NodeRefs,
        Self::Journal,
        Self::Flat,
        Self::Undo,
        Self::Sidecars,
        Self::SidecarRefs,
        Self::Checkpoints,
        Self::CheckpointParts,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chain => rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Meta => "meta",
            Self::Numbers => "numbers",
            Self::Heights => "heights",
            Self::Children => "children",
            Self::Leaves => "leaves",
            Self::Nodes => "nodes",
            Self::NodeRefs => "node_refs",
            Self::Journal => "journal",
            Self::Flat => "flat",
            Self::Undo => "undo",
            Self::Sidecars => "sidecars",
            Self::SidecarRefs => "sidecar_refs",
            Self::Checkpoints => "checkpoints",
            Self::CheckpointParts => "checkpoint_parts",
        }
    }

    /// All columns with their settings; one cache serves them all.
    pub(super) fn descriptors() -> Vec<ColumnFamilyDescriptor> {
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        Self::ALL.into_iter().map(|column| ColumnFamilyDescriptor::new(column.name(), column.options(&cache))).collect()
    }

    fn options(self, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        // Most look-ups of a node that is about to be inserted find nothing.
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        // Hashes, packed tensors and entropy-coded blobs do not shrink.
        options.set_compression_type(rocksdb::DBCompressionType::None);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options
    }
}

const CACHE_BYTES: usize = 64 << 20;

/// RocksDB resumes after a full disk once this much is free, hence no bigger.
const WRITE_BUFFER_BYTES: usize = 16 << 20;

/// Names in [`Column::Chain`].
pub(super) mod keys {
    /// Format version: what marks a complete database.
    pub(crate) const FORMAT: &[u8] = b"format";
    /// Genesis hash.
    pub(crate) const GENESIS: &[u8] = b"genesis";
    /// The best block.
    pub(crate) const BEST: &[u8] = b"best";
    /// The finalized block.
    pub(crate) const FINALIZED: &[u8] = b"finalized";
    /// Number up to which journals are gone: the oldest block of the best chain with a state.
    pub(crate) const PRUNED: &[u8] = b"pruned";
    /// How many blocks were committed.
    pub(crate) const IMPORTS: &[u8] = b"imports";
    /// Blocks of the best chain below this number have no sidecars any more.
    pub(crate) const SIDECAR_FLOOR: &[u8] = b"sidecar_floor";
    /// The oldest block that can be executed again.
    pub(crate) const REPLAYABLE: &[u8] = b"replayable";
}

/// Joins a hash and what follows it.
pub(super) fn hash_key(first: &H256, rest: &[u8]) -> Vec<u8> {
    [first.as_bytes(), rest].concat()
}

/// Key of [`Column::Heights`].
pub(super) fn height_key(number: u32, hash: &H256) -> Vec<u8> {
    [&number.to_be_bytes()[..], hash.as_bytes()].concat()
}

/// The hash at the end of a composed key.
pub(super) fn trailing_hash(key: &[u8]) -> Option<H256> {
    key.last_chunk::<32>().map(H256::from)
}
