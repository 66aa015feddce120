//! Peers: finding them, and following the best chain with them.
//!
//! - [`wire`], [`transfer`]: messages and their framing; [`groups`]: verified transfer of receipts' parts;
//! - [`identity`], [`book`], [`gate`]: the own key, known peers, who may connect;
//! - [`gossip`], `behaviour`: protocols of the swarm; [`service`]: the task that drives it;
//! - [`serve`], [`budget`]: answering requests, and how many of them;
//! - [`candidates`], [`downloads`], [`sync`], [`faults`]: what is fetched, from whom, and who is blamed;
//! - [`shared`]: what RPC, the status line and the miner read.
//!
//! # Choices
//!
//! **The genesis hash is in every protocol's name.** Peers of another chain have nothing to talk about.
//!
//! **A header is forwarded once its whole block was verified.** So whoever announces or lists an invalid block has lied,
//! and may be sent away; nobody is blamed for what a stranger sent through him. It costs a block's verification at each
//! hop.
//!
//! **Only provably wrong bytes are punished.** Silence and lateness are not: a peer that serves nothing is
//! disconnected, and may come back.
//!
//! **Weight comes from the import pipeline alone.** Candidates decide what is fetched next, and nothing else.

mod behaviour;
pub mod book;
pub mod budget;
pub mod candidates;
pub mod downloads;
pub mod faults;
pub mod gate;
pub mod gossip;
pub mod groups;
pub mod identity;
pub mod serve;
pub mod service;
pub mod shared;
pub mod sync;
pub mod transfer;
pub mod wire;

use std::path::PathBuf;

use libp2p::{Multiaddr, PeerId};

pub use service::{Network, start};

/// Bytes of a response that the transport carries at most: a chain whose blocks need more is not started.
pub const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// Settings of the network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Name that peers see.
    pub name: String,
    /// File with the node's key; made if absent.
    pub node_key: PathBuf,
    /// File with known peers.
    pub known_peers: PathBuf,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// If an address is taken, any free port will do.
    pub any_port: bool,
    /// Peers to begin with.
    pub bootnodes: Vec<(PeerId, Multiaddr)>,
    /// Peers that are always let in, and kept connected.
    pub reserved: Vec<(PeerId, Multiaddr)>,
    /// Nobody else is let in.
    pub reserved_only: bool,
    /// Connected peers at most.
    pub max_peers: u32,
    /// Whether to look for peers in the same room.
    pub mdns: bool,
}

/// What keeps the network from running.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The node's key.
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    /// The chain's blocks don't fit.
    #[error("a response on this chain may have {got} bytes, expected at most {limit}")]
    BlockExceedsTransport {
        /// Bytes of the longest response.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// A transport could not be set up.
    #[error("network transport: {reason}")]
    Transport {
        /// Its own words.
        reason: String,
    },
    /// Gossip could not be set up.
    #[error("gossip: {reason}")]
    Gossip {
        /// Its own words.
        reason: String,
    },
    /// An address can't be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The system's words.
        reason: String,
    },
    /// Synchronization ended.
    #[error(transparent)]
    Sync(#[from] sync::SyncError),
    /// A thread could not be started.
    #[error("network thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The task ended by itself.
    #[error("the network task ended")]
    Ended,
}
