//! What an attempt's keys and data depend on, and what not.

use std::collections::BTreeSet;

use ml_kernels::config::{Op, ProductId};
use proptest::prelude::*;

use super::*;
use crate::task::tests::tiny_task;
use crate::task::{Task, TaskParams};

fn task() -> Task {
    Task::new(tiny_task(&[b'a'; 4096])).expect("valid task")
}

fn other_task() -> Task {
    let params = TaskParams { init_seed: H256::repeat_byte(2), ..task().params().clone() };
    Task::new(params).expect("valid task")
}

fn account(byte: u8) -> AccountId {
    AccountId::new([byte; 32])
}

fn attempt() -> Attempt {
    let [base, sigma] = [1, 2].map(H256::repeat_byte);
    Attempt { round: 3, base, account: account(4), lane: 5, index: 6, sigma }
}

fn all_differ(keys: impl IntoIterator<Item = [u8; 32]>) {
    let keys: Vec<_> = keys.into_iter().collect();
    let distinct: BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn key_binds_every_field_of_the_attempt() {
    let a = attempt();
    let attempts = [
        a.clone(),
        Attempt { round: 4, ..a.clone() },
        Attempt { base: H256::repeat_byte(9), ..a.clone() },
        Attempt { account: account(9), ..a.clone() },
        Attempt { lane: 6, ..a.clone() },
        // Lane and index are not interchangeable.
        Attempt { lane: 6, index: 5, ..a.clone() },
        Attempt { index: 7, ..a.clone() },
        Attempt { sigma: H256::repeat_byte(9), ..a.clone() },
    ];
    all_differ(attempts.iter().map(|a| a.key(&task())).chain([a.key(&other_task())]));
}

#[test]
fn noise_keys_bind_every_dimension_and_role() {
    let (task, sigma, com) = (task(), H256::repeat_byte(1), [2; 32]);
    let id = ProductId { layer: 3, op: Op::Forward };
    let dims = Dims { m: 128, k: 64, n: 32 };
    let key = |id, dims, com| key_b(&task, &sigma, id, dims, com);
    let b = key(id, dims, &com);
    all_differ([
        b,
        key_b(&other_task(), &sigma, id, dims, &com),
        key_b(&task, &H256::zero(), id, dims, &com),
        key(ProductId { layer: 4, ..id }, dims, &com),
        key(ProductId { op: Op::InputGradient, ..id }, dims, &com),
        key(ProductId { op: Op::WeightGradient, ..id }, dims, &com),
        key(id, Dims { m: 64, ..dims }, &com),
        key(id, Dims { k: 32, ..dims }, &com),
        key(id, Dims { n: 64, ..dims }, &com),
        key(id, Dims { m: 64, k: 128, ..dims }, &com),
        key(id, dims, &[3; 32]),
    ]);
    all_differ([
        key_a(&b, &[1; 32], &com),
        key_a(&[0; 32], &[1; 32], &com),
        key_a(&b, &[3; 32], &com),
        key_a(&b, &[1; 32], &[4; 32]),
    ]);
    // No key of one role is a key of another.
    all_differ([attempt().key(&task), b, key_a(&b, &com, &com), base_commitment(&sigma, &[]).0]);
}

#[test]
fn weight_side_noise_is_free_of_the_index() {
    let (task, a) = (task(), attempt());
    let id = ProductId { layer: 0, op: Op::Forward };
    let dims = Dims { m: 128, k: 64, n: 32 };
    let other = Attempt { index: 99, ..a.clone() };
    assert_eq!(a.key_b(&task, id, dims, &[1; 32]), other.key_b(&task, id, dims, &[1; 32]));
}

#[test]
fn base_binds_root_and_every_scale() {
    let root = H256::repeat_byte(1);
    let bases =
        [(root, vec![1, 2]), (H256::zero(), vec![1, 2]), (root, vec![1, 3]), (root, vec![1]), (root, vec![1, 2, 0])];
    all_differ(bases.map(|(root, exponents)| base_commitment(&root, &exponents).0));
}

/// No two windows of its training part are alike.
fn varied(len: u32) -> Vec<u8> {
    (0..len.div_ceil(4)).flat_map(|i| i.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(len as usize).collect()
}

#[test]
fn windows_depend_on_name_and_beacon_only() {
    let data = varied(4096);
    let task = Task::new(tiny_task(&data)).expect("valid task");
    let windows = |beacon: u8, round, who: u8, lane, index| {
        windows(&task, &data, &H256::repeat_byte(beacon), round, &account(who), lane, index)
    };
    let all = [
        windows(1, 2, 3, 4, 5),
        windows(9, 2, 3, 4, 5),
        windows(1, 9, 3, 4, 5),
        windows(1, 2, 9, 4, 5),
        windows(1, 2, 3, 9, 5),
        windows(1, 2, 3, 4, 9),
        windows(1, 2, 3, 5, 4),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    // There is no way for sigma, base or scales to get in: they aren't arguments. The engine adds none.
    let engine = crate::testing::engine(ml_kernels::platform::Platform::PORTABLE);
    let context = crate::testing::first_round(&engine);
    let [one, two] =
        [1, 2].map(|s| engine.windows(&context, &context.attempt(&account(1), 0, 0, H256::repeat_byte(s))));
    assert_eq!(one, two);
}

#[test]
fn windows_are_uniform() {
    // The shortest dataset: 265 possible starts.
    let data = varied(330);
    let task = Task::new(tiny_task(&data)).expect("valid task");
    let length = task.model().seq_len + 1;
    let starts = 297 - length + 1;
    let mut seen = vec![0_u32; starts];
    for index in 0..4_000 {
        let bytes = windows(&task, &data, &H256::zero(), 0, &account(1), 0, index);
        assert_eq!(bytes.len(), task.model().batch * length);
        for window in bytes.chunks_exact(length) {
            seen[data.windows(length).position(|w| w == window).expect("from the dataset")] += 1;
        }
    }
    let expected = f64::from(seen.iter().sum::<u32>()) / starts as f64;
    let chi: f64 = seen.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
    // Mean 264, deviation 23: five of them.
    assert!((150.0..380.0).contains(&chi), "{chi}");
    assert!(seen[0] > 0 && seen[starts - 1] > 0);
}

proptest! {
    #[test]
    fn held_out_tenth_is_never_sampled(len in 330_u64..3_000, beacon in any::<[u8; 32]>(), who in any::<[u8; 32]>(), name in any::<[u32; 3]>()) {
        let mut data = vec![0; len as usize];
        let training = (len - len / 10) as usize;
        data[training..].fill(1);
        let task = Task::new(tiny_task(&data)).expect("valid task");
        prop_assert_eq!(task.params().held_out_start(), training as u64);
        let [round, lane, index] = name;
        let bytes = windows(&task, &data, &H256(beacon), round, &AccountId::new(who), lane, index);
        prop_assert!(bytes.iter().all(|b| *b == 0));
    }
}
