//! The task: what the network trains and the constants of its lottery, fixed in genesis.

use codec::{Decode, Encode, Error, Input, Output};
use ml_kernels::config::{ConfigError, ModelConfig, VOCAB};
use ml_kernels::optimizer::AdamW;
use ml_kernels::product::{RANK, TILE};
use serde::{Deserialize, Serialize};
use sp_core::H256;

use crate::difficulty::{Target, share_target};

/// Shares that one microbatch yields on average: constant, so that every microbatch carries its own proof and pay.
pub const SHARES_PER_MICROBATCH: u64 = 8;
/// Share claims of one index at most.
pub const MAX_CLAIMS_PER_INDEX: usize = 32;
/// Indices of one receipt at most.
pub const MAX_INDICES: usize = 256;
// The runtime checks the same bounds on the summary; the leaf hash's security estimate rests on the first.
const _: () = assert!(MAX_INDICES == descent_runtime::training::receipt::MAX_RECEIPT_COUNT as usize);
const _: () = assert!(MAX_CLAIMS_PER_INDEX == descent_runtime::training::receipt::MAX_SHARES_PER_INDEX as usize);

/// Shape of the model and of a microbatch, as the chain spec writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelShape {
    /// Width of the residual stream.
    pub d_model: u32,
    /// Decoder layers.
    pub n_layers: u32,
    /// Attention heads.
    pub n_heads: u32,
    /// Width of the feed-forward layer.
    pub d_ff: u32,
    /// Tokens of a window.
    pub seq_len: u32,
    /// Windows of a microbatch.
    pub batch: u32,
}

impl From<ModelShape> for ModelConfig {
    fn from(s: ModelShape) -> Self {
        // u32 to usize is lossless on the 32- and 64-bit targets the node builds for.
        Self {
            d_model: s.d_model as usize,
            n_layers: s.n_layers as usize,
            n_heads: s.n_heads as usize,
            d_ff: s.d_ff as usize,
            seq_len: s.seq_len as usize,
            batch: s.batch as usize,
        }
    }
}

impl From<ModelConfig> for ModelShape {
    fn from(c: ModelConfig) -> Self {
        // Validated sides are at most 4,096.
        Self {
            d_model: c.d_model as u32,
            n_layers: c.n_layers as u32,
            n_heads: c.n_heads as u32,
            d_ff: c.d_ff as u32,
            seq_len: c.seq_len as u32,
            batch: c.batch as u32,
        }
    }
}

/// Hyper-parameters as the chain spec writes them; floats are hashed by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptimizerParams {
    /// Peak learning rate.
    pub rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Steps of linear warm-up.
    pub warmup_steps: u32,
    /// First step of the linear decay.
    pub decay_start: u32,
    /// Last step of the linear decay; not above `decay_start` means none.
    pub decay_end: u32,
    /// Learning rate after the decay.
    pub final_rate: f32,
}

impl From<OptimizerParams> for AdamW {
    fn from(p: OptimizerParams) -> Self {
        Self {
            rate: p.rate,
            beta1: p.beta1,
            beta2: p.beta2,
            epsilon: p.epsilon,
            weight_decay: p.weight_decay,
            warmup_steps: p.warmup_steps,
            decay_start: p.decay_start,
            decay_end: p.decay_end,
            final_rate: p.final_rate,
        }
    }
}

type OptimizerBits = ([u32; 6], [u32; 3]);

impl Encode for OptimizerParams {
    fn encode_to<T: Output + ?Sized>(&self, dest: &mut T) {
        let floats = [self.rate, self.beta1, self.beta2, self.epsilon, self.weight_decay, self.final_rate];
        (floats.map(f32::to_bits), [self.warmup_steps, self.decay_start, self.decay_end]).encode_to(dest);
    }
}

impl Decode for OptimizerParams {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (floats, [warmup_steps, decay_start, decay_end]) = OptimizerBits::decode(input)?;
        let [rate, beta1, beta2, epsilon, weight_decay, final_rate] = floats.map(f32::from_bits);
        Ok(Self { rate, beta1, beta2, epsilon, weight_decay, warmup_steps, decay_start, decay_end, final_rate })
    }
}

/// Everything that makes two nodes train the same model under the same lottery.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskParams {
    /// Model and microbatch.
    pub model: ModelShape,
    /// Seed of the initial weights.
    pub init_seed: H256,
    /// BLAKE3 hash of the dataset's bytes.
    pub dataset_root: H256,
    /// Length of the dataset in bytes; its last tenth is held out.
    pub dataset_len: u64,
    /// Optimizer.
    pub optimizer: OptimizerParams,
}

/// A rule that a task breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// The model's shape.
    #[error("model shape: {0}")]
    Model(#[from] ConfigError),
    /// The training part must hold one window and its next token.
    #[error(
        "dataset has {got} bytes, expected at least {expected}: ten windows of {seq_len} tokens and one more byte each"
    )]
    DatasetTooShort {
        /// Its length.
        got: u64,
        /// The least length.
        expected: u64,
        /// Tokens of a window.
        seq_len: u32,
    },
    /// A float outside its range.
    #[error("optimizer {name} is {got}, expected {expected}")]
    Optimizer {
        /// Which one.
        name: &'static str,
        /// Its value.
        got: f32,
        /// The range in words.
        expected: &'static str,
    },
}

