//! What the rest of the node reads of the network: peers, progress, and whether to mine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::sync::is_far_behind;
use super::wire::Status;

/// Over how long the speed of catching up is averaged.
const SPEED_WINDOW: Duration = Duration::from_secs(10);
/// How long after a verified block its branch counts as leading on.
const LED_ON: Duration = Duration::from_secs(5);
/// Blamed peers that are remembered.
const MAX_BLAMED: usize = 64;

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    /// Where it is.
    pub address: Multiaddr,
    /// Whether this node called it.
    pub outbound: bool,
    /// Where its chain stands, in its own words.
    pub status: Option<Status>,
    /// Name and version of its program.
    pub agent: String,
}

/// Figures for people.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Connected peers.
    pub peers: BTreeMap<PeerId, PeerFacts>,
    /// Own addresses.
    pub listening: Vec<Multiaddr>,
    /// Height when the node started.
    pub starting: u32,
    /// Height now.
    pub best: u32,
    /// Height of the heaviest candidate whose witness was checked.
    pub target: Option<u32>,
    /// Greatest height that a peer with more work claims.
    pub claimed: Option<u32>,
    /// Headers waiting for their blocks.
    pub candidates: usize,
    /// Bytes of headers, bodies and parts that wait.
    pub waiting_bytes: usize,
    /// Peers sent away lately, with the rule each broke.
    pub blamed: VecDeque<(PeerId, String)>,
    /// Peers banned since the start.
    pub bans: u64,
    /// Peers dropped since the start because they served nothing.
    pub drops: u64,
    imports: VecDeque<Instant>,
    /// When a block on the way to the target was verified last.
    led_on: Option<Instant>,
}

/// Shared between the network, the miner and RPC.
pub struct Shared {
    local: PeerId,
    far_behind: Arc<AtomicBool>,
    figures: Mutex<Figures>,
}

impl Shared {
    /// Of a node with this identity at this height.
    pub fn new(local: PeerId, height: u32) -> Self {
        let figures = Figures { starting: height, best: height, ..Figures::default() };
        Self { local, far_behind: Arc::default(), figures: Mutex::new(figures) }
    }

    /// The own identity.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// True while the node catches up: mining on an old block is a waste.
    pub fn far_behind(&self) -> Arc<AtomicBool> {
        self.far_behind.clone()
    }

    /// Whether the node catches up.
    pub fn is_far_behind(&self) -> bool {
        self.far_behind.load(Ordering::Relaxed)
    }

    /// A copy of all figures.
    pub fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// Blocks a second over the last ten seconds.
    pub fn blocks_per_second(&self) -> f64 {
        let mut figures = self.lock();
        let now = Instant::now();
        while figures.imports.front().is_some_and(|at| now.duration_since(*at) > SPEED_WINDOW) {
            figures.imports.pop_front();
        }
        match (figures.imports.front(), figures.imports.len()) {
            (Some(first), n) if n > 1 => n as f64 / first.elapsed().as_secs_f64().max(1e-3),
            _ => 0.0,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Figures> {
        // Figures are valid whatever a panicking thread left in them.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peer_status(&self, peer: PeerId, status: Status) {
        if let Some(facts) = self.lock().peers.get_mut(&peer) {
            facts.status = Some(status);
        }
    }

    pub(super) fn banned(&self, peer: PeerId, rule: String) {
        let mut figures = self.lock();
        figures.bans += 1;
        figures.blamed.push_back((peer, rule));
        if figures.blamed.len() > MAX_BLAMED {
            figures.blamed.pop_front();
        }
    }

    pub(super) fn dropped(&self, _: PeerId) {
        self.lock().drops += 1;
    }

    pub(super) fn target(&self, target: Option<u32>) {
        let mut figures = self.lock();
        figures.target = target;
        self.judge(&figures);
    }

    /// A block on the way to the target was verified.
    pub(super) fn led_on(&self) {
        let mut figures = self.lock();
        figures.led_on = Some(Instant::now());
        self.judge(&figures);
    }

    /// A target is claimed by headers, whose witnesses prove an eighth of their work: without true blocks on the way to it
    /// nobody rests for it.
    fn judge(&self, figures: &Figures) {
        let is_led = figures.led_on.is_some_and(|at| at.elapsed() < LED_ON);
        self.far_behind.store(is_led && is_far_behind(figures.best, figures.target), Ordering::Relaxed);
    }

    pub(super) fn imported(&self, number: u32) {
        let mut figures = self.lock();
        figures.best = number;
        figures.imports.push_back(Instant::now());
        // The window bounds the time, this the memory.
        if figures.imports.len() > 100_000 {
            figures.imports.pop_front();
        }
        self.judge(&figures);
    }

    pub(super) fn progress(&self, own: Status, claimed: Option<u32>, candidates: usize, bytes: usize) {
        let mut figures = self.lock();
        (figures.best, figures.claimed) = (own.number, claimed);
        (figures.candidates, figures.waiting_bytes) = (candidates, bytes);
        // Called all the time: what was true a while ago may be over.
        self.judge(&figures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_alone_let_nobody_rest() {
        let shared = Shared::new(PeerId::random(), 5);
        shared.target(Some(1000));
        assert!(!shared.is_far_behind());
        shared.led_on();
        assert!(shared.is_far_behind());
        shared.lock().led_on = Instant::now().checked_sub(LED_ON);
        shared.target(Some(1001));
        assert!(!shared.is_far_behind());
        shared.led_on();
        shared.target(Some(13));
        assert!(!shared.is_far_behind());
    }
}
