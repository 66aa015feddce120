//! The swarm: transports, and the protocols on top of them.

use std::time::Duration;

use descent_runtime::H256;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, gossipsub, identify, kad, mdns, memory_connection_limits, noise, ping,
    tcp, yamux,
};

use super::gate::Gate;
use super::gossip::{self, Topics};
use super::transfer::Transfer;
use super::wire::protocol;
use super::{NetworkConfig, NetworkError};

/// How long a response may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are being made at most, each way.
const MAX_PENDING: u32 = 32;
/// Connections to one peer: both sides may call at the same time, over two transports.
const MAX_PER_PEER: u32 = 3;
/// Part of the machine's memory above which no more connections are taken.
const MAX_MEMORY: f64 = 0.9;
/// Streams of requests on one connection at most.
const MAX_STREAMS: usize = 32;
/// Peers stay connected while nothing is said.
const IDLE: Duration = Duration::from_secs(24 * 3600);

/// All protocols of a node.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    /// Bans, addresses, reserved peers.
    pub(super) gate: Gate,
    /// Number of connections.
    pub(super) limits: connection_limits::Behaviour,
    /// Memory.
    pub(super) memory: memory_connection_limits::Behaviour,
    /// Who a peer is, and on which chain.
    pub(super) identify: identify::Behaviour,
    /// Whether it is still there.
    pub(super) ping: ping::Behaviour,
    /// Finding more peers.
    pub(super) kad: kad::Behaviour<MemoryStore>,
    /// Finding peers in the same room.
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    /// Headers and transactions.
    pub(super) gossip: gossipsub::Behaviour,
    /// Requests.
    pub(super) exchange: request_response::Behaviour<Transfer>,
}

/// Builds the swarm.
///
/// # Errors
/// [`NetworkError`].
pub(super) fn swarm(
    key: Keypair,
    genesis: &H256,
    config: &NetworkConfig,
    topics: &Topics,
    max_response: usize,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let failed = |reason: &dyn std::fmt::Display| NetworkError::Transport { reason: reason.to_string() };
    let local = key.public().to_peer_id();
    let gossip = gossip::behaviour(topics)?;
    let mdns = config.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), local)).transpose();
    let mdns = mdns.unwrap_or_else(|error| {
        // A machine without multicast has other ways to find peers.
        tracing::info!(%error, "no discovery by mDNS");
        None
    });
    let behaviour = behaviour(&key, local, genesis, config, gossip, mdns.into(), max_response);
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|e| failed(&e))?
        .with_quic()
        .with_dns()
        .map_err(|e| failed(&e))?
        .with_behaviour(|_| behaviour)
        .map_err(|e| failed(&e))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
        .build();
    Ok(swarm)
}

fn behaviour(
    key: &Keypair,
    local: PeerId,
    genesis: &H256,
    config: &NetworkConfig,
    gossip: gossipsub::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    max_response: usize,
) -> Behaviour {
    // The name is ASCII and starts with a slash.
    let stream = |name| StreamProtocol::try_from_owned(protocol(genesis, name)).expect("starts with a slash");
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING))
        .with_max_pending_outgoing(Some(MAX_PENDING))
        // A quarter is left for those that this node calls: strangers who call it can't be all it hears.
        .with_max_established_incoming(Some(config.max_peers - config.max_peers / 4))
        .with_max_established(Some(config.max_peers.saturating_mul(2)))
        .with_max_established_per_peer(Some(MAX_PER_PEER));
    let mut limits = connection_limits::Behaviour::new(limits);
    let reserved: std::collections::HashSet<PeerId> = config.reserved.iter().map(|(peer, _)| *peer).collect();
    for peer in &reserved {
        limits.bypass_peer_id(peer);
    }
    let agent = format!("descent/{} ({})", env!("CARGO_PKG_VERSION"), config.name);
    let identify = identify::Config::new(protocol(genesis, "chain"), key.public()).with_agent_version(agent);
    let mut kad = kad::Config::new(stream("kad"));
    // The service does it, while there is somebody to ask.
    kad.set_periodic_bootstrap_interval(None);
    // Nobody here stores records, so strangers' are dropped rather than kept.
    kad.set_record_filtering(kad::StoreInserts::FilterBoth);
    // Peers enter the table once they have said which chain they are of; none where only reserved ones count.
    kad.set_kbucket_inserts(kad::BucketInserts::Manual);
    let mut kad = kad::Behaviour::with_config(local, MemoryStore::new(local), kad);
    kad.set_mode(Some(kad::Mode::Server));
    let exchange = request_response::Config::default()
        .with_request_timeout(REQUEST_TIMEOUT)
        .with_max_concurrent_streams(MAX_STREAMS);
    Behaviour {
        gate: Gate::new(reserved, config.reserved_only),
        limits,
        memory: memory_connection_limits::Behaviour::with_max_percentage(MAX_MEMORY),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        kad,
        mdns,
        gossip,
        exchange: request_response::Behaviour::with_codec(
            Transfer { max_response },
            [(stream("exchange"), ProtocolSupport::Full)],
            exchange,
        ),
    }
}
