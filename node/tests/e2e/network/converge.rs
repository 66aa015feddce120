//! Several nodes, one chain.

use std::time::Instant;

use descent_genesis::accounts;
use descent_runtime::call::BalancesCall;
use descent_runtime::{RuntimeCall, SignedExtrinsic};
use serde_json::{Value, json};
use sp_runtime::generic::Era;

use super::support::{Net, ask, roots_at, shared_spec, wait_for_agreement};

#[test]
fn miners_and_a_follower_agree_on_head_state_and_model() {
    let net = Net::new(&shared_spec("converge"));
    let mut alice = net.start("Alice", true, &[]);
    let mut bob = net.join("Bob", true, &[&mut alice]);
    let mut charlie = net.join("Charlie", false, &[&mut alice]);
    charlie.wait_for_height(2);
    // A transfer that nobody but the follower was told.
    let genesis: descent_runtime::H256 =
        serde_json::from_value(ask(&charlie, "chain_getBlockHash", json!([0]))).unwrap();
    let dest = accounts::well_known("Eve").unwrap().into();
    let call = RuntimeCall::Balances(BalancesCall::TransferKeepAlive { dest, value: 1_000_000_000_000 });
    let pair = accounts::key_pair("Ferdie").unwrap();
    let transfer = SignedExtrinsic::new(&pair, call, 0, 0, Era::immortal(), genesis, genesis).encode();
    let transfer = format!("0x{}", hex::encode(transfer));
    ask(&charlie, "author_submitExtrinsic", json!([transfer]));

    // Five rounds, and everything below the last eight blocks is settled between them.
    let height = 48;
    for node in [&mut alice, &mut bob, &mut charlie] {
        node.wait_for_height(height);
    }
    wait_for_agreement(&mut [&mut alice, &mut bob, &mut charlie], height - 8);
    let roots = roots_at(&alice, height - 8, 4);
    assert!(roots.iter().all(Value::is_string), "{roots:?}");
    assert_eq!(roots_at(&bob, height - 8, 4), roots);
    assert_eq!(roots_at(&charlie, height - 8, 4), roots);
    assert_ne!(roots[2], ask(&alice, "descent_checkpoint", json!([0]))["checkpointRoot"], "no step was made");
    let (mut included, mut sealers) = (false, std::collections::BTreeSet::new());
    for number in 1..=height - 8 {
        let block = ask(&alice, "chain_getBlock", json!([super::support::hash_at(&alice, number)]));
        included |= block["block"]["extrinsics"].as_array().unwrap().contains(&json!(transfer));
        let log = block["block"]["header"]["digest"]["logs"][0].as_str().unwrap().to_owned();
        // The sealer follows kind, engine and length.
        sealers.insert(log[14..78].to_owned());
    }
    assert!(included, "the transfer is in no block");
    assert_eq!(sealers.len(), 2, "both miners seal blocks: {sealers:?}");

    for node in [&alice, &bob, &charlie] {
        let health = ask(node, "system_health", json!([]));
        assert!(health["peers"].as_u64() >= Some(1) && health["isSyncing"] == false, "{health}");
        assert_eq!(ask(node, "descent_networkState", json!([]))["blamed"], json!([]));
    }
    let peers = ask(&alice, "system_peers", json!([]));
    assert!(peers.as_array().unwrap().iter().any(|p| p["peerId"] == Net::peer("Bob").to_string()), "{peers}");
    assert_eq!(ask(&alice, "system_localPeerId", json!([])), Net::peer("Alice").to_string());
    assert_eq!(ask(&bob, "system_nodeRoles", json!([])), json!(["Authority"]));
    assert_eq!(ask(&charlie, "system_nodeRoles", json!([])), json!(["Full"]));
    for (name, node) in [("Alice", alice), ("Bob", bob), ("Charlie", charlie)] {
        node.end("TERM");
        net.verify(name);
    }
}

#[test]
fn a_late_node_syncs_from_genesis_and_goes_on() {
    let mut spec = shared_spec("late");
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    let net = Net::new(&spec);
    let mut alice = net.start("Alice", true, &[]);
    alice.wait_for_height(100);
    let started = Instant::now();
    let mut bob = net.join("Bob", false, &[&mut alice]);
    bob.wait_for_height(100);
    let took = started.elapsed();
    println!("100 blocks from genesis in {took:?}: {:.1} blocks/s", 100.0 / took.as_secs_f64());
    // It remembers its peer, and needs no boot node the second time.
    bob.end("TERM");
    let height = alice.height();
    let mut bob = net.start("Bob", false, &[]);
    let now = alice.wait_for_height(height + 5);
    bob.wait_for_height(now);
    wait_for_agreement(&mut [&mut alice, &mut bob], height);
    let state = ask(&bob, "system_syncState", json!([]));
    assert!(
        state["startingBlock"].as_u64() >= Some(100) && state["currentBlock"].as_u64() >= Some(now.into()),
        "{state}"
    );
    bob.end("TERM");
    alice.end("TERM");
    net.verify("Bob");
}
