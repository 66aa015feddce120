//! Datasets, and databases of other chains.

use descent_genesis::dataset::dataset_root;
use descent_genesis::{ChainSpec, Dataset};

use crate::support::{Place, contents, error_of, run};

/// Text enough for the smallest model.
fn text() -> Vec<u8> {
    Dataset::embedded().bytes()[..100_000].to_vec()
}

#[test]
fn a_dataset_of_ones_own_makes_a_chain_that_takes_no_other() {
    let place = Place::new();
    let file = place.path("text");
    let (name, text) = (file.display().to_string(), text());
    std::fs::write(&file, &text).unwrap();
    let printed = run(["build-spec", "--preset", "tiny", "--dataset", &name]).succeeded().stdout;
    let mut spec = ChainSpec::from_json(&printed).unwrap();
    assert_eq!((spec.task.dataset_root, spec.task.dataset_len), (dataset_root(&text), 100_000));
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    std::fs::write(place.path("spec.json"), spec.to_json()).unwrap();
    run(place.args(&["--dataset", &name, "--mine", "--rpc-port", "0", "--stop-after", "2"])).succeeded();
    let verify = place.args(&["verify", "--json", "--dataset", &name]);
    assert_eq!(run(&verify).json()["to"], 2);

    let refused = || {
        let error = error_of(&verify);
        error.strip_prefix(&format!("{name}: ")).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    std::fs::write(&file, &text[1..]).unwrap();
    assert_eq!(refused(), "dataset is too short: 99999 bytes, expected 100000");
    std::fs::write(&file, [&text[..], b"\n"].concat()).unwrap();
    assert_eq!(refused(), "dataset is too long: 100001 bytes, expected 100000");
    let mut altered = text.clone();
    altered[50_000] ^= 1;
    std::fs::write(&file, &altered).unwrap();
    let (got, expected) = (dataset_root(&altered), dataset_root(&text));
    assert_eq!(refused(), format!("dataset is altered: root {got:?}, expected {expected:?}"));
    std::fs::write(&file, b"").unwrap();
    assert_eq!(refused(), "dataset is empty, expected 100000 bytes");
    std::fs::remove_file(&file).unwrap();
    assert!(refused().starts_with("No such file or directory"));
    std::fs::create_dir(&file).unwrap();
    assert_eq!(refused(), "is a folder, expected a file");
    let spec = place.path("spec.json").display().to_string();
    let error = error_of(place.args(&["verify"]));
    assert!(error.starts_with(&format!("{spec}: trains on another text than the built-in one")), "{error}");

    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, &text).unwrap();
    assert_eq!(run(&verify).json()["to"], 2);
}

#[test]
fn a_dataset_too_short_to_train_on_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("text"), "to be or not to be").unwrap();
    let name = place.path("text").display().to_string();
    let base = place.path("data").display().to_string();
    let error = error_of(["--dev", "--preset", "tiny", "--dataset", &name, "--base-path", &base]);
    assert!(error.starts_with("task: ") && error.contains("18"), "{error}");
    assert!(!place.path("data").exists());
}

#[test]
fn another_chains_database_is_left_alone() {
    let place = Place::new();
    place.mine(3);
    let verified = place.verify();
    let before = contents(&place.path("data"));
    std::fs::write(place.path("text"), text()).unwrap();
    let base = place.path("data").display().to_string();
    let text = place.path("text").display().to_string();
    let others: [&[&str]; 4] = [
        &["--dev", "--preset", "nano", "--mine"],
        &["--dev", "--preset", "tiny", "--dataset", &text, "--mine"],
        &["verify", "--dev"],
        &["export-checkpoint", "--dev", "never-made"],
    ];
    for args in others {
        let error = error_of([args, &["--base-path", &base]].concat());
        let start = format!("{}: genesis block is 0x", place.database().display());
        assert!(error.starts_with(&start), "{args:?}: {error}");
        assert!(error.contains("another --dataset or --preset is another chain"), "{args:?}: {error}");
        assert_eq!(contents(&place.path("data")), before, "{args:?} changed the folder");
    }
    assert_eq!(place.verify(), verified);
    // A chain of another name has a folder of its own beside it.
    run(["--chain", "local", "--preset", "tiny", "--base-path", &base, "--rpc-port", "0", "--stop-after", "0"])
        .succeeded();
    assert_eq!(place.verify(), verified);
}
