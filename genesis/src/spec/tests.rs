use consensus_upow::task::TaskError;
use descent_runtime::ParamsError;
use serde_json::{Value, json};

use super::*;
use crate::accounts;

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

fn dev() -> ChainSpec {
    ChainSpec::builtin("dev", Some(&[b'a'; 4096]), None).unwrap()
}

/// What a file says after one of its values was replaced.
fn with(pointer: &str, value: Value) -> Result<ChainSpec, SpecError> {
    let mut file: Value = serde_json::from_str(&dev().to_json()).unwrap();
    *file.pointer_mut(pointer).expect(pointer) = value;
    ChainSpec::from_json(&file.to_string())
}

fn error(pointer: &str, value: Value) -> SpecError {
    with(pointer, value).unwrap_err()
}

fn malformed(pointer: &str, value: Value) -> String {
    match error(pointer, value) {
        SpecError::Malformed { message, .. } => message,
        other => panic!("{other}"),
    }
}

#[test]
fn file_survives_a_round_trip() {
    for id in crate::builtin::CHAINS {
        for preset in crate::builtin::PRESETS {
            let mut spec = ChainSpec::builtin(id, None, Some(preset)).unwrap();
            spec.boot_nodes.push("/dns/boot.example.org/tcp/30333".to_owned());
            let text = spec.to_json();
            let read = ChainSpec::from_json(&text).unwrap();
            assert_eq!(read, spec);
            assert_eq!(read.task.id(), spec.task.id());
            assert_eq!(read.to_json(), text);
        }
    }
}

#[test]
fn file_is_readable_text() {
    let text = dev().to_json();
    for line in [
        "  \"version\": 1,",
        "  \"chainType\": \"Development\",",
        "  \"bootNodes\": [],",
        "    \"ss58Format\": 42,",
        "    \"emissionCap\": \"100000000000000000000\",",
        "    \"datasetLen\": 4096,",
        &format!("      \"{ALICE}\","),
        "      \"100000000000000000\"",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("}\n"));
}

#[test]
fn too_long_a_file_is_not_parsed() {
    let text = " ".repeat(MAX_SPEC_BYTES + 1);
    let (got, expected) = (MAX_SPEC_BYTES + 1, MAX_SPEC_BYTES);
    assert_eq!(ChainSpec::from_json(&text), Err(SpecError::TooLong { got, expected }));
    assert!(matches!(ChainSpec::from_json(&text[1..]), Err(SpecError::Malformed { .. })));
}

