//! Networks that fall apart and come together again.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use descent_genesis::ChainSpec;

use super::support::{Link, Net, address, ask, hash_at, port, roots_at, shared_spec, wait_for_agreement};
use crate::support::Node;
use serde_json::json;

/// Alice and Bob, who hear of each other over one link only.
struct Pair {
    net: Net,
    link: Link,
    alice: Node,
    bob: Node,
}

fn pair(spec: &ChainSpec) -> Pair {
    let net = Net::new(spec);
    let reserved = |port: u16, peer: &str| {
        let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", Net::peer(peer));
        ["--reserved-only".to_owned(), "--reserved-nodes".to_owned(), address]
    };
    // Nobody listens on port 1: Alice is called, she doesn't call.
    let alice = net.start("Alice", true, &reserved(1, "Bob"));
    let link = Link::to(Arc::new(Mutex::new(port(&address(&alice)))));
    link.open();
    let bob = net.start("Bob", true, &reserved(link.port, "Alice"));
    Pair { net, link, alice, bob }
}

/// Blocks of the second side that are not the first one's.
fn depth(alice: &Node, bob: &Node) -> u32 {
    let (low, high) = (0, alice.height().min(bob.height()));
    let common = (low..=high).rev().find(|number| hash_at(alice, *number) == hash_at(bob, *number)).unwrap();
    bob.height() - common
}

#[test]
fn both_sides_of_a_partition_end_on_one_branch() {
    let Pair { net, link, mut alice, mut bob } = pair(&shared_spec("partition"));
    for (round, blocks) in [1, 10, 24].into_iter().enumerate() {
        let height = alice.height().max(bob.height()) + 3;
        wait_for_agreement(&mut [&mut alice, &mut bob], height);
        assert!(link.cut() > 0, "the link was not in use");
        let (a, b) = (alice.height(), bob.height());
        alice.wait_for_height(a + blocks);
        bob.wait_for_height(b + blocks);
        // What was on its way when the link was cut may still have come in.
        for _ in 0..10 {
            if depth(&alice, &bob) < blocks {
                bob.wait_for_height(bob.height() + 1);
            }
        }
        let deep = depth(&alice, &bob);
        assert!(deep >= blocks, "the sides did not part: {deep} of {blocks} blocks");
        link.open();
        let healed = Instant::now();
        let height = alice.height().max(bob.height());
        wait_for_agreement(&mut [&mut alice, &mut bob], height);
        let took = healed.elapsed();
        println!(
            "partition {round}: {deep} blocks deep, one branch after {took:?}, {:.2} s a block",
            took.as_secs_f64() / f64::from(deep)
        );
    }
    let height = alice.height().min(bob.height()) - 8;
    let round = height / 8 - 1;
    assert_eq!(roots_at(&alice, height, round), roots_at(&bob, height, round));
    let reorganised = [&alice, &bob].map(|n| n.log().iter().filter(|l| l.contains("reorganised")).count());
    assert!(reorganised.iter().sum::<usize>() >= 2, "nobody changed branches: {reorganised:?}");
    for node in [&alice, &bob] {
        assert_eq!(ask(node, "descent_networkState", json!([]))["blamed"], json!([]));
    }
    for (name, node) in [("Alice", alice), ("Bob", bob)] {
        node.end("TERM");
        net.verify(name);
    }
}

#[test]
fn deeper_than_the_horizon_each_side_keeps_its_branch_and_says_so() {
    let mut spec = shared_spec("horizon");
    // Sixteen blocks, instead of a hundred and twenty-eight.
    spec.params.finality_depth = 1;
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    let Pair { link, mut alice, mut bob, .. } = pair(&spec);
    wait_for_agreement(&mut [&mut alice, &mut bob], 3);
    assert!(link.cut() > 0, "the link was not in use");
    let parted = alice.height().max(bob.height());
    for node in [&mut alice, &mut bob] {
        node.wait_for_height(parted + 20);
    }
    let (left, right) = (hash_at(&alice, parted + 19), hash_at(&bob, parted + 19));
    assert_ne!(left, right, "the sides did not part");
    link.open();
    let says = |node: &Node| {
        let log = node.log();
        log.into_iter().find(|line| line.contains("too deep to reorganise") || line.contains("deeper than this node"))
    };
    let line = alice.wait_for(|alice| says(alice).or_else(|| says(&bob)));
    assert!(line.contains("branch refused"), "{line}");
    // Neither is blamed, and both go on.
    let height = alice.height().max(bob.height()) + 2;
    alice.wait_for_height(height);
    bob.wait_for_height(height);
    assert_eq!([hash_at(&alice, parted + 19), hash_at(&bob, parted + 19)], [left, right]);
    for node in [&alice, &bob] {
        assert_eq!(ask(node, "descent_networkState", json!([]))["bans"], 0);
    }
}
