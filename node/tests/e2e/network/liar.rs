//! A peer of the test's own: it speaks the node's protocols through the node's own codec, and says what it is told to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codec::Encode;
use consensus_upow::receipt::part_digest;
use descent_node::chain::{Chain, IncomingBlock};
use descent_node::network::gossip::{self, Topics};
use descent_node::network::groups;
use descent_node::network::serve::Server;
use descent_node::network::transfer::Transfer;
use descent_node::network::wire::{PartGroup, ProvenHeader, Request, Response, Status, protocol};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Codec, Message, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, gossipsub, identify, noise, tcp, yamux};
use sp_core::U256;

/// What it answers with.
pub(crate) enum Reply {
    /// A response in due form.
    Say(Response),
    /// These very bytes.
    Bytes(Vec<u8>),
}

/// Answers to requests, where they differ from the truth.
pub(crate) type Script = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// What a peer does besides answering.
#[derive(Clone, Default)]
pub(crate) struct Gossip {
    pub(crate) headers: Vec<Vec<u8>>,
    pub(crate) transactions: Vec<Vec<u8>>,
}

/// Writes any bytes as a response.
#[derive(Clone)]
struct Raw(Transfer);

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        p: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Request> {
        self.0.read_request(p, io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        p: &StreamProtocol,
        io: &mut T,
        request: Request,
    ) -> io::Result<()> {
        self.0.write_request(p, io, request).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }
}

#[derive(NetworkBehaviour)]
struct Speaker {
    identify: identify::Behaviour,
    gossip: gossipsub::Behaviour,
    exchange: request_response::Behaviour<Raw>,
}

/// A peer on a thread of its own.
pub(crate) struct Liar {
    pub(crate) peer: PeerId,
    pub(crate) published: Arc<AtomicUsize>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

fn frame(response: &Response) -> Vec<u8> {
    let bytes = response.encode();
    [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()
}

impl Liar {
    /// Calls a node; answers by the script, and else truthfully from a chain.
    pub(crate) fn meet(victim: &str, truth: &Arc<Chain>, script: Script, gossip: Gossip) -> Self {
        let (victim, truth): (Multiaddr, _) = (victim.parse().unwrap(), truth.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (name, named) = std::sync::mpsc::channel();
        let published = Arc::new(AtomicUsize::new(0));
        let count = published.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = live(victim, truth, script, gossip, name, count) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { peer: named.recv().unwrap(), published, stop: Some(stop) }
    }
}

async fn live(
    victim: Multiaddr,
    truth: Arc<Chain>,
    script: Script,
    gossip: Gossip,
    name: std::sync::mpsc::Sender<PeerId>,
    published: Arc<AtomicUsize>,
) {
    let genesis = truth.genesis_hash();
    let topics = Topics::new(&genesis);
    let exchange = StreamProtocol::try_from_owned(protocol(&genesis, "exchange")).unwrap();
    let server = Server::new(truth, false);
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Speaker {
            identify: identify::Behaviour::new(identify::Config::new(protocol(&genesis, "chain"), key.public())),
            gossip: gossip::behaviour(&topics).unwrap(),
            exchange: request_response::Behaviour::with_codec(
                Raw(Transfer { max_response: 1 << 20 }),
                [(exchange, ProtocolSupport::Full)],
                request_response::Config::default(),
            ),
        })
        .unwrap()
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    name.send(*swarm.local_peer_id()).unwrap();
    swarm.dial(victim).unwrap();
    let mut waiting = [gossip.headers.into_iter().peekable(), gossip.transactions.into_iter().peekable()];
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    let mut listens = false;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(SpeakerEvent::Exchange(request_response::Event::Message {
                    message: Message::Request { request, channel, .. },
                    ..
                })) => {
                    let bytes = match script(&request) {
                        Some(Reply::Bytes(bytes)) => bytes,
                        Some(Reply::Say(response)) => frame(&response),
                        None => frame(&server.answer(&request).unwrap()),
                    };
                    let _ = swarm.behaviour_mut().exchange.send_response(channel, bytes);
                }
                SwarmEvent::Behaviour(SpeakerEvent::Gossip(gossipsub::Event::Subscribed { .. })) => listens = true,
                _ => {}
            },
            _ = pace.tick(), if listens => {
                let behaviour = swarm.behaviour_mut();
                for (topic, list) in [&topics.headers, &topics.transactions].into_iter().zip(&mut waiting) {
                    for _ in 0..100 {
                        let Some(bytes) = list.peek() else { break };
                        let outcome = behaviour.gossip.publish(topic.clone(), bytes.clone());
                        if matches!(outcome, Err(gossipsub::PublishError::NoPeersSubscribedToTopic)) {
                            break;
                        }
                        // Where the queue is full the message is lost, and known as published.
                        list.next();
                        if outcome.is_err() {
                            break;
                        }
                        published.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }
    }
}

/// A script that presents a block as the next one on top of a chain.
pub(crate) fn presenting(block: &IncomingBlock) -> Script {
    let parent = block.header.parent_hash;
    let (hash, number) = (block.header.hash(), block.header.number);
    let block = block.clone();
    Arc::new(move |request| {
        let response = match request {
            Request::Status(_) => Response::Status(Status { number, hash, work: U256::MAX >> 1, mines: true }),
            Request::Headers(locator) if locator.contains(&hash) => Response::Headers(Vec::new()),
            Request::Headers(locator) if locator.contains(&parent) => Response::Headers(vec![ProvenHeader {
                header: block.header.clone(),
                witness: block.body.witness.clone(),
            }]),
            Request::Witness(asked) if *asked == hash => Response::Witness(block.body.witness.clone()),
            Request::Body(asked) if *asked == hash => Response::Body(block.body.extrinsics.encode()),
            Request::Part(asked) => {
                let part = block.sidecars.iter().find(|part| part_digest(part) == asked.digest)?;
                let bytes = part[groups::range(part.len(), asked.group)].to_vec();
                Response::Part(PartGroup { hashes: groups::hashes(part), bytes })
            }
            _ => return None,
        };
        Some(Reply::Say(response))
    })
}
