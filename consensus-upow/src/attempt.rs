//! Attempts: what names a microbatch, what its data are, and the key that all its random bits come from.

use codec::Encode;
use descent_runtime::{AccountId, H256};
use ml_kernels::config::{Dims, ProductId};

use crate::task::Task;

/// Names one attempt: a microbatch `(round, account, lane, index)` under one header candidate.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Attempt {
    /// Round whose base weights it uses.
    pub round: u32,
    /// Commitment to those weights and the gradient scales, see [`base_commitment`].
    pub base: H256,
    /// Who computes it.
    pub account: AccountId,
    /// The account's lane.
    pub lane: u32,
    /// Its index in the lane.
    pub index: u32,
    /// Hash of the header before its seal.
    pub sigma: H256,
}

impl Attempt {
    /// `K`: the key of the attempt's random bits. A new `sigma` changes every one of them.
    pub fn key(&self, task: &Task) -> [u8; 32] {
        derive("descent/attempt v1", &(task.id(), self))
    }

    /// `key_B`: seeds the weight-side noise. Free of the index, so that it is made once per template.
    pub fn key_b(&self, task: &Task, id: ProductId, dims: Dims, com_b: &[u8; 32]) -> [u8; 32] {
        key_b(task, &self.sigma, id, dims, com_b)
    }
}

/// `key_B = H("descent/noise/B", task, sigma, layer, op, m, k, n, com_B)`: every dimension and role is bound.
pub fn key_b(task: &Task, sigma: &H256, id: ProductId, dims: Dims, com_b: &[u8; 32]) -> [u8; 32] {
    // Validated sides are at most 4,096.
    let shape = (dims.m as u32, dims.k as u32, dims.n as u32);
    derive("descent/noise/B v1", &(task.id(), sigma, id.layer, id.op as u8, shape, com_b))
}

/// `key_A = H("descent/noise/A", key_B, K, com_A)`.
pub fn key_a(key_b: &[u8; 32], attempt_key: &[u8; 32], com_a: &[u8; 32]) -> [u8; 32] {
    derive("descent/noise/A v1", &(key_b, attempt_key, com_a))
}

/// Commits the weights and the gradient scales of a round: what an attempt's key binds of the state.
pub fn base_commitment(checkpoint_root: &H256, exponents: &[i8]) -> H256 {
    H256(derive("descent/base v1", &(checkpoint_root, exponents)))
}

/// The windows of a microbatch: `batch` times `seq_len + 1` bytes of the training part.
///
/// Window `w` starts at the `w`-th 64-bit word of the name's extendable output, scaled to the number of possible
/// starts by a widening product (bias below 2^-40 for any dataset under 16 MB). The beacon is known only once the round
/// begins; `sigma` has no influence, so the data can't be chosen.
pub fn windows(
    task: &Task,
    dataset: &[u8],
    beacon: &H256,
    round: u32,
    account: &AccountId,
    lane: u32,
    index: u32,
) -> Vec<u8> {
    let length = task.model().seq_len + 1;
    // Validation keeps the training part longer than a window.
    let starts = task.params().held_out_start() - length as u64 + 1;
    let mut hasher = blake3::Hasher::new_derive_key("descent/data v1");
    hasher.update(&(task.id(), beacon, round, account, lane, index).encode());
    let mut output = hasher.finalize_xof();
    let mut bytes = Vec::with_capacity(task.model().batch * length);
    for _ in 0..task.model().batch {
        let mut word = [0; 8];
        output.fill(&mut word);
        let start = ((u128::from(u64::from_le_bytes(word)) * u128::from(starts)) >> 64) as usize;
        bytes.extend_from_slice(&dataset[start..start + length]);
    }
    bytes
}

/// BLAKE3 in its key-derivation mode over the SCALE encoding of `value`: one domain for each use.
pub(crate) fn derive(domain: &str, value: &impl Encode) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    hasher.update(&value.encode());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
