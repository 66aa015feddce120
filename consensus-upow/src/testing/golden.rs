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
            "31de1ceabc14c3fb102aac7a29f72c399a86136e91d4b70c8d7af021d8eb9f96".to_owned(),
            vec![0, 2, 6, 6, -1, -1, 4, 2, 2, 2, 2, 6, 6, -1, -1, 4, 2, 2, 2, 1, -1],
        );
        assert_eq!((hex(training.checkpoint_root), training.exponents), expected, "{platform:?}");
    }
}

/// Keys of one attempt: base, K, commitment of the first layer's weights, `key_B`, `key_A`.
#[test]
fn golden_keys() {
    let engine = engine(Platform::PORTABLE);
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
            "691dd278a7b97307b77f4c0dbcd59d05b40033b71a7afabb39f7881d7a04bef8",
            "04015350091c83759319ef1a6e84a743840e6104919dfdcf18fe18ade71aee2b",
            "726d62bf2645f15090fa8e25b08359d7e454dce5a7d7220c6d0af0a0681e9a68",
            "9fb665fa26c90e53e65a1c136941ebfc24949395cf6469b266902d54a37721db",
            "ebc6900a53964b6e4525ca8c158b6c2f7ad300354d4a10d41dfc4e0f63b41e39",
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
        let squares = vec![
            27719, 129, 8005, 7331, 4749, 4612, 83, 6391, 7324, 7680, 101, 2510, 2585, 4665, 5526, 47, 5956, 6576,
            5978, 87, 12877,
        ];
        let expected = (
            "622721e8f7f0ee003d547afdd4810448664ce566b4197af4a0cda5cabfe3a8fd".to_owned(),
            "eb99bf7be3f8c46331c052cc7b422b6eb0eff9d295192517fa97bb09ed2baa57".to_owned(),
            squares,
            5_852_220,
        );
        assert_eq!(got, expected, "{platform:?}");
    }
}

#[test]
fn golden_genesis_block() {
    assert_eq!(
        hex(super::TestChain::new(|_| ()).genesis),
        "3a926cf4ad7b28f9cb4157bd68ced8c45c30c56c7fb8c4ee639d9b3f0780583f"
    );
}
