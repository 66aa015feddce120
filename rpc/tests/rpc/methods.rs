//! `rpc_methods`, `system_*`, `chain_*`, `state_*` and `author_*`.

use descent_runtime::blake2_256;
use serde_json::{Value, json};

use crate::Harness;
use crate::backend::DISCARDED;

const UNKNOWN: &str = "0x4242424242424242424242424242424242424242424242424242424242424242";
/// The account of 32 bytes 0xd4 35 .. that every Substrate client calls Alice, prefix 42.
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

#[tokio::test]
async fn rpc_methods_lists_every_name_and_alias() {
    let harness = Harness::start().await;
    let expected = json!([
        "account_nextIndex",
        "author_pendingExtrinsics",
        "author_submitExtrinsic",
        "chain_getBlock",
        "chain_getBlockHash",
        "chain_getFinalisedHead",
        "chain_getFinalizedHead",
        "chain_getHead",
        "chain_getHeader",
        "chain_getRuntimeVersion",
        "chain_subscribeAllHeads",
        "chain_subscribeFinalisedHeads",
        "chain_subscribeFinalizedHeads",
        "chain_subscribeNewHead",
        "chain_subscribeNewHeads",
        "chain_unsubscribeAllHeads",
        "chain_unsubscribeFinalisedHeads",
        "chain_unsubscribeFinalizedHeads",
        "chain_unsubscribeNewHead",
        "chain_unsubscribeNewHeads",
        "descent_checkpoint",
        "descent_networkState",
        "descent_rounds",
        "descent_trainingStatus",
        "rpc_methods",
        "state_getKeysPaged",
        "state_getKeysPagedAt",
        "state_getRuntimeVersion",
        "state_getStorage",
        "state_getStorageAt",
        "state_getStorageHash",
        "state_getStorageHashAt",
        "state_getStorageSize",
        "state_getStorageSizeAt",
        "subscribe_newHead",
        "system_accountNextIndex",
        "system_chain",
        "system_chainType",
        "system_health",
        "system_localPeerId",
        "system_name",
        "system_nodeRoles",
        "system_peers",
        "system_properties",
        "system_syncState",
        "system_version",
        "unsubscribe_newHead",
    ]);
    assert_eq!(harness.call("rpc_methods", json!([])).await, json!({ "methods": expected }));
}

#[tokio::test]
async fn system_methods_answer() {
    let harness = Harness::start().await;
    let answers = [
        ("system_name", json!("descent")),
        ("system_version", json!("0.1.0-test")),
        ("system_chain", json!("Descent Test")),
        ("system_chainType", json!("Development")),
        ("system_nodeRoles", json!(["Authority"])),
        ("system_localPeerId", json!("12D3KooWTest")),
        (
            "system_peers",
            json!([{
                "peerId": "12D3KooWOther", "roles": "FULL", "bestHash": format!("0x{}", "44".repeat(32)), "bestNumber": 9
            }]),
        ),
        ("system_syncState", json!({ "startingBlock": 1, "currentBlock": 2, "highestBlock": 9 })),
        ("system_health", json!({ "peers": 3, "isSyncing": false, "shouldHavePeers": true })),
        ("system_properties", json!({ "ss58Format": 42, "tokenDecimals": 12, "tokenSymbol": "DSNT" })),
    ];
    for (method, answer) in answers {
        assert_eq!(harness.call(method, json!([])).await, answer, "{method}");
    }
    for method in ["system_accountNextIndex", "account_nextIndex"] {
        assert_eq!(harness.call(method, json!([ALICE])).await, json!(0xd4), "{method}");
    }
}

