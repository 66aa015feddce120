//! One liar for each kind of message: honest nodes keep their head, name the rule, and send the liar away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codec::Encode;
use consensus_upow::verify::{verify_claims, verify_header};
use descent_genesis::accounts;
use descent_node::chain::{Chain, IncomingBlock};
use descent_node::miner::now_ms;
use descent_node::network::wire::{PartGroup, Request, Response};
use descent_runtime::call::SystemCall;
use descent_runtime::{H256, RuntimeCall, SignedExtrinsic};
use serde_json::{Value, json};
use sp_runtime::generic::Era;

use super::forged;
use super::liar::{Gossip, Liar, Reply, Script, presenting};
use super::support::{Net, address, ask, hash_at, shared_spec};
use crate::reorg::Side;
use crate::support::Node;

/// A node that follows, and the honest chain that it has.
struct Victim {
    node: Node,
    address: String,
    truth: Arc<Chain>,
    head: Value,
    height: u32,
    _net: Net,
    side: Side,
}

impl Victim {
    fn new(name: &str) -> Self {
        let mut spec = shared_spec(name);
        spec.params.initial_difficulty = spec.params.minimum_difficulty;
        let (net, mut side) = (Net::new(&spec), Side::new(&spec, "Alice", 0));
        side.mine_to(5);
        let mut node = net.start("Bob", false, &[]);
        let address = address(&node);
        // An honest peer of the same make brings it there.
        let honest = Liar::meet(&address, &side.chain, Arc::new(|_| None), Gossip::default());
        node.wait_for_height(5);
        drop(honest);
        let (truth, head) = (side.chain.clone(), hash_at(&node, 5));
        Self { node, address, truth, head, height: 5, _net: net, side }
    }

    fn meet(&self, script: Script, gossip: Gossip) -> Liar {
        Liar::meet(&self.address, &self.truth, script, gossip)
    }

    /// Meets a peer that is banned for breaking a rule.
    fn bans(&mut self, rule: &str, script: Script, gossip: Gossip) {
        let liar = self.meet(script, gossip);
        let (name, height) = (liar.peer.to_string(), self.height);
        let blame = self.node.wait_for(|node| {
            let state = ask(node, "descent_networkState", json!([]));
            let blamed = state["blamed"].as_array().unwrap();
            let mine = blamed.iter().find(|b| b["peerId"] == name)?;
            let gone = state["peers"].as_array().unwrap().iter().all(|p| p["peerId"] != name);
            gone.then(|| mine["rule"].as_str().unwrap().to_owned())
        });
        assert!(blame.contains(rule), "banned for {blame:?}, expected {rule:?}");
        assert_eq!((self.node.height(), hash_at(&self.node, height)), (height, self.head.clone()), "after {rule}");
    }

    fn bans_for_block(&mut self, rule: &str, block: &IncomingBlock) {
        self.bans(rule, presenting(block), Gossip::default());
    }

    /// An honest block is taken by the same node, afterwards.
    fn still_follows(&mut self) {
        self.side.mine_to(self.height + 2);
        let _honest = Liar::meet(&self.address, &self.truth, Arc::new(|_| None), Gossip::default());
        self.node.wait_for_height(self.height + 2);
        assert_eq!(hash_at(&self.node, self.height), self.head);
    }
}

fn is_headers(request: &Request) -> bool {
    matches!(request, Request::Headers(_))
}

