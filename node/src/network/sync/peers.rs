//! What is known of each peer, and requests under way.

use std::time::{Duration, Instant};

use descent_runtime::H256;
use libp2p::PeerId;

use super::{Command, NoResponse, Sync, SyncError};
use crate::network::downloads::Item;
use crate::network::faults::Fault;
use crate::network::wire::{Response, Status};

/// Requests under way with one peer at most, below what a peer answers at the same time.
pub(super) const MAX_IN_FLIGHT: usize = 6;
/// How often a peer is asked where its chain stands: gossip may miss.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long a peer that is too busy is left alone.
const BUSY: Duration = Duration::from_millis(500);
/// How long a peer that didn't have an item isn't asked for it again.
pub(super) const LACKING: Duration = Duration::from_secs(2);

/// Announced headers of one peer that are looked at in a second, in the long run.
const ANNOUNCEMENTS_PER_SECOND: f64 = 20.0;
/// The same at once after a pause.
const ANNOUNCEMENTS_BURST: f64 = 200.0;

/// Transactions of one peer that are looked at in a second, in the long run.
const TRANSACTIONS_PER_SECOND: f64 = 100.0;
/// The same at once after a pause: what a peer passes on to a newcomer, and some more.
const TRANSACTIONS_BURST: f64 = 1000.0;
/// A peer that left so many requests for blocks unanswered, and answered none between them, is disconnected.
const MAX_TIMEOUTS: u32 = 3;

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where its chain stands, in its own words.
    pub(super) status: Option<Status>,
    /// Its last header that became a candidate or is stored: the next ones follow it.
    pub(super) last_header: Option<H256>,
    /// Whether a request for headers is under way.
    pub(super) headers_asked: bool,
    /// Whether it had no more headers, as of its last status.
    pub(super) exhausted: bool,
    /// Requests under way.
    pub(super) in_flight: usize,
    /// When it may be asked again.
    pub(super) busy_until: Instant,
    status_due: Instant,
    /// Requests for blocks in a row that it did not answer at all.
    pub(super) timeouts: u32,
    announcements: Bucket,
    transactions: Bucket,
}

/// What a peer may still send unasked, and as of when.
#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl Bucket {
    fn new(burst: f64, now: Instant) -> Self {
        Self { left: burst, since: now }
    }

    /// Takes one out, if there is one.
    fn take(&mut self, per_second: f64, burst: f64, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + seconds * per_second).min(burst);
        self.since = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Status,
    Headers(Vec<H256>),
    Witness(H256),
    Item(Item),
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) peer: PeerId,
    pub(super) ask: Ask,
}

impl Sync {
    pub(super) fn connected(&mut self, peer: PeerId) {
        let now = self.now;
        self.peers.entry(peer).or_insert(Peer {
            status: None,
            last_header: None,
            headers_asked: false,
            exhausted: false,
            in_flight: 0,
            busy_until: now,
            status_due: now,
            timeouts: 0,
            announcements: Bucket::new(ANNOUNCEMENTS_BURST, now),
            transactions: Bucket::new(TRANSACTIONS_BURST, now),
        });
    }

