//! Starting nodes that know each other, and links between them that can be cut.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use descent_genesis::ChainSpec;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde_json::{Value, json};

use crate::rpc::get;
use crate::support::{Node, Place, block_on, number, quick_spec};

/// A chain of the smallest model for several nodes on few cores: half a second a block, a step every eight blocks. Its
/// name makes it a chain of its own.
pub(crate) fn shared_spec(name: &str) -> ChainSpec {
    let mut spec = quick_spec("local");
    spec.task.init_seed = descent_runtime::H256(*blake3::hash(name.as_bytes()).as_bytes());
    let params = &mut spec.params;
    params.block_time_ms = 500;
    params.round_blocks = 8;
    params.half_life_ms = 60_000;
    params.initial_difficulty = 4 * params.minimum_difficulty;
    spec
}

/// A place with keys for nodes and miners.
pub(crate) struct Net {
    pub(crate) place: Place,
}

impl Net {
    pub(crate) fn new(spec: &ChainSpec) -> Self {
        let place = Place::with(spec);
        for name in descent_genesis::accounts::NAMES {
            std::fs::write(place.path(&format!("{name}.account")), format!("//{name}")).unwrap();
            let secret = hex::encode(blake3::hash(name.as_bytes()).as_bytes());
            std::fs::write(place.path(&format!("{name}.node")), secret).unwrap();
        }
        Self { place }
    }

    /// Identity of the node of a name.
    pub(crate) fn peer(name: &str) -> PeerId {
        let mut secret = *blake3::hash(name.as_bytes()).as_bytes();
        Keypair::ed25519_from_bytes(&mut secret).unwrap().public().to_peer_id()
    }

    /// Starts the node of a name; further arguments may be given.
    pub(crate) fn start(&self, name: &str, mines: bool, more: &[String]) -> Node {
        let [key, account] =
            ["node", "account"].map(|kind| format!("{name}.{kind}")).map(|f| self.place.path(&f).display().to_string());
        let mut args = vec!["--rpc-port", "0", "--port", "0", "--no-mdns", "--threads", "1", "--name", name];
        args.extend(["--node-key", &key]);
        if mines {
            args.extend(["--mine", "--key-file", &account]);
        }
        args.extend(more.iter().map(String::as_str));
        Node::start(self.place.args_in(name, &args))
    }

    /// Starts the node of a name with others as boot nodes.
    pub(crate) fn join(&self, name: &str, mines: bool, others: &[&mut Node]) -> Node {
        let addresses = others.iter().flat_map(|node| ["--bootnode".to_owned(), address(node)]);
        self.start(name, mines, &addresses.collect::<Vec<_>>())
    }

    /// Verifies the stored chain of a node that has ended.
    pub(crate) fn verify(&self, name: &str) -> Value {
        crate::support::run(self.place.args_in(name, &["verify", "--json"])).json()
    }
}

/// The answer of a method of a node.
pub(crate) fn ask(node: &Node, method: &str, params: Value) -> Value {
    block_on(async { get(&node.http(), method, params).await })
}

/// Where a node listens over TCP, with its identity.
pub(crate) fn address(node: &Node) -> String {
    let start = std::time::Instant::now();
    loop {
        let state = ask(node, "descent_networkState", json!([]));
        let list = state["listening"].as_array().unwrap();
        let tcp = list.iter().filter_map(Value::as_str).find(|a| a.starts_with("/ip4/127.0.0.1/tcp/"));
        if let Some(tcp) = tcp {
            return format!("{tcp}/p2p/{}", state["peerId"].as_str().unwrap());
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Port in such an address.
pub(crate) fn port(address: &str) -> u16 {
    address.split('/').nth(4).unwrap().parse().unwrap()
}

/// Hash of a node's block of a height.
pub(crate) fn hash_at(node: &Node, height: u32) -> Value {
    ask(node, "chain_getBlockHash", json!([height]))
}

/// Head, state root and checkpoint root of a height.
pub(crate) fn roots_at(node: &Node, height: u32, round: u32) -> [Value; 3] {
    let hash = hash_at(node, height);
    let header = ask(node, "chain_getHeader", json!([hash]));
    assert_eq!(number(&header["number"]), height);
    let checkpoint = ask(node, "descent_checkpoint", json!([round]));
    [hash, header["stateRoot"].clone(), checkpoint["checkpointRoot"].clone()]
}

/// Waits until all nodes have the same block at a height.
pub(crate) fn wait_for_agreement(nodes: &mut [&mut Node], height: u32) -> Value {
    for node in nodes.iter_mut() {
        node.wait_for_height(height);
    }
    let (first, others) = nodes.split_first_mut().unwrap();
    first.wait_for(|first| {
        let hash = hash_at(first, height);
        others.iter().all(|other| hash_at(other, height) == hash).then_some(hash)
    })
}

/// A TCP link that can be cut.
pub(crate) struct Link {
    pub(crate) port: u16,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    /// A cut link to a port that is set later.
    pub(crate) fn to(target: Arc<Mutex<u16>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_open, all) = (open.clone(), streams.clone());
        // Ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream: TcpStream = stream.unwrap();
                let target = SocketAddr::from((Ipv4Addr::LOCALHOST, *target.lock().unwrap()));
                // Held until the streams are listed: a cut sees all that were let through.
                let mut all = all.lock().unwrap();
                if !is_open.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(other) = TcpStream::connect(target) else { continue };
                for (from, to) in [(&stream, &other), (&other, &stream)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    all.push(from.try_clone().unwrap());
                    std::thread::spawn(move || pump(from, to));
                }
            }
        });
        Self { port, open, streams }
    }

    /// Lets connections through.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Ends all connections, and lets no more through; how many there were.
    pub(crate) fn cut(&self) -> usize {
        self.open.store(false, Ordering::SeqCst);
        let streams: Vec<TcpStream> = self.streams.lock().unwrap().drain(..).collect();
        streams.iter().filter(|stream| stream.shutdown(std::net::Shutdown::Both).is_ok()).count()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
