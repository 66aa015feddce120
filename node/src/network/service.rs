//! The task that drives the swarm, and the threads beside it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use descent_runtime::H256;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::behaviour::{self, Behaviour};
use super::book::Book;
use super::budget::Budget;
use super::gossip::Topics;
use super::serve::{Server, max_response};
use super::shared::Shared;
use super::sync::{Command, Event, Sync};
use super::wire::{MAX_TRANSACTION_BYTES, Response};
use super::{MAX_RESPONSE_BYTES, NetworkConfig, NetworkError, identity};
use crate::chain::{Chain, ImportError, Imported, IncomingBlock};
use crate::miner::now_ms;
use crate::pool::Pool;

mod events;

/// Events that wait for the synchronization at most; then the swarm waits, and with it the peers.
const MAX_EVENTS: usize = 1024;
/// How often time passes for the synchronization.
const TICK: Duration = Duration::from_millis(200);
/// How often missing peers are called.
const DIAL: Duration = Duration::from_secs(3);
/// How often what is known of peers is written down, and waiting transactions are passed on again.
const SAVE: Duration = Duration::from_secs(65);
/// Below so many peers that this node called itself, known ones are called: who calls it is a stranger's choice.
const ENOUGH_PEERS: usize = 8;
/// How often they are passed on to peers that came at most.
const REPUBLISH: Duration = Duration::from_secs(10);
/// How long an account that is not used is kept: by then it is full again.
const ACCOUNT_KEPT: Duration = Duration::from_secs(60);
/// Waiting transactions passed on at once at most.
const MAX_REPUBLISHED: usize = 256;

/// A running network.
pub struct Network {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), NetworkError>>,
}

impl Network {
    /// What is known of it.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Waits until it ends by itself, which it should not.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> Result<(), NetworkError> {
        match (&mut self.task).await {
            Ok(result) => result.and(Err(NetworkError::Ended)),
            Err(_) => Err(NetworkError::Ended),
        }
    }

    /// Ends it.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if !self.task.is_finished()
            && let Ok(Err(error)) = self.task.await
        {
            tracing::warn!(%error, "network ended");
        }
    }
}

/// Starts the network.
///
/// # Errors
/// [`NetworkError`].
pub fn start(config: NetworkConfig, chain: Arc<Chain>, pool: Arc<Pool>, mines: bool) -> Result<Network, NetworkError> {
    let got = max_response(&chain.spec().params);
    if got > MAX_RESPONSE_BYTES {
        return Err(NetworkError::BlockExceedsTransport { got, limit: MAX_RESPONSE_BYTES });
    }
    let key = identity::load_or_generate(&config.node_key)?;
    let topics = Topics::new(&chain.genesis_hash());
    let mut swarm = behaviour::swarm(key, &chain.genesis_hash(), &config, &topics, got)?;
    listen(&mut swarm, &config)?;
    let height = chain.best().map_err(super::sync::SyncError::from)?.number;
    let shared = Arc::new(Shared::new(*swarm.local_peer_id(), height));

    let (events, inbox) = mpsc::channel(MAX_EVENTS);
    let (orders, commands) = mpsc::unbounded_channel();
    // One block at a time: the next one is handed in when the last one is through.
    let (importer, blocks) = std::sync::mpsc::sync_channel(1);
    let (importing, done) = (chain.clone(), events.clone());
    std::thread::Builder::new()
        .name("import".into())
        .spawn(move || import_all(&blocks, done, |block| importing.import(block, now_ms())))?;
    let sync = Sync::new(chain.clone(), pool.clone(), shared.clone(), orders, importer, mines);
    let (sync_ended, ended) = oneshot::channel();
    std::thread::Builder::new().name("sync".into()).spawn(move || {
        // Nobody waits for it any more when the node ends.
        let _ = sync_ended.send(sync.run(inbox));
    })?;
    let (served, answers) = mpsc::channel(MAX_EVENTS);
    let service = Service {
        swarm,
        topics,
        server: Arc::new(Server::new(chain.clone(), mines)),
        book: Book::open(&config.known_peers),
        config,
        chain,
        pool,
        shared: shared.clone(),
        events,
        served,
        requests: HashMap::new(),
        budgets: HashMap::new(),
        republish_due: false,
        republished: None,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(service.run(commands, answers, ended, stopped));
    Ok(Network { shared, stop: Some(stop), task })
}

/// Imports blocks one by one; whatever ends it, the synchronization hears of it.
fn import_all(
    blocks: &std::sync::mpsc::Receiver<(H256, IncomingBlock)>,
    done: mpsc::Sender<Event>,
    import: impl Fn(IncomingBlock) -> Result<Imported, ImportError>,
) {
    // A panic unwinds past the loop, and would leave the synchronization waiting for ever.
    struct Ended(mpsc::Sender<Event>);
    impl Drop for Ended {
        fn drop(&mut self) {
            // It is gone when the node ends.
            let _ = self.0.blocking_send(Event::ImporterEnded);
        }
    }
    let done = Ended(done);
    for (hash, block) in blocks {
        if done.0.blocking_send(Event::Done(hash, import(block))).is_err() {
            break;
        }
    }
}

/// Opens the addresses; where a port is taken and any will do, another one.
fn listen(swarm: &mut Swarm<Behaviour>, config: &NetworkConfig) -> Result<(), NetworkError> {
    for address in &config.listen {
        let mut opened = swarm.listen_on(address.clone());
        if opened.is_err() && config.any_port {
            opened = swarm.listen_on(with_any_port(address));
        }
        opened.map_err(|e| NetworkError::Listen { address: address.clone(), reason: format!("{e:?}") })?;
    }
    Ok(())
}

fn with_any_port(address: &Multiaddr) -> Multiaddr {
    let part = |part| match part {
        Protocol::Tcp(_) => Protocol::Tcp(0),
        Protocol::Udp(_) => Protocol::Udp(0),
        other => other,
    };
    address.iter().map(part).collect()
}

/// A response on its way back to the task, and what it cost.
type Answer = (Account, ResponseChannel<Response>, Option<Response>, usize);

/// Who has a budget: an address, since identities cost nothing; on this machine every peer for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Account {
    Line(IpAddr),
    Peer(PeerId),
}

