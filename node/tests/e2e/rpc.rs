//! What a mining node answers, against what is in its blocks and states.

use codec::Decode;
use consensus_upow::ModelConfig;
use descent_genesis::accounts;
use descent_runtime::{AccountId, H256, Header, RoundInfo, extrinsics_root, header_hash, pre_digest, storage};
use jsonrpsee::core::client::{ClientT, Subscription, SubscriptionClientT};
use jsonrpsee::http_client::HttpClient;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::{Value, json};

use crate::support::{Place, block_on, number};

pub(crate) async fn get(client: &impl ClientT, method: &str, params: Value) -> Value {
    let mut list = rpc_params![];
    params.as_array().expect("a list").iter().for_each(|param| list.insert(param).unwrap());
    client.request(method, list).await.unwrap_or_else(|e| panic!("{method}: {e}"))
}

/// A value of a block's state.
pub(crate) async fn stored<T: Decode>(client: &HttpClient, key: Vec<u8>, at: &Value) -> T {
    let value = get(client, "state_getStorage", json!([hex(&key), at])).await;
    T::decode(&mut &unhex(&value)[..]).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_else(|| panic!("{value}"))).unwrap()
}

fn hash(value: &Value) -> H256 {
    H256::from_slice(&unhex(value))
}

#[test]
fn blocks_have_substrates_form_and_hash_over_both_transports() {
    let place = Place::new();
    let mut node = place.node();
    node.wait_for_height(9);
    block_on(async {
        let http = node.http();
        let ws = WsClientBuilder::default().build(node.url("ws")).await.unwrap();
        assert_eq!(get(&http, "chain_getBlockHash", json!([u32::MAX])).await, Value::Null);
        let alice = accounts::well_known("Alice").unwrap();
        let mut parent = get(&http, "chain_getBlockHash", json!([0])).await;
        for height in 1..=9_u32 {
            let at = get(&http, "chain_getBlockHash", json!([height])).await;
            assert_eq!(get(&ws, "chain_getBlockHash", json!([format!("{height:#x}")])).await, at);
            let header = get(&http, "chain_getHeader", json!([at])).await;
            let block = get(&ws, "chain_getBlock", json!([at])).await;
            assert_eq!(block["block"]["header"], header);
            assert_eq!(block["justifications"], Value::Null);

            let mut fields: Vec<&String> = header.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, ["digest", "extrinsicsRoot", "number", "parentHash", "stateRoot"]);
            assert_eq!((number(&header["number"]), &header["parentHash"]), (height, &parent));
            let decoded: Header = serde_json::from_value(header.clone()).unwrap();
            assert_eq!(header_hash(&decoded), hash(&at));
            assert_eq!(pre_digest(&decoded).unwrap().sealer, alice);
            let extrinsics: Vec<_> = block["block"]["extrinsics"].as_array().unwrap().iter().map(unhex).collect();
            assert_eq!(extrinsics_root(&extrinsics), hash(&header["extrinsicsRoot"]));
            assert_eq!(stored::<u32>(&http, storage::NUMBER.key(), &at).await, height);
            parent = at;
        }
        assert_eq!(get(&http, "chain_getBlock", json!([H256::repeat_byte(9)])).await, Value::Null);
        assert_eq!(get(&http, "system_chainType", json!([])).await, "Development");
        assert_eq!(get(&http, "system_nodeRoles", json!([])).await, json!(["Authority"]));
    });
    node.end("TERM");
}

#[test]
fn new_heads_arrive_in_order() {
    let place = Place::new();
    let mut node = place.node();
    node.wait_for_height(1);
    let tip = block_on(async {
        let ws = WsClientBuilder::default().build(node.url("ws")).await.unwrap();
        let subscribe = async |kind: &str| -> Subscription<Header> {
            let [open, close] = [format!("chain_subscribe{kind}"), format!("chain_unsubscribe{kind}")];
            ws.subscribe(&open, rpc_params![], &close).await.unwrap()
        };
        let (mut new, mut all) = (subscribe("NewHeads").await, subscribe("AllHeads").await);
        let mut finalized = subscribe("FinalizedHeads").await;
        let mut last: Header = new.next().await.unwrap().unwrap();
        all.next().await.unwrap().unwrap();
        for _ in 0..10 {
            let head = new.next().await.unwrap().unwrap();
            assert_eq!((head.number, head.parent_hash), (last.number + 1, header_hash(&last)));
            // Who hears of a block can ask about it.
            let asked = get(&ws, "chain_getHeader", json!([header_hash(&head)])).await;
            assert_eq!(serde_json::from_value::<Header>(asked).unwrap(), head);
            last = head;
        }
        let first = finalized.next().await.unwrap().unwrap();
        let second = finalized.next().await.unwrap().unwrap();
        assert_eq!((second.number, second.parent_hash), (first.number + 1, header_hash(&first)));
        let final_head = get(&ws, "chain_getFinalizedHead", json!([])).await;
        let final_head = get(&ws, "chain_getHeader", json!([final_head])).await;
        assert!(number(&final_head["number"]) + 8 >= last.number, "{final_head}");
        new.unsubscribe().await.unwrap();
        last.number
    });
    // Clients that are there when the node ends don't hold it up.
    let _open = block_on(async { WsClientBuilder::default().build(node.url("ws")).await.unwrap() });
    assert!(node.height() >= tip);
    node.end("TERM");
}