#[tokio::test]
async fn headers_have_substrates_json_form() {
    let harness = Harness::start().await;
    let header = harness.node.header_at(2);
    let expected = json!({
        "parentHash": harness.node.header_at(1).hash(),
        "number": "0x2",
        "stateRoot": "0x1111111111111111111111111111111111111111111111111111111111111111",
        "extrinsicsRoot": "0x2222222222222222222222222222222222222222222222222222222222222222",
        // DigestItem::Seal is variant 5; engine id; one byte of payload, 0.
        "digest": { "logs": ["0x0575706f770400"] },
    });
    for params in [json!([]), json!([null]), json!([header.hash()])] {
        assert_eq!(harness.call("chain_getHeader", params).await, expected);
    }
    let block = json!({
        "block": { "header": expected, "extrinsics": ["0x080102", "0x0403"] },
        "justifications": null,
    });
    for params in [json!([]), json!([null]), json!([header.hash()])] {
        assert_eq!(harness.call("chain_getBlock", params).await, block);
    }
    for method in ["chain_getHeader", "chain_getBlock"] {
        assert_eq!(harness.call(method, json!([UNKNOWN])).await, Value::Null);
    }
}

#[tokio::test]
async fn block_hashes_are_found_by_every_form_of_number() {
    let harness = Harness::start().await;
    let hash = |number| json!(harness.node.header_at(number).hash());
    for method in ["chain_getBlockHash", "chain_getHead"] {
        let cases = [
            (json!([]), hash(2)),
            (json!([null]), hash(2)),
            (json!([0]), hash(0)),
            (json!(["0x1"]), hash(1)),
            (json!(["0x00000001"]), hash(1)),
            (json!([3]), Value::Null),
            (json!([[0, "0x2", 9]]), json!([hash(0), hash(2), null])),
            (json!([[]]), json!([])),
        ];
        for (params, answer) in cases {
            assert_eq!(harness.call(method, params.clone()).await, answer, "{method} {params}");
        }
    }
    for method in ["chain_getFinalizedHead", "chain_getFinalisedHead"] {
        assert_eq!(harness.call(method, json!([])).await, hash(0), "{method}");
    }
}

#[tokio::test]
async fn storage_is_read_at_any_kept_block() {
    let harness = Harness::start().await;
    let best = harness.node.header_at(2).hash();
    for (method, value, empty) in [
        ("state_getStorage", json!("0x6f6e65"), json!("0x")),
        ("state_getStorageAt", json!("0x6f6e65"), json!("0x")),
        ("state_getStorageHash", json!(blake2_256(b"one")), json!(blake2_256(b""))),
        ("state_getStorageHashAt", json!(blake2_256(b"one")), json!(blake2_256(b""))),
        ("state_getStorageSize", json!(3), json!(0)),
        ("state_getStorageSizeAt", json!(3), json!(0)),
    ] {
        assert_eq!(harness.call(method, json!(["0x6162"])).await, value, "{method}");
        assert_eq!(harness.call(method, json!(["0x6162", best])).await, value, "{method}");
        assert_eq!(harness.call(method, json!(["0x6163"])).await, empty, "{method}");
        assert_eq!(harness.call(method, json!(["0x6164"])).await, Value::Null, "{method}");
        let (code, message, _) = harness.error(method, json!(["0x6162", UNKNOWN])).await;
        assert_eq!(code, 4003, "{method}");
        assert_eq!(message, format!("Client error: UnknownBlock: Header was not found in the database: {UNKNOWN}"));
    }
    let discarded = harness.node.header_at(DISCARDED as usize).hash();
    let (code, message, _) = harness.error("state_getStorage", json!(["0x", discarded])).await;
    assert_eq!(code, 4003);
    assert!(message.contains(&format!("State already discarded for {discarded:?}")), "{message}");
}

#[tokio::test]
async fn keys_are_paged() {
    let harness = Harness::start().await;
    for method in ["state_getKeysPaged", "state_getKeysPagedAt"] {
        let page = harness.call(method, json!(["0x6b", 3])).await;
        assert_eq!(page, json!(["0x6b00", "0x6b01", "0x6b02"]));
        let page = harness.call(method, json!(["0x6b", 9, "0x6b05", null])).await;
        assert_eq!(page, json!(["0x6b06", "0x6b07"]));
        assert_eq!(harness.call(method, json!([null, 1])).await, json!(["0x6162"]));
        assert_eq!(harness.call(method, json!(["0x", 0])).await, json!([]));
        let (code, message, _) = harness.error(method, json!(["0x", 1001])).await;
        assert_eq!(code, 4002);
        assert_eq!(message, "count exceeds maximum value. value: 1001, max: 1000");
    }
}