struct Service {
    swarm: Swarm<Behaviour>,
    topics: Topics,
    config: NetworkConfig,
    chain: Arc<Chain>,
    pool: Arc<Pool>,
    shared: Arc<Shared>,
    server: Arc<Server>,
    book: Book,
    events: mpsc::Sender<Event>,
    served: mpsc::Sender<Answer>,
    /// Requests under way: the swarm's number to the synchronization's.
    requests: HashMap<libp2p::request_response::OutboundRequestId, u64>,
    budgets: HashMap<Account, Budget>,
    /// Whether a peer came that may lack what waits.
    republish_due: bool,
    republished: Option<Instant>,
}

impl Service {
    async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut answers: mpsc::Receiver<Answer>,
        mut ended: oneshot::Receiver<Result<(), super::sync::SyncError>>,
        mut stopped: oneshot::Receiver<()>,
    ) -> Result<(), NetworkError> {
        use futures::StreamExt;
        let (mut imported, mut transactions) = (self.chain.subscribe(), self.pool.subscribe());
        let [mut ticks, mut dials, mut saves] = [TICK, DIAL, SAVE].map(tokio::time::interval);
        for timer in [&mut ticks, &mut dials, &mut saves] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let outcome = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.swarm_event(event).await,
                Some(command) = commands.recv() => self.command(command),
                Some(answer) = answers.recv() => self.respond(answer),
                event = imported.recv() => self.chain_event(event).await,
                Ok(bytes) = transactions.recv() => self.publish_transaction(bytes),
                _ = ticks.tick() => {
                    self.republish_if_due();
                    self.tell(Event::Tick).await;
                }
                _ = dials.tick() => self.dial_missing(),
                _ = saves.tick() => self.save(),
                result = &mut ended => break match result {
                    Ok(Ok(())) | Err(_) => Err(NetworkError::Ended),
                    Ok(Err(error)) => Err(error.into()),
                },
                _ = &mut stopped => break Ok(()),
            }
        };
        let _ = self.events.try_send(Event::Stop);
        if let Err(error) = self.book.save() {
            tracing::warn!(%error, "known peers not written down");
        }
        outcome
    }

    /// Tells the synchronization; waits while it is busy.
    async fn tell(&mut self, event: Event) {
        // It is gone only when the node ends.
        let _ = self.events.send(event).await;
    }

    async fn chain_event(&mut self, event: Result<Imported, broadcast::error::RecvError>) {
        match event {
            Ok(imported) => self.tell(Event::Imported(imported)).await,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            // The chain lives as long as this task.
            Err(broadcast::error::RecvError::Closed) => {}
        }
    }

    fn command(&mut self, command: Command) {
        if let Command::Ask(peer, id, _) = &command
            && !self.swarm.is_connected(peer)
        {
            // A request would call a peer that just left. The synchronization hears of its leaving in any case.
            let _ = self.events.try_send(Event::Response(*peer, *id, Err(super::sync::NoResponse::Missing)));
            return;
        }
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Ask(peer, id, request) => {
                let sent = behaviour.exchange.send_request(&peer, request);
                self.requests.insert(sent, id);
            }
            Command::Validated(peer, message, acceptance) => {
                behaviour.gossip.report_message_validation_result(&message, &peer, acceptance);
            }
            Command::Announce(header) => {
                // Known already, or nobody listens yet: both are fine.
                let _ = behaviour.gossip.publish(self.topics.headers.clone(), header);
            }
            Command::Ban(peer) => self.ban(peer),
            Command::Drop(peer) => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn ban(&mut self, peer: PeerId) {
        let address = self.shared.lock().peers.get(&peer).and_then(|facts| super::gate::ip_of(&facts.address));
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gate.ban(peer, address, Instant::now());
        behaviour.kad.remove_peer(&peer);
        self.book.remove(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn account_of(&self, peer: PeerId) -> Account {
        let address = self.shared.lock().peers.get(&peer).and_then(|facts| super::gate::ip_of(&facts.address));
        match address {
            Some(address) if !address.is_loopback() => Account::Line(super::gate::line_of(address)),
            _ => Account::Peer(peer),
        }
    }

    fn respond(&mut self, (account, channel, response, bytes): Answer) {
        if let Some(budget) = self.budgets.get_mut(&account) {
            budget.settle(bytes);
        }
        if let Some(response) = response {
            // The peer may have left, or given up.
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, response);
        }
    }

    fn publish_transaction(&mut self, bytes: Vec<u8>) {
        if bytes.len() <= MAX_TRANSACTION_BYTES {
            let _ = self.swarm.behaviour_mut().gossip.publish(self.topics.transactions.clone(), bytes);
        }
    }

    /// Passes on what waits, when a peer came since the last time: at most once in a while, however often it comes.
    fn republish_if_due(&mut self) {
        if self.republish_due && self.republished.is_none_or(|at| at.elapsed() >= REPUBLISH) {
            self.republish();
        }
    }

    /// Passes on what waits: to peers that came later. Gossip itself drops what was sent a minute ago.
    fn republish(&mut self) {
        (self.republish_due, self.republished) = (false, Some(Instant::now()));
        for bytes in self.pool.waiting().into_iter().take(MAX_REPUBLISHED) {
            self.publish_transaction(bytes);
        }
    }

    /// Connected peers that this node called.
    fn outbound(&self) -> usize {
        self.shared.lock().peers.values().filter(|facts| facts.outbound).count()
    }

    /// Calls reserved peers and boot nodes that are not connected, and known ones while there are few.
    fn dial_missing(&mut self) {
        let fixed = self.config.reserved.iter().chain(&self.config.bootnodes);
        let mut wanted: Vec<(PeerId, Vec<Multiaddr>)> =
            fixed.map(|(peer, address)| (*peer, vec![address.clone()])).collect();
        if !self.config.reserved_only && self.outbound() < ENOUGH_PEERS {
            wanted.extend(self.book.iter().take(ENOUGH_PEERS * 4).map(|(peer, list)| (*peer, list.clone())));
        }
        for (peer, addresses) in wanted {
            self.call(peer, addresses);
        }
    }

    fn call(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
        let is_own = peer == *self.swarm.local_peer_id();
        if is_own || self.swarm.is_connected(&peer) || self.swarm.behaviour().gate.is_banned(&peer, Instant::now()) {
            return;
        }
        let options =
            DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::DisconnectedAndNotDialing).build();
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%peer, %error, "not called");
        }
    }

    fn save(&mut self) {
        if let Err(error) = self.book.save() {
            tracing::warn!(%error, "known peers not written down");
        }
        self.republish();
        if !self.config.reserved_only && self.swarm.connected_peers().next().is_some() {
            // Without known peers there is nobody to ask, which is no failure.
            let _ = self.swarm.behaviour_mut().kad.bootstrap();
        }
        let now = Instant::now();
        self.budgets.retain(|_, budget| budget.is_used(now, ACCOUNT_KEPT));
    }
}
