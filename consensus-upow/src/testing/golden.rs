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
    assert_eq!(hex(super::task().id()), "TASK");
}

#[test]
fn golden_genesis_checkpoint() {
    for platform in Platform::available() {
        let engine = engine(platform);
        let training = initial_training(&engine, &initial_checkpoint(&engine)).expect("valid task");
        let expected = ("ROOT".to_owned(), vec![0]);
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
    assert_eq!(keys.map(hex), [""; 5]);
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
        let expected = ("WINDOWS".to_owned(), "LEAF".to_owned(), vec![0], 0);
        assert_eq!(got, expected, "{platform:?}");
    }
}

#[test]
fn golden_genesis_block() {
    assert_eq!(hex(super::TestChain::new(|_| ()).genesis), "GENESIS");
}
