//! Running a node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use descent_genesis::ChainType;
use descent_rpc::config::RpcConfig;
use descent_rpc::server::start_server;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::setup::{base_path, open_chain, start_logging, start_threads};
use super::status_line::StatusLine;
use crate::backend::NodeBackend;
use crate::chain::{Chain, Imported, network_path};
use crate::cli::RunArgs;
use crate::held_out::HeldOut;
use crate::keys::Key;
use crate::miner::{Miner, MinerStats};
use crate::network::{self, Network, NetworkConfig};
use crate::pool::Pool;
use crate::store::StoreError;

/// How often the live line is drawn.
const REFRESH: Duration = Duration::from_millis(500);
/// How often waiting transactions are written down.
const SAVE_WAITING: Duration = Duration::from_secs(60);
/// Port for peers.
const DEFAULT_PORT: u16 = 30333;
/// Longest secret file read.
const MAX_KEY_BYTES: u64 = 4096;

/// Runs a node until Ctrl-C, SIGTERM, or an error.
///
/// # Errors
/// Whatever keeps it from running.
pub(super) fn run(args: &RunArgs) -> Result<()> {
    start_logging(&args.chain.log)?;
    start_threads(args.chain.threads)?;
    let temporary = args.tmp.then(tempfile::tempdir).transpose().context("temporary folder")?;
    let folder = temporary.as_ref().map(|t| t.path());
    let chain = Arc::new(open_chain(&args.chain, folder)?);
    let base = base_path(folder.or(args.chain.base_path.as_deref()))?;
    let folder = network_path(&base, chain.spec());
    let network = network_config(args, &folder, &chain);
    let key = args.mine.then(|| miner_key(&chain, args.key_file.as_deref())).transpose()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("async runtime")?;
    runtime.block_on(serve(args, chain, key, network, &folder))
}

/// The miner's key: from a file, or on a development chain Alice's.
fn miner_key(chain: &Chain, file: Option<&Path>) -> Result<Key> {
    match file {
        Some(path) => {
            let name = || path.display().to_string();
            let length = std::fs::metadata(path).with_context(name)?.len();
            if length > MAX_KEY_BYTES {
                bail!("{}: has {length} bytes, expected a secret of at most {MAX_KEY_BYTES}", path.display());
            }
            let text = std::fs::read_to_string(path).with_context(name)?;
            Key::from_uri(text.trim()).with_context(name)
        }
        None if chain.spec().chain_type == ChainType::Development => Ok(Key::from_uri("//Alice")?),
        None => bail!("--mine needs --key-file on chain {}: make a key with `descent key generate`", chain.spec().id),
    }
}

/// Settings of the network; none where none is asked for on a chain of one node.
fn network_config(args: &RunArgs, folder: &Path, chain: &Chain) -> Option<NetworkConfig> {
    let given = &args.network;
    let chain_type = chain.spec().chain_type;
    let is_wanted = given.port.is_some() || !given.listen.is_empty() || !given.bootnode.is_empty();
    if chain_type == ChainType::Development && !is_wanted && given.reserved_nodes.is_empty() {
        return None;
    }
    let port = given.port.unwrap_or(DEFAULT_PORT);
    let default = || {
        let any = Multiaddr::from(Ipv4Addr::UNSPECIFIED);
        vec![any.clone().with(Protocol::Tcp(port)), any.with(Protocol::Udp(port)).with(Protocol::QuicV1)]
    };
    Some(NetworkConfig {
        name: args.name.clone(),
        node_key: given.node_key.clone().unwrap_or_else(|| folder.join("node-key")),
        known_peers: folder.join("peers.json"),
        listen: if given.listen.is_empty() { default() } else { given.listen.clone() },
        any_port: given.port.is_none() && given.listen.is_empty(),
        bootnodes: given.bootnode.clone(),
        reserved: given.reserved_nodes.clone(),
        reserved_only: given.reserved_only,
        max_peers: given.max_peers,
        mdns: chain_type != ChainType::Live && !given.no_mdns,
    })
}

/// Takes in the transactions that waited when the node ended; the file that they are in.
fn restore(chain: &Chain, pool: &Pool, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("transactions");
    let state = chain.store().best_state()?;
    let next = state.block().number.saturating_add(1);
    let count = pool.load(&path, &chain.spec().params, chain.genesis_hash(), &state, next);
    if count > 0 {
        tracing::info!(count, "waiting transactions taken in");
    }
    Ok(path)
}

