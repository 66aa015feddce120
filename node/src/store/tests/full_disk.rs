//! Running out of space, in child processes that have little of it.
//!
//! Two ways to run out, since neither says everything: a limit on the size of files works without
//! any privilege, but RocksDB gives up writing for good after such an error, so the retry needs a
//! reopened store; a small file system in a mount namespace of its own is the real thing, with the
//! retry in place, but some systems let no unprivileged process mount one. There, the test says so.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::*;

/// Name the folder, and what ends its space, to the child process.
const FOLDER: &str = "DESCENT_STORE_FULL_FOLDER";
const BALLAST: &str = "DESCENT_STORE_FULL_BALLAST";

/// Bytes of each block's sidecar.
const BLOCK_BYTES: usize = 1 << 20;

/// Runs a test of this file once more, in a shell that takes its space away first.
fn rerun(test: &str, shell: &[&str], script: &str, folder: &Path) -> Output {
    let script = format!("{script}; exec \"$0\" store::tests::full_disk::{test} --exact --nocapture");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", &script]).arg(env::current_exe().unwrap()).env(FOLDER, folder);
    command.output().unwrap()
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn big_block(store: &Store, salt: u64) -> ImportCommit {
    let mut block = child(store, store.best().unwrap().hash, salt, one_change(salt));
    let digest = H256::from_low_u64_le(salt);
    block.facts.receipts = vec![(digest, digest)];
    block.sidecars = vec![(digest, vec![salt as u8; BLOCK_BYTES])]; // Any byte will do.
    block
}

/// Commits until there is no space; returns the block that did not fit.
fn fill(store: &Store) -> ImportCommit {
    for salt in 0.. {
        let best = store.best().unwrap();
        let block = big_block(store, salt);
        match store.commit(block.clone()) {
            Ok(_) => continue,
            Err(StoreError::NoSpace { .. }) => {}
            Err(other) => panic!("expected no space, got {other}"),
        }
        assert_eq!(store.best().unwrap(), best, "nothing of the block took effect");
        assert_consistent(store);
        return block;
    }
    unreachable!("the loop has no end of its own")
}

#[test]
fn a_refused_write_leaves_the_store_readable() {
    if let Some(folder) = env::var_os(FOLDER) {
        let store = open(&PathBuf::from(folder)).unwrap();
        let block = fill(&store);
        assert!(matches!(store.commit(block), Err(StoreError::NoSpace { .. })), "it stays readable only");
        return assert_consistent(&store);
    }
    let folder = tempfile::tempdir().unwrap();
    // Without the signal, writing beyond 6 MiB is an ordinary error.
    let output =
        rerun("a_refused_write_leaves_the_store_readable", &["bash"], "trap '' XFSZ; ulimit -f 6144", folder.path());
    assert_passed(&output);
    let store = open(folder.path()).unwrap();
    let number = store.best().unwrap().number;
    assert!(number >= 2, "only {number} blocks of 1 MiB fit");
    assert_consistent(&store);
    store.commit(big_block(&store, u64::from(number))).unwrap();
    assert_consistent(&store);
}

#[test]
fn a_full_disk_heals_in_place() {
    if let Some(folder) = env::var_os(FOLDER) {
        return fill_and_heal(&PathBuf::from(folder), Path::new(&env::var_os(BALLAST).unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let namespace = ["unshare", "--user", "--map-root-user", "--mount", "bash"];
    let mount = "mount -t tmpfs -o size=64m tmpfs \"$DESCENT_STORE_FULL_FOLDER\"";
    let probe =
        Command::new(namespace[0]).args(&namespace[1..]).args(["-c", mount]).env(FOLDER, folder.path()).output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED on a real full disk, as mounting one is not permitted here: {probe:?}");
        return;
    }
    let script = format!(
        "set -e; {mount}; export {BALLAST}=\"${FOLDER}/ballast\"; mkdir \"${FOLDER}/db\"; \
         head -c 40M /dev/zero > \"${BALLAST}\"; {FOLDER}=\"${FOLDER}/db\""
    );
    assert_passed(&rerun("a_full_disk_heals_in_place", &namespace, &script, folder.path()));
}

fn fill_and_heal(folder: &Path, ballast: &Path) {
    let store = open(folder).unwrap();
    let block = fill(&store);
    std::fs::remove_file(ballast).unwrap();
    // RocksDB looks for space every five seconds.
    let start = Instant::now();
    while let Err(error) = store.commit(block.clone()) {
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60), "{error}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(store.best().unwrap().number, block.header.number);
    assert_consistent(&store);
    let best = store.best().unwrap();
    drop(store);
    let store = open(folder).unwrap();
    assert_eq!(store.best().unwrap(), best);
    assert_consistent(&store);
}
