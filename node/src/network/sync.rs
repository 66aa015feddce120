//! Following the best chain: whom to ask for what, and what becomes of the answers.
//!
//! Headers come first, as candidates whose witness was checked; then bodies and receipts' parts, from several peers at
//! once; then blocks go one by one, parents first, through the import pipeline that every block takes. Only what passed
//! it has weight. All of this is one state machine on a thread of its own: it reads events and writes commands.
//!
//! - `peers`: what is known of each peer, and requests under way;
//! - `headers`: candidates from responses; `announcements`: headers and transactions from gossip;
//! - `blocks`: which blocks to fetch and in which order to import them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use descent_runtime::H256;
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::candidates::Candidates;
use super::downloads::{Downloads, Item};
use super::faults::Fault;
use super::shared::Shared;
use super::wire::{Request, Response, Status};
use crate::chain::{Chain, ImportError, Imported, IncomingBlock};
use crate::pool::Pool;
use crate::store::StoreError;

mod announcements;
mod blocks;
mod headers;
mod peers;

pub(super) use blocks::is_far_behind;
use peers::{Ask, Flight, Peer};

/// Hashes of invalid blocks that are remembered.
const MAX_INVALID: usize = 4096;
/// Imported blocks that are remembered as handled: more than the channel of events holds.
const MAX_HANDLED: usize = 256;
/// How long a block that nobody serves is left alone.
const UNAVAILABLE: Duration = Duration::from_secs(60);

/// Why there was no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoResponse {
    /// Late, or the connection ended.
    Missing,
    /// Bytes that are no response.
    Malformed(String),
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A peer is there.
    Connected(PeerId),
    /// It is gone.
    Disconnected(PeerId),
    /// It said where its chain stands.
    Status(PeerId, Status),
    /// It answered.
    Response(PeerId, u64, Result<Response, NoResponse>),
    /// It announced a header.
    Header(PeerId, MessageId, Vec<u8>),
    /// It passed on a transaction.
    Transaction(PeerId, MessageId, Vec<u8>),
    /// A block entered the chain, from wherever.
    Imported(Imported),
    /// A block that was handed in is through.
    Done(H256, Result<Imported, ImportError>),
    /// The importing thread ended, which it does only when the node does, or by a panic.
    ImporterEnded,
    /// Time passed.
    Tick,
    /// The node ends.
    Stop,
}

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Send a request; the number comes back with the response.
    Ask(PeerId, u64, Request),
    /// A message from gossip was looked at.
    Validated(PeerId, MessageId, MessageAcceptance),
    /// Announce a header.
    Announce(Vec<u8>),
    /// Disconnect for a while.
    Ban(PeerId),
    /// Disconnect.
    Drop(PeerId),
}

/// What ends the synchronization.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The disk or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that imports blocks is gone.
    #[error("the importing thread ended")]
    Importer,
}

/// The state machine.
pub struct Sync {
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    importer: std::sync::mpsc::SyncSender<(H256, IncomingBlock)>,
    mines: bool,
    peers: HashMap<PeerId, Peer>,
    flights: HashMap<u64, Flight>,
    next_request: u64,
    candidates: Candidates,
    downloads: Downloads,
    /// Items under way.
    fetching: HashSet<Item>,
    /// Who didn't have an item, and when.
    lacking: HashMap<Item, Vec<(PeerId, Instant)>>,
    /// The block in the import pipeline.
    importing: Option<H256>,
    /// Blocks to fetch, in order; made anew when candidates or the best block change.
    plan: Option<Vec<H256>>,
    /// Announced headers whose witness is under way.
    announced: HashMap<H256, announcements::Announced>,
    /// Gossip messages that wait for their block's verification.
    waiting: HashMap<H256, Vec<(PeerId, MessageId)>>,
    /// Blocks handled lately: those that were handed in are heard of twice.
    handled: Bounded<()>,
    invalid: Bounded<String>,
    /// Blocks that nobody served.
    unavailable: HashMap<H256, Unavailable>,
    /// Tip of the heaviest branch, as of the last plan.
    heaviest: Option<H256>,
    now: Instant,
}

/// A block that was given up.
struct Unavailable {
    until: Instant,
    /// Who presented it.
    presented: Vec<PeerId>,
    /// Whether another peer has presented it since, which may have it.
    open: bool,
}

/// A map that forgets its oldest entries.
struct Bounded<V> {
    limit: usize,
    order: VecDeque<H256>,
    values: HashMap<H256, V>,
}

