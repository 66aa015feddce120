//! What strangers say must not end a node, stop its miner, or turn it against an honest peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codec::Encode;
use consensus_upow::verify::submitted_receipt;
use descent_genesis::accounts;
use descent_node::network::wire::{Request, Response, Status};
use descent_runtime::call::TrainingCall;
use descent_runtime::{H256, RuntimeCall, SignedExtrinsic};
use serde_json::json;
use sp_runtime::generic::Era;

use super::forged;
use super::liar::{Gossip, Liar, Reply, Script, presenting};
use super::support::{Net, address, ask, shared_spec};
use crate::reorg::Side;
use crate::tampered::forge;

fn truthful() -> Script {
    Arc::new(|_| None)
}

/// The states below the horizon are gone: a header down there is let go, and the node goes on.
#[test]
fn a_header_on_a_pruned_block_ends_nobody() {
    let mut spec = shared_spec("pruned");
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    // The horizon is sixteen blocks, and states are kept for forty-eight.
    spec.params.finality_depth = 1;
    let (net, mut side) = (Net::new(&spec), Side::new(&spec, "Alice", 0));
    side.mine_to(60);
    let mut node = net.start("Bob", false, &["--pruning", "4"].map(str::to_owned));
    let at = address(&node);
    let honest = Liar::meet(&at, &side.chain, truthful(), Gossip::default());
    node.wait_for_height(60);
    let mut header = side.block(1).header;
    header.state_root = H256::repeat_byte(1);
    let liar = Liar::meet(&at, &side.chain, truthful(), Gossip { headers: vec![header.encode()], ..Gossip::default() });
    node.wait_for(|node| node.log().iter().any(|line| line.contains("too deep to reorganise")).then_some(()));
    drop((honest, liar));
    side.mine_to(62);
    let _honest = Liar::meet(&at, &side.chain, truthful(), Gossip::default());
    node.wait_for_height(62);
    assert_eq!(ask(&node, "descent_networkState", json!([]))["bans"], 0);
    node.end("TERM");
}

/// Headers with true witnesses, far ahead, whose blocks nobody serves.
#[test]
fn headers_without_blocks_stop_no_miner() {
    let mut spec = shared_spec("headers only");
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    let (net, mut side) = (Net::new(&spec), Side::new(&spec, "Eve", 0));
    side.mine_to(60);
    let mut node = net.start("Bob", true, &[]);
    let withhold = |request: &Request| matches!(request, Request::Body(_)).then(|| Reply::Say(Response::NotFound));
    let _liar = Liar::meet(&address(&node), &side.chain, Arc::new(withhold), Gossip::default());
    let waiting =
        |node: &crate::support::Node| ask(node, "descent_networkState", json!([]))["candidates"].as_u64().unwrap();
    node.wait_for(|node| (waiting(node) > 40).then_some(()));
    let height = node.height();
    // Sealing goes on while they wait, not once they are given up.
    let left = node.wait_for(|node| (node.height() >= height + 3).then(|| waiting(node)));
    assert!(left > 40, "{left} candidates are left");
    node.end("TERM");
}

/// A block names an honest peer's part with another length: who has the part and says nothing false is not blamed.
#[test]
fn a_false_length_turns_nobody_against_who_has_the_part() {
    let mut spec = shared_spec("false length");
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    let (net, mut side) = (Net::new(&spec), Side::new(&spec, "Alice", 0));
    side.mine_to(3);
    let mut node = net.start("Bob", false, &[]);
    let at = address(&node);
    let first = Liar::meet(&at, &side.chain, truthful(), Gossip::default());
    node.wait_for_height(3);
    drop(first);

    // Another block on the same parent, with the same receipt but for the length of its gradient.
    let honest = forged::receipt(&side.chain, false);
    let (_, mut summary) = honest.body.extrinsics.iter().find_map(|e| submitted_receipt(e)).unwrap();
    let blob = summary.blob_hash;
    summary.blob_len += 1;
    let genesis = side.chain.genesis_hash();
    let call = RuntimeCall::Training(TrainingCall::SubmitReceipt { summary });
    let pair = accounts::key_pair("Eve").unwrap();
    let extrinsic = SignedExtrinsic::new(&pair, call, 0, 0, Era::immortal(), genesis, genesis).encode();
    let lie = forge(&side.chain, |header, extrinsics| {
        extrinsics.push(extrinsic);
        header.extrinsics_root = descent_runtime::extrinsics_root(extrinsics);
    });

    // It stores the part, and claims no more than the victim has.
    let best = side.chain.best().unwrap();
    let status = Status { number: best.number, hash: best.hash, work: side.work(), mines: false };
    side.import(honest).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let holder: Script = Arc::new(move |request| match request {
        Request::Status(_) => Some(Reply::Say(Response::Status(status))),
        Request::Headers(_) => Some(Reply::Say(Response::Headers(Vec::new()))),
        Request::Part(part) if part.digest == blob => {
            count.fetch_add(1, Ordering::SeqCst);
            None
        }
        _ => None,
    });
    let holder = Liar::meet(&at, &side.chain, holder, Gossip::default());
    let script = presenting(&lie);
    let liar: Script = Arc::new(move |request| match request {
        Request::Part(_) => Some(Reply::Say(Response::NotFound)),
        other => script(other),
    });
    let _liar = Liar::meet(&at, &side.chain, liar, Gossip::default());
    node.wait_for(|_| (asked.load(Ordering::SeqCst) > 2).then_some(()));
    let state = ask(&node, "descent_networkState", json!([]));
    assert_eq!((&state["bans"], &state["blamed"]), (&json!(0), &json!([])), "{state}");
    let peers = state["peers"].as_array().unwrap();
    assert!(peers.iter().any(|peer| peer["peerId"] == holder.peer.to_string()), "{state}");
    node.end("TERM");
}
