//! The descent node.
//!
//! - [`store`]: blocks and states on disk.
//! - [`chain`]: one chain: engine, caches, the import pipeline.
//! - [`network`]: peers, gossip, synchronization.
//! - [`pool`]: transactions waiting for a block.
//! - [`miner`]: templates, microbatches, receipts of the own work.
//! - [`held_out`]: held-out loss, beside consensus.
//! - [`backend`]: what RPC reads.
//! - [`keys`]: account keys.
//! - [`cli`] and [`command`]: the command line.
//!
//! The node holds no rules: those are in `consensus-upow` and `runtime`.

pub mod backend;
pub mod chain;
pub mod cli;
pub mod command;
pub mod held_out;
pub mod keys;
pub mod miner;
pub mod network;
pub mod pool;
pub mod store;
