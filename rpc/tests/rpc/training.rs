//! `descent_*`.

use descent_rpc::{CheckpointInfo, RoundSummary, TensorInfo, TrainingStatus};
use descent_runtime::H256;
use serde_json::{Value, from_value, json};

use crate::Harness;

/// Rounds that the node has: 0..ROUNDS.
pub(crate) const ROUNDS: u32 = 5;

pub(crate) fn round(round: u32) -> RoundSummary {
    RoundSummary {
        round,
        checkpoint_root: H256::repeat_byte(round as u8),
        start_block: round * 8,
        tokens: u64::from(round) * 1000,
        microbatches: round * 2,
        training_loss: (round > 0).then_some(5.5),
        held_out_loss: (round == 1).then_some(5.25),
    }
}

pub(crate) fn status(height: u32) -> TrainingStatus {
    TrainingStatus {
        chain: "Descent Test".into(),
        height,
        round: 4,
        round_block: 3,
        round_blocks: 8,
        step: 4,
        tokens: 4096,
        microbatches: 32,
        training_loss: Some(5.5),
        held_out_loss: None,
        held_out_round: None,
        checkpoint_root: H256::repeat_byte(4),
        exponents: vec![12, -3],
        difficulty: u128::MAX,
        multiply_adds_per_second: 1.5e9,
        network_multiply_adds_per_second: 3e9,
        tokens_per_second: 250.0,
        expected_block_time_ms: 1000,
        mining: true,
    }
}

pub(crate) fn checkpoint(round: u32, block_hash: H256) -> CheckpointInfo {
    CheckpointInfo {
        round,
        checkpoint_root: H256::repeat_byte(round as u8),
        step: round,
        start_block: round * 8,
        block_hash,
        stored: round == ROUNDS - 1,
        tensors: vec![TensorInfo {
            name: "model.embed_tokens.weight".into(),
            shape: vec![256, 64],
            hash: H256::repeat_byte(7),
        }],
    }
}

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
        (json!([0, u32::MAX]), "too many rounds: got 4294967296, expected at most 1000"),
        (json!([2, 1]), "last round comes before the first: got 1, expected at least 2"),
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
