//! What opening makes of a folder.

use std::fs;
use std::path::PathBuf;

use codec::Encode;

use super::*;

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A folder with a closed store of some blocks, part of it in tables, part in a log.
fn closed() -> TempDir {
    let (folder, store) = fresh();
    extend_by(&store, genesis(0).hash(), 1, 12);
    drop(store);
    // Opening moves the log into tables.
    let store = open(folder.path()).unwrap();
    extend(&store, store.best().unwrap().hash, 99, true);
    drop(store);
    folder
}

fn file(folder: &Path, matches: impl Fn(&str) -> bool) -> PathBuf {
    let mut files: Vec<_> = contents(folder).into_keys().collect();
    files.retain(|path| matches(path.file_name().unwrap().to_str().unwrap()));
    // The biggest, where there are several.
    files.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).expect("there is such a file")
}

/// Opening fails with what `expected` wants, and changes nothing.
fn refuses(folder: &Path, genesis: &GenesisRecord, expected: impl Fn(&StoreError) -> bool) {
    let before = contents(folder);
    let error = Store::open(folder, genesis, OPTIONS).err().expect("refused");
    assert!(expected(&error), "{error}");
    assert!(error.to_string().starts_with(folder.to_str().unwrap()), "{error}");
    let after = contents(folder);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "a file has changed");
}

fn is_corrupted(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupted { .. })
}

fn is_foreign(error: &StoreError) -> bool {
    matches!(error, StoreError::NotADatabase { .. })
}

#[test]
fn a_store_reopens_as_it_was() {
    let folder = closed();
    let store = open(folder.path()).unwrap();
    assert_eq!(store.best().unwrap().number, 13);
    assert_consistent(&store);
}

#[test]
fn an_absent_folder_is_made_with_its_parents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chains").join("dev");
    drop(open(&path).unwrap());
    assert_consistent(&open(&path).unwrap());
}

#[test]
fn a_second_handle_finds_it_locked() {
    let (folder, store) = fresh();
    refuses(folder.path(), &genesis(0), |error| matches!(error, StoreError::Locked { .. }));
    extend(&store, genesis(0).hash(), 1, true);
    drop(store);
    open(folder.path()).unwrap();
}

#[test]
fn another_chain_is_left_alone() {
    let folder = closed();
    let (got, expected) = (genesis(0).hash(), genesis(1).hash());
    refuses(
        folder.path(),
        &genesis(1),
        |error| matches!(error, StoreError::OtherChain { got: g, expected: e, .. } if (*g, *e) == (got, expected)),
    );
}

#[test]
fn another_format_is_left_alone() {
    let (folder, store) = fresh();
    let mut transaction = store.database.transaction();
    transaction.put(Column::Chain, keys::FORMAT, 2u32.encode());
    transaction.commit().unwrap();
    drop(store);
    // It may well have columns that this one lacks.
    let mut options = rocksdb::Options::default();
    options.create_missing_column_families(true);
    let columns = Column::ALL.map(Column::name).into_iter().chain(["novel"]);
    drop(rocksdb::DB::open_cf(&options, folder.path(), columns).unwrap());
    refuses(folder.path(), &genesis(0), |error| matches!(error, StoreError::Version { got: 2, expected: 1, .. }));
}

#[test]
fn other_files_are_no_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "text").unwrap();
    refuses(folder.path(), &genesis(0), is_foreign);
    let file = folder.path().join("thesis.tex");
    assert!(is_foreign(&open(&file).err().unwrap()), "a file is no folder");
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = rocksdb::DB::open_default(folder.path()).unwrap();
    db.put(b"key", b"value").unwrap();
    drop(db);
    refuses(folder.path(), &genesis(0), is_foreign);
    let folder = tempfile::tempdir().unwrap();
    db = rocksdb::DB::open_default(folder.path()).unwrap();
    db.create_cf("theirs", &rocksdb::Options::default()).unwrap();
    drop(db);
    refuses(folder.path(), &genesis(0), is_foreign);
}

#[test]
fn an_interrupted_initialisation_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, folder.path(), ["headers", "meta"]).unwrap());
    assert_consistent(&open(folder.path()).unwrap());
    // Even before there was a database.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("LOCK"), "").unwrap();
    fs::write(folder.path().join("MANIFEST-000001"), "").unwrap();
    assert_consistent(&open(folder.path()).unwrap());
}

#[test]
fn the_genesis_state_is_that_of_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = genesis(0);
    wrong.state.insert(vec![77], Some(vec![1]));
    let error = Store::open(folder.path(), &wrong, OPTIONS).err().unwrap();
    assert!(matches!(error, StoreError::GenesisState { .. }), "{error}");
    // Nothing but empty columns came of it.
    assert_consistent(&open(folder.path()).unwrap());
}

