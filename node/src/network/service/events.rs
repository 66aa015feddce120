//! What the swarm reports.

use std::time::Instant;

use codec::Encode;
use libp2p::core::ConnectedPoint;
use libp2p::request_response::{self, InboundFailure, Message, OutboundFailure};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, gossipsub, identify, mdns};

use super::{Budget, Event, Service};
use crate::network::behaviour::BehaviourEvent;
use crate::network::gate::ip_of;
use crate::network::shared::PeerFacts;
use crate::network::sync::NoResponse;
use crate::network::wire::{Request, Response, protocol};

/// Addresses that a peer says it listens on and that are looked at.
const MAX_LISTED: usize = 8;
/// Characters of a peer's name that are kept.
const MAX_AGENT: usize = 64;

impl Service {
    pub(super) async fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event).await,
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(address = %address, peer = %self.swarm.local_peer_id(), "listening for peers");
                self.shared.lock().listening.push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.lock().listening.retain(|known| *known != address);
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.met(peer_id, &endpoint);
                // Only what was reached: what strangers say of themselves fills no book.
                if endpoint.is_dialer() {
                    let address = endpoint.get_remote_address();
                    let split = crate::network::book::split_peer(address.clone());
                    self.book.add(peer_id, split.map_or_else(|| address.clone(), |(_, address)| address));
                }
                self.tell(Event::Connected(peer_id)).await;
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "disconnected");
                self.shared.lock().peers.remove(&peer_id);
                self.tell(Event::Disconnected(peer_id)).await;
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "not reached");
            }
            SwarmEvent::IncomingConnectionError { error, .. } => tracing::debug!(%error, "not let in"),
            _ => {}
        }
    }

    fn met(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        tracing::debug!(%peer, ?endpoint, "connected");
        let facts = PeerFacts {
            address: endpoint.get_remote_address().clone(),
            outbound: endpoint.is_dialer(),
            status: None,
            agent: String::new(),
        };
        self.shared.lock().peers.insert(peer, facts);
    }

    async fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => self.introduced(peer_id, info),
            BehaviourEvent::Mdns(mdns::Event::Discovered(list)) => {
                for (peer, address) in list {
                    self.call(peer, vec![address]);
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let is_header = message.topic == self.topics.headers.hash();
                let event = if is_header { Event::Header } else { Event::Transaction };
                self.tell(event(propagation_source, message_id, message.data)).await;
            }
            BehaviourEvent::Gossip(gossipsub::Event::Subscribed { topic, .. })
                if topic == self.topics.transactions.hash() =>
            {
                self.republish_due = true;
            }
            BehaviourEvent::Exchange(event) => self.exchange_event(event).await,
            _ => {}
        }
    }

    /// A peer says who it is, and on which chain.
    fn introduced(&mut self, peer: PeerId, info: identify::Info) {
        let expected = protocol(&self.chain.genesis_hash(), "chain");
        if info.protocol_version != expected {
            tracing::debug!(%peer, got = %info.protocol_version, %expected, "peer of another chain");
            self.book.remove(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let observed = self.shared.lock().peers.get_mut(&peer).map(|facts| {
            facts.agent = info.agent_version.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect();
            facts.address.clone()
        });
        let Some(observed) = observed else { return };
        for address in info.listen_addrs.into_iter().take(MAX_LISTED).filter(|a| is_reachable(a, &observed)) {
            if !self.config.reserved_only {
                self.swarm.behaviour_mut().kad.add_address(&peer, address);
            }
        }
    }

    async fn exchange_event(&mut self, event: request_response::Event<Request, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => {
                    self.serve(peer, request, channel).await;
                }
                Message::Response { request_id, response } => {
                    if let Some(id) = self.requests.remove(&request_id) {
                        self.tell(Event::Response(peer, id, Ok(response))).await;
                    }
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "no response");
                let failure = match error {
                    OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                        NoResponse::Malformed(error.to_string())
                    }
                    _ => NoResponse::Missing,
                };
                if let Some(id) = self.requests.remove(&request_id) {
                    self.tell(Event::Response(peer, id, Err(failure))).await;
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "request not answered");
                if let InboundFailure::Io(error) = error
                    && error.kind() == std::io::ErrorKind::InvalidData
                {
                    let rule = format!("malformed message: {error}");
                    tracing::warn!(%peer, %rule, "peer banned");
                    self.shared.banned(peer, rule);
                    self.ban(peer);
                }
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Answers a request on a blocking thread, within the peer's budget.
    async fn serve(&mut self, peer: PeerId, request: Request, channel: request_response::ResponseChannel<Response>) {
        let (now, account) = (Instant::now(), self.account_of(peer));
        let budget = self.budgets.entry(account).or_insert_with(|| Budget::new(now));
        if !budget.admit(now) {
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, Response::Busy);
            return;
        }
        if let Request::Status(status) = request
            && budget.may_tell(now)
        {
            self.tell(Event::Status(peer, status)).await;
        }
        let (server, served) = (self.server.clone(), self.served.clone());
        tokio::task::spawn_blocking(move || {
            let mut read = 0;
            let response = server.answer_counting(&request, &mut read);
            if let Err(error) = &response {
                tracing::warn!(%error, "request not answered");
            }
            // The task is gone only when the node ends.
            let response = response.ok();
            let cost = response.as_ref().map_or(0, Encode::encoded_size).max(read);
            let _ = served.blocking_send((account, channel, response, cost));
        });
    }
}

/// Whether an address that a peer names can be of use: one on a loopback interface is, only for those on it.
fn is_reachable(address: &Multiaddr, observed: &Multiaddr) -> bool {
    let is_loopback = |a: &Multiaddr| ip_of(a).is_some_and(|ip| ip.is_loopback());
    !is_loopback(address) || is_loopback(observed)
}
