//! Frozen results: every machine, build profile and later version has to reproduce them.

use descent_runtime::{AccountId, H256};
use ml_kernels::config::{Op, ProductId};
use ml_kernels::platform::Platform;

use super::{engine, first_round};
use crate::attempt::key_a;
use crate::genesis::{initial_checkpoint, initial_training};

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_task_id() {
    assert_eq!(hex(super::task().id()), "9327b2ec8560ad116a68f78ac05dda18f3026d46e1b47a7db329c59713d0b74c");
}

#[test]
fn golden_genesis_checkpoint() {
    for platform in Platform::available() {
        let engine = engine(platform);
        let training = initial_training(&engine, &initial_checkpoint(&engine)).expect("valid task");
        let expected = (
            "8e97413e58794621a5bb53a3164154d5f82c0e1651f7179b64915a538c39c263".to_owned(),
            vec![-1, 1, -1, -1, 4, 2, 2, 2, 0, -1, 4, 2, 2, 1, -1],
        );
        assert_eq!((hex(training.checkpoint_root), training.exponents), expected, "{platform:?}");
    }
}

/// Keys of one attempt: base, K, commitment of the first layer's weights, `key_B`, `key_A`.
#[test]
fn golden_keys() {
    let engine = engine(Platform::Portable);
    let context = first_round(&engine);
    let attempt = context.attempt(&AccountId::new([7; 32]), 1, 2, H256::repeat_byte(3));
    let key = attempt.key(engine.task());
    let id = ProductId { layer: 0, op: Op::Forward };
    let dims = engine.task().model().dims(id).expect("first layer");
    let com_b = context.weights.operand(id).expect("first layer").commitment;
    let key_b = attempt.key_b(engine.task(), id, dims, &com_b);
    let keys = [context.base.0, key, com_b, key_b, key_a(&key_b, &key, &[9; 32])];
    assert_eq!(
        keys.map(hex),
        [
            "93f4be528f688207c96aa6f470109a51a6624253c031637c5b498876d42aea1b",
            "ecef6eac325abf71e082a56e0778e981cc8521d1cc83ca05e21993a3dfb45f5e",
            "39978401d438d2c630397299c0d1beb0fd30cf1c059c89cb7babce598b1d90b5",
            "66e94040ff26b6aab6ab1e1be95d6e974026e7164fc475fa107afdc49de1c33c",
            "48afce2c0b6ab9ba9d4499213a11a675d04bc011659d4551d5c3c04d34a42c6f",
        ]
    );
}

/// Data, leaf hash, squares and loss of one attempt.
#[test]
fn golden_microbatch() {
    for platform in Platform::available() {
        let engine = engine(platform);
        let context = first_round(&engine);
        let attempt = context.attempt(&AccountId::new([7; 32]), 1, 2, H256::repeat_byte(3));
        let windows = blake3::hash(&engine.windows(&context, &attempt));
        let recomputed = engine.recompute(&context, &attempt, &[]).expect("own model");
        let output = recomputed.output;
        let got = (hex(windows.as_bytes()), hex(recomputed.leaf.digest()), output.squares, output.loss);
        let squares = vec![12649, 47, 9208, 8025, 127, 21094, 12180, 164, 24293, 5312, 75, 12466, 5526, 96, 11937];
        let expected = (
            "622721e8f7f0ee003d547afdd4810448664ce566b4197af4a0cda5cabfe3a8fd".to_owned(),
            "65632bad2c9043759851199e8823e10d69fd3a4f5665facdfc01062256a6dd74".to_owned(),
            squares,
            5_850_874,
        );
        assert_eq!(got, expected, "{platform:?}");
    }
}

#[test]
fn golden_genesis_block() {
    assert_eq!(
        hex(super::TestChain::new(|_| ()).genesis),
        "eea3290adbf7314abf73349b61f272b36950ab94260f3e48dfae7f09cedb6024"
    );
}
