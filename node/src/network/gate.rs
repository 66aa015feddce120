//! Who may connect: bans, connections per address, reserved peers.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

/// How long a peer that sent provably wrong bytes stays away.
pub const BAN: Duration = Duration::from_secs(600);
/// Banned peers of one address before the address itself is refused.
const STRIKES: usize = 3;
/// Connections from one address at most.
const MAX_PER_ADDRESS: usize = 8;
/// Bans remembered at most; the oldest are forgotten first.
const MAX_BANS: usize = 4096;

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// The peer is banned.
    #[error("peer {0} is banned")]
    BannedPeer(PeerId),
    /// Several peers of the address are banned.
    #[error("address {0} is banned")]
    BannedAddress(IpAddr),
    /// The address has enough connections.
    #[error("address {address} has {got} connections, expected at most {limit}")]
    Address {
        /// The address.
        address: IpAddr,
        /// Its connections.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// Only reserved peers are let in.
    #[error("peer {0} is not reserved")]
    NotReserved(PeerId),
}

/// The behaviour that refuses connections.
pub struct Gate {
    reserved: HashSet<PeerId>,
    reserved_only: bool,
    bans: Vec<(PeerId, Option<IpAddr>, Instant)>,
    connections: HashMap<ConnectionId, IpAddr>,
}

impl Gate {
    /// A gate that knows no bans yet.
    pub fn new(reserved: HashSet<PeerId>, reserved_only: bool) -> Self {
        Self { reserved, reserved_only, bans: Vec::new(), connections: HashMap::new() }
    }

    /// Keeps a peer away for a while.
    pub fn ban(&mut self, peer: PeerId, address: Option<IpAddr>, now: Instant) {
        self.bans.retain(|(banned, _, until)| *banned != peer && *until > now);
        if self.bans.len() >= MAX_BANS {
            self.bans.remove(0);
        }
        self.bans.push((peer, address.filter(|a| !a.is_loopback()).map(line_of), now + BAN));
    }

    /// Whether a peer is banned.
    pub fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.bans.iter().any(|(banned, _, until)| banned == peer && *until > now)
    }

    /// Banned peers.
    pub fn banned(&self, now: Instant) -> usize {
        self.bans.iter().filter(|(_, _, until)| *until > now).count()
    }

    /// Strikes count both ways; how many connections an address has is its own choice only where it calls.
    fn may_come_from(&self, remote: &Multiaddr, inbound: bool) -> Result<(), GateError> {
        let (Some(address), now) = (ip_of(remote), Instant::now()) else { return Ok(()) };
        if inbound { self.address_may_connect(address, now) } else { self.address_is_not_banned(address, now) }
    }

    fn address_is_not_banned(&self, address: IpAddr, now: Instant) -> Result<(), GateError> {
        let line = line_of(address);
        let strikes = self.bans.iter().filter(|(_, a, until)| *a == Some(line) && *until > now).count();
        if strikes >= STRIKES { Err(GateError::BannedAddress(address)) } else { Ok(()) }
    }

    fn address_may_connect(&self, address: IpAddr, now: Instant) -> Result<(), GateError> {
        // Whoever is on this machine is its operator's concern.
        if address.is_loopback() {
            return Ok(());
        }
        self.address_is_not_banned(address, now)?;
        let address = line_of(address);
        let got = self.connections.values().filter(|a| **a == address).count();
        if got >= MAX_PER_ADDRESS {
            return Err(GateError::Address { address, got, limit: MAX_PER_ADDRESS });
        }
        Ok(())
    }

    fn peer_may_connect(&self, peer: PeerId, now: Instant) -> Result<(), GateError> {
        if self.reserved.contains(&peer) {
            return Ok(());
        }
        if self.reserved_only {
            return Err(GateError::NotReserved(peer));
        }
        if self.is_banned(&peer, now) {
            return Err(GateError::BannedPeer(peer));
        }
        Ok(())
    }
}

/// What counts as one address: a customer's line has at least 2^64 addresses of IPv6.
pub fn line_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

