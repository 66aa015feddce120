//! An engine is of exactly one task and dataset.

use super::*;
use crate::testing::{dataset, task};

#[test]
fn dataset_is_the_tasks() {
    let make = |params: TaskParams, data: Arc<[u8]>| Engine::new(params, data, Platform::PORTABLE).map(drop);
    let data = dataset();
    let expected = data.len() as u64;
    make(task(), data.clone()).expect("its own");
    let error = make(task(), data[1..].into()).expect_err("too short");
    assert_eq!(error, EngineError::DatasetLength { got: expected - 1, expected });
    let mut other = data.to_vec();
    other[0] ^= 1;
    let got = H256(*blake3::hash(&other).as_bytes());
    let error = make(task(), other.into()).expect_err("another byte");
    assert_eq!(error, EngineError::DatasetRoot { got, expected: task().dataset_root });
    let mut params = task();
    params.model.n_layers = 0;
    assert!(matches!(make(params, data), Err(EngineError::Task(TaskError::Model(_)))));
}

#[test]
fn context_of_another_model_is_refused() {
    let engine = crate::testing::engine(Platform::PORTABLE);
    let mut context = crate::testing::first_round(&engine);
    context.exponents.pop();
    let attempt = context.attempt(&AccountId::new([1; 32]), 0, 0, H256::zero());
    assert!(matches!(engine.recompute(&context, &attempt, &[]), Err(KernelError::Length { name: "exponents", .. })));
}
