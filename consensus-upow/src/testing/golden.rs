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
            "c04db37b891aaaaedd7e471375c42712e7a14c6cb8bbf8f97de52e9fea884e2e".to_owned(),
            vec![3, 5, 8, 8, 2, 2, 7, 5, 5, 5, 5, 9, 9, 3, 2, 7, 5, 5, 5, 1, -1],
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
            "e575690175f0ace3353c5c21d52c5b5cc2a390d63da36a1e1491b1f5c567c05d",
            "370c14f153884695656baf66c73f60a1492bf03af424933fff745aeebccca17b",
            "726d62bf2645f15090fa8e25b08359d7e454dce5a7d7220c6d0af0a0681e9a68",
            "9fb665fa26c90e53e65a1c136941ebfc24949395cf6469b266902d54a37721db",
            "5eabe723ad889d3905a9422d1aa953e3ead59e8c15482db018d89601d052da4a",
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
            16353, 131, 2608, 2425, 3721, 4181, 88, 6670, 6636, 6660, 55, 4712, 5716, 9024, 3481, 78, 7690, 7315, 7127,
            68, 8029,
        ];
        let expected = (
            "622721e8f7f0ee003d547afdd4810448664ce566b4197af4a0cda5cabfe3a8fd".to_owned(),
            "6dad5b6aabf2651450174d73065a75593cfa862191f66c1c8cfc40c8bbe7abdc".to_owned(),
            squares,
            5_821_804,
        );
        assert_eq!(got, expected, "{platform:?}");
    }
}

#[test]
fn golden_genesis_block() {
    assert_eq!(
        hex(super::TestChain::new(|_| ()).genesis),
        "209c5847b80e03eff36289c4bd5e91f37c746b671fef4159ded0654d01f5de2d"
    );
}
