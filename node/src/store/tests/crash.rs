//! Killing a process that writes, again and again.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;

/// Names the folder to the child process, which is this very test.
const FOLDER: &str = "DESCENT_STORE_CRASH_FOLDER";

#[test]
fn a_killed_process_loses_nothing_it_reported() {
    if let Some(folder) = env::var_os(FOLDER) {
        return commit_forever(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut reported = Vec::new();
    for commits in [1, 17, 40, 5, 66] {
        let mut child = spawn(folder.path());
        let mut stored = BufReader::new(child.stdout.take().unwrap()).lines().filter_map(|line| report(&line.unwrap()));
        reported.extend(stored.by_ref().take(commits));
        assert!(matches!(open(folder.path()), Err(StoreError::Locked { .. })), "the child has it open");
        child.kill().unwrap();
        // What it said before it died counts as well.
        reported.extend(stored);
        child.wait().unwrap();
        assert!(reported.len() >= commits, "the child failed");
        let store = open(folder.path()).unwrap();
        for at in &reported {
            // Forks left behind are forgotten, but only below the oldest kept state.
            let passed = at.number <= store.oldest_state().unwrap();
            assert!(passed || store.header(&at.hash).unwrap().is_some(), "block {at:?} is lost");
        }
        assert_consistent(&store);
    }
}

fn spawn(folder: &Path) -> Child {
    let name = "store::tests::crash::a_killed_process_loses_nothing_it_reported";
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(FOLDER, folder).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// A line like `stored 12 <hash>`; the test harness says other things in between.
fn report(line: &str) -> Option<BlockRef> {
    let mut words = line.split("stored ").nth(1)?.split(' ');
    let number = words.next()?.parse().ok()?;
    let hash = hex::decode(words.next()?).ok().filter(|bytes| bytes.len() == 32)?;
    Some(BlockRef { number, hash: H256::from_slice(&hash) })
}

/// Commits blocks with sidecars, forks and reorganisations, and reports each, until it is killed.
fn commit_forever(folder: &Path) {
    let store = open(folder).unwrap();
    // Blocks differ from those of the processes before.
    let mut salt = u64::from(std::process::id()) << 32;
    let mut tip = store.best().unwrap().hash;
    loop {
        let parent = tip;
        tip = commit(&store, parent, &mut salt, true);
        if salt % 3 == 0 {
            let fork = commit(&store, parent, &mut salt, false);
            if salt % 2 == 0 {
                tip = commit(&store, fork, &mut salt, true);
            }
        }
    }
}

fn commit(store: &Store, parent: H256, salt: &mut u64, new_best: bool) -> H256 {
    *salt += 1;
    let step = salt.to_le_bytes();
    let changes = (0..8u8).map(|i| (vec![i, step[0] % 16], (i != 3).then(|| step.repeat(usize::from(i) + 1))));
    let mut block = child(store, parent, *salt, changes.collect());
    let digest = H256::from_low_u64_le(*salt);
    block.facts.receipts = vec![(digest, digest)];
    // Big, so that a kill likely hits in the middle of a batch.
    block.sidecars = vec![(digest, step.repeat(40_000))];
    block.new_best = new_best;
    let at = BlockRef { number: block.header.number, hash: descent_runtime::header_hash(&block.header) };
    store.commit(block).unwrap();
    let line = format!("stored {} {}\n", at.number, hex::encode(at.hash));
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    at.hash
}
