//! The engine: a task with its data and tables, able to recompute any microbatch.

use std::sync::Arc;

use descent_runtime::{AccountId, H256};
use ml_kernels::config::{ProductId, TensorSpec};
use ml_kernels::error::KernelError;
use ml_kernels::lattice::{LatticeKey, LeafHash};
use ml_kernels::microbatch::{self, BSide, MicrobatchInput, MicrobatchOutput, Products};
use ml_kernels::platform::Platform;
use ml_kernels::product::{Operand, product};
use ml_kernels::weights::PreparedWeights;

use crate::attempt::{Attempt, base_commitment, key_a, windows};
use crate::task::{Task, TaskError, TaskParams};
use crate::ticket::TileId;
use crate::witness::tile_ticket;

/// A dataset that is not the task's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The task itself is invalid.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The length is committed.
    #[error("dataset has {got} bytes, expected {expected}")]
    DatasetLength {
        /// Its length.
        got: u64,
        /// The task's.
        expected: u64,
    },
    /// The content is committed.
    #[error("dataset hashes to {got}, expected {expected}")]
    DatasetRoot {
        /// Its hash.
        got: H256,
        /// The task's.
        expected: H256,
    },
    /// Shapes that don't fit; impossible for a validated task.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// What all microbatches of a round share.
#[derive(Clone, Debug)]
pub struct RoundContext {
    /// The round.
    pub round: u32,
    /// Hash of its first block.
    pub beacon: H256,
    /// Commitment to weights and scales.
    pub base: H256,
    /// Exponents of the integer gradients.
    pub exponents: Vec<i8>,
    /// Base weights, quantized.
    pub weights: Arc<PreparedWeights>,
}

impl RoundContext {
    /// Puts a round's context together.
    pub fn new(
        round: u32,
        beacon: H256,
        checkpoint_root: &H256,
        exponents: Vec<i8>,
        weights: Arc<PreparedWeights>,
    ) -> Self {
        let base = base_commitment(checkpoint_root, &exponents);
        Self { round, beacon, base, exponents, weights }
    }

    /// An attempt of this round.
    pub fn attempt(&self, account: &AccountId, lane: u32, index: u32, sigma: H256) -> Attempt {
        Attempt { round: self.round, base: self.base, account: account.clone(), lane, index, sigma }
    }
}

/// A recomputed microbatch.
#[derive(Clone, Debug)]
pub struct Recomputed {
    /// Leaf hash of the integer gradient.
    pub leaf: LeafHash,
    /// Integer gradient, squares, loss.
    pub output: MicrobatchOutput,
    /// The requested tiles, in the order asked for.
    pub tiles: Vec<RecomputedTile>,
}

/// What a tile of a recomputed microbatch draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecomputedTile {
    /// Commitment of the product's A operand.
    pub com_a: H256,
    /// Commitment of its B operand.
    pub com_b: H256,
    /// First half of the ticket.
    pub t0: H256,
}

/// The task with its data and tables. Immutable, shared by miner and verifier.
pub struct Engine {
    task: Task,
    dataset: Arc<[u8]>,
    tensors: Vec<TensorSpec>,
    lattice: LatticeKey,
    platform: Platform,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Dataset and tables are megabytes long.
        f.debug_struct("Engine").field("task", &self.task).field("platform", &self.platform).finish_non_exhaustive()
    }
}

impl Engine {
    /// Checks the dataset against the task and makes the tables.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(params: TaskParams, dataset: Arc<[u8]>, platform: Platform) -> Result<Self, EngineError> {
        let task = Task::new(params)?;
        let (got, expected) = (dataset.len() as u64, task.params().dataset_len);
        if got != expected {
            return Err(EngineError::DatasetLength { got, expected });
        }
        let (got, expected) = (H256(*blake3::hash(&dataset).as_bytes()), task.params().dataset_root);
        if got != expected {
            return Err(EngineError::DatasetRoot { got, expected });
        }
        // The public polynomials belong to the task: a break of one task's would not carry over.
        let lattice = LatticeKey::new(&task.id().0, task.model().weights());
        Ok(Self { tensors: task.model().tensors(), task, dataset, lattice, platform })
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The model's tensors.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// The leaf hash's public polynomials.
    pub fn lattice(&self) -> &LatticeKey {
        &self.lattice
    }

