//! Which web pages are answered.

use descent_rpc::{AllowedOrigins, RpcConfig};

use crate::Harness;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"system_name","params":[]}"#;

/// The request that opens a WebSocket.
fn upgrade(headers: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=={headers}"
    )
}

async fn open() -> Harness {
    let config = RpcConfig { allowed_origins: AllowedOrigins::Any, ..RpcConfig::default() };
    Harness::with(config).await
}

#[tokio::test]
async fn foreign_pages_are_refused() {
    let harness = Harness::start().await;
    for (origin, expected) in [
        ("https://polkadot.js.org", 200),
        ("http://localhost:3000", 200),
        ("chrome-extension://mopnmbcafieddcagagdcbnhejhlodfdd", 200),
        ("https://example.com", 403),
        ("https://polkadot.js.org.example.com", 403),
        ("null", 403),
    ] {
        let headers = format!("\r\nHost: localhost\r\nOrigin: {origin}");
        let (status, answer) = harness.post(&headers, CALL).await;
        assert_eq!(status, expected, "{origin}: {answer}");
        let shared = format!("access-control-allow-origin: {origin}\r\n");
        assert_eq!(answer.contains(&shared), expected == 200, "{origin}: {answer}");

        let (status, answer) = harness.raw(&upgrade(&headers), "").await;
        let expected = if expected == 200 { 101 } else { 403 };
        assert_eq!(status, expected, "{origin}: {answer}");
    }
}

#[tokio::test]
async fn browsers_may_ask_before_posting() {
    let harness = Harness::start().await;
    let ask = |origin: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type"
        )
    };
    let (status, answer) = harness.raw(&ask("http://127.0.0.1:8080"), "").await;
    assert_eq!(status, 200);
    for header in [
        "access-control-allow-origin: http://127.0.0.1:8080\r\n",
        "access-control-allow-methods: POST\r\n",
        "access-control-allow-headers: content-type\r\n",
        "vary: origin\r\n",
    ] {
        assert!(answer.contains(header), "{header} {answer}");
    }
    let (status, _) = harness.raw(&ask("https://example.com"), "").await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn on_loopback_only_names_of_this_machine_are_served() {
    let harness = Harness::start().await;
    let port = harness.address().port();
    for (host, expected) in [
        ("localhost".to_owned(), 200),
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        (format!("example.com:{port}"), 403),
        ("localhost.example.com".to_owned(), 403),
    ] {
        let (status, answer) = harness.post(&format!("\r\nHost: {host}"), CALL).await;
        assert_eq!(status, expected, "{host}: {answer}");
    }
}

#[tokio::test]
async fn all_origins_can_be_allowed() {
    let harness = open().await;
    let headers = "\r\nHost: example.com\r\nOrigin: https://example.com";
    let (status, answer) = harness.post(headers, CALL).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = harness.raw(&upgrade(headers), "").await;
    assert_eq!(status, 101, "{answer}");
}