impl TaskParams {
    /// Checks all rules.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), TaskError> {
        self.model().validate()?;
        let expected = 10 * (u64::from(self.model.seq_len) + 1);
        if self.dataset_len < expected {
            return Err(TaskError::DatasetTooShort { got: self.dataset_len, expected, seq_len: self.model.seq_len });
        }
        let o = &self.optimizer;
        let within = |name, got: f32, low: f32, high: f32, expected| {
            // A NaN is within nothing.
            if got >= low && got < high { Ok(()) } else { Err(TaskError::Optimizer { name, got, expected }) }
        };
        within("rate", o.rate, 0.0, 1.0, "0 <= rate < 1")?;
        within("finalRate", o.final_rate, 0.0, 1.0, "0 <= rate < 1")?;
        within("beta1", o.beta1, 0.0, 1.0, "0 <= beta < 1")?;
        within("beta2", o.beta2, 0.0, 1.0, "0 <= beta < 1")?;
        within("epsilon", o.epsilon, f32::MIN_POSITIVE, 1.0, "a normal number below 1")?;
        within("weightDecay", o.weight_decay, 0.0, 10.0, "0 <= decay < 10")
    }

    /// The model's shape for the kernels.
    pub fn model(&self) -> ModelConfig {
        self.model.into()
    }

    /// The task's identity: binds every constant, those of the build included.
    pub fn id(&self) -> H256 {
        let mut hasher = blake3::Hasher::new_derive_key("descent/task v1");
        let build = (TILE as u32, RANK as u32, VOCAB as u32, SHARES_PER_MICROBATCH);
        hasher.update(&(build, self).encode());
        H256(*hasher.finalize().as_bytes())
    }

    /// First byte of the held-out tenth.
    pub fn held_out_start(&self) -> u64 {
        self.dataset_len - self.dataset_len / 10
    }
}

/// A validated task with what follows from it.
#[derive(Clone, Debug)]
pub struct Task {
    params: TaskParams,
    id: H256,
    model: ModelConfig,
    share_target: Target,
}

impl Task {
    /// Validates the parameters.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn new(params: TaskParams) -> Result<Self, TaskError> {
        params.validate()?;
        let model = params.model();
        Ok(Self { id: params.id(), share_target: share_target(model.microbatch_macs()), model, params })
    }

    /// What it was made from.
    pub fn params(&self) -> &TaskParams {
        &self.params
    }

    /// Its identity, see [`TaskParams::id`].
    pub fn id(&self) -> H256 {
        self.id
    }

    /// The model's shape.
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// The target of share tickets.
    pub fn share_target(&self) -> Target {
        self.share_target
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn tiny_task(dataset: &[u8]) -> TaskParams {
        TaskParams {
            model: ModelConfig::TINY.into(),
            init_seed: H256::repeat_byte(1),
            dataset_root: H256(*blake3::hash(dataset).as_bytes()),
            dataset_len: dataset.len() as u64,
            optimizer: OptimizerParams {
                rate: 1.5e-3,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                warmup_steps: 10,
                decay_start: 0,
                decay_end: 0,
                final_rate: 0.0,
            },
        }
    }

    #[test]
    fn identity_binds_every_field_and_survives_encoding() {
        let task = tiny_task(&[b'a'; 4096]);
        task.validate().unwrap();
        assert_eq!(TaskParams::decode(&mut &task.encode()[..]).unwrap(), task);
        let changed = [
            TaskParams { init_seed: H256::repeat_byte(2), ..task.clone() },
            TaskParams { dataset_len: 4095, ..task.clone() },
            TaskParams { dataset_root: H256::zero(), ..task.clone() },
            TaskParams { optimizer: OptimizerParams { rate: 1.6e-3, ..task.optimizer }, ..task.clone() },
            TaskParams { model: ModelShape { n_layers: 3, ..task.model }, ..task.clone() },
        ];
        for other in changed {
            assert_ne!(other.id(), task.id());
        }
    }

    #[test]
    fn each_task_rule_is_enforced() {
        let task = tiny_task(&[b'a'; 4096]);
        let broken = |f: &dyn Fn(&mut TaskParams)| {
            let mut t = task.clone();
            f(&mut t);
            t.validate().unwrap_err()
        };
        assert!(matches!(broken(&|t| t.model.d_model = 63), TaskError::Model(_)));
        assert!(matches!(broken(&|t| t.dataset_len = 329), TaskError::DatasetTooShort { expected: 330, .. }));
        assert!(matches!(broken(&|t| t.optimizer.beta1 = f32::NAN), TaskError::Optimizer { name: "beta1", .. }));
        assert!(matches!(broken(&|t| t.optimizer.epsilon = 0.0), TaskError::Optimizer { name: "epsilon", .. }));
    }
}
