//! Mining from the command line.

use descent_genesis::ChainSpec;
use serde_json::Value;

use crate::support::{Node, Place, descent, error_of, quick_spec, run};

#[test]
fn a_chain_mines_rounds_stops_and_verifies() {
    let place = Place::new();
    place.mine(26);
    let verified = place.verify();
    assert_eq!([&verified["from"], &verified["to"], &verified["verified"]], [1, 26, 26]);
    // On top of what is there, and exactly so many.
    place.mine(2);
    let longer = run(place.args(&["verify", "--from", "20"])).succeeded();
    assert!(longer.stdout.starts_with("verified 9 blocks, 20 to 28, head 0x"), "{longer:?}");
    let later = error_of(place.args(&["verify", "--from", "30"]));
    assert_eq!(later, "block 30 is not there: the best block is 28");
    let nothing = run(place.args(&["verify", "--from", "29"])).succeeded();
    assert!(nothing.stdout.starts_with("verified 0 blocks"), "{nothing:?}");
}

#[test]
fn a_local_chain_mines_with_a_key_file() {
    let place = Place::with(&quick_spec("local"));
    let mine = ["--mine", "--rpc-port", "0", "--stop-after", "17"];
    let missing = error_of(place.args(&mine));
    assert_eq!(missing, "--mine needs --key-file on chain local: make a key with `descent key generate`");

    let key: Value = run(["key", "generate", "--json"]).json();
    std::fs::write(place.path("key"), format!("{}\n", key["phrase"].as_str().unwrap())).unwrap();
    let key_file = place.path("key").display().to_string();
    run(place.args(&[&mine[..], &["--key-file", &key_file]].concat())).succeeded();
    assert_eq!(place.verify()["to"], 17);

    // The phrase leads back to the address, whatever names the account.
    let address = key["address"].as_str().unwrap();
    for uri in [key["phrase"].as_str().unwrap(), address, key["publicKey"].as_str().unwrap()] {
        let inspected: Value = run(["key", "inspect", "--json", uri]).json();
        assert_eq!(inspected["address"], address);
    }
}

#[test]
fn a_temporary_node_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = descent(["--dev", "--mine", "--preset", "tiny", "--tmp", "--rpc-port", "0"]);
    command.env("TMPDIR", folder.path());
    let node = Node::start_command(command);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let log = node.end("INT");
    assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_printed_specification_is_read_as_the_same_chain() {
    let printed = run(["build-spec", "--chain", "local", "--preset", "tiny"]).succeeded().stdout;
    let spec = ChainSpec::from_json(&printed).unwrap();
    assert_eq!(spec, ChainSpec::builtin("local", None, Some("tiny")).unwrap());
    let place = Place::with(&spec);
    let file = place.path("spec.json").display().to_string();
    assert_eq!(run(["build-spec", "--chain", &file]).succeeded().stdout, printed);
}

#[test]
fn answers_to_nobody_are_errors_and_no_panics() {
    for args in [&["build-spec"][..], &["key", "generate"]] {
        let mut command = descent(args);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: standard output: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

/// A log that nobody reads any more is no reason to stop mining.
#[test]
fn a_node_outlives_the_reader_of_its_log() {
    let place = Place::new();
    let mut command = descent(place.args(&["--mine", "--rpc-port", "0", "--stop-after", "3", "-l", "debug"]));
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(place.verify()["to"], 3);
}