#[test]
fn training_figures_are_those_in_state() {
    let place = Place::new();
    let mut node = place.node();
    let mut tokens = Vec::new();
    for height in [9, 17, 25] {
        node.wait_for_height(height);
        tokens.push(block_on(figures_agree(&node.http(), height / 6)));
    }
    assert!(tokens[0] > 0 && tokens[0] < tokens[1] && tokens[1] < tokens[2], "{tokens:?}");
    node.end("TERM");
}

/// Checks status, rounds and checkpoints against the state they speak of; the tokens seen.
async fn figures_agree(http: &HttpClient, at_least: u32) -> u64 {
    let status = get(http, "descent_trainingStatus", json!([])).await;
    let at = get(http, "chain_getBlockHash", json!([status["height"]])).await;
    let round = stored::<u32>(http, storage::CURRENT_ROUND.key(), &at).await;
    assert_eq!(status["round"], round);
    assert!(round >= at_least);
    assert_eq!(status["height"].as_u64().unwrap(), u64::from(round * 6) + status["roundBlock"].as_u64().unwrap());
    let info = stored::<RoundInfo>(http, storage::ROUNDS.key(&round), &at).await;
    assert_eq!(hash(&status["checkpointRoot"]), info.checkpoint_root);
    assert_eq!(status["exponents"], json!(info.exponents));
    let tokens = stored::<u64>(http, storage::TOKENS_SEEN.key(), &at).await;
    assert_eq!(status["tokens"], tokens);
    assert_eq!(status["mining"], true);
    assert!(status["trainingLoss"].as_f64().unwrap() < 6.0, "{status}");
    assert!(status["difficulty"].as_str().unwrap().parse::<u128>().unwrap() > 0);

    let rounds = get(http, "descent_rounds", json!([0, round])).await;
    assert_eq!(rounds.as_array().unwrap().len() as u32, round + 1);
    let (mut sum, mut microbatches, mut roots) = (0, 0, Vec::new());
    for (which, summary) in (0..).zip(rounds.as_array().unwrap()) {
        let info = stored::<RoundInfo>(http, storage::ROUNDS.key(&which), &at).await;
        assert_eq!([&summary["round"], &summary["startBlock"]], [info.round, info.start_block]);
        assert_eq!(hash(&summary["checkpointRoot"]), info.checkpoint_root);
        assert_eq!(summary["tokens"], info.tokens);
        (sum, microbatches) = (sum + info.tokens, microbatches + u64::from(info.microbatches));
        roots.push(info.checkpoint_root);

        let checkpoint = get(http, "descent_checkpoint", json!([which])).await;
        assert_eq!(checkpoint["checkpointRoot"], summary["checkpointRoot"]);
        assert_eq!([&checkpoint["step"], &checkpoint["startBlock"]], [which, which * 6]);
        assert_eq!(checkpoint["stored"], true);
        assert_eq!(checkpoint["blockHash"], get(http, "chain_getBlockHash", json!([which * 6])).await);
        assert_eq!(checkpoint["tensors"].as_array().unwrap().len(), ModelConfig::TINY.tensors().len());
    }
    assert_eq!((sum, Value::from(microbatches)), (tokens, status["microbatches"].clone()));
    roots.dedup();
    assert_eq!(roots.len() as u32, round + 1, "a step changed nothing");
    assert_eq!(get(http, "descent_checkpoint", json!([round + 1000])).await, Value::Null);
    tokens
}

#[test]
fn the_miner_is_paid_what_the_state_says() {
    let place = Place::new();
    let mut node = place.node();
    // Round 0 is settled two rounds later.
    node.wait_for_height(19);
    block_on(async {
        let http = node.http();
        let free = async |at: u32| {
            let at = get(&http, "chain_getBlockHash", json!([at])).await;
            let alice: AccountId = accounts::well_known("Alice").unwrap();
            stored::<descent_runtime::types::AccountInfo>(&http, storage::ACCOUNT.key(&alice), &at).await.data.free
        };
        assert!(free(1).await < free(19).await);
        // Paging through all accounts finds each of them once.
        let prefix = hex(&storage::ACCOUNT.prefix());
        let mut keys = Vec::new();
        loop {
            let page = get(&http, "state_getKeysPaged", json!([prefix, 4, keys.last()])).await;
            keys.extend(page.as_array().unwrap().clone());
            if page.as_array().unwrap().len() < 4 {
                break;
            }
        }
        assert_eq!(keys.len(), accounts::NAMES.len());
    });
    node.end("TERM");
}