impl<V> Bounded<V> {
    fn new(limit: usize) -> Self {
        Self { limit, order: VecDeque::new(), values: HashMap::new() }
    }

    fn insert(&mut self, key: H256, value: V) {
        if self.values.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }

    fn get(&self, key: &H256) -> Option<&V> {
        self.values.get(key)
    }
}

impl Sync {
    /// A state machine that hands blocks to `importer` and writes to `commands`.
    pub fn new(
        chain: Arc<Chain>,
        pool: Arc<Pool>,
        shared: Arc<Shared>,
        commands: UnboundedSender<Command>,
        importer: std::sync::mpsc::SyncSender<(H256, IncomingBlock)>,
        mines: bool,
    ) -> Self {
        Self {
            chain,
            pool,
            shared,
            commands,
            importer,
            mines,
            peers: HashMap::new(),
            flights: HashMap::new(),
            next_request: 0,
            candidates: Candidates::default(),
            downloads: Downloads::default(),
            fetching: HashSet::new(),
            lacking: HashMap::new(),
            importing: None,
            plan: None,
            announced: HashMap::new(),
            waiting: HashMap::new(),
            handled: Bounded::new(MAX_HANDLED),
            invalid: Bounded::new(MAX_INVALID),
            unavailable: HashMap::new(),
            heaviest: None,
            now: Instant::now(),
        }
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn run(mut self, mut events: Receiver<Event>) -> Result<(), SyncError> {
        while let Some(event) = events.blocking_recv() {
            self.now = Instant::now();
            if matches!(event, Event::Stop) {
                break;
            }
            self.handle(event)?;
            self.pump()?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), SyncError> {
        match event {
            Event::Connected(peer) => self.connected(peer),
            Event::Disconnected(peer) => self.disconnected(peer),
            Event::Status(peer, status) => self.told_status(peer, status),
            Event::Response(peer, id, response) => return self.answered(peer, id, response),
            Event::Header(peer, message, bytes) => return self.header_announced(peer, message, &bytes),
            Event::Transaction(peer, message, bytes) => return self.transaction_announced(peer, message, bytes),
            Event::Imported(imported) => return self.imported(&imported),
            Event::Done(hash, result) => return self.import_done(hash, result),
            Event::ImporterEnded => return Err(SyncError::Importer),
            Event::Tick => self.tick()?,
            Event::Stop => {}
        }
        Ok(())
    }

    /// Does what can be done now.
    fn pump(&mut self) -> Result<(), SyncError> {
        self.ask_for_status()?;
        self.ask_for_headers()?;
        self.ask_for_items()?;
        self.import_next()
    }

    fn tick(&mut self) -> Result<(), SyncError> {
        let now = self.now;
        self.unavailable.retain(|_, given_up| given_up.until > now);
        self.lacking.retain(|_, peers| {
            peers.retain(|(_, at)| now.saturating_duration_since(*at) < peers::LACKING);
            !peers.is_empty()
        });
        self.drop_withheld();
        self.drop_outpaced()?;
        self.report()
    }

    /// Sends a peer away for something that it provably did.
    fn punish(&mut self, peer: PeerId, fault: &Fault) {
        tracing::warn!(%peer, rule = %fault, "peer banned");
        self.shared.banned(peer, fault.to_string());
        self.command(Command::Ban(peer));
    }

    fn command(&self, command: Command) {
        // The network is gone when the node ends.
        let _ = self.commands.send(command);
    }

    fn ask(&mut self, peer: PeerId, ask: Ask) {
        let id = self.next_request;
        self.next_request += 1;
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight += 1;
        }
        let request = match &ask {
            Ask::Status => match self.own_status() {
                Ok(status) => Request::Status(status),
                // The next use of the store reports it.
                Err(_) => return,
            },
            Ask::Headers(locator) => Request::Headers(locator.clone()),
            Ask::Witness(hash) => Request::Witness(*hash),
            Ask::Item(Item::Body(hash)) => Request::Body(*hash),
            Ask::Item(Item::Group(part)) => Request::Part(*part),
        };
        self.flights.insert(id, Flight { peer, ask });
        self.command(Command::Ask(peer, id, request));
    }

    fn own_status(&self) -> Result<Status, StoreError> {
        let best = self.chain.best()?;
        let work = self.chain.store().meta(&best.hash)?.map(|m| m.facts.work).unwrap_or_default();
        Ok(Status { number: best.number, hash: best.hash, work, mines: self.mines })
    }
}
