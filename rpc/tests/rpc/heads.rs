//! Head subscriptions.

use std::time::Duration;

use descent_runtime::Header;
use jsonrpsee::core::client::{Subscription, SubscriptionClientT, SubscriptionKind};
use jsonrpsee::rpc_params;
use jsonrpsee::types::SubscriptionId;
use tokio::time::timeout;

use crate::Harness;
use crate::backend::HEADS_KEPT;

async fn next(heads: &mut Subscription<Header>) -> Header {
    let head = timeout(Duration::from_secs(10), heads.next()).await;
    head.expect("a head within ten seconds").expect("an open subscription").unwrap()
}

async fn is_silent(heads: &mut Subscription<Header>) -> bool {
    timeout(Duration::from_millis(200), heads.next()).await.is_err()
}

#[tokio::test]
async fn best_heads_start_with_the_current_one() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    for (subscribe, unsubscribe) in [
        ("chain_subscribeNewHeads", "chain_unsubscribeNewHeads"),
        ("chain_subscribeNewHead", "chain_unsubscribeNewHead"),
        ("subscribe_newHead", "unsubscribe_newHead"),
    ] {
        let mut heads: Subscription<Header> = client.subscribe(subscribe, rpc_params![], unsubscribe).await.unwrap();
        let current = next(&mut heads).await;
        for _ in 0..3 {
            let new = harness.node.extend();
            assert_eq!(next(&mut heads).await, new, "{subscribe}");
        }
        // A block beside the tip is no best head.
        harness.node.fork();
        assert!(is_silent(&mut heads).await, "{subscribe}");
        assert_eq!(current.number + 4, harness.node.extend().number);
        heads.unsubscribe().await.unwrap();
    }
}

#[tokio::test]
async fn all_heads_include_forks() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    let mut heads: Subscription<Header> =
        client.subscribe("chain_subscribeAllHeads", rpc_params![], "chain_unsubscribeAllHeads").await.unwrap();
    assert_eq!(next(&mut heads).await, harness.node.header_at(2));
    let fork = harness.node.fork();
    assert_eq!(next(&mut heads).await, fork);
    let new = harness.node.extend();
    assert_eq!(next(&mut heads).await, new);
}

#[tokio::test]
async fn finalized_heads_follow_finality_only() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    for (number, subscribe, unsubscribe) in [
        (0, "chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads"),
        (1, "chain_subscribeFinalisedHeads", "chain_unsubscribeFinalisedHeads"),
    ] {
        let mut heads: Subscription<Header> = client.subscribe(subscribe, rpc_params![], unsubscribe).await.unwrap();
        assert_eq!(next(&mut heads).await, harness.node.header_at(number), "{subscribe}");
        harness.node.extend();
        assert!(is_silent(&mut heads).await, "{subscribe}");
        let new = harness.node.finalize();
        assert_eq!(next(&mut heads).await, new, "{subscribe}");
    }
}

/// The runtime of this test has one thread, so the server reads nothing while blocks arrive.
#[tokio::test]
async fn a_lagging_subscriber_skips_to_the_newest_head() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    let mut heads: Subscription<Header> =
        client.subscribe("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads").await.unwrap();
    next(&mut heads).await;
    for _ in 0..10 * HEADS_KEPT {
        harness.node.extend();
    }
    let newest = harness.node.extend();
    assert_eq!(next(&mut heads).await, newest);
    let after = harness.node.extend();
    assert_eq!(next(&mut heads).await, after);
}

#[tokio::test]
async fn subscription_ids_are_strings() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    let heads: Subscription<Header> =
        client.subscribe("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads").await.unwrap();
    match heads.kind() {
        SubscriptionKind::Subscription(SubscriptionId::Str(id)) => assert_eq!(id.len(), 16),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscription_without_a_head_is_refused() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    harness.node.break_disk();
    let refused: Result<Subscription<Header>, _> =
        client.subscribe("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads").await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("no such disk"), "{message}");
}

#[tokio::test]
async fn stopping_ends_open_subscriptions() {
    let harness = Harness::start().await;
    let client = harness.ws().await;
    let mut heads: Subscription<Header> =
        client.subscribe("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads").await.unwrap();
    next(&mut heads).await;
    timeout(Duration::from_secs(10), harness.server.stop()).await.expect("a stop within 10 s");
    let end = timeout(Duration::from_secs(10), heads.next()).await.expect("an end within 10 s");
    assert!(end.is_none());
}
