//! JSON-RPC of the Descent node: what clients may ask, in which shape it is answered, and the
//! server that does so over HTTP and WebSocket on one port.
//!
//! The crate knows no database, no consensus rule and no kernel. Everything it answers comes
//! through the [`Backend`] trait, which the node implements.
//!
//! Layout:
//!
//! - [`backend`]: the trait, and the errors that an answer can fail with;
//! - [`types`]: wire types, in the JSON form that clients expect;
//! - [`system`], [`chain`], [`state`], [`author`], [`descent`]: one group of methods each, as a
//!   method trait and its implementation over a [`Backend`]; `heads` serves head subscriptions;
//! - [`config`], [`origin`]: limits, and which web pages may talk to the node;
//! - [`server`]: puts all of it behind a socket; [`error`]: what can go wrong, with every error code.
//!
//! # Choices
//!
//! **Substrate's methods, not our own.** Names, aliases, parameter forms, error codes and
//! notification names are those of Substrate's RPC, so that existing wallets and libraries work
//! unmodified. What Substrate has no word for lives under `descent_`.
//!
//! **Blocking calls leave the async threads.** [`Backend`] is free of `async`: whatever may touch
//! the disk runs on tokio's blocking threads, so that a slow disk delays its own caller only.
//!
//! **Memory is bounded by configuration.** Requests, responses, batches, connections, subscriptions
//! and unsent messages all have limits in [`RpcConfig`]; a subscriber that cannot keep up skips to
//! the newest head instead of queueing old ones.
//!
//! **Browsers are strangers.** Any web page can open a socket to the visitor's own machine, so by
//! default only pages that the operator's wallets come from are answered (see [`origin`]).

pub mod author;
pub mod backend;
pub mod chain;
pub mod config;
pub mod descent;
pub mod error;
mod heads;
pub mod origin;
pub mod server;
pub mod state;
pub mod system;
pub mod types;

pub use backend::{Backend, BackendError, HeadKind, SubmitError};
pub use config::{RpcConfig, RpcConfigError};
pub use error::RpcStartError;
pub use origin::{AllowedOrigins, OriginPattern, OriginPatternError};
pub use server::{RpcServer, rpc_module, start_server};
pub use types::{
    BlamedPeer, BlockResponse, ChainProperties, ChainType, CheckpointInfo, Health, NetworkPeer, NetworkState, NodeRole,
    PeerInfo, RoundSummary, RuntimeVersion, SyncState, TensorInfo, TrainingStatus,
};
