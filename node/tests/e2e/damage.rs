//! Damaged database files: one line, no panic, and nothing made worse.

use std::path::PathBuf;

use crate::support::{Place, contents, error_of};

/// A chain whose blocks are in tables, not only in the log of the last run.
fn with_tables() -> Place {
    let place = Place::new();
    place.mine(10);
    place.mine(1);
    place.verify();
    place
}

/// The database's files of a kind, the largest one last.
fn files(place: &Place, kind: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files = contents(&place.database());
    files.retain(|(path, _)| kind(path.file_name().unwrap().to_str().unwrap()));
    files.sort_by_key(|(_, bytes)| bytes.len());
    files.into_iter().map(|(path, _)| path).collect()
}

/// Every command fails, and names the folder or the first bad block.
fn is_refused(place: &Place) {
    let export = place.path("export").display().to_string();
    for args in [&["verify"][..], &["export-checkpoint", &export], &["--mine", "--rpc-port", "0", "--stop-after", "1"]]
    {
        let error = error_of(place.args(args));
        let folder = place.database().display().to_string();
        assert!(error.starts_with(&format!("{folder}: ")), "{args:?}: {error}");
    }
    assert!(!place.path("export").exists());
}

#[test]
fn a_damaged_index_of_files_is_refused_and_left_alone() {
    let place = with_tables();
    let [current] = &files(&place, |name| name == "CURRENT")[..] else { panic!("one CURRENT") };
    let manifest = files(&place, |name| name.starts_with("MANIFEST-")).pop().unwrap();
    let healthy = contents(&place.database());
    for (file, keep) in [(current, 0), (current, 5), (&manifest, 0), (&manifest, 100)] {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..keep]).unwrap();
        let damaged = contents(&place.database());
        is_refused(&place);
        assert_eq!(contents(&place.database()), damaged, "{} was changed", file.display());
        std::fs::write(file, bytes).unwrap();
    }
    std::fs::remove_file(current).unwrap();
    is_refused(&place);
    std::fs::write(current, &healthy.iter().find(|(path, _)| path == current).unwrap().1).unwrap();
    // As it was: nothing was lost by looking.
    assert_eq!(place.verify()["to"], 11);
}

#[test]
fn damaged_tables_do_not_verify() {
    let place = with_tables();
    let table = files(&place, |name| name.ends_with(".sst")).pop().expect("tables");
    let bytes = std::fs::read(&table).unwrap();
    let mut flipped = bytes.clone();
    // A byte of every block of the table.
    flipped.iter_mut().step_by(1000).for_each(|byte| *byte ^= 0x10);
    // Tables are only read where something in them is asked for: the block that fails is named, too.
    let does_not_verify = || {
        let error = error_of(place.args(&["verify"]));
        let folder = place.database().display().to_string();
        assert!(error.contains(&folder) && error.contains("orrupt"), "{error}");
    };
    std::fs::write(&table, &flipped).unwrap();
    does_not_verify();
    std::fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    does_not_verify();
    std::fs::remove_file(&table).unwrap();
    does_not_verify();
    std::fs::write(&table, &bytes).unwrap();
    assert_eq!(place.verify()["to"], 11);
}

#[test]
fn a_damaged_log_does_not_verify() {
    let place = Place::new();
    place.mine(6);
    let log = files(&place, |name| name.ends_with(".log")).pop().expect("a log");
    let bytes = std::fs::read(&log).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&log, &flipped).unwrap();
    is_refused(&place);
    std::fs::write(&log, &bytes).unwrap();
    assert_eq!(place.verify()["to"], 6);
    // A torn tail is what a power cut leaves of the last batch: the blocks before it stay.
    place.mine(1);
    let log = files(&place, |name| name.ends_with(".log")).pop().expect("a log");
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 10]).unwrap();
    assert_eq!(place.verify()["to"], 6);
    place.mine(1);
}
