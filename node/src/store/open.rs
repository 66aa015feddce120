//! Opening a folder: what is in it is found out before anything in it changes.

use std::fs::{self, File};
use std::path::Path;

use codec::Encode;
use descent_runtime::{H256, Header, trie};
use rocksdb::{DB, DBRecoveryMode, InfoLogger, LogLevel, Options};

use super::columns::{Column, keys};
use super::database::Database;
use super::read::Read;
use super::records::{BlockMeta, BlockRef, GenesisRecord, StoredBody};
use super::state::TrieBackend;
use super::{StoreError, commit, refs};

/// What the layout of columns and records is called; raised with every change to it.
const FORMAT: u32 = 1;

/// What a folder turned out to hold.
#[derive(PartialEq, Eq)]
enum Folder {
    /// Nothing, or the remains of an initialisation that never got to its only batch.
    Fresh,
    /// A database.
    Database,
}

/// Opens or initialises the database of a chain.
pub(super) fn open(path: &Path, genesis: &GenesisRecord) -> Result<Database, StoreError> {
    let folder = inspect(path, genesis.hash())?;
    let mut options = base_options();
    options.create_if_missing(folder == Folder::Fresh);
    options.create_missing_column_families(folder == Folder::Fresh);
    if folder == Folder::Fresh {
        create_folder(path)?;
    }
    let db = DB::open_cf_descriptors(&options, path, Column::descriptors());
    let database = Database::new(db.map_err(|error| StoreError::rocks(path, error))?, path);
    // Again, now under the lock: another process may have been here since the inspection.
    if !marked(&database, genesis.hash())? {
        initialise(&database, genesis)?;
    }
    Ok(database)
}

fn base_options() -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    // Every batch is synced, so only the very last record of a log can be torn by a crash. The
    // default mode would also stop silently at damage before it, and lose batches reported as done.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // Else a manifest cut short may name an older set of files, and open as an older database.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_open_files(512);
    options.set_max_total_wal_size(256 << 20);
    // RocksDB's own log file would be written even into folders that are only looked at.
    let log = |level, line: &str| match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{}", line.trim_end()),
        _ => tracing::warn!(target: "rocksdb", "{}", line.trim_end()),
    };
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Error, log));
    options
}

/// Looks into a folder without writing to it.
fn inspect(path: &Path, genesis: H256) -> Result<Folder, StoreError> {
    let not_ours = |cause: String| StoreError::NotADatabase { path: path.to_owned(), cause };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Folder::Fresh),
        Err(error) => return Err(StoreError::io(path, &error)),
        Ok(metadata) if !metadata.is_dir() => return Err(not_ours("not a folder".to_owned())),
        Ok(_) => {}
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| StoreError::io(path, &error))? {
        let entry = entry.map_err(|error| StoreError::io(path, &error))?;
        files.push(entry.file_name().to_string_lossy().into_owned());
    }
    if !files.iter().any(|file| file == "CURRENT") {
        // RocksDB writes logs and tables only once CURRENT names a manifest.
        if files.iter().any(|file| file.ends_with(".sst") || file.ends_with(".log")) {
            return Err(StoreError::corrupted(path, "file CURRENT is missing"));
        }
        return match files.into_iter().find(|file| !precedes_current(file)) {
            Some(file) => Err(not_ours(format!("it holds {file}"))),
            None => Ok(Folder::Fresh),
        };
    }
    is_unlocked(path)?;
    let options = base_options();
    let names = DB::list_cf(&options, path).map_err(|error| StoreError::rocks(path, error))?;
    // Reading only, RocksDB writes nothing. Opened for writing, it would go on from whatever a
    // damaged file still tells, and delete the files that are not part of that.
    let columns = names.iter().map(|name| (name, Options::default()));
    let db = DB::open_cf_with_opts_for_read_only(&options, path, columns, false);
    let database = Database::new(db.map_err(|error| StoreError::rocks(path, error))?, path);
    if marked(&database, genesis)? {
        tip_is_complete(&database)?;
        return Ok(Folder::Database);
    }
    if let Some(name) = names.iter().find(|name| Column::ALL.iter().all(|column| column.name() != *name)) {
        return Err(not_ours(format!("it is a database with a column {name}")));
    }
    // The marker is in the first batch ever written: without it, an own database has empty columns
    // and no tables. Every batch counts imports, so that key shows where the marker got lost.
    let empty = database.scan(Column::Chain, &[])?.is_empty();
    if database.has(Column::Chain, keys::IMPORTS)? || empty && files.iter().any(|file| file.ends_with(".sst")) {
        return Err(StoreError::corrupted(path, "the format version is missing"));
    }
    if empty { Ok(Folder::Fresh) } else { Err(not_ours("it is a database without a format version".to_owned())) }
}

