//! Chain specifications, the built-in dataset and genesis blocks.
//!
//! What makes one Descent network differ from another is data, and all of it is here:
//!
//! - [`spec`]: a chain's specification, as a value and as the JSON file that operators exchange;
//! - [`dev`], [`local`], [`public`]: the parameters of each kind of network, one page each;
//! - [`builtin`]: the specifications that every node carries, put together from those pages;
//! - [`dataset`]: the bytes that a chain trains on, checked against its specification;
//! - [`accounts`]: the accounts of the well-known development phrase;
//! - [`block`]: the genesis block of a specification.
//!
//! Nothing here reads a file, a clock or the environment: the node reads, this crate judges. The initial checkpoint takes
//! kernels to compute, so [`build_genesis`] takes it as an argument.
//!
//! # What the genesis hash binds
//!
//! The genesis state holds the endowments, the hash of the chain's parameters, the task's identity (architecture, seed,
//! dataset, optimizer, constants of the build) and the initial checkpoint's commitment. Two nodes with the same genesis
//! hash therefore play by the same rules. Name, id, boot nodes and token symbol are not bound: they may change.

pub mod accounts;
pub mod block;
pub mod builtin;
pub mod dataset;
pub mod dev;
pub mod local;
pub mod public;
pub mod spec;

pub use block::{BuildError, Genesis, build_genesis};
pub use dataset::{Dataset, DatasetError};
pub use spec::{ChainSpec, ChainType, MAX_SPEC_BYTES, Properties, SpecError};
