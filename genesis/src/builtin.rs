//! The specifications that every node carries.

use consensus_upow::ModelConfig;
use consensus_upow::task::{OptimizerParams, TaskParams};
use descent_runtime::H256;

use crate::spec::{ChainSpec, Properties, SpecError};
use crate::{Dataset, accounts, dataset, dev, local};

/// Identifiers of the built-in chains.
pub const CHAINS: [&str; 2] = [dev::ID, local::ID];
/// Models that a built-in chain can train.
pub const PRESETS: [&str; 3] = ["tiny", "nano", "small"];
/// Model that it trains if no other is asked for.
pub const DEFAULT_PRESET: &str = "nano";

/// Microbatches of the lowest difficulty of a block: far above one, so that luck with a single one seldom decides, and a
/// stalled chain can't be flooded with blocks.
pub const MIN_MICROBATCHES: u128 = 8;
/// Microbatches of [`DEFAULT_PRESET`] that two cores mine in about a second.
const MICROBATCHES_PER_SECOND: u128 = 12;

/// Difficulty of a block that takes two cores this long, whatever the model: it counts multiply-adds.
pub(crate) fn difficulty_of(seconds: u32) -> u128 {
    MICROBATCHES_PER_SECOND * u128::from(seconds) * u128::from(ModelConfig::NANO.microbatch_macs())
}

/// Room for one receipt's details and gradient. The canonical coding of a sum of 256 gradients takes at most two bytes a
/// weight; 256 leaf hashes of 3.6 kB, their headers and 8,192 claims stay below 2 MiB.
pub(crate) fn blob_bytes(model: &ModelConfig) -> u32 {
    let bytes = model.weights().saturating_mul(2).saturating_add(2 << 20);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl ChainSpec {
    /// A built-in chain, by default on the built-in dataset and the `nano` model.
    ///
    /// # Errors
    ///
    /// When there is no such chain or preset, or the dataset is too short for the model.
    pub fn builtin(id: &str, dataset: Option<&[u8]>, preset: Option<&str>) -> Result<Self, SpecError> {
        let preset = preset.unwrap_or(DEFAULT_PRESET);
        let model = ModelConfig::preset(preset)
            .filter(|_| PRESETS.contains(&preset))
            .ok_or_else(|| SpecError::UnknownPreset { got: preset.to_owned(), expected: PRESETS.join(", ") })?;
        let (name, chain_type, params) = match id {
            dev::ID => (dev::NAME, dev::CHAIN_TYPE, dev::params(&model)),
            local::ID => (local::NAME, local::CHAIN_TYPE, local::params(&model)),
            _ => {
                return Err(SpecError::UnknownChain { got: id.to_owned(), expected: CHAINS.join(", ") });
            }
        };
        let (dataset_root, dataset_len) = match dataset {
            Some(bytes) => (dataset::dataset_root(bytes), bytes.len()),
            None => {
                let embedded = Dataset::embedded();
                (embedded.root(), embedded.bytes().len())
            }
        };
        let spec = Self {
            name: name.to_owned(),
            id: id.to_owned(),
            chain_type,
            protocol_id: format!("descent-{id}"),
            boot_nodes: Vec::new(),
            properties: Properties::default(),
            params,
            task: TaskParams {
                model: model.into(),
                init_seed: init_seed(id),
                dataset_root,
                dataset_len: dataset_len as u64, // usize fits u64 on every target there is
                optimizer: optimizer(preset),
            },
            balances: accounts::all().map(|(_, account)| (account, dev::ENDOWMENT)).collect(),
        };
        spec.validate()?;
        Ok(spec)
    }
}

/// AdamW's constants. Measured on small models: above a rate of 1.5e-3, ten steps of warm-up are too few; wider models
/// take a lower one. There is no decay because a chain has no last step.
fn optimizer(preset: &str) -> OptimizerParams {
    let rate = if preset == "small" { 1e-3 } else { 1.5e-3 };
    OptimizerParams {
        rate,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.1,
        warmup_steps: 10,
        decay_start: 0,
        decay_end: 0,
        final_rate: rate,
    }
}

/// Seed of the initial weights: a hash of the chain's id, so that nobody chose it.
fn init_seed(id: &str) -> H256 {
    H256(blake3::derive_key("descent/initial-weights v1", id.as_bytes()))
}

#[cfg(test)]
mod tests;