/// Nobody has the database open.
///
/// RocksDB takes its lock before it looks at anything else. Told that there must be no database, it
/// then gives up at once, having changed nothing.
fn is_unlocked(path: &Path) -> Result<(), StoreError> {
    let mut options = base_options();
    options.set_error_if_exists(true);
    match DB::open(&options, path).map_err(|error| StoreError::rocks(path, error)) {
        Err(error @ StoreError::Locked { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// Whether RocksDB writes the file before the database exists.
fn precedes_current(file: &str) -> bool {
    let prefixes = ["LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS-"];
    prefixes.iter().any(|prefix| file.starts_with(prefix)) || file.ends_with(".dbtmp")
}

/// Whether the database is complete; an error if it is another chain's or another format's.
fn marked(database: &Database, genesis: H256) -> Result<bool, StoreError> {
    let Some(got) = database.decode::<u32>(Column::Chain, keys::FORMAT)? else {
        return Ok(false);
    };
    let path = database.path().to_owned();
    if got != FORMAT {
        return Err(StoreError::Version { path, got, expected: FORMAT });
    }
    let got = database.expect::<H256>(Column::Chain, keys::GENESIS)?;
    if got != genesis {
        return Err(StoreError::OtherChain { path, got, expected: genesis });
    }
    Ok(true)
}

/// The records around the best block agree, as far as a few reads tell: files of different ages don't.
fn tip_is_complete(database: &Database) -> Result<(), StoreError> {
    let view = database.snapshot();
    let corrupted = |cause: &str| Err(StoreError::corrupted(view.path(), cause));
    let (best, finalized) = (view.best()?, view.finalized()?);
    let pruned = view.expect::<u32>(Column::Chain, keys::PRUNED)?;
    if pruned > finalized.number || finalized.number > best.number {
        return corrupted("best, finalized and oldest kept block are out of order");
    }
    if view.known_hash_at(best.number)? != best.hash || view.known_hash_at(finalized.number)? != finalized.hash {
        return corrupted("the best chain's numbers lead to other blocks");
    }
    if view.hash_at(best.number.saturating_add(1))?.is_some() {
        return corrupted("the best chain has numbers beyond the best block");
    }
    let meta = view.known_meta(&best.hash)?;
    view.expect::<Header>(Column::Headers, best.hash.as_bytes())?;
    view.expect::<StoredBody>(Column::Bodies, best.hash.as_bytes())?;
    if best.number > pruned {
        view.journal(&best.hash)?;
        view.undo(&best.hash)?;
    }
    if meta.state_root != trie::empty_root() && !view.has(Column::Nodes, meta.state_root.as_bytes())? {
        return corrupted("the best block's state is missing");
    }
    Ok(())
}

/// Makes the folder's name as durable as its contents will be.
fn create_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|error| StoreError::io(path, &error))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::io(path, &error))
}

/// Writes the genesis block, in one batch.
fn initialise(database: &Database, genesis: &GenesisRecord) -> Result<(), StoreError> {
    let backend = TrieBackend::new(database.snapshot());
    let built = trie::apply_changes(&backend, trie::empty_root(), &genesis.state);
    let (got, nodes) = built.map_err(|error| StoreError::corrupted(database.path(), error.to_string()))?;
    let expected = genesis.header.state_root;
    if got != expected {
        return Err(StoreError::GenesisState { got, expected });
    }
    let hash = genesis.hash();
    let best = BlockRef { number: genesis.header.number, hash };
    let meta = BlockMeta {
        number: best.number,
        parent: genesis.header.parent_hash,
        state_root: got,
        facts: genesis.facts.clone(),
        import_order: 0,
    };
    let mut transaction = database.transaction();
    let batch = &mut transaction;
    commit::put_block(batch, best, &genesis.header, &StoredBody::default(), &meta);
    batch.put(Column::Numbers, best.number.to_be_bytes(), hash.encode());
    for (key, value) in nodes.inserted {
        refs::retain(batch, key, value)?;
    }
    for (key, value) in &genesis.state {
        batch.set(Column::Flat, key.clone(), value.clone());
    }
    for (key, value) in [
        (keys::BEST, best.encode()),
        (keys::FINALIZED, best.encode()),
        (keys::PRUNED, best.number.encode()),
        (keys::IMPORTS, 1u64.encode()),
        (keys::SIDECAR_FLOOR, best.number.encode()),
        (keys::REPLAYABLE, (best.number + 1).encode()),
        (keys::GENESIS, hash.encode()),
        (keys::FORMAT, FORMAT.encode()),
    ] {
        batch.put(Column::Chain, key, value);
    }
    transaction.commit()
}