#[test]
fn malformed_file_is_located() {
    let text = "{\n  \"version\": 1,\n  \"name\" }";
    let error = ChainSpec::from_json(text).unwrap_err();
    assert!(matches!(error, SpecError::Malformed { line: 3, column: 10, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("malformed JSON at line 3, column 10: "), "{text}");
    assert_eq!(text.matches("line").count(), 1, "{text}");
}

#[test]
fn fields_are_exactly_those_known() {
    let text = dev().to_json();
    let message = |text: &str| ChainSpec::from_json(text).unwrap_err().to_string();
    assert!(message(&text.replace("protocolId", "protocol")).contains("unknown field `protocol`"));
    assert!(message(&text.replace("verdictSlack", "slack")).contains("unknown field `slack`"));
    assert!(message(&text.replace("  \"name\": \"Descent Development\",\n", "")).contains("missing field `name`"));
    assert!(message(&text.replacen("  \"id\"", "  \"id\": \"dev\",\n  \"id\"", 1)).contains("duplicate field `id`"));
    assert!(malformed("/chainType", json!("Test")).contains("unknown variant `Test`"));
    assert!(malformed("/params/emissionCap", json!(5)).contains("expected a string"));
    assert!(malformed("/params/emissionCap", json!("1e20")).contains("decimal digits"));
    assert!(malformed("/params/emissionCap", json!("9".repeat(40))).contains("overflows"));
    assert!(malformed("/task/optimizer/rate", json!(null)).contains("expected f32"));
}

#[test]
fn later_version_is_named_before_its_new_fields() {
    let text = dev().to_json().replace("\"version\": 1", "\"version\": 2, \"new\": true");
    assert_eq!(ChainSpec::from_json(&text), Err(SpecError::Version { got: 2, expected: 1 }));
}

#[test]
fn names_are_checked() {
    for got in ["", "Dev", "../dev", "dev.test", "1dev", &"d".repeat(33), "dév"] {
        assert_eq!(error("/id", json!(got)), SpecError::Id { got: got.to_owned() });
        assert_eq!(error("/protocolId", json!(got)), SpecError::ProtocolId { got: got.to_owned() });
    }
    for got in ["", "two\nlines"] {
        assert_eq!(error("/name", json!(got)), SpecError::Name { got: got.to_owned() });
    }
    let long = SpecError::Name { got: format!("{}…", "é".repeat(64)) };
    assert_eq!(error("/name", json!("é".repeat(65))), long);
    for good in ["d", "dev-2_b", &"d".repeat(32)] {
        assert_eq!(with("/id", json!(good)).unwrap().id, good);
    }
}

#[test]
fn boot_nodes_are_checked() {
    let many = vec!["node"; 65];
    assert_eq!(error("/bootNodes", json!(many)), SpecError::BootNodes { got: 65, expected: 64 });
    for got in ["", "a b", "kn\u{f6}ten"] {
        let expected = SpecError::BootNode { index: 1, got: got.to_owned() };
        assert_eq!(error("/bootNodes", json!(["node", got])), expected);
    }
    assert!(matches!(error("/bootNodes", json!(["n".repeat(257)])), SpecError::BootNode { index: 0, .. }));
}

#[test]
fn properties_are_checked() {
    let expected = SpecError::TokenDecimals { got: 18, expected: 12 };
    assert_eq!(error("/properties/tokenDecimals", json!(18)), expected);
    for got in ["", "D$", "THIRTEENCHARS"] {
        assert_eq!(error("/properties/tokenSymbol", json!(got)), SpecError::TokenSymbol { got: got.to_owned() });
    }
    let mut spec = dev();
    spec.properties.ss58_format = 0;
    assert_eq!(spec.validate(), Err(SpecError::Ss58Format { got: 0, expected: 42 }));
}

#[test]
fn balances_are_checked() {
    let bad = error("/balances/2/0", json!("5Grwva"));
    assert!(matches!(&bad, SpecError::Address { index: 2, got, .. } if got == "5Grwva"), "{bad}");
    let typo = ALICE.replace("utQY", "utQX");
    assert!(matches!(error("/balances/0/0", json!(typo)), SpecError::Address { index: 0, .. }));
    // Alice on Polkadot.
    let foreign = json!("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5");
    assert_eq!(error("/balances/0/0", foreign), SpecError::AddressPrefix { index: 0, got: 0, expected: 42 });
    let twice = SpecError::DuplicateAddress { index: 3, address: ALICE.to_owned() };
    assert_eq!(error("/balances/3/0", json!(ALICE)), twice);

    for got in ["", "-1", "1.5", "007", "1_000", "0x10"] {
        assert_eq!(error("/balances/1/1", json!(got)), SpecError::AmountMalformed { index: 1, got: got.to_owned() });
    }
    let got = "340282366920938463463374607431768211456";
    assert_eq!(error("/balances/1/1", json!(got)), SpecError::AmountOverflow { index: 1, got: got.to_owned() });
    let expected = dev().params.existential_deposit;
    let small = SpecError::BelowExistentialDeposit { index: 1, got: expected - 1, expected };
    assert_eq!(error("/balances/1/1", json!((expected - 1).to_string())), small);
    let limit: Balance = 1 << 100;
    let much = SpecError::Endowed { index: 1, expected: limit };
    assert_eq!(error("/balances/1/1", json!(limit.to_string())), much);
    assert_eq!(error("/balances/1/1", json!(Balance::MAX.to_string())), much);
    // A chain may start without any coin.
    assert_eq!(with("/balances", json!([])).unwrap().endowed(), 0);
}

#[test]
fn parameters_and_task_are_checked_alone_and_together() {
    let error_of = |pointer, value| error(pointer, value);
    let expected = SpecError::Params(ParamsError::BlockTime { got: 0, limit: 3_600_000 });
    assert_eq!(error_of("/params/blockTimeMs", json!(0)), expected);
    let expected = TaskError::Optimizer { name: "beta1", got: 1.0, expected: "0 <= beta < 1" };
    assert_eq!(error_of("/task/optimizer/beta1", json!(1)), SpecError::Task(expected));

    let spec = dev();
    let expected = spec.params.minimum_difficulty;
    let low = SpecError::MinimumDifficulty { got: expected - 1, expected, microbatches: 8 };
    assert_eq!(error_of("/params/minimumDifficulty", json!((expected - 1).to_string())), low);
    let expected = spec.task.model().weights() as u64;
    assert_eq!(error_of("/params/maxBlobBytes", json!(1000)), SpecError::BlobBytes { got: 1000, expected });
}

#[test]
fn addresses_are_those_of_the_accounts() {
    let spec = dev();
    let first = spec.balances.first().map(|(account, _)| account.clone());
    assert_eq!(first, accounts::well_known("Alice"));
    assert_eq!(spec.endowed(), 6 * crate::dev::ENDOWMENT);
}