/// The IP address in a multiaddress.
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        // Whom it is from is not known yet, and a reserved peer may share its address with others.
        if !self.reserved.is_empty() {
            return Ok(());
        }
        self.may_come_from(remote, true).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.peer_may_connect(peer, Instant::now()).map_err(ConnectionDenied::new)?;
        if !self.reserved.contains(&peer) {
            self.may_come_from(remote, true).map_err(ConnectionDenied::new)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.peer_may_connect(peer, Instant::now()).map_err(ConnectionDenied::new)?;
        if !self.reserved.contains(&peer) {
            self.may_come_from(remote, false).map_err(ConnectionDenied::new)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                if let Some(address) = ip_of(event.endpoint.get_remote_address()) {
                    self.connections.insert(event.connection_id, line_of(address));
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                self.connections.remove(&event.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_end_and_addresses_strike_out() {
        let (mut gate, now) = (Gate::new(HashSet::new(), false), Instant::now());
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let peers: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        for (strike, peer) in peers.iter().enumerate() {
            assert_eq!(gate.address_may_connect(address, now), Ok(()), "after {strike}");
            gate.ban(*peer, Some(address), now);
            assert_eq!(gate.peer_may_connect(*peer, now), Err(GateError::BannedPeer(*peer)));
        }
        assert_eq!(gate.address_may_connect(address, now), Err(GateError::BannedAddress(address)));
        let later = now + BAN + Duration::from_secs(1);
        assert_eq!(gate.address_may_connect(address, later), Ok(()));
        assert_eq!(gate.peer_may_connect(peers[0], later), Ok(()));
        for _ in 0..2 * MAX_BANS {
            gate.ban(PeerId::random(), None, now);
        }
        assert_eq!(gate.banned(now), MAX_BANS);
    }

    #[test]
    fn one_address_gets_so_many_connections() {
        let (mut gate, now) = (Gate::new(HashSet::new(), false), Instant::now());
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for id in 0..MAX_PER_ADDRESS {
            assert_eq!(gate.address_may_connect(address, now), Ok(()));
            gate.connections.insert(ConnectionId::new_unchecked(id), address);
        }
        let error = gate.address_may_connect(address, now).unwrap_err();
        assert_eq!(error.to_string(), "address 192.0.2.7 has 8 connections, expected at most 8");
        assert_eq!(gate.address_may_connect("192.0.2.8".parse().unwrap(), now), Ok(()));
    }

    #[test]
    fn addresses_of_one_line_count_as_one_and_reserved_peers_get_past_it() {
        let (friend, now) = (PeerId::random(), Instant::now());
        let mut gate = Gate::new([friend].into(), false);
        for host in 0..STRIKES as u16 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, host, 0, 0, 1).into();
            gate.ban(PeerId::random(), Some(address), now);
        }
        let remote = |ip: &str| format!("/ip6/{ip}/tcp/1").parse::<Multiaddr>().unwrap();
        let [same, other] = ["2001:db8:0:1:9::9", "2001:db8:0:2::1"].map(remote);
        assert!(matches!(gate.may_come_from(&same, true), Err(GateError::BannedAddress(_))));
        assert!(matches!(gate.may_come_from(&same, false), Err(GateError::BannedAddress(_))));
        assert_eq!(gate.may_come_from(&other, true), Ok(()));
        let mut inbound = |peer| {
            gate.handle_pending_inbound_connection(ConnectionId::new_unchecked(1), &same, &same).unwrap();
            gate.handle_established_inbound_connection(ConnectionId::new_unchecked(1), peer, &same, &same).is_ok()
        };
        assert!(inbound(friend));
        assert!(!inbound(PeerId::random()));
    }

    #[test]
    fn reserved_peers_alone_if_so_wished() {
        let (friend, stranger) = (PeerId::random(), PeerId::random());
        let gate = Gate::new([friend].into(), true);
        assert_eq!(gate.peer_may_connect(friend, Instant::now()), Ok(()));
        assert_eq!(gate.peer_may_connect(stranger, Instant::now()), Err(GateError::NotReserved(stranger)));
    }
}