    /// The code path in use.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The held-out tenth of the dataset.
    pub fn held_out(&self) -> &[u8] {
        // The length was checked to be the task's.
        &self.dataset[self.task.params().held_out_start() as usize..]
    }

    /// The data of an attempt.
    pub fn windows(&self, context: &RoundContext, attempt: &Attempt) -> Vec<u8> {
        windows(
            &self.task,
            &self.dataset,
            &context.beacon,
            attempt.round,
            &attempt.account,
            attempt.lane,
            attempt.index,
        )
    }

    /// Runs an attempt's microbatch with a given way to multiply; returns its output and leaf hash.
    ///
    /// # Errors
    /// [`KernelError`] if the context is another model's.
    pub fn run(
        &self,
        context: &RoundContext,
        attempt: &Attempt,
        products: &mut impl Products,
    ) -> Result<(MicrobatchOutput, LeafHash), KernelError> {
        let (windows, key) = (self.windows(context, attempt), attempt.key(&self.task));
        let input = MicrobatchInput { windows: &windows, key: &key, exponents: &context.exponents };
        let output = microbatch::run(self.platform, &context.weights, input, products)?;
        let leaf = self.lattice.hash_i8(self.platform, &output.gradient);
        // The gradient has the model's length, which the lattice key was made for.
        Ok((output, leaf.expect("gradient of the task's own model")))
    }

    /// Recomputes an attempt with unmined products and draws the tickets of the given tiles, which must exist.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn recompute(
        &self,
        context: &RoundContext,
        attempt: &Attempt,
        tiles: &[TileId],
    ) -> Result<Recomputed, KernelError> {
        let key = attempt.key(&self.task);
        let mut verifier = Verifier { engine: self, attempt, key, wanted: tiles, drawn: vec![None; tiles.len()] };
        let (output, leaf) = self.run(context, attempt, &mut verifier)?;
        // Every product of the model runs, and the tiles exist.
        let tiles = verifier.drawn.into_iter().map(|t| t.expect("tile of a product of the model")).collect();
        Ok(Recomputed { leaf, output, tiles })
    }
}

/// Multiplies plainly and draws the tickets of chosen tiles from the clean operands.
struct Verifier<'a> {
    engine: &'a Engine,
    attempt: &'a Attempt,
    key: [u8; 32],
    wanted: &'a [TileId],
    drawn: Vec<Option<RecomputedTile>>,
}

impl Products for Verifier<'_> {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        let of_this_product = |t: &TileId| t.layer == id.layer && t.op == id.op as u8;
        if self.wanted.iter().any(of_this_product) {
            let task = &self.engine.task;
            let com_a = Operand::commitment(&a.strip_hashes());
            let com_b = match b {
                BSide::Weights(w) => w.commitment,
                BSide::Activations(o) => Operand::commitment(&o.strip_hashes()),
            };
            // The microbatch runs the model's own products only.
            let dims = task.model().dims(id).expect("product of the model");
            let key_b = self.attempt.key_b(task, id, dims, &com_b);
            let key_a = key_a(&key_b, &self.key, &com_a);
            for (tile, drawn) in self.wanted.iter().zip(&mut self.drawn).filter(|(t, _)| of_this_product(t)) {
                let (row, col) = (a.strip(tile.row.into()), b.operand().strip(tile.col.into()));
                let t0 = tile_ticket(row, col, dims, *tile, &key_a, &key_b)?;
                *drawn = Some(RecomputedTile { com_a: H256(com_a), com_b: H256(com_b), t0 });
            }
        }
        Ok(product(self.engine.platform, a, b.operand(), out)?)
    }
}

#[cfg(test)]
mod tests;
