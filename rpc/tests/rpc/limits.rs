//! Limits, malformed input, and addresses that are taken.

use std::sync::Arc;

use descent_rpc::{RpcConfig, RpcConfigError, RpcStartError, start_server};
use descent_runtime::Header;
use jsonrpsee::core::client::{Error, Subscription, SubscriptionClientT};
use jsonrpsee::rpc_params;
use serde_json::{Value, json};

use crate::backend::MemoryNode;
use crate::{Harness, any_port, call};

const LOCAL: &str = "\r\nHost: localhost";

fn body_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn malformed_json_is_a_parse_error_and_harms_nobody() {
    let harness = Harness::start().await;
    for body in ["{", "{\"jsonrpc\":\"2.0\",", "[1,", "not json", "", "\u{7f}"] {
        let (_, answer) = harness.post(LOCAL, body).await;
        assert_eq!(body_of(&answer)["error"]["code"], -32700, "{body:?}: {answer}");
        assert_eq!(harness.call("system_name", json!([])).await, "descent");
    }
    let (_, answer) = harness.post(LOCAL, "{\"jsonrpc\":\"2.0\",\"id\":1}").await;
    assert_eq!(body_of(&answer)["error"]["code"], -32600);
    let (status, _) = harness.raw("GET / HTTP/1.1\r\nConnection: close\r\nHost: localhost", "").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn oversized_requests_are_refused() {
    let config = RpcConfig { max_request_bytes: 2048, ..RpcConfig::default() };
    let harness = Harness::with(config).await;
    let request = |bytes: usize| {
        let data = "00".repeat(bytes);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"state_getStorage","params":["0x{data}"]}}"#)
    };
    let (status, answer) = harness.post(LOCAL, &request(900)).await;
    assert_eq!((status, &body_of(&answer)["result"]), (200, &Value::Null));
    let (status, answer) = harness.post(LOCAL, &request(1100)).await;
    assert_eq!((status, &body_of(&answer)["error"]["code"]), (413, &json!(-32007)));
    assert_eq!(harness.call("system_name", json!([])).await, "descent");
}

#[tokio::test]
async fn oversized_responses_are_refused() {
    let config = RpcConfig { max_request_bytes: 1024, max_response_bytes: 1024, ..RpcConfig::default() };
    let harness = Harness::with(config).await;
    assert_eq!(harness.error("rpc_methods", json!([])).await.0, -32008);
}

#[tokio::test]
async fn batches_have_a_limit() {
    let config = RpcConfig { max_batch_requests: 2, ..RpcConfig::default() };
    let harness = Harness::with(config).await;
    let batch = |count: usize| {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "system_name", "params": [] });
        Value::Array(vec![call; count]).to_string()
    };
    let (_, answer) = harness.post(LOCAL, &batch(2)).await;
    assert_eq!(body_of(&answer).as_array().unwrap().len(), 2);
    let (_, answer) = harness.post(LOCAL, &batch(3)).await;
    assert_eq!(body_of(&answer)["error"]["code"], -32010);
}

#[tokio::test]
async fn connections_have_a_limit() {
    let config = RpcConfig { max_connections: 1, ..RpcConfig::default() };
    let harness = Harness::with(config).await;
    let client = harness.ws().await;
    let (status, _) = harness.post(LOCAL, "{}").await;
    assert_eq!(status, 429);
    assert_eq!(call(&client, "system_name", json!([])).await.unwrap(), "descent");
}

#[tokio::test]
async fn subscriptions_have_a_limit() {
    let config = RpcConfig { max_subscriptions_per_connection: 1, ..RpcConfig::default() };
    let harness = Harness::with(config).await;
    let client = harness.ws().await;
    let subscribe = || client.subscribe("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads");
    let first: Subscription<Header> = subscribe().await.unwrap();
    let second: Result<Subscription<Header>, Error> = subscribe().await;
    match second.unwrap_err() {
        Error::Call(error) => assert_eq!(error.code(), -32006),
        other => panic!("{other:?}"),
    }
    // The place is free again once the first has ended.
    first.unsubscribe().await.unwrap();
    let again: Result<Subscription<Header>, Error> = subscribe().await;
    again.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let harness = Harness::start().await;
    let address = harness.address();
    let error = start_server(address, RpcConfig::default(), harness.node.clone()).await;
    let error = error.unwrap_err();
    assert!(matches!(&error, RpcStartError::Bind { address: named, .. } if *named == address));
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot listen for rpc on {address}: ")), "{message}");
    assert!(message.contains("in use"), "{message}");
}

#[tokio::test]
async fn an_invalid_configuration_starts_no_server() {
    let config = RpcConfig { max_connections: 0, ..RpcConfig::default() };
    let error = start_server(any_port(), config, Arc::new(MemoryNode::new())).await.unwrap_err();
    assert!(matches!(error, RpcStartError::Config(RpcConfigError::ConnectionLimit)));
}
