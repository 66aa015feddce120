//! Proof of useful work: attempts, tickets, seals, receipts and their verification. A pure library.
//!
//! | rule book | where |
//! |---|---|
//! | what is trained, constants of the lottery | [`task`] |
//! | what names a microbatch, its data, its keys | [`attempt`] |
//! | tickets and witnesses | [`ticket`], [`witness`] |
//! | mining a microbatch, recomputing one | [`mining`], [`engine`] |
//! | seals | [`seal`] |
//! | receipts, their gradients' encoding, sampling | [`receipt`], [`gradient_codec`], [`sampling`] |
//! | the optimizer step, scales, checkpoints | [`step`], [`checkpoint`], [`genesis`] |
//! | difficulty, time, fork choice | [`difficulty`], [`timestamp`], [`fork_choice`] |
//! | a whole block, in order of cost | [`verify`], reading the chain through [`view`] |
//!
//! `PROTOCOL.md` beside this crate states every rule with its reason; rules, functions, error variants and tests share
//! their names.

pub mod attempt;
pub mod checkpoint;
pub mod difficulty;
pub mod engine;
pub mod fork_choice;
pub mod genesis;
pub mod gradient_codec;
pub mod mining;
pub mod receipt;
pub mod sampling;
pub mod seal;
pub mod step;
pub mod task;
#[cfg(test)]
mod testing;
pub mod ticket;
pub mod timestamp;
pub mod verify;
pub mod view;
pub mod witness;

pub use ml_kernels::config::{ModelConfig, TensorKind, TensorSpec};
pub use ml_kernels::loss::from_fixed as loss_from_fixed;
pub use ml_kernels::microbatch::evaluate;
pub use ml_kernels::optimizer::Checkpoint;
pub use ml_kernels::platform::{Platform, float_environment_is_default};
pub use ml_kernels::weights::PreparedWeights;
