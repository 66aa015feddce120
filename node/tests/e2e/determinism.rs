//! The same bytes, whatever computes them; and exports.

use crate::support::{Place, contents, error_of, run};

#[test]
fn any_number_of_threads_gives_the_same_chain_and_checkpoint() {
    let place = Place::new();
    place.mine(18);
    let mut exports = Vec::new();
    for threads in ["1", "2", "4"] {
        let verified = run(place.args(&["verify", "--json", "--threads", threads])).json();
        assert_eq!(verified["verified"], 18);
        let folder = place.path(&format!("export-{threads}"));
        let path = folder.display().to_string();
        let exported = run(place.args(&["export-checkpoint", &path, "--json", "--threads", threads])).json();
        assert_eq!([&exported["round"], &exported["step"]], [3, 3]);
        let files = contents(&folder).into_iter().map(|(path, bytes)| (path.file_name().map(ToOwned::to_owned), bytes));
        exports.push((verified, exported["checkpointRoot"].clone(), files.collect::<Vec<_>>()));
    }
    for (verified, root, files) in &exports {
        assert_eq!((verified, root), (&exports[0].0, &exports[0].1));
        // Not compared by `assert_eq`, which would print all weights.
        assert!(files.len() == 2 && *files == exports[0].2, "exported files differ");
    }
}

#[test]
fn exports_overwrite_nothing_and_say_what_is_missing() {
    let place = Place::new();
    place.mine(9);
    let export = |round: &str, folder: &str| {
        let folder = place.path(folder).display().to_string();
        place.args(&["export-checkpoint", "--round", round, &folder])
    };
    run(export("0", "zero")).succeeded();
    run(export("1", "deep/in/folders")).succeeded();
    assert_ne!(contents(&place.path("zero"))[1].1, contents(&place.path("deep/in/folders"))[1].1);

    let before = contents(&place.path("zero"));
    std::fs::create_dir(place.path("empty")).unwrap();
    for folder in ["zero", "empty", "spec.json"] {
        let error = error_of(export("1", folder));
        let path = place.path(folder);
        assert_eq!(error, format!("{}: exists already, and is not overwritten", path.display()));
    }
    assert_eq!(contents(&place.path("zero")), before);
    assert_eq!(error_of(export("2", "two")), "round 2 is not reached yet");
    assert!(error_of(export("one", "one")).starts_with("round \"one\": expected a number or `latest`"));
    let below_a_file = place.path("spec.json/deeper").display().to_string();
    assert!(error_of(place.args(&["export-checkpoint", &below_a_file])).starts_with(&below_a_file));
    for folder in ["two", "one"] {
        assert!(!place.path(folder).exists());
    }
}