async fn serve(
    args: &RunArgs,
    chain: Arc<Chain>,
    key: Option<Key>,
    network: Option<NetworkConfig>,
    folder: &Path,
) -> Result<()> {
    // From here on signals end the node in good order, however early they come.
    let signals = Signals::new()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (pool, held_out) = (Arc::new(Pool::default()), Arc::new(HeldOut::default()));
    let stats = key.as_ref().map(|_| Arc::new(MinerStats::default()));
    let waiting = restore(&chain, &pool, folder)?;
    let network =
        network.map(|config| network::start(config, chain.clone(), pool.clone(), key.is_some())).transpose()?;
    let peers = network.as_ref().map(Network::shared);
    let backend = Arc::new(NodeBackend::new(
        chain.clone(),
        pool.clone(),
        stats.clone(),
        held_out.clone(),
        peers.clone(),
        args.name.clone(),
    ));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.rpc_port));
    let server = start_server(address, RpcConfig::default(), backend.clone()).await?;
    let best = chain.best()?;
    tracing::info!(
        chain = %chain.spec().name, genesis = ?chain.genesis_hash(), height = best.number, platform = chain.engine().platform().name(),
        rpc = %server.local_address(), "node started"
    );

    let kept = pool.clone();
    // Subscribed before the miner starts, so that no block is missed.
    let events = chain.subscribe();
    let announcer = tokio::spawn(announce(chain.clone(), events, pool.clone(), backend.clone(), held_out.clone()));
    let saver = tokio::spawn(save_waiting(kept.clone(), waiting.clone()));
    let limit = args.stop_after.map(|n| best.number.saturating_add(n));
    let account = key.as_ref().map(Key::account);
    let mining = key.zip(stats.clone()).map(|(key, stats)| {
        let mut miner = Miner::new(chain.clone(), pool, key.pair, args.lane, stats, stop.clone());
        if let Some(peers) = &peers {
            miner = miner.resting_while(peers.far_behind());
        }
        tokio::task::spawn_blocking(move || miner.run(limit))
    });
    let line = StatusLine::new(chain.clone(), stats, held_out.clone(), account, peers);
    let mut network = network;
    let outcome = wait(&chain, &line, mining, network.as_mut(), &stop, limit, signals).await;
    stop.store(true, Ordering::Relaxed);
    if let Some(network) = network {
        network.stop().await;
    }
    announcer.abort();
    saver.abort();
    held_out.stop();
    if let Err(error) = kept.save(&waiting) {
        tracing::warn!(%error, "waiting transactions not written down");
    }
    line.finish();
    server.stop().await;
    if outcome.is_ok() {
        tracing::info!(height = chain.best()?.number, "stopped");
    }
    outcome
}

/// What asks the node to end. Listening goes on between looks, so none is lost.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        Ok(Self { interrupt, terminate })
    }
}

/// Redraws the live line until something ends the node.
async fn wait(
    chain: &Chain,
    line: &StatusLine,
    mining: Option<tokio::task::JoinHandle<Result<(), crate::miner::MineError>>>,
    mut network: Option<&mut Network>,
    stop: &AtomicBool,
    limit: Option<u32>,
    mut signals: Signals,
) -> Result<()> {
    let mut ticks = tokio::time::interval(REFRESH);
    let mut mining = mining;
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                line.draw();
                if limit.is_some_and(|limit| chain.best().is_ok_and(|best| best.number >= limit)) {
                    break;
                }
            }
            ended = async { mining.as_mut().expect("guarded").await }, if mining.is_some() => {
                return Ok(ended.context("mining thread")??);
            }
            ended = async { network.as_mut().expect("guarded").ended().await }, if network.is_some() => {
                outcome = ended.context("network");
                break;
            }
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
    }
    stop.store(true, Ordering::Relaxed);
    if let Some(mining) = mining {
        mining.await.context("mining thread")??;
    }
    outcome
}

/// Passes new blocks on to subscribers, the pool and the held-out evaluation.
async fn announce(
    chain: Arc<Chain>,
    mut events: Receiver<Imported>,
    pool: Arc<Pool>,
    backend: Arc<NodeBackend>,
    held_out: Arc<HeldOut>,
) {
    let mut finalized = chain.finalized().map_or(0, |f| f.number);
    evaluate(&chain, &held_out);
    loop {
        let imported = match events.recv().await {
            Ok(imported) => imported,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = backend.announce(&imported, &mut finalized) {
            tracing::warn!(%error, "new block not announced");
        }
        if imported.new_best {
            let params = &chain.spec().params;
            if let Err(error) = refresh(&chain, &pool, &imported) {
                tracing::warn!(%error, "waiting transactions not checked");
            }
            if params.is_step_block(imported.header.number) {
                evaluate(&chain, &held_out);
            }
        }
    }
}

/// Writes down the waiting transactions from time to time: a crash loses only the newest.
async fn save_waiting(pool: Arc<Pool>, path: PathBuf) {
    let mut ticks = tokio::time::interval(SAVE_WAITING);
    loop {
        ticks.tick().await;
        let (pool, path) = (pool.clone(), path.clone());
        let saved = tokio::task::spawn_blocking(move || pool.save(&path)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "waiting transactions not written down");
        }
    }
}

/// Brings the waiting transactions in line with a new best block.
fn refresh(chain: &Chain, pool: &Pool, imported: &Imported) -> Result<(), StoreError> {
    if pool.is_empty() && imported.route.retracted.is_empty() {
        return Ok(());
    }
    let (params, genesis, state) = (&chain.spec().params, chain.genesis_hash(), chain.store().best_state()?);
    let next = state.block().number.saturating_add(1);
    pool.prune(params, genesis, &state, next);
    for block in &imported.route.retracted {
        let body = chain.store().body(&block.hash)?;
        pool.take_back(params, genesis, &state, next, body.into_iter().flat_map(|body| body.extrinsics));
    }
    Ok(())
}

/// Evaluates the newest checkpoint on the held-out tenth, beside everything else.
fn evaluate(chain: &Arc<Chain>, held_out: &Arc<HeldOut>) {
    let (chain, held_out) = (chain.clone(), held_out.clone());
    tokio::task::spawn_blocking(move || {
        let evaluated = chain.best().map_err(anyhow::Error::from).and_then(|best| {
            let view = chain.view(best.hash)?;
            let context = chain.context_on(&view)?;
            held_out.evaluate(chain.engine(), context.round, &context.weights);
            Ok(())
        });
        if let Err(error) = evaluated {
            tracing::warn!(%error, "held-out loss not computed");
        }
    });
}