#[test]
fn damage_to_current_is_reported() {
    for bytes in ["", "MANIFEST-999999\n", "nonsense"] {
        let folder = closed();
        fs::write(folder.path().join("CURRENT"), bytes).unwrap();
        refuses(folder.path(), &genesis(0), is_corrupted);
    }
    let folder = closed();
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    refuses(folder.path(), &genesis(0), is_corrupted);
}

/// What is cut off may be a record that names nothing: then the store opens whole. It never opens as less.
#[test]
fn damage_to_the_manifest_is_reported_or_loses_nothing() {
    let folder = closed();
    let manifest = file(folder.path(), |name| name.starts_with("MANIFEST"));
    let bytes = fs::read(&manifest).unwrap();
    let mut refused = 0;
    for length in (0..bytes.len()).step_by(67) {
        let copy = tempfile::tempdir().unwrap();
        for (path, content) in contents(folder.path()) {
            fs::write(copy.path().join(path.file_name().unwrap()), content).unwrap();
        }
        fs::write(copy.path().join(manifest.file_name().unwrap()), &bytes[..length]).unwrap();
        match open(copy.path()) {
            Ok(store) => {
                assert_eq!(store.best().unwrap().number, 13, "cut at {length} of {}", bytes.len());
                assert_consistent(&store);
            }
            Err(_) => {
                refuses(copy.path(), &genesis(0), is_corrupted);
                refused += 1;
            }
        }
    }
    assert!(refused > bytes.len() / 67 / 2, "{refused} cuts of {} bytes refused", bytes.len());
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(&manifest, &flipped).unwrap();
    refuses(folder.path(), &genesis(0), is_corrupted);
    fs::write(&manifest, &bytes).unwrap();
    assert_consistent(&open(folder.path()).unwrap());
}

#[test]
fn damage_to_a_table_is_reported() {
    let folder = closed();
    let table = file(folder.path(), |name| name.ends_with(".sst"));
    let bytes = fs::read(&table).unwrap();
    for length in [0, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&table, &bytes[..length]).unwrap();
        refuses(folder.path(), &genesis(0), is_corrupted);
    }
    fs::remove_file(&table).unwrap();
    refuses(folder.path(), &genesis(0), is_corrupted);
}

/// A flipped bit inside a table's data shows when it is read, and never as a different value.
#[test]
fn a_flipped_bit_is_never_read_as_data() {
    let folder = closed();
    let table = file(folder.path(), |name| name.ends_with(".sst"));
    let mut bytes = fs::read(&table).unwrap();
    bytes[100] ^= 1;
    fs::write(&table, &bytes).unwrap();
    let read_all = || -> Result<(), StoreError> {
        let store = open(folder.path())?;
        Column::ALL.into_iter().try_for_each(|column| store.database.scan(column, &[]).map(drop))
    };
    assert!(is_corrupted(&read_all().unwrap_err()));
}

#[test]
fn damage_inside_the_log_is_reported() {
    let folder = closed();
    let log = file(folder.path(), |name| name.ends_with(".log"));
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    refuses(folder.path(), &genesis(0), is_corrupted);
}

/// A power cut in the middle of a write tears the last batch, which nobody was told of.
#[test]
fn a_torn_last_batch_is_dropped() {
    let folder = closed();
    let log = file(folder.path(), |name| name.ends_with(".log"));
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 10]).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(store.best().unwrap().number, 12);
    assert_consistent(&store);
}

#[test]
fn damaged_and_missing_records_are_reported() {
    let (_folder, store) = fresh();
    let chain = extend_by(&store, genesis(0).hash(), 1, 3);
    let edit = |column, key: &[u8], value: Option<Vec<u8>>| {
        let mut transaction = store.database.transaction();
        transaction.set(column, key.to_vec(), value);
        transaction.commit().unwrap();
    };
    edit(Column::Meta, chain[0].as_bytes(), Some(vec![1, 2, 3]));
    assert!(is_corrupted(&store.meta(&chain[0]).unwrap_err()));
    // The journal of a block that is to be retracted or pruned.
    edit(Column::Undo, chain[2].as_bytes(), None);
    let fork = child(&store, chain[1], 70, one_change(70));
    assert!(is_corrupted(&store.commit(fork).unwrap_err()));
    edit(Column::Chain, keys::BEST, None);
    assert!(is_corrupted(&store.best().unwrap_err()));
    let root = H256::repeat_byte(3);
    edit(Column::Checkpoints, root.as_bytes(), Some(vec![7u32].encode()));
    assert!(is_corrupted(&store.checkpoint_part(&root, 7).unwrap_err()));
}
