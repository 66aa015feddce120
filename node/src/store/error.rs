//! Everything that opening, reading or writing the store can report.

use std::path::{Path, PathBuf};

use descent_runtime::{H256, StateError};

/// A store that could not be opened, read or written.
///
/// The variants with a `path` are about the folder; the others are commits that break one of the
/// store's rules and leave it unchanged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another handle of this one, has the database open.
    #[error("{}: in use by another process", path.display())]
    Locked {
        /// The database folder.
        path: PathBuf,
    },
    /// The folder holds files that are no database of this program.
    #[error("{}: not a descent database: {cause}", path.display())]
    NotADatabase {
        /// The folder.
        path: PathBuf,
        /// What was found instead.
        cause: String,
    },
    /// The database belongs to a chain with another genesis block.
    #[error("{}: genesis block is {got}, expected {expected}", path.display())]
    OtherChain {
        /// The database folder.
        path: PathBuf,
        /// Genesis hash found.
        got: H256,
        /// Genesis hash of the chain that was asked for.
        expected: H256,
    },
    /// The database was written in a format that this program does not read.
    #[error("{}: format version is {got}, expected {expected}", path.display())]
    Version {
        /// The database folder.
        path: PathBuf,
        /// Version found.
        got: u32,
        /// Version that this program writes.
        expected: u32,
    },
    /// A file is damaged, a record does not decode, or a record that another one names is missing.
    #[error("{}: corrupted: {cause}", path.display())]
    Corrupted {
        /// The database folder.
        path: PathBuf,
        /// What is damaged.
        cause: String,
    },
    /// The file system refuses to let the database grow. Nothing of the write took effect, reading
    /// goes on working, and the same write may be tried again once there is space; the database
    /// notices freed space within some seconds.
    #[error("{}: no space left: {cause}", path.display())]
    NoSpace {
        /// The database folder.
        path: PathBuf,
        /// The database's own words.
        cause: String,
    },
    /// Any other failure of the file system.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The database folder.
        path: PathBuf,
        /// The database's or the system's own words.
        cause: String,
    },
    /// The genesis state's root must be the one in the genesis header.
    #[error("genesis state has root {got}, expected {expected}")]
    GenesisState {
        /// Root of the given state.
        got: H256,
        /// Root in the header.
        expected: H256,
    },
    /// A block is committed once.
    #[error("block {hash} is stored already")]
    KnownBlock {
        /// The block.
        hash: H256,
    },
    /// The parent must be stored before its child.
    #[error("block {hash}: parent {parent} is not stored")]
    UnknownParent {
        /// The block.
        hash: H256,
        /// Its parent.
        parent: H256,
    },
    /// A block's number is its parent's plus one.
    #[error("block {hash}: number is {got}, expected {expected}")]
    WrongNumber {
        /// The block.
        hash: H256,
        /// Its number.
        got: u32,
        /// The parent's plus one.
        expected: u32,
    },
    /// Every new block must descend from the finalized one.
    #[error("block {hash} at {number} does not descend from finalized block {finalized_hash} at {finalized}")]
    BelowFinalized {
        /// The block.
        hash: H256,
        /// Its number.
        number: u32,
        /// Hash of the finalized block.
        finalized_hash: H256,
        /// Number of the finalized block.
        finalized: u32,
    },
    /// Sidecars named by a block's receipts come with the block or are stored already.
    #[error("block {hash}: sidecar {digest} is neither given nor stored")]
    MissingSidecar {
        /// The block.
        hash: H256,
        /// Digest of the missing bytes.
        digest: H256,
    },
    /// A sidecar that no receipt names would never be pruned.
    #[error("block {hash}: no receipt names sidecar {digest}")]
    UnreferencedSidecar {
        /// The block.
        hash: H256,
        /// Digest of the superfluous bytes.
        digest: H256,
    },
    /// A given checkpoint is the one of the block's post-state.
    #[error("block {hash}: checkpoint has root {got}, expected {expected}")]
    WrongCheckpoint {
        /// The block.
        hash: H256,
        /// Root of the given checkpoint.
        got: H256,
        /// Root in the block's post-state.
        expected: H256,
    },
    /// No stored block has this state, or it has been pruned.
    #[error("state {root} is not stored")]
    UnknownState {
        /// The state's trie root.
        root: H256,
    },
}

impl StoreError {
    /// Whether the disk or the database failed; everything else says that something is not stored, or not any more.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::NotADatabase { .. }
            | Self::OtherChain { .. }
            | Self::Version { .. }
            | Self::Corrupted { .. }
            | Self::NoSpace { .. }
            | Self::Io { .. }
            | Self::GenesisState { .. } => true,
            Self::KnownBlock { .. }
            | Self::UnknownParent { .. }
            | Self::WrongNumber { .. }
            | Self::BelowFinalized { .. }
            | Self::MissingSidecar { .. }
            | Self::UnreferencedSidecar { .. }
            | Self::WrongCheckpoint { .. }
            | Self::UnknownState { .. } => false,
        }
    }

    pub(super) fn corrupted(path: &Path, cause: impl Into<String>) -> Self {
        Self::Corrupted { path: path.to_owned(), cause: cause.into() }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::from_text(path, error.to_string())
    }

    /// Sorts an error of RocksDB. Its bindings hand on the status as text, so the text decides.
    pub(super) fn rocks(path: &Path, error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let text = error.into_string();
        // The first comes from the system's lock between processes, the second from RocksDB's own
        // table of open folders in this process.
        let locked = text.contains("While lock file") && text.contains("Resource temporarily unavailable");
        if locked || text.contains("lock hold by current process") {
            return Self::Locked { path: path.to_owned() };
        }
        match kind {
            // Invalid argument: the files disagree with the columns that every database has.
            rocksdb::ErrorKind::Corruption | rocksdb::ErrorKind::InvalidArgument => Self::corrupted(path, text),
            // A file named by the manifest is gone.
            rocksdb::ErrorKind::IOError if text.contains("No such file or directory") => Self::corrupted(path, text),
            _ => Self::from_text(path, text),
        }
    }

    fn from_text(path: &Path, cause: String) -> Self {
        const FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];
        let path = path.to_owned();
        if FULL.iter().any(|words| cause.contains(words)) {
            Self::NoSpace { path, cause }
        } else {
            Self::Io { path, cause }
        }
    }
}

/// The runtime knows of backends only that they fail.
impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        Self::Backend(error.to_string())
    }
}
