//! Nodes of a network that are killed while it mines.

use std::time::Duration;

use super::support::{Net, address, ask, roots_at, shared_spec, wait_for_agreement};
use crate::support::Node;
use serde_json::json;

#[test]
fn killed_nodes_recover_and_agree() {
    let net = Net::new(&shared_spec("kill"));
    let names = ["Alice", "Bob", "Charlie"];
    let mines = |name: &str| name != "Charlie";
    let mut first = net.start("Alice", true, &[]);
    let boot = address(&first);
    first.wait_for_height(1);
    // The same port after each start: the others remember it.
    let listen = |at: &str| ["--bootnode".to_owned(), at.to_owned()];
    let mut nodes: Vec<Option<Node>> = vec![Some(first)];
    nodes.extend(["Bob", "Charlie"].map(|name| Some(net.start(name, mines(name), &listen(&boot)))));
    // Which one is killed follows no pattern of the rounds, and is the same in every run.
    for victim in [1, 2, 0, 1, 0, 2] {
        std::thread::sleep(Duration::from_millis(1500));
        let before = nodes[victim].as_ref().unwrap().height();
        nodes[victim].take().unwrap().crash();
        let other = nodes.iter().flatten().next().map(address).unwrap();
        let node = net.start(names[victim], mines(names[victim]), &listen(&other));
        assert!(node.height() >= before, "{} lost blocks: {before} to {}", names[victim], node.height());
        nodes[victim] = Some(node);
    }
    let mut nodes: Vec<Node> = nodes.into_iter().flatten().collect();
    let height = nodes.iter().map(Node::height).max().unwrap() + 12;
    let mut all: Vec<&mut Node> = nodes.iter_mut().collect();
    for node in &mut all {
        node.wait_for_height(height);
    }
    wait_for_agreement(&mut all, height - 8);
    let round = (height - 8) / 8 - 1;
    let roots = roots_at(&nodes[0], height - 8, round);
    for node in &nodes {
        assert_eq!(roots_at(node, height - 8, round), roots);
        assert_eq!(ask(node, "descent_networkState", json!([]))["bans"], 0);
    }
    for (name, node) in names.into_iter().zip(nodes) {
        node.end("TERM");
        net.verify(name);
    }
}
