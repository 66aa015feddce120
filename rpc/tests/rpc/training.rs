//! `descent_*`.

use descent_rpc::{CheckpointInfo, RoundSummary, TrainingStatus};
use serde_json::{Value, from_value, json};

use crate::Harness;
use crate::backend::{ROUNDS, round};

#[tokio::test]
async fn training_status_has_every_field() {
    let harness = Harness::start().await;
    let status = harness.call("descent_trainingStatus", json!([])).await;
    let expected = json!({
        "chain": "Descent Test",
        "height": 2,
        "round": 4,
        "roundBlock": 3,
        "roundBlocks": 8,
        "step": 4,
        "tokens": 4096,
        "microbatches": 32,
        "trainingLoss": 5.5,
        "heldOutLoss": null,
        "heldOutRound": null,
        "checkpointRoot": format!("0x{}", "04".repeat(32)),
        "exponents": [12, -3],
        "difficulty": u128::MAX.to_string(),
        "multiplyAddsPerSecond": 1.5e9,
        "networkMultiplyAddsPerSecond": 3e9,
        "tokensPerSecond": 250.0,
        "expectedBlockTimeMs": 1000,
        "mining": true,
    });
    assert_eq!(status, expected);
    assert_eq!(from_value::<TrainingStatus>(status).unwrap().difficulty, u128::MAX);
}

#[tokio::test]
async fn rounds_are_listed_up_to_the_current_one() {
    let harness = Harness::start().await;
    let rounds = async |from: u32, to: u32| harness.call("descent_rounds", json!([from, to])).await;
    let listed: Vec<RoundSummary> = from_value(rounds(1, 2).await).unwrap();
    assert_eq!(listed, [round(1), round(2)]);
    assert_eq!(
        rounds(0, 0).await,
        json!([{
            "round": 0,
            "checkpointRoot": format!("0x{}", "00".repeat(32)),
            "startBlock": 0,
            "tokens": 0,
            "microbatches": 0,
            "trainingLoss": null,
            "heldOutLoss": null,
        }])
    );
    // The most that one call may span, though fewer exist.
    let listed = rounds(0, 999).await;
    assert_eq!(listed.as_array().unwrap().len(), ROUNDS as usize);
    assert_eq!(rounds(u32::MAX, u32::MAX).await, json!([]));
}

#[tokio::test]
async fn too_many_rounds_are_refused() {
    let harness = Harness::start().await;
    for (params, message) in [
        (json!([0, 1000]), "too many rounds: got 1001, expected at most 1000"),
        (
            json!([0, u32::MAX]),
            "too many rounds: got 4294967296, expected at most 1000",
        ),
        (
            json!([2, 1]),
            "last round comes before the first: got 1, expected at least 2",
        ),
    ] {
        let error = harness.error("descent_rounds", params).await;
        assert_eq!((error.0, error.1.as_str()), (-32602, message));
    }
}

#[tokio::test]
async fn checkpoints_list_their_tensors() {
    let harness = Harness::start().await;
    let checkpoint = harness.call("descent_checkpoint", json!([4])).await;
    let expected = json!({
        "round": 4,
        "checkpointRoot": format!("0x{}", "04".repeat(32)),
        "step": 4,
        "startBlock": 32,
        "blockHash": harness.call("chain_getBlockHash", json!([0])).await,
        "stored": true,
        "tensors": [{
            "name": "model.embed_tokens.weight",
            "shape": [256, 64],
            "hash": format!("0x{}", "07".repeat(32)),
        }],
    });
    assert_eq!(checkpoint, expected);
    assert!(from_value::<CheckpointInfo>(checkpoint).unwrap().stored);
    assert_eq!(harness.call("descent_checkpoint", json!([ROUNDS])).await, Value::Null);
}