/// A script whose answer to one kind of request is another one; whatever else is said is about the given block.
fn instead(block: &IncomingBlock, other: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Script {
    let script = presenting(block);
    Arc::new(move |request| other(request).or_else(|| script(request)))
}

#[test]
fn liars_in_blocks_are_named_and_banned() {
    let mut victim = Victim::new("lies in blocks");
    let chain = victim.truth.clone();
    victim.bans_for_block("state has root", &forged::state(&chain));
    victim.bans_for_block("recomputed operands commit to", &forged::operands(&chain));
    victim.bans_for_block("recomputed leaf hashes to", &forged::leaf(&chain));
    victim.bans_for_block("strip of A hashes to", &forged::witness(&chain));
    victim.bans_for_block("first ticket half", &forged::ticket(&chain));
    victim.bans_for_block("leaf hashes sum up to", &forged::receipt(&chain, true));
    victim.still_follows();
}

#[test]
fn liars_in_messages_are_named_and_banned() {
    let mut victim = Victim::new("lies in messages");
    let chain = victim.truth.clone();
    let block = forged::receipt(&chain, false);
    let none = Gossip::default;

    let garbage = |bytes: Vec<u8>| move |request: &Request| is_headers(request).then(|| Reply::Bytes(bytes.clone()));
    victim.bans("malformed message: response of 3 bytes", instead(&block, garbage(vec![3, 0, 0, 0, 9, 9, 9])), none());
    let huge = u32::MAX.to_le_bytes().to_vec();
    victim.bans("malformed message: response has 4294967295 bytes", instead(&block, garbage(huge)), none());
    let kind = |request: &Request| is_headers(request).then(|| Reply::Say(Response::Witness(vec![1])));
    victim.bans("not of the kind that was asked for: headers", instead(&block, kind), none());

    let proven = |block: &IncomingBlock| descent_node::network::wire::ProvenHeader {
        header: block.header.clone(),
        witness: block.body.witness.clone(),
    };
    let [one, two] = [victim.side.block(2), victim.side.block(4)].map(|block| proven(&block));
    let gap = {
        let headers = vec![one, two.clone()];
        move |request: &Request| is_headers(request).then(|| Reply::Say(Response::Headers(headers.clone())))
    };
    victim.bans("builds on", instead(&block, gap), none());
    let unrelated = {
        let mut stray = two;
        stray.header.parent_hash = H256::repeat_byte(5);
        move |request: &Request| is_headers(request).then(|| Reply::Say(Response::Headers(vec![stray.clone()])))
    };
    victim.bans("which was not asked for", instead(&block, unrelated), none());
    let other_witness = {
        let mut other = proven(&block);
        other.witness[7] ^= 1;
        move |request: &Request| is_headers(request).then(|| Reply::Say(Response::Headers(vec![other.clone()])))
    };
    victim.bans("witness hashes to", instead(&block, other_witness), none());
    let other_body = |request: &Request| {
        matches!(request, Request::Body(_)).then(|| Reply::Say(Response::Body(vec![vec![0_u8; 9]].encode())))
    };
    victim.bans("extrinsics have root", instead(&block, other_body), none());
    let long_body = |request: &Request| {
        matches!(request, Request::Body(_)).then(|| Reply::Say(Response::Body(vec![vec![0_u8; 300 << 10]].encode())))
    };
    victim.bans("extrinsics have 307200 bytes, expected at most 262144", instead(&block, long_body), none());
    let other_part = |request: &Request| {
        let group = PartGroup { hashes: vec![[1; 32]], bytes: vec![1, 2, 3] };
        matches!(request, Request::Part(_)).then(|| Reply::Say(Response::Part(group)))
    };
    victim.bans("part 0x", instead(&block, other_part), none());

    // Gossip, from a peer that claims nothing.
    let truthful: Script = Arc::new(|_| None);
    let headers = |headers: Vec<Vec<u8>>| Gossip { headers, ..Gossip::default() };
    victim.bans("header announcement of 5 bytes does not decode", truthful.clone(), headers(vec![vec![255; 5]]));
    let mut number = block.header.clone();
    number.number += 1;
    victim.bans("block has number", truthful.clone(), headers(vec![number.encode()]));
    let transactions = |bytes: Vec<u8>| Gossip { transactions: vec![bytes], ..Gossip::default() };
    victim.bans("transaction:", truthful.clone(), transactions(vec![1, 2, 3]));
    let remark = RuntimeCall::System(SystemCall::Remark { remark: vec![1] });
    let (pair, other) = (accounts::key_pair("Ferdie").unwrap(), H256::repeat_byte(9));
    let stranger = SignedExtrinsic::new(&pair, remark, 0, 0, Era::immortal(), other, other).encode();
    victim.bans("signature does not verify", truthful.clone(), transactions(stranger));
    let receipt = block.body.extrinsics.last().unwrap().clone();
    victim.bans("transaction is a receipt", truthful, transactions(receipt));
    victim.still_follows();
}

#[test]
fn a_withheld_part_holds_up_nothing_and_is_no_crime() {
    let mut victim = Victim::new("withheld");
    let block = forged::receipt(&victim.truth, false);
    let withhold = |request: &Request| matches!(request, Request::Part(_)).then(|| Reply::Say(Response::NotFound));
    let liar = victim.meet(instead(&block, withhold), Gossip::default());
    victim.node.wait_for(|node| (ask(node, "descent_networkState", json!([]))["candidates"] == 1).then_some(()));
    victim.node.wait_for(|node| {
        let log = node.log();
        (log.iter().any(|line| line.contains("block withheld: given up") && line.contains("Group"))).then_some(())
    });
    let state = ask(&victim.node, "descent_networkState", json!([]));
    assert_eq!((&state["bans"], &state["blamed"], &state["drops"]), (&json!(0), &json!([]), &json!(0)), "{state}");
    assert_eq!(victim.node.height(), victim.height);
    drop(liar);
    victim.still_follows();
}

/// A hundred thousand headers that cost their forger a few hashes each: no witness is ever sent.
#[test]
fn a_flood_of_forged_headers_costs_no_memory_and_moves_nothing() {
    const FLOOD: u32 = 100_000;
    let mut victim = Victim::new("flood");
    let base = forged::leaf(&victim.truth);
    // Some are lost where the forger's own queue is full.
    let headers = (0..2 * FLOOD).map(|i| {
        let mut header = base.header.clone();
        header.state_root = H256::from_low_u64_be(u64::from(i) + 1);
        header.encode()
    });
    let memory = |node: &Node| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    let before = memory(&victim.node);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let silent: Script = Arc::new(move |request| {
        matches!(request, Request::Witness(_)).then(|| {
            count.fetch_add(1, Ordering::SeqCst);
            Reply::Say(Response::NotFound)
        })
    });
    let liar = victim.meet(silent, Gossip { headers: headers.collect(), ..Gossip::default() });
    let mut most = before;
    victim.node.wait_for(|node| {
        most = most.max(memory(node));
        std::thread::sleep(Duration::from_millis(100));
        (liar.published.load(Ordering::SeqCst) >= FLOOD as usize).then_some(())
    });
    let state = ask(&victim.node, "descent_networkState", json!([]));
    println!("{FLOOD} forged headers and more: {before} MiB before, at most {most} MiB, {state}");
    // Those within the peer's rate were looked at, and their witness asked for.
    assert!(asked.load(Ordering::SeqCst) > 50, "the flood did not arrive: {asked:?} witnesses asked for");
    assert!(most < before + 256, "{before} MiB grew to {most} MiB");
    assert_eq!((victim.node.height(), &state["candidates"]), (victim.height, &json!(0)));
    victim.still_follows();
}

/// What a header costs a node at each stage that its forger can reach, and what it costs the forger.
#[test]
fn a_forged_header_costs_little_at_every_stage() {
    let mut side = Side::new(&shared_spec("cost"), "Alice", 0);
    side.mine_to(5);
    let chain = &side.chain;
    let view = chain.view(chain.best().unwrap().hash).unwrap();
    let time = |name: &str, times: u32, act: &dyn Fn()| {
        let start = std::time::Instant::now();
        (0..times).for_each(|_| act());
        let each = start.elapsed() / times;
        println!("{name}: {each:?} a header");
        each
    };
    let invented = forged::leaf(chain);
    let claims = time("no witness, claims checked", 2000, &|| {
        verify_claims(chain.engine(), &view, &invented.header, now_ms()).unwrap();
    });
    let forged_witness = forged::witness(chain);
    let witness = time("false witness", 500, &|| {
        let (header, witness) = (&forged_witness.header, &forged_witness.body.witness);
        verify_header(chain.engine(), &view, header, witness, now_ms()).unwrap_err();
    });
    let tile = time("true tile, invented leaf", 10, &|| {
        assert!(side.import(invented.clone()).unwrap_err().to_string().contains("recomputed leaf"));
    });
    let honest = time("forging a true tile with an invented leaf", 3, &|| drop(forged::leaf(chain)));
    // Only the last stage is dear, and it costs its forger far more than the node.
    assert!(claims < tile && witness < tile && tile < honest, "{claims:?} {witness:?} {tile:?} {honest:?}");
}
