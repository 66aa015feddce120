use descent_runtime::ChainParams;

use super::*;
use crate::dev::DSNT;
use crate::{ChainType, public};

const YEAR_MS: u128 = 31_557_600_000;

#[test]
fn every_chain_is_valid_with_every_preset() {
    for id in CHAINS {
        for preset in PRESETS {
            let spec = ChainSpec::builtin(id, None, Some(preset)).unwrap();
            assert_eq!(spec.validate(), Ok(()), "{id} {preset}");
            assert_eq!((spec.id.as_str(), spec.task.dataset_root), (id, Dataset::embedded().root()));
            assert_eq!(spec.balances.len(), accounts::NAMES.len());
        }
    }
}

#[test]
fn dataset_and_preset_are_optional() {
    let dataset = [b'x'; 5_000];
    let spec = ChainSpec::builtin("dev", Some(&dataset), None).unwrap();
    assert_eq!((spec.task.dataset_root, spec.task.dataset_len), (dataset::dataset_root(&dataset), 5_000));
    assert_eq!(spec.task.model(), ModelConfig::NANO);
    assert_eq!(spec.chain_type, ChainType::Development);
    let other = ChainSpec::builtin("local", Some(&dataset), None).unwrap();
    assert_ne!(spec.task.init_seed, other.task.init_seed);
}

#[test]
fn unknown_names_are_refused() {
    let got = || "main".to_owned();
    let error = ChainSpec::builtin("main", None, None).unwrap_err();
    assert_eq!(error, SpecError::UnknownChain { got: got(), expected: "dev, local".to_owned() });
    let error = ChainSpec::builtin("dev", None, Some("main")).unwrap_err();
    assert_eq!(error, SpecError::UnknownPreset { got: got(), expected: "tiny, nano, small".to_owned() });
    // The kernels know it, but a mined block would take a minute.
    assert!(matches!(ChainSpec::builtin("dev", None, Some("gpt2")), Err(SpecError::UnknownPreset { .. })));
}

#[test]
fn short_dataset_is_refused() {
    let error = ChainSpec::builtin("dev", Some(b"too short"), None).unwrap_err();
    assert!(matches!(error, SpecError::Task(_)), "{error}");
}

/// What the comments beside the parameters promise.
#[test]
fn parameters_keep_their_promises() {
    let model = ModelConfig::NANO;
    let all: [(&str, ChainParams, u32, u32); 3] = [
        ("dev", dev::params(&model), 0, 6),
        ("local", local::params(&model), 1, 16),
        ("public", public::params(&model), 2, 64),
    ];
    for (name, params, verdict_slack, round_blocks) in all {
        assert_eq!((params.verdict_slack, params.round_blocks), (verdict_slack, round_blocks), "{name}");
        let macs = u128::from(model.microbatch_macs());
        assert_eq!(params.minimum_difficulty, 8 * macs, "{name}");
        assert!(params.initial_difficulty >= 8 * macs, "{name}");

        // The decaying part falls by a factor of e in about ten years.
        let time_ms = u128::from(params.block_time_ms) << params.emission_shift;
        assert!((8 * YEAR_MS..12 * YEAR_MS).contains(&time_ms), "{name}: {time_ms} ms");
        // The tail is 0.01 coins a second.
        assert_eq!(params.tail_emission * 100_000, DSNT * u128::from(params.block_time_ms), "{name}");
        assert!(params.emission(0) > 25 * params.tail_emission, "{name}");
    }
}
