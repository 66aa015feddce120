//! Checkpoints as commitments and as stored parts.

use codec::Encode;
use descent_runtime::H256;
use ml_kernels::config::{ModelConfig, TensorSpec};
use ml_kernels::optimizer::Checkpoint;
use rayon::prelude::*;

use crate::attempt::derive;

/// Hashes of one tensor's weights and moments: BLAKE3 over their little-endian f32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct TensorHashes {
    /// Name in the model.
    pub name: String,
    /// Rows and columns.
    pub shape: [u32; 2],
    /// Weights.
    pub weights: H256,
    /// First moments.
    pub first: H256,
    /// Second moments.
    pub second: H256,
}

/// A stored checkpoint that is not what its root says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A part is missing.
    #[error("checkpoint {root} lacks part {part}")]
    Missing {
        /// Its root.
        root: H256,
        /// The part.
        part: u32,
    },
    /// A part has the wrong length.
    #[error("part {part} of checkpoint {root} has {got} bytes, expected {expected}")]
    Length {
        /// Its root.
        root: H256,
        /// The part.
        part: u32,
        /// Its length.
        got: usize,
        /// From the model's shape.
        expected: usize,
    },
    /// The parts hash to another root.
    #[error("checkpoint parts hash to {got}, expected {expected}")]
    Root {
        /// Of the parts.
        got: H256,
        /// Asked for.
        expected: H256,
    },
}

/// Bytes of the part that holds the step and the powers of the betas.
const HEAD_BYTES: usize = 12;

fn to_bytes(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn hash(x: &[f32]) -> H256 {
    H256(*blake3::hash(&to_bytes(x)).as_bytes())
}

/// The hashes that the root commits, tensor by tensor.
pub fn tensor_hashes(model: &ModelConfig, checkpoint: &Checkpoint) -> Vec<TensorHashes> {
    let of = |t: &TensorSpec| TensorHashes {
        name: t.name.clone(),
        // Validated sides are at most 4,096.
        shape: [t.rows as u32, t.cols as u32],
        weights: hash(&checkpoint.weights[t.range()]),
        first: hash(&checkpoint.first[t.range()]),
        second: hash(&checkpoint.second[t.range()]),
    };
    model.tensors().par_iter().map(of).collect()
}

/// `checkpoint_root`: commits step, powers of the betas, and every tensor's weights and moments.
pub fn checkpoint_root(model: &ModelConfig, checkpoint: &Checkpoint) -> H256 {
    let powers = [checkpoint.beta1_power, checkpoint.beta2_power].map(f32::to_bits);
    H256(derive("descent/checkpoint v1", &(checkpoint.step, powers, tensor_hashes(model, checkpoint))))
}

/// A checkpoint as numbered parts: the head, then weights, first and second moments of each tensor.
pub fn to_parts(model: &ModelConfig, checkpoint: &Checkpoint) -> Vec<(u32, Vec<u8>)> {
    let mut head = checkpoint.step.to_le_bytes().to_vec();
    head.extend(to_bytes(&[checkpoint.beta1_power, checkpoint.beta2_power]));
    let tensors = model.tensors();
    let parts = tensors
        .iter()
        .flat_map(|t| [&checkpoint.weights, &checkpoint.first, &checkpoint.second].map(|x| to_bytes(&x[t.range()])));
    // A model has at most 6 * 256 + 3 tensors.
    std::iter::once(head).chain(parts).enumerate().map(|(i, p)| (i as u32, p)).collect()
}

/// The checkpoint of a root from its parts, verified.
///
/// # Errors
/// [`CheckpointError`].
pub fn from_parts(
    model: &ModelConfig,
    root: H256,
    mut part: impl FnMut(u32) -> Option<Vec<u8>>,
) -> Result<Checkpoint, CheckpointError> {
    let mut next = 0;
    let mut take = |expected: usize| {
        let number = next;
        next += 1;
        let bytes = part(number).ok_or(CheckpointError::Missing { root, part: number })?;
        if bytes.len() != expected {
            return Err(CheckpointError::Length { root, part: number, got: bytes.len(), expected });
        }
        Ok(bytes)
    };
    let words = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>();
    let head = take(HEAD_BYTES)?;
    let step = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let powers = words(&head[4..]);
    let mut checkpoint = Checkpoint::initial(Vec::with_capacity(model.weights()));
    (checkpoint.step, checkpoint.beta1_power, checkpoint.beta2_power) = (step, powers[0], powers[1]);
    for tensor in model.tensors() {
        checkpoint.weights.extend(words(&take(4 * tensor.len())?));
        checkpoint.first.extend(words(&take(4 * tensor.len())?));
        checkpoint.second.extend(words(&take(4 * tensor.len())?));
    }
    let got = checkpoint_root(model, &checkpoint);
    if got == root { Ok(checkpoint) } else { Err(CheckpointError::Root { got, expected: root }) }
}

#[cfg(test)]
mod tests;
