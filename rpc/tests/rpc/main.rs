//! The server over real sockets, in front of a node that lives in memory.

mod backend;
mod heads;
mod limits;
mod methods;
mod origins;
mod training;

use std::net::SocketAddr;
use std::sync::Arc;

use descent_rpc::{RpcConfig, RpcServer, start_server};
use jsonrpsee::core::client::{ClientT, Error};
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use backend::MemoryNode;

/// A node with its server.
struct Harness {
    node: Arc<MemoryNode>,
    server: RpcServer,
}

impl Harness {
    async fn start() -> Self {
        Self::with(RpcConfig::default()).await
    }

    async fn with(config: RpcConfig) -> Self {
        let node = Arc::new(MemoryNode::new());
        let server = start_server(any_port(), config, node.clone()).await.unwrap();
        Self { node, server }
    }

    fn http(&self) -> HttpClient {
        HttpClientBuilder::default().build(format!("http://{}", self.address())).unwrap()
    }

    async fn ws(&self) -> WsClient {
        WsClientBuilder::default().build(format!("ws://{}", self.address())).await.unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.server.local_address()
    }

    /// Calls over HTTP and expects an answer.
    async fn call(&self, method: &str, params: Value) -> Value {
        call(&self.http(), method, params).await.unwrap()
    }

    /// Calls over HTTP and expects an error: its code, message and data.
    async fn error(&self, method: &str, params: Value) -> (i32, String, Option<String>) {
        match call(&self.http(), method, params.clone()).await {
            Err(Error::Call(error)) => {
                let data = error.data().map(|data| serde_json::from_str(data.get()).unwrap());
                (error.code(), error.message().to_owned(), data)
            }
            other => panic!("{method} {params} answered {other:?}"),
        }
    }

    /// Sends bytes as they are and returns the status and the answer, headers included.
    async fn raw(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        // The server keeps a connection open that asked to be upgraded: only the headers matter.
        let upgrading = head.contains("Upgrade: websocket");
        loop {
            let count = stream.read(&mut chunk).await.unwrap();
            answer.extend_from_slice(&chunk[..count]);
            if count == 0 || upgrading && answer.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    /// Posts JSON with extra headers.
    async fn post(&self, headers: &str, body: &str) -> (u16, String) {
        let head = format!("POST / HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json{headers}");
        self.raw(&head, body).await
    }
}

async fn call(client: &impl ClientT, method: &str, params: Value) -> Result<Value, Error> {
    let mut array = ArrayParams::new();
    for param in params.as_array().unwrap() {
        array.insert(param).unwrap();
    }
    client.request(method, array).await
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