    pub(super) fn disconnected(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.candidates.left(&peer);
        let lost: Vec<u64> = self.flights.iter().filter(|(_, f)| f.peer == peer).map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(flight) = self.flights.remove(&id) {
                self.unanswered(peer, flight.ask);
            }
        }
    }

    pub(super) fn told_status(&mut self, peer: PeerId, status: Status) {
        if let Some(reason) = self.invalid.get(&status.hash) {
            let fault = Fault::Block { hash: status.hash, reason: reason.clone() };
            return self.punish(peer, &fault);
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if known.status != Some(status) {
            known.exhausted = false;
        }
        known.status = Some(status);
        self.shared.peer_status(peer, status);
    }

    /// Whether another announcement of a peer is looked at; those beyond its rate are let go without blame.
    pub(super) fn may_announce(&mut self, peer: &PeerId) -> bool {
        let now = self.now;
        let Some(known) = self.peers.get_mut(peer) else { return false };
        known.announcements.take(ANNOUNCEMENTS_PER_SECOND, ANNOUNCEMENTS_BURST, now)
    }

    /// The same of a transaction, whose signature and state cost more than a header's claims.
    pub(super) fn may_send_transaction(&mut self, peer: &PeerId) -> bool {
        let now = self.now;
        let Some(known) = self.peers.get_mut(peer) else { return false };
        known.transactions.take(TRANSACTIONS_PER_SECOND, TRANSACTIONS_BURST, now)
    }

    /// A peer answers: its silence before was chance.
    pub(super) fn delivered(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.timeouts = 0;
        }
    }

    /// A peer swallowed a request. One that does so again and again is of no use, which is no crime.
    fn timed_out(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.timeouts += 1;
        if known.timeouts == MAX_TIMEOUTS {
            self.shared.dropped(peer);
            self.command(Command::Drop(peer));
        }
    }

    pub(super) fn ask_for_status(&mut self) -> Result<(), SyncError> {
        let now = self.now;
        let due: Vec<PeerId> = self.peers.iter().filter(|(_, p)| p.status_due <= now).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.status_due = now + STATUS_EVERY;
            }
            self.ask(id, Ask::Status);
        }
        Ok(())
    }

    /// Whether another request may go to a peer.
    pub(super) fn is_free(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|p| p.in_flight < MAX_IN_FLIGHT && p.busy_until <= self.now)
    }

    pub(super) fn answered(
        &mut self,
        peer: PeerId,
        id: u64,
        response: Result<Response, NoResponse>,
    ) -> Result<(), SyncError> {
        // Only what was asked for is looked at.
        let Some(Flight { ask, .. }) = self.flights.remove(&id) else { return Ok(()) };
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = known.in_flight.saturating_sub(1);
        }
        match (ask, response) {
            (ask, Err(NoResponse::Malformed(reason))) => {
                self.punish(peer, &Fault::Malformed(reason));
                self.unanswered(peer, ask);
            }
            (ask, Err(NoResponse::Missing)) => {
                if matches!(ask, Ask::Item(_)) {
                    self.timed_out(peer);
                }
                self.unanswered(peer, ask);
            }
            (ask, Ok(Response::NotFound)) => self.unanswered(peer, ask),
            (ask, Ok(Response::Busy)) => {
                let until = self.now + BUSY;
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.busy_until = until;
                }
                self.unanswered(peer, ask);
            }
            (Ask::Status, Ok(Response::Status(status))) => self.told_status(peer, status),
            (Ask::Headers(locator), Ok(Response::Headers(headers))) => self.got_headers(peer, &locator, headers)?,
            (Ask::Witness(hash), Ok(Response::Witness(witness))) => self.got_witness(peer, hash, witness)?,
            (Ask::Item(item @ Item::Body(hash)), Ok(Response::Body(bytes))) => {
                self.fetching.remove(&item);
                self.got_body(peer, hash, &bytes)?;
            }
            (Ask::Item(item @ Item::Group(part)), Ok(Response::Part(group))) => {
                self.fetching.remove(&item);
                match self.downloads.put_group(part, group, self.now) {
                    Ok(()) => self.delivered(&peer),
                    Err(source) => self.punish(peer, &Fault::Group { digest: part.digest, source }),
                }
            }
            (ask, Ok(_)) => {
                let what = match &ask {
                    Ask::Status => "status",
                    Ask::Headers(_) => "headers",
                    Ask::Witness(_) => "witness",
                    Ask::Item(Item::Body(_)) => "body",
                    Ask::Item(Item::Group(..)) => "part",
                };
                self.punish(peer, &Fault::Kind(what));
                self.unanswered(peer, ask);
            }
        }
        Ok(())
    }

    /// No use of this peer for what was asked, for now. That is no fault.
    fn unanswered(&mut self, peer: PeerId, ask: Ask) {
        match ask {
            Ask::Status => {}
            Ask::Headers(_) => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    (known.headers_asked, known.exhausted) = (false, true);
                }
            }
            Ask::Witness(hash) => self.witness_missing(peer, hash),
            Ask::Item(item) => {
                self.fetching.remove(&item);
                self.lacking.entry(item).or_default().push((peer, self.now));
            }
        }
    }
}
