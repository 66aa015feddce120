//! Extrinsics from a wallet's point of view.

use descent_genesis::{accounts, dev};
use descent_runtime::call::BalancesCall;
use descent_runtime::types::{AccountInfo, Balance};
use descent_runtime::{AccountId, H256, Nonce, RuntimeCall, SignedExtrinsic, storage};
use jsonrpsee::core::client::{ClientT, Error};
use jsonrpsee::http_client::HttpClient;
use jsonrpsee::rpc_params;
use serde_json::{Value, json};
use sp_runtime::generic::Era;

use crate::rpc::{get, hex, stored};
use crate::support::{Node, Place, block_on, number};

const AMOUNT: Balance = 25 * dev::DSNT;

fn account(name: &str) -> AccountId {
    accounts::well_known(name).unwrap()
}

/// A transfer to Bob.
fn transfer(from: &str, nonce: Nonce, tip: Balance, genesis: H256) -> String {
    let call = RuntimeCall::Balances(BalancesCall::TransferKeepAlive { dest: account("Bob").into(), value: AMOUNT });
    let pair = accounts::key_pair(from).unwrap();
    hex(&SignedExtrinsic::new(&pair, call, nonce, tip, Era::immortal(), genesis, genesis).encode())
}

async fn submit(http: &HttpClient, extrinsic: &str) -> Result<Value, (i32, Value)> {
    match http.request("author_submitExtrinsic", rpc_params![extrinsic]).await {
        Ok(hash) => Ok(hash),
        Err(Error::Call(error)) => {
            Err((error.code(), error.data().map_or(Value::Null, |data| serde_json::from_str(data.get()).unwrap())))
        }
        Err(other) => panic!("{other}"),
    }
}

async fn genesis(http: &HttpClient) -> H256 {
    serde_json::from_value(get(http, "chain_getBlockHash", json!([0])).await).unwrap()
}

async fn next_index(http: &HttpClient, name: &str) -> Nonce {
    let next = get(http, "system_accountNextIndex", json!([descent_node::keys::address(&account(name))])).await;
    next.as_u64().unwrap() as Nonce
}

async fn info(http: &HttpClient, name: &str) -> AccountInfo {
    stored(http, storage::ACCOUNT.key(&account(name)), &Value::Null).await
}

/// Waits until an extrinsic is in a block; the block's number.
fn wait_for_inclusion(node: &mut Node, extrinsic: &str) -> u32 {
    let mut next = 1;
    node.wait_for(|node| {
        block_on(async {
            let http = node.http();
            while let hash @ Value::String(_) = get(&http, "chain_getBlockHash", json!([next])).await {
                let block = get(&http, "chain_getBlock", json!([hash])).await;
                if block["block"]["extrinsics"].as_array().unwrap().iter().any(|e| e == extrinsic) {
                    return Some(number(&block["block"]["header"]["number"]));
                }
                next += 1;
            }
            None
        })
    })
}

#[test]
fn a_transfer_is_included_and_moves_money() {
    let place = Place::new();
    let mut node = place.node();
    node.wait_for_height(1);
    let charlies = block_on(async {
        let http = node.http();
        let genesis = genesis(&http).await;
        assert_eq!(next_index(&http, "Charlie").await, 0);
        let [first, second] = [0, 1].map(|nonce| transfer("Charlie", nonce, 7, genesis));
        // In the wrong order: the second waits for the first.
        submit(&http, &second).await.unwrap();
        let hash = submit(&http, &first).await.unwrap();
        assert_eq!(hash.as_str().unwrap().len(), 66);
        assert!(next_index(&http, "Charlie").await == 2);
        [first, second]
    });
    let blocks = charlies.each_ref().map(|extrinsic| wait_for_inclusion(&mut node, extrinsic));
    assert!(blocks[0] <= blocks[1], "{blocks:?}");
    node.wait_for_height(blocks[1] + 1);
    block_on(async {
        let http = node.http();
        let (bob, charlie) = (info(&http, "Bob").await, info(&http, "Charlie").await);
        assert_eq!(bob.data.free, dev::ENDOWMENT + 2 * AMOUNT);
        let fee = dev::ENDOWMENT - 2 * AMOUNT - charlie.data.free;
        assert!(charlie.nonce == 2 && fee > 14 && fee < dev::DSNT / 100, "fee {fee}, nonce {}", charlie.nonce);
        assert_eq!(get(&http, "author_pendingExtrinsics", json!([])).await, json!([]));
        // A second time is stale, not waiting.
        let (code, why) = submit(&http, &charlies[0]).await.unwrap_err();
        assert_eq!((code, why), (1010, json!("nonce is 0, expected 2: used already")));
    });
    node.end("TERM");
    // The transfers are part of what is verified.
    place.verify();
}

/// The miner's own receipts take nonces, too; they must not push out what its owner sends.
#[test]
fn the_miners_own_transfers_are_not_lost() {
    let place = Place::new();
    let mut node = place.node();
    node.wait_for_height(1);
    for _ in 0..6 {
        let extrinsic = block_on(async {
            let http = node.http();
            let nonce = next_index(&http, "Alice").await;
            let extrinsic = transfer("Alice", nonce, 0, genesis(&http).await);
            submit(&http, &extrinsic).await.unwrap();
            extrinsic
        });
        wait_for_inclusion(&mut node, &extrinsic);
    }
    let bob = block_on(async { info(&node.http(), "Bob").await.data.free });
    assert_eq!(bob, dev::ENDOWMENT + 6 * AMOUNT);
    let log = node.end("TERM");
    assert!(!log.iter().any(|line| line.contains("own receipt is not valid")), "{log:#?}");
    place.verify();
}

#[test]
fn what_the_pool_refuses_has_substrates_codes() {
    let place = Place::new();
    // Nothing is included, so nothing leaves the pool meanwhile.
    let node = Node::start(place.args(&["--rpc-port", "0"]));
    block_on(async {
        let http = node.http();
        let genesis = genesis(&http).await;
        let waiting = transfer("Alice", 0, 5, genesis);
        submit(&http, &waiting).await.unwrap();
        assert_eq!(submit(&http, &waiting).await.unwrap_err().0, 1013);
        assert_eq!(submit(&http, &transfer("Alice", 0, 4, genesis)).await.unwrap_err().0, 1014);
        let other_chain = transfer("Alice", 1, 0, H256::repeat_byte(3));
        assert_eq!(submit(&http, &other_chain).await.unwrap_err(), (1010, json!("signature does not verify")));
        for garbage in ["0x", "0x00", "0x0484", "0xffffffffffffffffffffffff", &waiting[..waiting.len() - 2]] {
            assert_eq!(submit(&http, garbage).await.unwrap_err().0, 1001, "{garbage}");
        }
        assert_eq!(submit(&http, "no hex").await.unwrap_err().0, -32602);
        let huge = format!("0x{}", "00".repeat(1 << 20));
        assert_eq!(submit(&http, &huge).await.unwrap_err().0, 1010);
        assert_eq!(get(&http, "author_pendingExtrinsics", json!([])).await, json!([waiting]));
        assert_eq!(next_index(&http, "Alice").await, 1);
        assert_eq!(next_index(&http, "Bob").await, 0);
        assert_eq!(get(&http, "system_health", json!([])).await["isSyncing"], false);
        assert_eq!(get(&http, "system_nodeRoles", json!([])).await, json!(["Full"]));
    });
    node.end("INT");
}