#[tokio::test]
async fn runtime_version_has_substrates_json_form() {
    let harness = Harness::start().await;
    for method in ["state_getRuntimeVersion", "chain_getRuntimeVersion"] {
        let version = harness.call(method, json!([])).await;
        assert_eq!(version["specName"], "descent");
        assert_eq!(version["apis"], json!([["0xdf6acb689907609b", 5]]));
        for field in ["implName", "authoringVersion", "specVersion", "implVersion"] {
            assert!(!version[field].is_null(), "{field}");
        }
        for field in ["transactionVersion", "systemVersion", "stateVersion"] {
            assert!(version[field].is_u64(), "{field}");
        }
        assert_eq!(harness.error(method, json!([UNKNOWN])).await.0, 4003);
    }
}

#[tokio::test]
async fn extrinsics_enter_the_pool_or_say_why_not() {
    let harness = Harness::start().await;
    let submit = "author_submitExtrinsic";
    assert_eq!(harness.call(submit, json!(["0x0809"])).await, json!(blake2_256(&[8, 9])));
    assert_eq!(harness.call("author_pendingExtrinsics", json!([])).await, json!(["0x0809"]));

    let cases = [
        ("0x", 1001, "Extrinsic has invalid format: no bytes"),
        ("0x01", 1010, "Invalid Transaction"),
        ("0x02", 1012, "Transaction is temporarily banned"),
        ("0x0809", 1013, "Transaction Already Imported"),
        ("0x03", 1014, "Priority is too low: (9 vs 8)"),
        ("0x04", 1016, "Immediately Dropped"),
    ];
    for (bytes, code, message) in cases {
        let error = harness.error(submit, json!([bytes])).await;
        assert_eq!((error.0, error.1.as_str()), (code, message));
    }
    let (_, _, data) = harness.error(submit, json!(["0x01"])).await;
    assert_eq!(data.as_deref(), Some("Transaction is outdated"));
    assert_eq!(harness.call("author_pendingExtrinsics", json!([])).await, json!(["0x0809"]));
}

#[tokio::test]
async fn wrong_parameters_are_named_so() {
    let harness = Harness::start().await;
    let too_many: Vec<u32> = (0..1025).collect();
    let cases = [
        ("system_accountNextIndex", json!([])),
        ("system_accountNextIndex", json!(["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ"])),
        ("chain_getHeader", json!(["0x1234"])),
        ("chain_getHeader", json!([7])),
        ("chain_getBlock", json!(["latest"])),
        ("chain_getBlockHash", json!([-1])),
        ("chain_getBlockHash", json!([1.5])),
        ("chain_getBlockHash", json!(["12"])),
        ("chain_getBlockHash", json!([4_294_967_296_u64])),
        ("chain_getBlockHash", json!([too_many])),
        ("state_getStorage", json!([])),
        ("state_getStorage", json!(["0xzz"])),
        ("state_getKeysPaged", json!(["0x", -1])),
        ("author_submitExtrinsic", json!(["no hex"])),
        ("descent_rounds", json!([0])),
        ("descent_checkpoint", json!(["0x1"])),
    ];
    for (method, params) in cases {
        let (code, message, _) = harness.error(method, params.clone()).await;
        assert_eq!(code, -32602, "{method} {params}: {message}");
    }
    assert_eq!(harness.error("system_reboot", json!([])).await.0, -32601);
}

#[tokio::test]
async fn a_failing_database_is_an_internal_error() {
    let harness = Harness::start().await;
    harness.node.break_disk();
    for (method, params) in [
        ("chain_getHeader", json!([])),
        ("state_getStorage", json!(["0x"])),
        ("author_submitExtrinsic", json!(["0x01"])),
        ("descent_trainingStatus", json!([])),
    ] {
        let (code, message, _) = harness.error(method, params).await;
        assert_eq!((code, message.as_str()), (-32603, "database failed: no such disk"));
    }
}
