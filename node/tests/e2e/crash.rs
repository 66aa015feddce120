//! Ends of all kinds: power cuts, signals, two nodes on one folder, copies.

use crate::support::{Place, copy, error_of, run};

#[test]
fn a_killed_node_goes_on_where_it_was() {
    let place = Place::new();
    let mut reported = 0;
    for _ in 0..4 {
        let mut node = place.node();
        let height = node.height();
        assert!(height >= reported, "back to {height} from {reported}");
        reported = node.wait_for_height(height + 3);
        assert!(!node.log().iter().any(|line| line.contains("WARN") || line.contains("ERROR")), "{:#?}", node.log());
        node.crash();
    }
    let verified = place.verify();
    assert!(verified["to"].as_u64() >= Some(reported.into()), "{verified}");
    assert_eq!(verified["verified"], verified["to"]);
    place.mine(1);
}

#[test]
fn signals_end_a_node_in_good_order() {
    let place = Place::new();
    for (signal, blocks) in [("TERM", 2), ("INT", 4)] {
        let mut node = place.node();
        let height = node.wait_for_height(blocks);
        let log = node.end(signal);
        let last = log.last().unwrap();
        let (_, stopped) = last.split_once("stopped height=").unwrap_or_else(|| panic!("{log:#?}"));
        let stopped: u32 = stopped.parse().unwrap();
        assert!(stopped >= height);
        assert_eq!(place.verify()["to"], stopped);
    }
    // However early.
    let log = place.node().end("TERM");
    assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
}

#[test]
fn a_folder_has_one_user() {
    let place = Place::new();
    let mut node = place.node();
    let in_use = format!("{}: in use by another process", place.database().display());
    let export = place.path("export").display().to_string();
    for args in [&["--rpc-port", "0"][..], &["verify"], &["export-checkpoint", &export]] {
        assert_eq!(error_of(place.args(args)), in_use);
    }
    let height = node.height();
    node.wait_for_height(height + 1);
    node.end("TERM");
    assert!(!place.path("export").exists());
}

#[test]
fn a_copied_database_is_as_good() {
    let place = Place::new();
    place.mine(9);
    copy(&place.path("data"), &place.path("copy"));
    let copied = run(place.args_in("copy", &["verify", "--json"])).json();
    assert_eq!(copied, place.verify());
    // Two futures of one past.
    run(place.args_in("copy", &["--mine", "--rpc-port", "0", "--stop-after", "2"])).succeeded();
    place.mine(1);
    assert_eq!(place.verify()["to"], 10);
    assert_eq!(run(place.args_in("copy", &["verify", "--json"])).json()["to"], 11);
}
