//! What training starts from.

use std::sync::Arc;

use descent_runtime::{AccountId, GenesisTraining, H256};
use ml_kernels::error::KernelError;
use ml_kernels::gradient::calibrate;
use ml_kernels::math::dot;
use ml_kernels::microbatch::{Plain, gradient};
use ml_kernels::optimizer::Checkpoint;
use ml_kernels::weights::{PreparedWeights, initial};

use crate::checkpoint::checkpoint_root;
use crate::engine::{Engine, RoundContext};

/// The initial checkpoint: weights from the task's seed, zero moments.
pub fn initial_checkpoint(engine: &Engine) -> Checkpoint {
    Checkpoint::initial(initial(engine.task().model(), &engine.task().params().init_seed.0))
}

/// The training part of the genesis state. Scales are calibrated on one leaf of the initial weights: the attempt of the
/// zero account, lane 0, index 0, with zero beacon and zero `sigma`.
///
/// # Errors
/// [`KernelError`]: impossible for a validated task.
pub fn initial_training(engine: &Engine, checkpoint: &Checkpoint) -> Result<GenesisTraining, KernelError> {
    let model = engine.task().model();
    let root = checkpoint_root(model, checkpoint);
    let weights = Arc::new(PreparedWeights::new(engine.platform(), model, checkpoint.weights.clone())?);
    let context = RoundContext::new(0, H256::zero(), &root, Vec::new(), weights);
    let attempt = context.attempt(&AccountId::new([0; 32]), 0, 0, H256::zero());
    let (windows, key) = (engine.windows(&context, &attempt), attempt.key(engine.task()));
    let g = gradient(engine.platform(), &context.weights, &windows, &key, &mut Plain(engine.platform()))?.gradient;
    let exponents = engine.tensors().iter().map(|t| {
        let g = &g[t.range()];
        calibrate(dot(g, g), t.len())
    });
    Ok(GenesisTraining {
        checkpoint_root: root,
        exponents: exponents.collect(),
        running: vec![0; engine.tensors().len()],
        task_id: engine.task().id(),
    })
}
