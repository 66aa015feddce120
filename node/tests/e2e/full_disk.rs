//! A disk that fills up while blocks are committed.

use std::process::{Command, Stdio};

use crate::support::{Place, finish};

/// A miner under a shell's limit on the size of a file, in KiB.
fn mine_within(place: &Place, kib: u32) -> Command {
    // Without the signal, writing beyond the limit is an ordinary error.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_descent")]).args(place.args(&[
        "--mine",
        "--rpc-port",
        "0",
    ]));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_node_whose_files_may_not_grow_ends_and_goes_on_later() {
    let place = Place::new();
    place.mine(2);
    let error = finish(mine_within(&place, 1024)).error();
    let start = format!("{}: no space left: ", place.database().display());
    assert!(error.starts_with(&start), "{error}");
    let verified = place.verify();
    assert!(verified["to"].as_u64() >= Some(2), "{verified}");
    place.mine(2);
    let longer = place.verify();
    assert_eq!(longer["to"].as_u64(), verified["to"].as_u64().map(|to| to + 2));
}

/// On a file system of its own, in a mount namespace that ends with the shell.
#[test]
fn a_node_on_a_full_disk_ends_and_goes_on_with_more_space() {
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    let namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "bash", "-c"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("DATA", place.path("data"));
        command
    };
    let mount = "mount -t tmpfs -o size=6m tmpfs \"$DATA\"";
    let mut probe = namespace();
    probe.arg(mount);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED on a real full disk, as mounting one is not permitted here");
        return;
    }
    let script = format!(
        "set -e; {mount}
         if \"$@\" --mine --rpc-port 0; then echo 'it should have failed'; exit 3; fi
         mount -o remount,size=64m \"$DATA\"
         descent=$1; shift
         \"$descent\" verify --json \"$@\"
         \"$descent\" --mine --rpc-port 0 --stop-after 2 \"$@\"
         \"$descent\" verify --json \"$@\""
    );
    let mut command = namespace();
    command.args([&script, "bash", env!("CARGO_BIN_EXE_descent")]).args(place.args(&[]));
    let output = finish(command);
    assert!(output.status.success(), "{output:#?}");
    let errors: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let start = format!("error: {}: no space left: ", place.database().display());
    assert!(matches!(errors[..], [error] if error.starts_with(&start)), "{output:#?}");
    assert!(!output.stderr.contains("panicked"), "{output:#?}");
    let verified: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [before, after] = &verified[..] else { panic!("{output:#?}") };
    assert!(before["to"].as_u64() >= Some(1), "{output:#?}");
    assert_eq!(after["to"].as_u64(), before["to"].as_u64().map(|to| to + 2));
}
