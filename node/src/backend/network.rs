//! The network's figures as RPC shows them.

use descent_rpc::types::{BlamedPeer, NetworkPeer, NetworkState, PeerInfo, SyncState};

use crate::network::shared::{Figures, Shared};

/// Connected peers.
pub(super) fn peers(figures: &Figures) -> Vec<PeerInfo> {
    let info = |(peer, facts): (&libp2p::PeerId, &crate::network::shared::PeerFacts)| PeerInfo {
        peer_id: peer.to_string(),
        roles: if facts.status.is_some_and(|s| s.mines) { "AUTHORITY" } else { "FULL" }.into(),
        best_hash: facts.status.map(|s| s.hash).unwrap_or_default(),
        best_number: facts.status.map_or(0, |s| s.number),
    };
    figures.peers.iter().map(info).collect()
}

/// How far synchronization is.
pub(super) fn sync_state(figures: &Figures) -> SyncState {
    let highest = [Some(figures.best), figures.target, figures.claimed].into_iter().flatten().max();
    SyncState {
        starting_block: figures.starting,
        current_block: figures.best,
        highest_block: highest.unwrap_or(figures.best),
    }
}

/// Everything.
pub(super) fn network_state(network: &Shared) -> NetworkState {
    let (figures, blocks_per_second) = (network.figures(), network.blocks_per_second());
    let peer = |(peer, facts): (&libp2p::PeerId, &crate::network::shared::PeerFacts)| NetworkPeer {
        peer_id: peer.to_string(),
        address: facts.address.to_string(),
        outbound: facts.outbound,
        agent: facts.agent.clone(),
        best_number: facts.status.map(|s| s.number),
    };
    NetworkState {
        peer_id: Some(network.local().to_string()),
        listening: figures.listening.iter().map(ToString::to_string).collect(),
        peers: figures.peers.iter().map(peer).collect(),
        target_block: figures.target,
        candidates: figures.candidates,
        waiting_bytes: figures.waiting_bytes,
        blocks_per_second,
        bans: figures.bans,
        drops: figures.drops,
        blamed: figures
            .blamed
            .iter()
            .map(|(peer, rule)| BlamedPeer { peer_id: peer.to_string(), rule: rule.clone() })
            .collect(),
    }
}
